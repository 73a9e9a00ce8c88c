"""The hooks that evoweights calls on plugins: one registers components, the others observe a run.

Observers cannot change results: what they return is ignored, and one that raises is reported and, after three errors,
switched off.
"""

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evoweights.catalog import Registrar
    from evoweights.records import GenerationRecord, ImproveRecord, RunInfo, RunResult

hookspec = pluggy.HookspecMarker("evoweights")
hookimpl = pluggy.HookimplMarker("evoweights")


@hookspec
def register(catalog: "Registrar") -> None:
    """Add components to the catalog: ``catalog.add(kind, component)``. Called once, when the plugin is loaded."""


@hookspec
def run_started(info: "RunInfo") -> None:
    """A run starts or continues."""


@hookspec
def step_finished(info: "RunInfo", generation: int, row: int, step: int, loss: float) -> None:
    """One training step is done: generation and row of the individual (from 0), the run's step count, the batch loss."""


@hookspec
def step_reported(
    info: "RunInfo", generation: int, row: int, step: int, entry: str, report: "Mapping[str, Any]"
) -> None:
    """An improver said something of the step that is done, as JSON values; it is a line of ``steps.jsonl`` as well.

    ``entry`` is its place and name in the configuration, such as ``0-es``.
    """


@hookspec
def individual_improved(info: "RunInfo", record: "ImproveRecord") -> None:
    """One individual's turn is over."""


@hookspec
def generation_finished(info: "RunInfo", record: "GenerationRecord") -> None:
    """A generation is over and its record is written."""


@hookspec
def checkpoint_saved(info: "RunInfo", generation: int, folder: str) -> None:
    """A checkpoint is committed to disk."""


@hookspec
def run_finished(info: "RunInfo", result: "RunResult") -> None:
    """All generations are done; the best individual is saved."""


@hookspec
def run_failed(info: "RunInfo", error: BaseException) -> None:
    """The run ends early: by an error, or asked to stop (then ``error`` is a ``RunStopped``)."""
