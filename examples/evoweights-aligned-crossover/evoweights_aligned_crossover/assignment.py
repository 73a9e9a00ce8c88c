"""The linear assignment problem: who gets which place, so that the sum of what each is worth there is largest."""

import numpy as np


def assignment(worth):
    """For every row of a square matrix its column: the permutation with the largest sum, int64 ``[n]``.

    Shortest augmenting paths with potentials, n^3 operations of which the inner n are one of NumPy's.
    Source: Jonker and Volgenant 1987, Computing 38:325.
    """
    costs = -np.asarray(worth, dtype=np.float64)
    size = len(costs)
    row_potential, column_potential = np.zeros(size), np.zeros(size)
    row_of = np.full(size, -1)
    for start in range(size):
        distance, came_from = np.full(size, np.inf), np.full(size, -1)
        is_done = np.zeros(size, dtype=bool)
        row, column, shortest = start, -1, 0.0
        while row >= 0:
            through = shortest + costs[row] - row_potential[row] - column_potential
            is_shorter = ~is_done & (through < distance)
            distance[is_shorter], came_from[is_shorter] = through[is_shorter], column
            column = int(np.argmin(np.where(is_done, np.inf, distance)))
            shortest, is_done[column] = distance[column], True
            row = row_of[column]
        settled = np.flatnonzero(is_done)
        matched = settled[settled != column]
        row_potential[start] += shortest
        row_potential[row_of[matched]] += shortest - distance[matched]
        column_potential[settled] -= shortest - distance[settled]
        while column >= 0:
            before = came_from[column]
            row_of[column] = start if before < 0 else row_of[before]
            column = before
    column_of = np.empty(size, dtype=np.int64)
    column_of[row_of] = np.arange(size)
    return column_of
