"""What is global is watched for what a component does to it, not for what others do meanwhile."""

import threading

import pytest

from evoweights.testing.checks.world import unchanged_world


def waiting(name):
    """A thread that lives until the event that comes with it is set."""
    ends = threading.Event()
    thread = threading.Thread(target=ends.wait, name=name, daemon=True)
    thread.start()
    return thread, ends


def test_a_thread_of_others_that_ends_meanwhile_is_not_the_components_doing():
    thread, ends = waiting("of others")
    with unchanged_world():
        ends.set()
        thread.join()


def test_a_thread_that_is_left_behind_is_named():
    with pytest.raises(AssertionError, match=r"not left as it was: a new thread \(of mine\)"), unchanged_world():
        _, ends = waiting("of mine")
    ends.set()
