"""What holds for improvers: steps that come out again, are saved whole, and refuse what is not finite."""

import dataclasses
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from safetensors.torch import load as from_safetensors

from evoweights.errors import EvoweightsError
from evoweights.improvers import Improver, NonFiniteStep, Replayable
from evoweights.population import Slot
from evoweights.storage.formats import from_json, tensor_chunks, to_json
from evoweights.testing.checks.repeating import registrable
from evoweights.testing.checks.world import draw_elsewhere, unchanged_world
from evoweights.testing.comparing import bits, expect_same
from evoweights.testing.populations import inside
from evoweights.testing.rules import Level, always, both, condition, rule
from evoweights.testing.training_ground import (
    Ground,
    Reports,
    Slopes,
    moment_of,
    rebuilt,
    state_of,
    stepped,
    unmoved,
)


@condition("improvers that work on the kit's module")
def works_here(improver: Improver) -> str:
    """Holds for improvers that can work on the kit's module; others say what they need."""
    try:
        Ground().mounted(improver)
    except EvoweightsError as error:
        return f"cannot work on the module of the kit: {str(error).splitlines()[0]}"
    return ""


def _trained(improver: Improver, ground: Ground) -> dict[str, Any]:
    """What three steps of a fresh individual come to."""
    mounted = ground.mounted(improver)
    return {"losses": stepped(improver, mounted, Slopes(), ground), "state": state_of(mounted)}


@rule("G04", works_here, most=8)
def repeatable(improver: Improver, ground: Ground) -> None:
    """G04: the same individual, batches and noise give the same bytes and losses, and steps change something."""
    made = []
    for _ in range(2):
        made.append(_trained(improver, ground))
        draw_elsewhere()
    expect_same(made[1], made[0], "the second time the steps were others", counted=["step"])
    changes = made[0]["state"] != state_of(ground.mounted(improver))
    assert changes, "three steps change nothing"


@rule("G06", works_here, most=3, level=Level.EXACT)
def quiet(improver: Improver, ground: Ground) -> None:
    """G06: no global generator is drawn from, and no setting of torch, numpy or the process changes."""
    mounted = ground.mounted(improver)
    stepped(improver, mounted, Slopes(), ground, count=1)
    with unchanged_world():
        stepped(improver, mounted, Slopes(), ground, first=2, count=1)


@rule("G16", works_here, most=5)
def outside(improver: Improver, ground: Ground) -> None:
    """G16: frozen parameters keep their bytes and versions, and padding stays 0."""
    mounted = ground.mounted(improver)
    still = [each for each in mounted.module.parameters() if not each.requires_grad]
    before = [{"bytes": bits(each), "version": each._version} for each in still]
    stepped(improver, mounted, Slopes(), ground)
    after = [{"bytes": bits(each), "version": each._version} for each in still]
    expect_same(after, before, "a frozen parameter changed", counted=["frozen parameter"])
    for part in mounted.parts:
        padding = ~inside(part.layout, part.layout.segments)
        assert not any(each[padding].any() for each in (part.weights, *part.slots.values())), "padding was written"


@rule("G18", works_here, most=4)
def targets(improver: Improver, ground: Ground) -> None:
    """G18: every backend makes the bits of the reference."""
    made = [_trained(improver, ground.on(backend)) for backend in ("reference", ground.backend)]
    expect_same(made[1], made[0], f"{ground.backend} makes other bits than the reference", counted=["step"])


