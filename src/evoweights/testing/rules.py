"""A rule of the contract: its id, what it says, whom it holds for, and the check that raises where it is broken."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from evoweights.operators import GeneOperator, PairOperator, TensorOperator
from evoweights.traits import Traits

Applies = Callable[[Any], str]
"""Why a rule does not apply to a component; empty if it does."""

Body = Callable[..., None]
"""A check: takes the component, the backend and a draw, or what its kind of component is checked on."""


@dataclass(frozen=True)
class Rule:
    """One rule by its id, such as ``X03``; called, it checks one case and raises where that breaks the rule.

    ``most`` is the largest number of cases worth trying: None is as many as the profile says.
    """

    id: str
    body: Body
    applies: Applies
    most: int | None = None

    @property
    def name(self) -> str:
        """What a report calls it beside its id."""
        return self.body.__name__

    @property
    def text(self) -> str:
        """What it demands, in one paragraph."""
        first = (self.body.__doc__ or "").strip().split("\n\n")[0]
        return " ".join(first.split()).partition(": ")[2]

    def __call__(self, *case: Any) -> None:
        """Check one case."""
        self.body(*case)


def rule(id: str, applies: Applies, *, most: int | None = None) -> Callable[[Body], Rule]:
    """Make a rule of a check."""
    return lambda body: Rule(id, body, applies, most)


def always(component: object) -> str:
    """Holds for every component of its kind."""
    del component  # unused: nothing is asked of it
    return ""


def gene_operator(operator: PairOperator) -> str:
    """Holds for gene kernels."""
    return "" if isinstance(operator, GeneOperator) else "no gene kernel"


def tensor_operator(operator: PairOperator) -> str:
    """Holds for operators in plain torch."""
    return "" if isinstance(operator, TensorOperator) else "no operator in plain torch"


def traits_of(component: object) -> Traits:
    """What a component claims of itself; of kinds whose interface has no traits, those that it declares all the same."""
    return getattr(component, "traits", Traits())


def claims(*names: str, kind: str = "") -> Applies:
    """Holds for components with all of these claims, of that kind if one is given."""

    def missing(component: object) -> str:
        traits = traits_of(component)
        if kind and traits.kind != kind:
            return f"is no {kind}"
        for name in names:
            if not getattr(traits, name):
                return f"does not claim {name}" if getattr(traits, name) is None else f"claims not to be {name}"
        return ""

    return missing


def both(*conditions: Applies) -> Applies:
    """Holds where each of the conditions does."""
    return lambda component: next((reason for each in conditions if (reason := each(component))), "")


def named(operator: PairOperator, **values: float) -> dict[str, float]:
    """Values by trait as settings of the operator: ``share=0.5`` is ``rate=0.5`` where ``traits.share`` is ``rate``."""
    return {getattr(operator.traits, trait): value for trait, value in values.items()}
