"""What happened in a run, as plain values: what is written to ``metrics.jsonl`` and shown to observers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


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
    """One rewritten individual: which operators, fused in one launch, wrote which row from which sources."""

    generation: int
    operators: tuple[str, ...]
    row: int
    id: int
    parents: tuple[int, ...]
    sources: tuple[int, ...]
    backend: str

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "VaryRecord":
        """Put back what was written as JSON, where tuples are lists."""
        tuples: dict[str, Any] = {key: tuple(values[key]) for key in ("operators", "parents", "sources")}
        return cls(**{**values, **tuples})


@dataclass(frozen=True)
class GenerationRecord:
    """One generation. ``fitness`` has an entry per row, None where it is unknown; ``distance`` is the mean over pairs of
    ``|a - b| / |a|`` on a sample of the matrices; ``seconds`` are by phase."""

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
    ``evaluations`` how often an individual was measured."""

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
