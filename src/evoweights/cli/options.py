"""The arguments and options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from evoweights.config.run_config import RunConfig

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file of the run.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Settings to change: seed=7, vary.1.rate=0.1, task.batch=32."),
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")]
Profile = Annotated[
    str | None, typer.Option(metavar="NAME", help="A list of settings under `profiles` in CONFIG, such as smoke.")
]
Name = Annotated[str | None, typer.Option(help="Name of the run; short for name=NAME.")]
Output = Annotated[str | None, typer.Option(metavar="DIR", help="Folder of all runs; short for output=DIR.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N; short for device=DEVICE.")]
AllowEnv = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Environment variable that ${oc.env:NAME} may read; can be repeated."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show only warnings and how the run ended.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON, for machines.")]
Expert = Annotated[
    str, typer.Option(metavar="best|ROW", help="The best individual, or one of the newest checkpoint by its row.")
]


def read_config(
    config: Path,
    overrides: list[str] | None,
    *,
    profile: str | None,
    name: str | None,
    output: str | None,
    device: str | None,
    allow_env: list[str] | None,
) -> "RunConfig":
    """The configuration that a command's arguments describe; options win over overrides."""
    from evoweights.config.loading import load_config

    options = {"name": name, "output": output, "device": device}
    given = [f"{key}={value}" for key, value in options.items() if value is not None]
    return load_config(config, [*(overrides or []), *given], profile=profile, allow_env=allow_env or [])
