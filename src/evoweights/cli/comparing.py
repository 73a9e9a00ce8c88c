"""The commands that say whether a method pays: comparisons of runs, and of a run with its controls."""

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evoweights.cli.comparison import as_json, say_comparison
from evoweights.cli.loading import load_torch
from evoweights.cli.observing import quieted, silenced, warn_on_stderr
from evoweights.cli.options import (
    AllowEnv,
    ConfigFile,
    Device,
    Json,
    Output,
    Overrides,
    Profile,
    read_config,
)
from evoweights.cli.output import mention, say, say_json
from evoweights.errors import UsageError

if TYPE_CHECKING:
    from evoweights.config.run_config import RunConfig
    from evoweights.runs.controls import Planned

Runs = Annotated[
    list[Path], typer.Argument(metavar="RUN...", help="Folders of runs; the others are compared with the first.")
]


def compare(runs: Runs, json: Json = False) -> None:
    """Compare runs at equal tokens, equal FLOPs and equal seconds.

    Runs that differ in their seeds alone are pooled. Losses between two measurements are interpolated, nothing is
    extrapolated.
    """
    from evoweights.comparing.comparison import compare as compare_groups
    from evoweights.comparing.groups import by_configuration
    from evoweights.comparing.measured import read_run

    found = compare_groups(by_configuration([read_run(each) for each in runs]))
    if json:
        say_json(as_json(found))
    else:
        say_comparison(found)


def ablate(
    config: ConfigFile,
    overrides: Overrides = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from that of CONFIG on.")] = 3,
    controls: Annotated[
        str | None, typer.Option(metavar="A,B", help="Controls to run; by default all that say something about CONFIG.")
    ] = None,
    progress: Annotated[bool, typer.Option("--progress", help="Show each run as `evoweights run` does.")] = False,
    profile: Profile = None,
    output: Output = None,
    device: Device = None,
    allow_env: AllowEnv = None,
    json: Json = False,
) -> None:
    """Run a configuration and its controls, and compare them.

    Each is an ordinary run of the same seeds. The same command continues where it was stopped; runs that are finished
    are taken as they are. `evoweights operators --kind control` lists the controls.
    """
    loaded = read_config(
        config, overrides, profile=profile, name=None, output=output, device=device, allow_env=allow_env
    )
    load_torch()
    from evoweights.runs.controls import carry_out, compared

    names = None if controls is None else [each.strip() for each in controls.split(",") if each.strip()]
    if names == []:
        raise UsageError(
            f"--controls: found {controls!r}, which names none. Give names with commas between them, or leave it out."
        )
    planned = _planned(loaded, names, seeds, allow_env or [])
    warn_on_stderr()
    for number, each in enumerate(planned, 1):
        logging.getLogger("evoweights").info("ablation: %s", each.folder)
        mention(f"({number}/{len(planned)}) {each.label}, seed {each.config.seed}: {each.folder}", err=json)
        shown = silenced(each.config) if json else each.config if progress else quieted(each.config)
        carry_out(dataclasses.replace(each, config=shown))
    found = compared(planned)
    if json:
        say_json(as_json(found))
    else:
        say()
        say_comparison(found)


def _planned(config: "RunConfig", names: list[str] | None, seeds: int, allow_env: list[str]) -> "list[Planned]":
    """All runs, seed by seed, so that whoever stops early has whole comparisons; the configuration itself comes first."""
    from evoweights.runs.controls import Planned, controls_called, controls_of, derived, plan

    chosen = controls_of(config) if names is None else controls_called(config, names)
    beside = plan(config, chosen, allow_env=allow_env, left_out=lambda line: mention(line, err=True))
    if not beside:
        raise UsageError(
            f"ablate: no control says anything about {config.name}, so it would be compared with nothing. Known controls: "
            "`evoweights operators --kind control`; to carry out the configuration alone: `evoweights run`."
        )
    runs = []
    for seed in range(config.seed, config.seed + seeds):
        for each in [Planned(config.name, derived(config, [], name=config.name, allow_env=allow_env)), *beside]:
            name = f"{each.config.name}-s{seed}"
            runs.append(Planned(each.label, derived(each.config, [f"seed={seed}"], name=name, allow_env=allow_env)))
    return runs
