"""Where a run is: everything besides the population that a checkpoint must hold for an exact continuation."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from evoweights.ledger.costs import plus
from evoweights.records import ImproveRecord, VaryRecord


@dataclass
class TurnProgress:
    """How far the current turn has come: rows whose turn it is, steps each takes (None: the improver's own number),
    the improver entry and actor at work, that actor's losses so far, and what operators did (None: not yet)."""

    rows: tuple[int, ...]
    steps: int | None
    varies: bool
    entry: int = 0
    actor: int = 0
    losses: list[float] = field(default_factory=list)
    improved: list[ImproveRecord] = field(default_factory=list)
    varied: list[VaryRecord] | None = None


@dataclass
class Progress:
    """Counters of a run. ``step`` counts gradient steps, ``ticks`` steps and generations (it numbers checkpoints),
    ``batches`` is the position in the data, ``evaluations`` how often an individual was measured; ``recent`` are the last
    losses of the turn before.

    ``flops`` are those of training, ``evaluation_flops`` those of measuring individuals, ``credit_flops`` those of measuring
    operators; None if they were not counted from the start.
    """

    generation: int = 0
    step: int = 0
    ticks: int = 0
    batches: int = 0
    evaluations: int = 0
    seconds: float = 0.0
    improve_seconds: float = 0.0
    flops: int | None = 0
    evaluation_flops: int | None = 0
    credit_flops: int | None = 0
    recent: list[float] = field(default_factory=list)
    turn: TurnProgress | None = None

    def trained(self, flops: int) -> None:
        """Count work of an improver."""
        self.flops = plus(self.flops, flops)

    def measured(self, count: int, flops: int | None) -> None:
        """Count individuals that were measured, and the work of one."""
        self.evaluations += count
        self.evaluation_flops = plus(self.evaluation_flops, None if flops is None else count * flops)

    def state(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Progress":
        """Put back what :meth:`state` gave."""
        values = {
            "flops": None,
            "evaluation_flops": None,
            "credit_flops": None,
            **state,
        }  # checkpoints of 0.1 did not count
        turn = values.pop("turn")
        if turn is None:
            return cls(**values)
        turn = {**turn, "rows": tuple(turn["rows"]), "improved": [ImproveRecord(**each) for each in turn["improved"]]}
        if turn.get("varied") is not None:
            turn["varied"] = [VaryRecord.from_json(each) for each in turn["varied"]]
        return cls(**values, turn=TurnProgress(**turn))
