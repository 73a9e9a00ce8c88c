"""How different the individuals of a population are."""

import itertools

from evoweights.population import Population


def distance(population: Population, *, sample: int = 2**14) -> float | None:
    """Mean over pairs of ``|a - b| / |a|`` (Euclidean norms) of healthy rows, on at most ``sample`` evenly spread genes of
    their matrices (of all genes if there are none); None below two rows."""
    healthy = population.healthy()
    if len(healthy) < 2:
        return None
    last = max(
        (each.start + each.count for each in population.layout.scope("matrices")), default=population.layout.size
    )
    stride = max(1, -(-last // sample))
    rows = [population.row(row)[:last:stride].double().cpu() for row in healthy]
    gaps = [float((a - b).norm() / a.norm().clamp_min(1e-300)) for a, b in itertools.combinations(rows, 2)]
    return sum(gaps) / len(gaps)
