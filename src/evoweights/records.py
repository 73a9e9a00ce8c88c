"""What happened in a run, as plain values: what is written to ``metrics.jsonl`` and shown to observers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evoweights.ledger.credit import OperatorCredit


@dataclass(frozen=True)
class RunInfo:
    """The facts of a run that hold from its start to its end; ``individual`` is what its population calls one (an expert),
    ``unit`` what its task counts in a training batch (tokens)."""

    name: str
    folder: Path
    seed: int
    generations: int
    size: int
    first_generation: int
    total_steps: int
    tokens_per_step: int
    genes: int
    shared_genes: int
    backend: str
    device: str
    references: Mapping[str, float]
    individual: str = "individual"
    unit: str = "examples"


@dataclass(frozen=True)
class ImproveRecord:
    """One individual's turn. Losses are of training batches; ``stopped`` says why a turn ended early.

    ``jump`` is the first loss of the turn minus the mean of the last three of the turn before: what switching cost.
    """

    generation: int
    row: int
    id: int
    steps: int
    first_loss: float
    mean_loss: float
    last_loss: float
    jump: float | None
    seconds: float
    stopped: str | None = None


@dataclass(frozen=True)
class VaryRecord:
    """One rewritten individual: which operators wrote which row from which sources.

    ``losses`` are its losses on one fixed batch, before the operators and after each of them; None if nobody asked, and then
    the operators were fused in one launch.
    """

    generation: int
    operators: tuple[str, ...]
    row: int
    id: int
    parents: tuple[int, ...]
    sources: tuple[int, ...]
    backend: str
    losses: tuple[float, ...] | None = None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "VaryRecord":
        """Put back what was written as JSON, where tuples are lists."""
        tuples: dict[str, Any] = {key: tuple(values[key]) for key in ("operators", "parents", "sources")}
        losses = values.get("losses")
        return cls(**{**values, **tuples, "losses": None if losses is None else tuple(losses)})


@dataclass(frozen=True)
class GenerationRecord:
    """One generation. ``fitness`` has an entry per row, None where it is unknown; ``distance`` is the mean over pairs of
    ``|a - b| / |a|`` on a sample of the matrices, ``distances`` that of each pair as ``(i, j, value)`` where the individuals
    are few. ``seconds`` are by phase, ``credit`` those of measuring operators, ``checkpoint`` those of the checkpoint before.
    ``ledger`` is what the run has cost up to here (:class:`evoweights.ledger.costs.Costs`). ``start_fitness`` is the fitness
    before the first generation, in its record.
    """

    generation: int
    step: int
    tokens: int
    improved: tuple[ImproveRecord, ...]
    varied: tuple[VaryRecord, ...]
    fitness: tuple[float | None, ...]
    best_row: int | None
    best_fitness: float | None
    distance: float | None
    seconds: Mapping[str, float]
    failed: tuple[int, ...] = ()
    distances: tuple[tuple[int, int, float], ...] | None = None
    ledger: Mapping[str, float | int | None] = field(default_factory=dict)
    start_fitness: tuple[float | None, ...] | None = None


@dataclass(frozen=True)
class IndividualSummary:
    """An individual in the final table: validation loss at the start and at the end, and how often it was its turn."""

    row: int
    id: int
    start: float
    end: float
    turns: int
    is_best: bool


@dataclass(frozen=True)
class RunResult:
    """How a finished run ended; ``generates`` and ``exports`` say what its task can do with the best individual, and
    ``evaluations`` how often an individual was measured. ``ledger`` is as in the records; ``credit`` has every operator whose
    applications were measured; ``folder`` is the run's."""

    table: tuple[IndividualSummary, ...]
    best_row: int
    best_fitness: float
    best_generation: int
    tokens: int
    seconds: float
    tokens_per_second: float
    peak_memory_bytes: int
    sample: str | None
    references: Mapping[str, float] = field(default_factory=dict)
    generates: bool = False
    exports: bool = False
    evaluations: int = 0
    ledger: Mapping[str, float | int | None] = field(default_factory=dict)
    credit: tuple[OperatorCredit, ...] = ()
    folder: Path = Path()
