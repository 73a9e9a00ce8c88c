"""Which passes are work of a run, and which are done once more by each process."""

from types import SimpleNamespace

import pytest

from evoweights_es.uncounted import counted_once, uncounted


def test_of_a_call_that_is_repeated_only_the_first_counts():
    mounted = SimpleNamespace(is_counted=True)
    call = counted_once(mounted, lambda: mounted.is_counted)
    assert [call() for _ in range(3)] == [True, False, False]
    assert mounted.is_counted
    assert counted_once(mounted, lambda: mounted.is_counted)()


def test_what_does_not_count_within_counts_again_after_whatever_happens():
    mounted = SimpleNamespace(is_counted=True)
    with pytest.raises(ZeroDivisionError), uncounted(mounted):
        with uncounted(mounted):
            assert not mounted.is_counted
        assert not mounted.is_counted
        raise ZeroDivisionError
    assert mounted.is_counted


def test_a_call_that_counts_once_within_a_check_does_not_count():
    mounted = SimpleNamespace(is_counted=True)
    with uncounted(mounted):
        assert not counted_once(mounted, lambda: mounted.is_counted)()
