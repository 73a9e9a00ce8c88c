"""The table: measurements float32 ``[178, 13]`` and kinds int64 ``[178]``, and its division."""

import torch
from sklearn.datasets import load_wine

KINDS, MEASUREMENTS = 3, 13


def wines():
    """The 178 wines as scikit-learn has them."""
    table = load_wine()
    return torch.tensor(table.data, dtype=torch.float32), torch.tensor(table.target, dtype=torch.int64)


def divided(kinds, shares, noise):
    """The rows of parts with these shares, and of the rest: every kind is divided in the same proportions."""
    generator = noise.generator()
    parts = [[] for _ in range(len(shares) + 1)]
    for kind in range(KINDS):
        rows = torch.nonzero(kinds == kind).flatten()
        rows = rows[torch.randperm(len(rows), generator=generator)].tolist()
        for part, share in zip(parts, shares, strict=False):
            count = round(share * int((kinds == kind).sum()))
            part += rows[:count]
            rows = rows[count:]
        parts[-1] += rows
    return [torch.tensor(sorted(part), dtype=torch.int64) for part in parts]
