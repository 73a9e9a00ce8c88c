"""The command line: which commands there are."""

from typing import Annotated

import typer

from evoweights.cli import (
    comparing,
    doctor,
    extensions,
    individuals,
    kernels,
    looking,
    plugins,
    replaying,
    reporting,
    running,
)
from evoweights.cli.output import mention

EXIT_CODES = """\b
Exit codes:
  0    done, or finished already
  1    a bug in evoweights
  2    wrong command line, configuration or plugin name
  3    data or tokenizer that cannot be read
  4    what a run saved is damaged, or an export differs
  5    a plugin raised or broke its contract
  6    diverged: no healthy individual is left
  7    out of disk space or memory
  8    the run is in use by another process
  130  stopped by Ctrl-C; the same command continues
  143  stopped by SIGTERM; the same command continues
"""

app = typer.Typer(
    help="Evolve the weights of neural networks.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from evoweights.version import __version__

        typer.echo(f"evoweights {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    del version  # unused: its callback has acted
    _warn_of_names_in_vain()


def _warn_of_names_in_vain() -> None:
    """Warn of what the variables that switch plugins off name in vain, once, whatever a command loads."""
    from evoweights.plugins.switches import named_by_variables

    if not named_by_variables():
        return
    from evoweights.plugins.sources import names_in_vain

    for line in names_in_vain():
        mention(f"warning: {line}", err=True)


for _command in (
    *(running.run, running.resume, running.validate),
    *(looking.status, looking.verify),
    *(reporting.report, comparing.compare, comparing.ablate),
    *(individuals.export, individuals.generate, replaying.replay),
    *(extensions.operators, doctor.doctor),
):
    app.command()(_command)
app.add_typer(plugins.plugins, name="plugins")
app.add_typer(kernels.kernels, name="kernels")
