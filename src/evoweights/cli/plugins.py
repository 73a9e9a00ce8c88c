"""The commands about plugins: listing them, making one, checking one, switching them off and on."""

import shlex
import sys
from contextlib import redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evoweights.cli.conformance import check
from evoweights.cli.options import Json
from evoweights.cli.output import say, say_json, say_rows
from evoweights.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from evoweights.plugins.listing import PluginStatus

plugins = typer.Typer(
    help="List plugins; make one; check one; switch installed ones off and on.",
    invoke_without_command=True,
    rich_markup_mode=None,
)
plugins.command()(check)

Installed = Annotated[str, typer.Argument(metavar="NAME", help="An installed plugin.")]
ActiveIn = Annotated[
    Path | None,
    typer.Option("--config", metavar="CONFIG", help="Show which are active in the runs of this configuration."),
]


class Kind(StrEnum):
    """What a new plugin brings."""

    OPERATOR, IMPROVE, TASK = "operator", "improve", "task"
    TURN, SELECT, OBSERVER = "turn", "select", "observer"


class Licence(StrEnum):
    """What a new plugin may be used for, by its SPDX name."""

    APACHE, MIT, NONE = "Apache-2.0", "MIT", "none"


@plugins.callback()
def _without_command(context: typer.Context, config: ActiveIn = None, json: Json = False) -> None:
    if context.invoked_subcommand is None:
        list_plugins(config=config, json=json)
    elif config or json:
        name, option = context.invoked_subcommand, "--config" if config else "--json"
        raise UsageError(f"{option}: found before `{name}`; options of a command stand behind its name.")


@plugins.command("list")
def list_plugins(config: ActiveIn = None, json: Json = False) -> None:
    """List all plugins with what they provide, and what is wrong with them; also without `list`."""
    from evoweights.plugins.listing import try_plugins

    requests, folder = _named_by(config) if config else ([], Path())
    with redirect_stdout(sys.stderr):  # what plugins print while they are imported is no part of the list
        found = try_plugins(requests, folder=folder)
    if json:
        say_json([_plugin_json(each) for each in found])
        return
    _say_group("Built in, always active:", [each for each in found if each.plugin.official])
    others = [each for each in found if not each.plugin.official]
    if config:
        _say_group(f"Named by {config}, active in its runs:", [each for each in others if each.request])
        _say_group("Installed, not named by it:", [each for each in others if not each.request])
    else:
        _say_group("Installed, active in runs that name them:", others)


def _named_by(config: Path) -> tuple[list[str], Path]:
    from evoweights.config.loading import plugins_of

    return plugins_of(config), config.parent


def _say_group(title: str, rows: "list[PluginStatus]") -> None:
    say(title if rows else f"{title} none", bold=True)
    if rows:
        say_rows((each.plugin.name, each.plugin.version, _what(each)) for each in rows)


def _what(each: "PluginStatus") -> str:
    if each.reason:
        return f"{each.status.upper() if each.status == 'failed' else each.status}: {each.reason}"
    origin = "" if each.plugin.official else f"from {each.plugin.origin}; "
    clashes = f"; a run can name only one of two: {'; '.join(each.clashes)}" if each.clashes else ""
    return origin + (", ".join(each.components) or "observes runs") + clashes


def _plugin_json(each: "PluginStatus") -> dict[str, Any]:
    return {
        "name": each.plugin.name,
        "distribution": each.plugin.origin,
        "version": each.plugin.version,
        "official": each.plugin.official,
        "status": each.status,
        "active": each.status == "active",
        "request": each.request,
        "reason": each.reason,
        "components": list(each.components),
        "clashes": list(each.clashes),
    }


@plugins.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the plugin, such as my-operator.")],
    kind: Annotated[
        Kind, typer.Option(case_sensitive=False, help="The kind of component to begin with.")
    ] = Kind.OPERATOR,
    licence: Annotated[
        Licence, typer.Option("--licence", "--license", case_sensitive=False, help="Licence of the new distribution.")
    ] = Licence.APACHE,
    to: Annotated[Path, typer.Option(metavar="DIR", help="Folder in which it is made.")] = Path(),
) -> None:
    """Make the distribution of a plugin: evoweights-NAME, ready to install, test and run.

    Needs no network. It has a component of the chosen kind that works, its test, a configuration that uses it, a README
    and a licence.
    """
    from evoweights.plugins.distributions import install_command
    from evoweights.plugins.scaffold import make_distribution

    made = make_distribution(name, kind=kind.value, licence=licence.value, to=to)
    say(f"{made.folder} has a plugin with the {made.what}:")
    say_rows((str(each.relative_to(made.folder)),) for each in made.files)
    check = [] if kind == Kind.OBSERVER else [(f"evoweights plugins check {made.plugin}",)]
    say("Next:")
    say_rows(
        [
            (install_command(made.folder),),
            (f"evoweights run {shlex.quote(str(made.folder / made.config))}",),
            *check,
            (f"python -m pytest {shlex.quote(str(made.folder))}",),
        ]
    )


@plugins.command()
def disable(name: Installed) -> None:
    """Switch an installed plugin off, for all runs of this user.

    It is not imported any more, and a configuration that names it is refused. EVOWEIGHTS_DISABLED_PLUGINS=NAME,... does
    the same for one command, EVOWEIGHTS_LOAD_PLUGINS=NAME,... switches off all others, EVOWEIGHTS_NO_PLUGINS=1 all.
    """
    from evoweights.plugins import switches
    from evoweights.plugins.sources import NONE_INSTALLED, installed_plugins, is_built_in

    if is_built_in(name):
        raise UsageError(f"{name} is built in and always loaded; what a configuration does not name does nothing.")
    names = {each.name for each in installed_plugins()}
    if name not in names:
        raise UsageError(f"no installed plugin is called {name!r}.{did_you_mean(name, names, none=NONE_INSTALLED)}")
    said = "is disabled now" if switches.disable(name) else "was disabled before"
    say(f"{name} {said}, in {switches.settings_file()}.")


@plugins.command()
def enable(name: Installed) -> None:
    """Let an installed plugin be used again that was disabled."""
    from evoweights.plugins import switches

    off = switches.disabled_names()
    if not switches.enable(name):
        near = did_you_mean(name, off, none="It disables none.")
        raise UsageError(f"{switches.settings_file()} disables no plugin {name!r}.{near}")
    reason = switches.why_disabled(name)
    say(f"{name} may be used again." if not reason else f"{name} is still disabled: {reason}")
