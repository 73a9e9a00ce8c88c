"""What the tests that show broken components to the rules have in common."""

import pytest
from specimens import world_put_back


@pytest.fixture
def as_on_a_build_server(monkeypatch):
    """Specimens do no lasting harm, and pytest shows all of what it compares, which must not take minutes."""
    monkeypatch.setenv("CI", "true")
    with world_put_back():
        yield
