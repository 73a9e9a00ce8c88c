"""The few statistics the tests need."""

import math

import torch


def chi_square_z(counts):
    """The chi-square of equally likely cells, as a normal deviate (Wilson & Hilferty 1931)."""
    counts = counts.double()
    expected, freedom = counts.mean(), counts.numel() - 1
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return ((statistic / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / math.sqrt(2 / (9 * freedom))


def normal_cdf(z):
    return 0.5 * (1 + torch.erf(z / math.sqrt(2)))


def kolmogorov(values, cdf):
    """sqrt(n) times the largest distance between the empirical distribution and `cdf`; 2.5 has probability 7e-6."""
    expected = cdf(values.sort().values)
    steps = torch.arange(1, values.numel() + 1, dtype=torch.float64) / values.numel()
    return float((steps - expected).abs().max()) * math.sqrt(values.numel())
