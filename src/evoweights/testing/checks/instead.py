"""What rules of operators are tried on that need another population than the one that is drawn."""

import dataclasses
from collections.abc import Callable, Sequence

import torch

from evoweights.genome import Layout
from evoweights.operators import PairOperator
from evoweights.testing.grounds import Draw
from evoweights.testing.rules import Choice
from evoweights.testing.strategies import segments_of


def instead(
    *shapes: Sequence[int],
    dtype: torch.dtype | None = None,
    share: float | None = None,
    rows: int | Callable[[PairOperator], int] | None = None,
    backend: str | None = None,
) -> Choice:
    """The case with matrices of these shapes, this type, and so on, where they are given; all else as it is drawn."""

    def chosen(operator: PairOperator, drawn: str, draw: Draw) -> tuple[str, Draw]:
        layout, values = draw.layout, {"share": share, "rows": rows(operator) if callable(rows) else rows}
        if shapes:
            layout = Layout(segments_of([("matrix", tuple(each)) for each in shapes]), dtype or layout.dtype)
        elif dtype not in (None, layout.dtype):
            layout = dataclasses.replace(layout, dtype=dtype)
        given = {name: value for name, value in values.items() if value is not None}
        return backend or drawn, dataclasses.replace(draw, layout=layout, **given)

    return chosen


def moved(*shape: int, dtype: torch.dtype | None = torch.float32, backend: str | None = None) -> Choice:
    """One matrix of ordinary numbers, the individual's and its source's; of the type that is drawn if None."""
    return instead(shape, dtype=dtype, share=0.0, rows=2, backend=backend)
