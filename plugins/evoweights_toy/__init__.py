"""Small tasks for tests, documentation and first steps: test functions and built-in digits."""

from evoweights.catalog import Registrar
from evoweights.hookspecs import hookimpl
from evoweights_toy.settings import Digits, Function


@hookimpl
def register(catalog: Registrar) -> None:
    """Offer the tasks."""
    catalog.add("task", Function)
    catalog.add("task", Digits)
