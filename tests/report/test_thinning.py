"""What is drawn of a long series looks like the series."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from evoweights.report.thinning import columns, evenly, kept, stretches

SERIES = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan")), st.just(float("inf"))), max_size=400)


@st.composite
def long_series(draw: st.DrawFn) -> np.ndarray:
    """Up to some thousand values, some of them not finite."""
    noise = np.random.default_rng(draw(st.integers(0, 10**6)))
    series = noise.standard_normal(draw(st.integers(0, 3_000)))
    series[noise.random(len(series)) < draw(st.floats(0, 1))] = np.nan
    return series


@given(long_series(), st.integers(4, 60))
def test_few_finite_points_are_kept_with_both_ends_and_both_extremes(series: np.ndarray, limit: int) -> None:
    finite = np.flatnonzero(np.isfinite(series))
    keep = kept(series, limit=limit)
    assert len(keep) <= limit and set(keep) <= set(finite) and (np.diff(keep) > 0).all()
    if len(finite):
        assert keep[0] == finite[0] and keep[-1] == finite[-1]
        assert series[keep].min() == series[finite].min() and series[keep].max() == series[finite].max()
    if len(finite) <= limit:
        assert list(keep) == list(finite)


def test_a_single_peak_in_a_long_series_is_kept() -> None:
    series = np.zeros(100_000)
    series[51_234] = 1.0
    assert 51_234 in kept(series)


@given(SERIES, st.integers(2, 50))
def test_an_even_choice_keeps_the_order_statistics(values: list[float], limit: int) -> None:
    series = np.array(values, dtype=np.float64)
    finite = np.sort(series[np.isfinite(series)])
    chosen = evenly(series, limit=limit)
    assert len(chosen) == min(limit, len(finite)) and set(chosen) <= set(finite)
    if len(finite) > 1:
        assert chosen[0] == finite[0] and chosen[-1] == finite[-1]


def test_an_even_choice_has_the_quantiles_of_all() -> None:
    series = np.random.default_rng(0).standard_normal(20_000)
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    assert np.allclose(np.quantile(evenly(series, limit=500), levels), np.quantile(series, levels), atol=0.02)


@given(st.lists(st.floats(0.01, 100.0), min_size=1, max_size=80), st.integers(1, 500))
def test_a_column_shows_the_interval_that_its_centre_is_in(widths: list[float], limit: int) -> None:
    edges = np.concatenate([[0.0], np.cumsum(widths)])
    shown, start, end = columns(edges, limit=limit)
    centres = start + (np.arange(len(shown)) + 0.5) * (end - start) / len(shown)
    assert 1 <= len(shown) <= limit and start == edges[0] and end == edges[-1]
    slack = 1e-9 * end
    assert (edges[shown] <= centres + slack).all() and (centres <= edges[shown + 1] + slack).all()


@given(st.integers(0, 5_000), st.integers(1, 200))
def test_stretches_cover_everything_once(count: int, limit: int) -> None:
    found = stretches(count, limit=limit)
    assert [index for part in found for index in range(part.start, part.stop)] == list(range(count))
    assert len(found) <= limit
    lengths = {part.stop - part.start for part in found}
    assert not lengths or max(lengths) - min(lengths) <= 1
