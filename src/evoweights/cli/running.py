"""The commands that start, continue and plan runs."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evoweights.cli.comparison import say_comparison
from evoweights.cli.loading import load_torch
from evoweights.cli.observing import quieted, warn_on_stderr
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
from evoweights.cli.output import mention, say, say_rows
from evoweights.cli.places import where_it_was_started
from evoweights.cli.units import duration_text, size_text

if TYPE_CHECKING:
    from evoweights.config.run_config import RunConfig, Scheduled
    from evoweights.runs.controls import Planned
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
    _carry_out(loaded, fresh=fresh, quiet=quiet, allow_env=allow_env or [])


def resume(run: RunFolder, device: Device = None, allow_env: AllowEnv = None, quiet: Quiet = False) -> None:
    """Continue an unfinished run, given its folder."""
    folder = run.resolve()
    with where_it_was_started(folder):
        loaded = _loaded(folder, device=device, allow_env=allow_env)
        _carry_out(loaded, fresh=False, quiet=quiet, allow_env=allow_env or [])


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
        from evoweights.runs import controls
        from evoweights.runs.planning import estimate

        controls.plan(loaded, loaded.controls, allow_env=allow_env or [], left_out=say)
        say_rows(estimate_rows(estimate(loaded)))


def _carry_out(config: "RunConfig", *, fresh: bool, quiet: bool, allow_env: list[str]) -> None:
    """The run, and if its configuration names controls, those and the comparison with them."""
    load_torch()
    from evoweights.runs import controls, session
    from evoweights.storage.run_dir import RunFinished

    # Before the run: whatever is wrong with a control is better known now.
    beside = controls.plan(config, config.controls, allow_env=allow_env, left_out=mention)
    warn_on_stderr()
    shown = quieted(config) if quiet else config
    try:
        folder = session.run(shown, fresh=fresh).folder
    except RunFinished as error:
        if not beside:
            raise
        mention(str(error))
        folder = config.output / config.name
    if beside:
        _compare_with(dataclasses.replace(config, name=folder.name), beside)


def _compare_with(config: "RunConfig", beside: "list[Planned]") -> None:
    """Carry out the controls of a run that is done, in folders beside its own, and say what the comparison says."""
    from evoweights.runs.controls import Planned, carry_out, compared

    runs = [Planned(config.name, config)]
    for each in beside:
        # The run may have got another name than its configuration says.
        runs.append(Planned(each.label, dataclasses.replace(each.config, name=f"{config.name}-{each.label}")))
        mention()
        mention(f"control {each.label}: {runs[-1].folder}")
        carry_out(dataclasses.replace(runs[-1], config=quieted(runs[-1].config)))
    say()
    say_comparison(compared(runs))


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
    return rows + ([("controls", ", ".join(each.name for each in config.controls))] if config.controls else [])


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
