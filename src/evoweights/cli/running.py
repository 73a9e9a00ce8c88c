"""The commands that start, continue and plan runs."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evoweights.cli.loading import load_torch
from evoweights.cli.options import (
    AllowEnv,
    ConfigFile,
    Device,
    Name,
    Output,
    Overrides,
    Profile,
    Quiet,
    RunFolder,
    read_config,
)
from evoweights.cli.output import say, say_rows
from evoweights.cli.places import where_it_was_started
from evoweights.cli.units import duration_text, size_text

if TYPE_CHECKING:
    from evoweights.config.run_config import RunConfig, Scheduled
    from evoweights.runs.estimate import Estimate


def run(
    config: ConfigFile,
    overrides: Overrides = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start a new run beside one of the same name.")] = False,
    profile: Profile = None,
    output: Output = None,
    name: Name = None,
    device: Device = None,
    allow_env: AllowEnv = None,
    quiet: Quiet = False,
) -> None:
    """Start a run, or continue it if it is unfinished."""
    loaded = read_config(
        config, overrides, profile=profile, name=name, output=output, device=device, allow_env=allow_env
    )
    _carry_out(loaded, fresh=fresh, quiet=quiet)


def resume(run: RunFolder, device: Device = None, allow_env: AllowEnv = None, quiet: Quiet = False) -> None:
    """Continue an unfinished run, given its folder."""
    folder = run.resolve()
    with where_it_was_started(folder):
        _carry_out(_loaded(folder, device=device, allow_env=allow_env), fresh=False, quiet=quiet)


def _loaded(folder: Path, *, device: str | None, allow_env: list[str] | None) -> "RunConfig":
    """The configuration of a run as it was started, wherever it lies now."""
    from evoweights.config.loading import config_from_text
    from evoweights.storage.run_dir import RunDirectory

    directory, file = RunDirectory.read(folder), str(folder / "config.yaml")
    loaded = config_from_text(directory.config_text, where=file, folder=folder, allow_env=allow_env or [])
    # What was typed is in the text already; it is only kept. The folder may have been moved or renamed since.
    loaded = dataclasses.replace(loaded, name=folder.name, output=folder.parent, overrides=directory.overrides)
    return loaded if device is None else dataclasses.replace(loaded, device=device)


def validate(
    config: ConfigFile,
    overrides: Overrides = None,
    schema_only: Annotated[
        bool, typer.Option("--schema-only", help="Check the configuration only: no data, no model, no estimate.")
    ] = False,
    profile: Profile = None,
    output: Output = None,
    name: Name = None,
    device: Device = None,
    allow_env: AllowEnv = None,
) -> None:
    """Check a configuration and estimate what its run takes.

    No run is started.
    """
    from evoweights.storage.run_folder import check_output

    loaded = read_config(
        config, overrides, profile=profile, name=name, output=output, device=device, allow_env=allow_env
    )
    check_output(loaded.output)
    say(f"{config}: valid.")
    say_rows(_plan(loaded))
    if not schema_only:
        load_torch()
        from evoweights.runs.planning import estimate

        say_rows(estimate_rows(estimate(loaded)))


def _carry_out(config: "RunConfig", *, fresh: bool, quiet: bool) -> None:
    load_torch()
    from evoweights.runs import session

    if quiet:
        config = _quieted(config)
    logger = logging.getLogger("evoweights")
    logger.setLevel(logging.INFO)
    # Python's own last resort: warnings to whatever stderr is at that moment, so that a live panel can step aside.
    if logging.lastResort is not None:
        logger.addHandler(logging.lastResort)
    session.run(config, fresh=fresh)


def _quieted(config: "RunConfig") -> "RunConfig":
    """The run with every observer that has a setting ``quiet`` made so."""
    from evoweights.config.loading import with_observers

    def quieted(observer: Any) -> Any:
        names = [each.name for each in dataclasses.fields(observer)]
        return dataclasses.replace(observer, quiet=True) if "quiet" in names else observer

    return with_observers(config, [quieted(each) for each in config.observers])


def _plan(config: "RunConfig") -> list[tuple[str, str]]:
    """What happens in a generation, one row for each phase."""
    rows = [
        ("run", f"{config.output / config.name}, {config.generations:,} generations, seed {config.seed}"),
        ("task", config.task.name),
        ("population", config.population.name),
        ("turn", config.turn.name),
        ("improve", _phases(config.improve)),
        ("vary", _phases(config.vary)),
        (
            "evaluate",
            "every generation" if config.evaluate.every == 1 else f"every {config.evaluate.every} generations",
        ),
        ("select", config.select.name),
    ]
    return rows


def _phases(entries: "Sequence[Scheduled]") -> str:
    parts = []
    for each in entries:
        phase, when = each.phase, []
        when += [f"every {phase.every}"] if phase.every > 1 else []
        when += [f"from {phase.start}"] if phase.start else []
        when += [f"until {phase.stop}"] if phase.stop is not None else []
        parts.append(each.component.name + (f" ({', '.join(when)})" if when else ""))
    return " -> ".join(parts) or "nothing"


def estimate_rows(estimate: "Estimate") -> list[tuple[str, str]]:
    """An estimate in words, one row for each subject."""
    shared = f" and {estimate.shared_genes:,} shared" if estimate.shared_genes else ""
    space = f"{size_text(estimate.checkpoint_bytes)}, {size_text(estimate.free_disk_bytes)} free"
    rows = [
        ("genes", f"{estimate.genes:,} in each of {estimate.individuals} individuals{shared}"),
        ("backend", estimate.backend),
        ("memory", ", ".join(_memory(estimate))),
        ("checkpoint", space + ("" if estimate.fits_on_disk else ": TOO LITTLE, one is written beside the last")),
        (
            "work",
            f"{estimate.steps:,} steps, {estimate.tokens:,} {estimate.unit}" if estimate.steps else "no training steps",
        ),
    ]
    if estimate.seconds is not None and estimate.seconds_per_step is not None:
        speed = f"{duration_text(estimate.seconds_per_step)} a step"
        rows.append(("time", f"{duration_text(estimate.seconds)} at {speed}, without evaluation and checkpoints"))
    return rows


def _memory(estimate: "Estimate") -> list[str]:
    places = (
        ("of buffers", estimate.device_bytes),
        ("for a step", estimate.activation_bytes),
        ("in host memory", estimate.host_bytes),
        ("on disk", estimate.disk_bytes),
    )
    peak = [f"{size_text(estimate.peak_bytes)} at the peak on {estimate.device}"]
    return peak + [f"{size_text(count)} {place}" for place, count in places if count]
