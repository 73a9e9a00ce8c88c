"""The interfaces of the components that act between individuals: turns, operators, selections.

An operator is written gene by gene (:class:`GeneOperator`: one function, compiled for every target and fused with its
neighbours) or over named tensors in plain torch (:class:`TensorOperator`).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, ClassVar, Protocol

from evoweights.catalog import setting
from evoweights.errors import PluginError, did_you_mean
from evoweights.seeds import Noise
from evoweights.traits import Traits
from evoweights_kernels import GeneKernel

if TYPE_CHECKING:
    from torch import Tensor

    from evoweights.genome import Layout
    from evoweights.mounted import Blueprint
    from evoweights.population import Slot
    from evoweights.task import Task


class PopulationSettings(Protocol):
    """A component of kind ``population``."""

    name: ClassVar[str]
    source: ClassVar[str]

    def blueprint(self, task: "Task", noise: Noise) -> "Blueprint":
        """How many individuals, what they share, and their first weights."""
        ...


@dataclass(frozen=True)
class Turn:
    """Who acts in a generation. ``steps`` overrides the improvers' own number; ``varies`` False leaves operators out."""

    rows: tuple[int, ...]
    steps: int | None = None
    varies: bool = True


class TurnRule(Protocol):
    """A component of kind ``turn``: a pure function of the generation, so that runs can be planned and resumed."""

    name: ClassVar[str]
    source: ClassVar[str]

    def choose(self, generation: int, size: int, noise: Noise) -> Turn:
        """The turn of ``generation`` (from 0) in a population of ``size`` individuals.

        A function of its arguments alone: it is asked of generations to come, in any order and more than once.
        """
        ...


@dataclass(frozen=True)
class Scene:
    """What operators know when they vary: whose turn it was, who is healthy, and two losses per row (NaN if never
    measured): the last validation score and the mean training loss of the last turn. ``noise`` is the place of this entry
    of ``vary`` in this generation, for operators that draw whom they rewrite from whom."""

    actors: tuple[int, ...]
    healthy: tuple[int, ...]
    scores: tuple[float, ...]
    train_losses: tuple[float, ...]
    noise: Noise = field(default=Noise(0))

    def best(self, by: str) -> int | None:
        """The healthy row with the lowest loss ``by`` ``fitness`` or ``train_loss``; None if none is known."""
        from evoweights.population import best_of

        return best_of(self.scores if by == "fitness" else self.train_losses, self.healthy)


@dataclass(frozen=True)
class Pair:
    """One rewriting: row ``target`` is changed, with row ``source`` as the leader or other parent.

    ``others`` are further parents, for gene kernels that read more than one.
    """

    target: int
    source: int
    others: tuple[int, ...] = ()

    @property
    def parents(self) -> tuple[int, ...]:
        """The rows that are read besides the target's."""
        return (self.source, *self.others)


DIRECTIONS = ("current_to_others", "best_to_current", "best_to_others", "current", "all", "ring")


