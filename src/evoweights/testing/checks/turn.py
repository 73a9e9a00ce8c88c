"""What holds for turns: pure functions of the generation that name rows there are."""

from evoweights.operators import Turn, TurnRule
from evoweights.seeds import Noise
from evoweights.testing.checks.repeating import registrable
from evoweights.testing.checks.world import draw_elsewhere, unchanged_world
from evoweights.testing.rules import Level, always, rule


@rule("T01", always, level=Level.EXACT)
def existing(turn: TurnRule, generation: int, size: int, noise: Noise) -> None:
    """T01: it names rows there are, at least one, each once."""
    rows = turn.choose(generation, size, noise).rows
    assert isinstance(rows, tuple) and len(rows) >= 1, f"the rows are no tuple that has one: {rows!r}"
    assert all(type(row) is int and 0 <= row < size for row in rows), f"rows that do not exist: {rows} of {size}"
    assert len(set(rows)) == len(rows), f"a row is named twice: {rows}"


@rule("T02", always, level=Level.EXACT)
def well_formed(turn: TurnRule, generation: int, size: int, noise: Noise) -> None:
    """T02: it gives a Turn whose steps are a whole number from 0 or None, and that says whether operators act."""
    made = turn.choose(generation, size, noise)
    assert isinstance(made, Turn), f"choose gave {type(made).__name__}, no Turn"
    assert made.steps is None or (type(made.steps) is int and made.steps >= 0), (
        f"steps is {made.steps!r}, neither None nor a whole number from 0"
    )
    assert type(made.varies) is bool, f"varies is {made.varies!r}, neither True nor False"


@rule("G04", always)
def pure(turn: TurnRule, generation: int, size: int, noise: Noise) -> None:
    """G04: it depends on its arguments alone, in whatever order generations are asked for."""
    once = turn.choose(generation, size, noise)
    draw_elsewhere()
    turn.choose(generation + 1, size, noise.at("another"))
    turn.choose(0, size + 1, noise)
    assert turn.choose(generation, size, noise) == once, "the second time it chose otherwise"


@rule("G06", always, most=10, level=Level.EXACT)
def quiet(turn: TurnRule, generation: int, size: int, noise: Noise) -> None:
    """G06: no global generator is drawn from, and no setting of torch, numpy or the process changes."""
    turn.choose(generation, size, noise)
    with unchanged_world():
        turn.choose(generation, size, noise)


@rule("G22", always, most=1, level=Level.EXACT)
def built(turn: TurnRule, generation: int, size: int, noise: Noise) -> None:
    """G22: it can be registered, allows its own defaults, is made from its settings, equals its like, and cannot be changed."""
    del generation, size, noise  # unused: nothing is chosen
    registrable("turn", turn)


TURN_RULES = (pure, quiet, built, existing, well_formed)
"""What holds for turns."""
