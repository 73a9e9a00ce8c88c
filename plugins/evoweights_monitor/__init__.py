"""Observers of a run: progress on the console and TensorBoard event files."""

from evoweights.catalog import Registrar
from evoweights.hookspecs import hookimpl
from evoweights_monitor.console import ConsoleProgress
from evoweights_monitor.tensorboard import TensorBoard


@hookimpl
def register(catalog: Registrar) -> None:
    """Offer the observers."""
    catalog.add("observer", ConsoleProgress)
    catalog.add("observer", TensorBoard)