@dataclass(frozen=True)
class PairOperator(ABC):
    """An operator that rewrites single rows, each with the help of one other; do not derive from it directly."""

    name: ClassVar[str]
    source: ClassVar[str]
    traits: ClassVar[Traits] = Traits()

    direction: str = setting(
        "current_to_others",
        "who is rewritten: the others, led by whose turn it was; the current, led by the best; the others, led by the best; "
        "the current or all of them, each by itself; each led by its neighbour",
        choices=DIRECTIONS,
    )
    scope: str = setting(
        "matrices", "segments that change: all, matrices, vectors, embeddings, or a glob such as '*.mlp.*'"
    )
    best_by: str = setting(
        "fitness",
        "what makes the best: its last validation loss, or the mean training loss of its last turn",
        choices=("fitness", "train_loss"),
    )
    rounding: str = setting(
        "stochastic",
        "how bfloat16 weights are rounded: stochastic is unbiased, nearest loses changes below 1/512 of a weight",
        choices=("stochastic", "nearest"),
    )

    @property
    def slots(self) -> "tuple[Slot, ...]":
        """The state it keeps for every individual."""
        return ()

    def pairs(self, scene: Scene) -> list[Pair]:
        """Which rows are rewritten from which, in order. Failed rows may be rewritten but never lead."""
        everyone = range(len(scene.scores))
        if self.direction == "all":
            return [Pair(row, row) for row in everyone]
        if self.direction == "ring":
            after = dict(zip(scene.healthy, [*scene.healthy[1:], *scene.healthy[:1]], strict=True))
            return [Pair(row, after[row]) for row in scene.healthy if after[row] != row]
        if self.direction == "current":
            return [Pair(row, row) for row in scene.actors]
        leaders = [row for row in scene.actors if row in scene.healthy]
        if self.direction != "current_to_others":
            best = scene.best(self.best_by)
            leaders = [] if best is None else [best]
        if self.direction == "best_to_current":
            return [Pair(row, leader) for leader in leaders for row in scene.actors if row != leader]
        return [Pair(row, leader) for leader in leaders for row in everyone if row != leader]


@dataclass(frozen=True)
class GeneOperator(PairOperator, ABC):
    """An operator written as a gene kernel.

    Its first ``Gene`` argument is the target; a ``Gene`` or ``State`` named like one of ``slots`` (the part after the dot) is
    that slot; any other ``Gene`` is the source, or, of a :class:`Pair` with further parents, the source and those in their
    order. ``Scalar`` and ``Chance`` arguments take the setting of the same name.
    """

    kernel: ClassVar[GeneKernel]
    """The body that is applied to every gene in scope; a property, where a setting decides which."""

    def __init_subclass__(cls) -> None:
        kernel = getattr(cls, "kernel", None)
        if kernel is None or (callable(kernel) and not isinstance(kernel, GeneKernel)):
            raise PluginError(
                f"{cls.__module__}.{cls.__name__}: a GeneOperator needs a class attribute `kernel`, a function decorated "
                "with @gene_kernel."
            )

    def scalars(self) -> Mapping[str, float]:
        """Value of every ``Scalar`` and probability of every ``Chance``, by argument."""
        own = {field.name for field in fields(self)}
        wanted = [each.name for each in self.kernel.arguments if each.role.__name__ in ("Scalar", "Chance")]
        if missing := [name for name in wanted if name not in own]:
            raise PluginError(
                f"operator {self.name}: kernel {self.kernel.name} takes {', '.join(missing)}, which is no setting of it. "
                "Add a setting of that name (of a class with @dataclass(frozen=True)), or override scalars()."
                f"{did_you_mean(missing[0], own - {field.name for field in fields(PairOperator)})}"
            )
        return {name: float(getattr(self, name)) for name in wanted}

    def tile_scalars(self, layout: "Layout", target: "Tensor") -> "Mapping[str, Tensor]":
        """Value of every ``TileScalar``, float32 ``[layout.size / 1024]``, computed from the target's weights as they are
        when the vary phase begins."""
        del layout, target  # unused: most kernels take none
        return {}


@dataclass(frozen=True)
class TensorOperator(PairOperator, ABC):
    """An operator written in plain torch over the named tensors in scope."""

    @abstractmethod
    def rewrite(
        self, target: "Mapping[str, Tensor]", source: "Mapping[str, Tensor]", noise: Noise
    ) -> "Mapping[str, Tensor]":
        """New tensors for the target, by name; a name left out keeps its value. The arguments must not be changed.

        Random numbers come from ``noise`` (``noise.at(name).generator()``), never from torch's global generator.
        """


class Selection(Protocol):
    """A component of kind ``select``: who lives on."""

    name: ClassVar[str]
    source: ClassVar[str]

    def choose(self, fitness: Sequence[float], noise: Noise) -> Sequence[int]:
        """For every row, the row whose individual it holds in the next generation; NaN (unknown or failed) never wins
        over a known fitness."""
        ...
