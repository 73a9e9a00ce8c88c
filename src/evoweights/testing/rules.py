"""A rule of the contract: its id, what it says, whom it holds for, and the check that raises where it is broken."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from evoweights.operators import GeneOperator, PairOperator
from evoweights.traits import Traits

Body = Callable[..., None]
"""A check: takes the component and what its kind of component is checked on, such as the backend and a draw."""


Choice = Callable[..., tuple[Any, ...]]
"""Gives the case that a rule is tried on instead of the one that is drawn; takes the component and that one."""


@contextmanager
def tried_on(*case: object) -> Iterator[None]:
    """Have what is raised meanwhile tell the case that it is raised for; of several the innermost counts."""
    try:
        yield
    except Exception as error:
        error.add_note(f"with {', '.join(map(str, case))}")
        raise


class Level(StrEnum):
    """How closely two results are compared."""

    EXACT = "exact"
    """A property that is there or not; nothing is measured."""
    BITWISE = "bitwise"
    """Byte for byte: NaN equals NaN, and -0 differs from 0."""
    ROUNDING = "rounding"
    """To a few units in the last place of what a result is made of."""
    STATISTICAL = "statistical"
    """To five standard deviations, always on the same seeds."""
    BOUND = "bound"
    """At most so much."""


@dataclass(frozen=True)
class Condition:
    """Whom a rule holds for, in words and as a function; called, it says why the rule does not apply, or nothing."""

    words: str
    why_not: Callable[[Any], str]

    def __call__(self, component: object) -> str:
        """Why the rule does not apply to the component; empty if it does."""
        return self.why_not(component)


@dataclass(frozen=True)
class Rule:
    """One rule by its id, such as ``X03``; called, it checks one case and raises where that breaks the rule.

    ``most`` is the largest number of cases worth trying: None is as many as the profile says. ``on`` is what it is tried on
    instead of what is drawn, if that is something else.
    """

    id: str
    body: Body
    applies: Condition
    level: Level
    most: int | None = None
    on: Choice | None = None

    @property
    def name(self) -> str:
        """The name of its check."""
        return self.body.__name__

    @property
    def text(self) -> str:
        """What it demands, in one paragraph."""
        first = (self.body.__doc__ or "").strip().split("\n\n")[0]
        return " ".join(first.split()).partition(": ")[2]

    def __call__(self, component: Any, *drawn: Any) -> None:
        """Check one case; what it raises has a note of the case."""
        __tracebackhide__ = True
        case = drawn if self.on is None else self.on(component, *drawn)
        with tried_on(*case):
            self.body(component, *case)


def rule(
    id: str, applies: Condition, *, most: int | None = None, level: Level = Level.BITWISE, on: Choice | None = None
) -> Callable[[Body], Rule]:
    """Make a rule of a check, whose docstring is ``ID: what it demands``."""
    return lambda body: Rule(id, body, applies, level, most, on)


def condition(words: str) -> Callable[[Callable[[Any], str]], Condition]:
    """Make a condition of a function that gives the reason why a rule does not apply."""
    return lambda why_not: Condition(words, why_not)


@condition("all")
def always(component: object) -> str:
    """Holds for every component of its kind."""
    del component  # unused: nothing is asked of it
    return ""


@condition("gene kernels")
def gene_operator(operator: PairOperator) -> str:
    """Holds for gene kernels."""
    return "" if isinstance(operator, GeneOperator) else "no gene kernel"


def traits_of(component: object) -> Traits:
    """What a component claims of itself; of kinds whose interface has no traits, those that it declares all the same."""
    return getattr(component, "traits", Traits())


def claims(*names: str, kind: str = "") -> Condition:
    """Holds for components with all of these claims, of that kind if one is given."""

    def missing(component: object) -> str:
        traits = traits_of(component)
        if kind and traits.kind != kind:
            return f"is no {kind}"
        for name in names:
            if not getattr(traits, name):
                return f"does not claim {name}" if getattr(traits, name) is None else f"claims not to be {name}"
        return ""

    told = " and ".join(names)
    return Condition(f"kind {kind} with {told}" if kind else told, missing)


def both(*conditions: Condition) -> Condition:
    """Holds where each of the conditions does."""
    words = ", ".join(each.words for each in conditions)
    return Condition(words, lambda component: next((why for each in conditions if (why := each(component))), ""))


def named(component: object, **values: float) -> dict[str, float]:
    """Values by trait as settings of the component: ``share=0.5`` is ``rate=0.5`` where ``traits.share`` is ``rate``."""
    return {getattr(traits_of(component), trait): value for trait, value in values.items()}