@rule("G21", works_here, most=5)
def remembered(improver: Improver, ground: Ground) -> None:
    """G21: settings through JSON, and slots, counters and memory through files, give the next steps that would have been."""
    again = rebuilt(improver, from_json(to_json(dataclasses.asdict(improver))))  # pyright: ignore[reportArgumentType]
    assert again == improver, f"settings change on their way through JSON: {improver!r} becomes {again!r}"
    mounted, other = ground.mounted(improver), ground.mounted(improver, another=True)
    stepped(improver, mounted, Slopes(), ground)
    stepped(improver, other, Slopes(3), ground, count=1)
    differ = state_of(other) != state_of(mounted)
    assert differ, "two individuals end up alike"
    for part, into in zip(mounted.parts, other.parts, strict=True):
        saved = from_safetensors(
            b"".join(bytes(each) for each in tensor_chunks({"weights": part.weights, **part.slots}))
        )
        into.weights.copy_(saved.pop("weights"))
        for name, each in saved.items():
            into.slots[name].copy_(each)
        into.counters = from_json(to_json(part.counters))
        into.refresh_()
    other.memory = {name: each.clone() for name, each in mounted.memory.items()}
    left = stepped(improver, mounted, Slopes(3), ground, first=4, count=2)
    losses = stepped(again, other, Slopes(3), ground, first=4, count=2)
    expect_same(losses, left, "the next losses are others", counted=["step"])
    expect_same(state_of(other), state_of(mounted), "what was saved is not all that the next steps depend on")


@rule("G22", always, most=1, level=Level.EXACT)
def built(improver: Improver, ground: Ground) -> None:
    """G22: it can be registered, allows its own defaults, is made from its settings, equals its like, and cannot be changed."""
    del ground  # unused: nothing is computed
    registrable("improve", improver)


@rule("G23", works_here, most=2)
def threads(improver: Improver, ground: Ground) -> None:
    """G23: one instance that trains several individuals at once does to each what it does alone."""

    def trained(seed: int) -> object:
        return _trained(improver, dataclasses.replace(ground, seed=seed))

    alone = [trained(seed) for seed in range(4)]
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(trained, range(4)))
    expect_same(made, alone, "beside another it does something else", counted=["individual", "step"])


@rule("A06", works_here, most=4, level=Level.EXACT)
def ill_losses(improver: Improver, ground: Ground) -> None:
    """A06: a loss that is NaN or infinite is refused with NonFiniteStep before anything is changed."""
    for factor in (math.nan, math.inf):
        mounted = ground.mounted(improver)
        stepped(improver, mounted, Slopes(), ground, count=1)
        with unmoved(mounted):
            try:
                stepped(improver, mounted, Slopes(1, factor), ground, first=2, count=1)
            except NonFiniteStep:
                continue
        raise AssertionError(f"a loss times {factor} was not refused with NonFiniteStep")


@rule("A09", works_here, most=2, level=Level.EXACT)
def declared(improver: Improver, ground: Ground) -> None:
    """A09: all that a step leaves behind is in declared slots, counters and memory of its own name, none in the component."""
    assert all(isinstance(each, Slot) for each in improver.slots), (
        f"its slots are not all of the class Slot: {improver.slots}"
    )
    mounted = ground.mounted(improver)
    before = repr(improver)
    stepped(improver, mounted, Slopes(), ground, count=2)
    assert repr(improver) == before, "its settings changed"
    kept = {name for part in mounted.parts for name in part.slots}
    slots = {each.name for each in improver.slots}
    assert kept == slots, f"it keeps the slots {sorted(kept)}, declared are {sorted(slots)}"
    named = {name for part in mounted.parts for name in part.counters} | set(mounted.memory) | kept
    foreign = sorted(name for name in named if not name.startswith(f"{improver.name}."))
    assert not foreign, f"what it keeps does not begin with its name: {', '.join(foreign)}"


@condition("improvers that replay")
def _replays(improver: Improver) -> str:
    return "" if isinstance(improver, Replayable) else "cannot replay"


@rule("A10", both(_replays, works_here), most=4)
def replayed(improver: Improver, ground: Ground) -> None:
    """A10: a step done again from what it reported gives the same bits."""
    mounted, other, reports = ground.mounted(improver), ground.mounted(improver), Reports()
    stepped(improver, mounted, Slopes(), ground, reports=reports)
    assert len(reports.said) == 3, f"{len(reports.said)} reports of 3 steps"
    for number, report in enumerate(reports.said, 1):
        improver.replay(other, moment_of(ground, number), from_json(to_json(report)))  # pyright: ignore[reportAttributeAccessIssue]
    expect_same(state_of(other)["tensors"], state_of(mounted)["tensors"], "the replayed steps are others")


IMPROVER_RULES = (
    repeatable, quiet, outside, targets, remembered, built, threads, ill_losses, declared, replayed,
)  # fmt: skip
"""What holds for improvers."""
