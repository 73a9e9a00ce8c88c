"""Reference of the command line: every command with its arguments and options, as typer has them, and the exit codes."""

from collections.abc import Iterator
from typing import Any

import typer

from evoweights import errors
from evoweights.cli.app import EXIT_CODES, app
from making.text import code, escaped, prose, table


def command_pages() -> dict[str, str]:
    """The page, by its place on the site."""
    root = typer.main.get_command(app)
    commands = list(commands_of(root, "evoweights"))
    rows = [(f"[`{path}`](#{path.replace(' ', '-')})", escaped(_first_line(each))) for path, each in commands]
    parts = [
        "# Command line\n\nThe command `evoweights`, or `python -m evoweights`.\n",
        table(["command", "what it does"], rows),
        *(_command(path, each) for path, each in commands),
        _exit_codes(),
    ]
    return {"reference/command_line.md": "\n".join(parts)}


def commands_of(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """A command and those below it, each by what is typed for it."""
    yield path, command
    for name, each in getattr(command, "commands", {}).items():
        yield from commands_of(each, f"{path} {name}")


def _first_line(command: Any) -> str:
    return (command.help or "").strip().split("\n")[0]


def _command(path: str, command: Any) -> str:
    context = command.context_class(command, info_name=path)
    usage = command.get_usage(context).removeprefix("Usage: ")
    records = (each.get_help_record(context) for each in command.get_params(context))
    rows = [(code(" ".join(names.split())), escaped(text)) for names, text in (each for each in records if each)]
    heading = path.replace(" ", "-")
    parts = [f"## {path} {{ #{heading} }}\n", f"```text\n{usage}\n```\n", prose(command.help), ""]
    return "\n".join([*parts, table(["argument or option", "what it is"], rows)])


def exit_code_rows() -> list[tuple[str, str, str]]:
    """Every exit code, what it means, and the classes of ``evoweights.errors`` that end with it."""
    rows = []
    for line in EXIT_CODES.splitlines():
        number, _, meaning = line.strip().partition(" ")
        if number.isdigit():
            rows.append((number, meaning.strip(), ", ".join(map(code, _errors_with(int(number))))))
    return rows


def _errors_with(exit_code: int) -> list[str]:
    classes = [
        each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.EvoweightsError)
    ]
    return [each.__name__ for each in classes if vars(each).get("exit_code") == exit_code]


def _exit_codes() -> str:
    rows = [(code(number), escaped(meaning), names) for number, meaning, names in exit_code_rows()]
    return f"## Exit codes\n\n{table(['code', 'meaning', 'error'], rows)}"
