"""What runs in a process of its own for a page: a command of evoweights or Python, and the Python blocks of the page.

The processes are forked from one that has imported torch and done nothing else, so that each is quick to start.
"""

import contextlib
import importlib
import os
import runpy
import site
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PRELOAD = ("page_preload", "page_child")

AROUND: Mapping[str, Any] = {
    "name": "shown",
    "generations": 1,
    "task": {"name": "digits"},
    "population": {"name": "individuals", "size": 2},
}
"""What a configuration that is shown in part is put into."""


def enter(folder: Path, packages: Path, changed: Mapping[str, str], output: Path) -> None:
    """Make this process one that works in ``folder``, has ``packages`` installed, and writes to ``output``."""
    os.chdir(folder)
    os.environ.pop("PYTHONPATH", None)
    os.environ.update(changed)
    if packages.is_dir():
        site.addsitedir(str(packages))
    importlib.invalidate_caches()
    stream = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    silence = os.open(os.devnull, os.O_RDONLY)
    for number, to in ((0, silence), (1, stream), (2, stream)):
        os.dup2(to, number)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - lives as long as the process
    sys.stdout, sys.stderr = (open(each, "w", buffering=1, encoding="utf-8", closefd=False) for each in (1, 2))  # noqa: SIM115


def run_words(words: Sequence[str], *place: Any) -> None:
    """Run ``evoweights ...`` or ``python ...`` as the command would."""
    enter(*place)
    sys.argv = list(words)
    if words[0] == "evoweights":
        from evoweights.cli import main

        main()
        return
    sys.path.insert(0, "" if words[1] in ("-m", "-c") else str(Path(words[1]).parent))
    if words[1] == "-c":
        sys.argv = ["-c", *words[3:]]
        exec(compile(words[2], "<string>", "exec"), {"__name__": "__main__"})
    elif words[1] == "-m":
        sys.argv = list(words[2:])
        runpy.run_module(words[2], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(words[1:])
        runpy.run_path(words[1], run_name="__main__")


def run_blocks(connection: Any, *place: Any) -> None:
    """Execute the Python that comes in, in one namespace, and answer with what went wrong, or nothing."""
    enter(*place)
    sys.path.insert(0, str(place[0]))
    namespace: dict[str, Any] = {"__name__": "page"}
    packages = place[1]
    with contextlib.suppress(EOFError):
        while True:
            code, where = connection.recv()
            if packages.is_dir():
                site.addsitedir(str(packages))
            importlib.invalidate_caches()
            try:
                exec(compile(code, where, "exec"), namespace)
                connection.send("")
            except BaseException:  # noqa: BLE001 - whatever a page raises, even an exit, is what is wrong with it
                connection.send(traceback.format_exc())


def check_part(text: str, *place: Any) -> None:
    """Check a configuration that is shown in part: with a task and a population where it, or its preset, has none."""
    enter(*place)
    from omegaconf import OmegaConf

    from evoweights.config.loading import config_from_text
    from evoweights.plugins.loading import load_plugins

    shown = OmegaConf.to_container(OmegaConf.create(text))
    assert isinstance(shown, dict), "a part of a configuration is a mapping"
    presets = load_plugins(shown.get("plugins", []), folder=Path()).catalog.presets
    given = presets[shown["preset"]].values if "preset" in shown else {}
    around = {key: value for key, value in AROUND.items() if key not in given}
    whole = OmegaConf.to_yaml(OmegaConf.create({**around, **shown}))
    config_from_text(whole, where="the block", folder=Path())


def check_words(words: Sequence[str], *place: Any) -> None:
    """Check a command line of evoweights without running it: the command, its options, and the files that it names."""
    enter(*place)
    import typer

    from evoweights.cli.app import app

    command, rest = typer.main.get_command(app), list(words[1:])
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]  # type: ignore[attr-defined]
    is_group = bool(getattr(command, "commands", {}))
    assert not (is_group and rest and not rest[0].startswith("-")), f"there is no command {rest[0]}"
    command.make_context("evoweights", list(rest))
    missing = [each for each in rest if each.endswith((".yaml", ".py")) and not Path(each).exists()]
    assert not missing, f"there is no {', '.join(missing)}"
