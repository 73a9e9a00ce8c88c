"""The tables: measurements float32 ``[rows, 13]`` and kinds int64 ``[rows]``, and their division."""

import torch

from evoweights.errors import UsageError

KINDS, MEASUREMENTS = 3, 13


def wines():
    """The 178 wines as scikit-learn has them.

    Raises:
        UsageError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_wine
    except ImportError as error:
        raise UsageError(
            "task.data: wine needs scikit-learn. Install it with: pip install 'evoweights-wine[data]'; or use the synthetic "
            "table, task.data=drawn."
        ) from error
    table = load_wine()
    return torch.tensor(table.data, dtype=torch.float32), torch.tensor(table.target, dtype=torch.int64)


def drawn(rows, noise):
    """A synthetic table of the same shape; it says nothing about wine.

    Each kind has normal measurements around a mean of its own, correlated in its own way. The kinds overlap.
    """
    generator = noise.generator()
    kinds = torch.arange(rows) % KINDS
    means = 0.6 * torch.randn(KINDS, MEASUREMENTS, generator=generator)
    mixing = torch.randn(KINDS, MEASUREMENTS, MEASUREMENTS, generator=generator) / MEASUREMENTS**0.5
    inner = torch.randn(rows, MEASUREMENTS, generator=generator)
    return means[kinds] + torch.einsum("rmn,rn->rm", mixing[kinds], inner), kinds


def divided(kinds, shares, noise):
    """The rows of parts with these shares, and of the rest: every kind is divided in the same proportions.

    Raises:
        UsageError: a part has no row of a kind.
    """
    generator = noise.generator()
    parts = [[] for _ in range(len(shares) + 1)]
    for kind in range(KINDS):
        rows = torch.nonzero(kinds == kind).flatten()
        rows = rows[torch.randperm(len(rows), generator=generator)].tolist()
        for part, share in zip(parts, shares, strict=False):
            count = round(share * int((kinds == kind).sum()))
            part += rows[:count]
            rows = rows[count:]
        if len(rows) == 0 or any(not any(kinds[row] == kind for row in part) for part in parts[:-1]):
            raise UsageError("task: a part has no row of some kind. Take more rows, or larger shares.")
        parts[-1] += rows
    return [torch.tensor(sorted(part), dtype=torch.int64) for part in parts]
