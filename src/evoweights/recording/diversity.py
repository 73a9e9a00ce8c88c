"""How different the individuals of a population are."""

import itertools

from evoweights.population import Population


def distances(population: Population, *, sample: int = 2**14) -> tuple[tuple[int, int, float], ...]:
    """Every pair ``i < j`` of healthy rows with ``|a - b| / |a|`` (Euclidean norms), on at most ``sample`` evenly spread genes of
    their matrices (of all genes if there are none)."""
    healthy = population.healthy()
    if len(healthy) < 2:
        return ()
    last = max(
        (each.start + each.count for each in population.layout.scope("matrices")), default=population.layout.size
    )
    stride = max(1, -(-last // sample))
    genes = {row: population.row(row)[:last:stride].double().cpu() for row in healthy}
    sizes = {row: each.norm().clamp_min(1e-300) for row, each in genes.items()}
    return tuple((i, j, float((genes[i] - genes[j]).norm() / sizes[i])) for i, j in itertools.combinations(healthy, 2))
