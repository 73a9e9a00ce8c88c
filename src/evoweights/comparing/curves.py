"""The loss of a run as a function of what it has spent, between the points where it was measured and nowhere else."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Curve:
    """Measured losses over what had been spent until then (tokens, FLOPs or seconds); ``spent`` is strictly ascending."""

    spent: tuple[float, ...]
    losses: tuple[float, ...]

    @classmethod
    def through(cls, points: Iterable[tuple[float, float]]) -> "Curve":
        """The curve through points in the order of their making; of those where nothing more was spent the last counts."""
        spent: list[float] = []
        losses: list[float] = []
        for now, loss in points:
            if spent and now == spent[-1]:
                losses[-1] = loss
            elif not spent or now > spent[-1]:
                spent.append(now)
                losses.append(loss)
        return cls(tuple(spent), tuple(losses))

    @property
    def last(self) -> float | None:
        """What had been spent at the last measurement; None if there is none, or nothing had been spent."""
        return self.spent[-1] if self.spent and self.spent[-1] > 0 else None

    def at(self, budget: float) -> float | None:
        """The loss when ``budget`` was spent, on the straight line between its neighbours; None outside of the curve."""
        if not self.spent or not self.spent[0] <= budget <= self.spent[-1]:
            return None
        after = bisect_left(self.spent, budget)
        if self.spent[after] == budget:
            return self.losses[after]
        left, right = self.spent[after - 1], self.spent[after]
        share = (budget - left) / (right - left)
        return (1 - share) * self.losses[after - 1] + share * self.losses[after]
