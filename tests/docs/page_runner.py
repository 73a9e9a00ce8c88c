"""Does what a page says, from top to bottom, in an empty folder of its own."""

import json
import multiprocessing
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import page_child
from page_blocks import ROOT, Block, Command, blocks_of, commands_of, pattern_of

PATIENCE = 120.0
"""Seconds after which a command is given up."""
_SHELL = re.compile(r"[|&;<>`]|\$[({\w]")
_OF_PYTHON = ("evoweights", "python", "pip")


class PageError(AssertionError):
    """A block of a page is not as it says."""


@dataclass
class PageRun:
    """A page that is being done: its folder, where what it installs lies, and the process of its Python blocks."""

    page: str
    folder: Path
    scratch: Path
    blocks: Any = None
    count: int = 0

    def do(self, text: str) -> None:
        """Do every block.

        Raises:
            PageError: one of them is not as it says; the message has the page, the line, and what was found.
        """
        try:
            for block in blocks_of(text):
                self._do_block(block)
        finally:
            if self.blocks is not None:
                process, connection = self.blocks
                connection.close()
                process.join(5)
                process.kill()

    def _do_block(self, block: Block) -> None:
        untitled: Mapping[str, Callable[[Block], None]] = {
            "python": self._execute,
            "console": self._command_lines,
            "yaml": self._check_yaml,
            "toml": lambda each: _parses(tomllib.loads, each.text),
            "json": lambda each: _parses(json.loads, each.text),
            "text": _holds_no_command,
        }
        try:
            if block.title:
                self._write(block)
            elif "from" in block.notes:
                self._is_from(block)
            elif block.language in untitled:
                untitled[block.language](block)
            else:
                raise PageError(f"a block of {block.language or 'no language'}; known are {', '.join(untitled)}")
        except PageError as error:
            raise PageError(f"{self.page}, line {block.line}: {error}") from None

    def _write(self, block: Block) -> None:
        file = (self.folder / block.title).resolve()
        if not file.is_relative_to(self.folder.resolve()):
            raise PageError(f"writes to {file}, outside its folder")
        file.parent.mkdir(parents=True, exist_ok=True)
        before = file.read_text(encoding="utf-8") + "\n\n" if "appended" in block.notes else ""
        file.write_text(before + block.text, encoding="utf-8")

    def _is_from(self, block: Block) -> None:
        """A part of a file is as it is there, but for spaces."""
        file = self.folder / block.notes["from"]
        if "".join(block.text.split()) not in "".join(file.read_text(encoding="utf-8").split()):
            raise PageError(f"{file.name} does not hold this text")

    def _execute(self, block: Block) -> None:
        if self.blocks is None:
            ours, theirs = multiprocessing.Pipe()
            self.blocks = (self._process(page_child.run_blocks, theirs), ours)
            theirs.close()
        process, connection = self.blocks
        connection.send((block.text, f"{self.page}, block in line {block.line}"))
        while not connection.poll(0.2):
            if not process.is_alive():
                raise PageError("the process of the Python blocks is gone")
        if failed := connection.recv():
            raise PageError(failed)

    def _check_yaml(self, block: Block) -> None:
        code, printed = self._child(page_child.check_part, block.text)
        if code:
            raise PageError(f"no valid part of a configuration:\n{printed}")

    def _command_lines(self, block: Block) -> None:
        if not commands_of(block):
            raise PageError("a console block without a command")
        for hidden in block.notes.get("before", "").splitlines():
            self._expect(Command(hidden, (), block.line), replace(block, notes={}))
        for command in commands_of(block):
            if "not run" in block.notes:
                self._look_at(command)
            else:
                self._expect(command, block)

    def _expect(self, command: Command, block: Block) -> None:
        """Run a command, and hold its exit code and what it prints to what the block says."""
        code, printed = self._run(command.text, block.notes.get("shortened", ""))
        if code != int(block.notes.get("exit", "0")):
            raise PageError(f"`{command.text}` ended with {code}:\n{printed}")
        shown = "".join(f"{line.rstrip()}\n" for line in printed.splitlines())
        lines = tuple(line for line in command.printed if line.strip())
        shown = re.sub(r"\n\s*\n", "\n", shown)
        if not pattern_of(lines, loose="shortened" in block.notes).search(shown):
            raise PageError(f"`{command.text}` was to print\n" + "\n".join(lines) + f"\nbut printed\n{shown}")

    def _run(self, line: str, shortened: str) -> tuple[int, str]:
        words = shlex.split(line, comments=True)
        changed = {}
        while re.match(r"\w+=", words[0]):
            name, _, value = words.pop(0).partition("=")
            changed[name] = value
        if words[:2] in (["evoweights", "run"], ["evoweights", "ablate"]):
            words += shlex.split(shortened)
        if words[:3] == ["python", "-m", "pip"]:
            words = words[2:]
        if _needs_shell(line) or words[0] not in _OF_PYTHON:
            return self._shell(line)
        if words[0] == "pip":
            return self._install(words[1:])
        return self._child(page_child.run_words, words, changed=changed)

    def _shell(self, line: str) -> tuple[int, str]:
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder,
            env={**os.environ, **self._environment()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.returncode, done.stdout

    def _install(self, words: Sequence[str]) -> tuple[int, str]:
        """``pip install``, without network: folders go beside the page, extras of evoweights only have to exist."""
        if words[0] != "install":
            raise PageError(f"pip {words[0]} is not known to the tests")
        targets = [each for each in words[1:] if not each.startswith("-")]
        for each in targets:
            name, _, extras = each.rstrip("]").partition("[")
            folder = self.folder / name
            project = tomllib.loads(((folder if folder.is_dir() else ROOT) / "pyproject.toml").read_text())["project"]
            known = project.get("optional-dependencies", {})
            if (not folder.is_dir() and name != "evoweights") or not set(extras.split(",")) - {""} <= set(known):
                raise PageError(f"pip cannot install {each}: no such folder or extra")
        folders = [each.partition("[")[0] for each in targets if (self.folder / each.partition("[")[0]).is_dir()]
        if not folders:
            return 0, ""
        options = ["--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
        editable = ["--editable"] if {"-e", "--editable"} & set(words) else []
        command = [sys.executable, "-m", "pip", "install", *options, "--prefix", str(self.scratch / "installed")]
        return self._shell(shlex.join([*command, *editable, *folders]))

    def _look_at(self, command: Command) -> None:
        """Check a command that takes too long, or changes too much, to be run."""
        words = shlex.split(command.text, comments=True)
        if words[0] == "evoweights":
            code, printed = self._child(page_child.check_words, words)
            if code:
                raise PageError(f"`{command.text}` is no command line of evoweights:\n{printed}")
        elif words[0] == "make":
            targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
            if not set(words[1:]) <= set(targets):
                raise PageError(f"`{command.text}`: the Makefile has {', '.join(targets)}")
        elif missing := [
            each for each in words if each.endswith((".py", ".yaml")) and not (self.folder / each).exists()
        ]:
            raise PageError(f"`{command.text}`: there is no {', '.join(missing)}")

    def _child(
        self, target: Callable[..., None], first: object, *, changed: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """The exit code of a function in a process of its own, and what it printed."""
        process = self._process(target, first, changed=changed)
        process.join(PATIENCE)
        if process.is_alive():
            process.kill()
            process.join()
            raise PageError(f"took longer than {PATIENCE:.0f} s")
        code = process.exitcode
        return code if code >= 0 else 128 - code, self._output().read_text(encoding="utf-8")

    def _process(self, target: Callable[..., None], first: object, *, changed: Mapping[str, str] | None = None) -> Any:
        self.count += 1
        self._output().touch()
        place = (self.folder, self._packages(), {**self._environment(), **(changed or {})}, self._output())
        process = multiprocessing.get_context("forkserver").Process(target=target, args=(first, *place), daemon=True)
        process.start()
        return process

    def _output(self) -> Path:
        return self.scratch / f"output-{self.count}"

    def _packages(self) -> Path:
        prefix = str(self.scratch / "installed")
        return Path(sysconfig.get_path("purelib", vars={"base": prefix, "platbase": prefix}))

    def _environment(self) -> dict[str, str]:
        """What is different for the commands of a page: their ``evoweights`` has what the page installs."""
        bin_folder = self.scratch / "bin"
        if not bin_folder.exists():
            bin_folder.mkdir(parents=True)
            packages = str(self._packages())
            start = f"import site\nsite.addsitedir({packages!r})\nfrom evoweights.cli import main\nmain()\n"
            (bin_folder / "evoweights").write_text(f"#!{sys.executable}\n{start}")
            (bin_folder / "evoweights").chmod(0o755)
        return {
            "PATH": os.pathsep.join([str(bin_folder), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "XDG_CONFIG_HOME": str(self.scratch / "config"),
            "PYTEST_ADDOPTS": "-p no:cacheprovider",
            "PYTHONDONTWRITEBYTECODE": "1",
            "COLUMNS": "120",
        }


def start_server() -> None:
    """Start the process that those of pages are forked from, before which nothing of torch has run; not as the tests are,
    with Triton's interpreter."""
    before = dict(os.environ)
    os.environ.pop("TRITON_INTERPRET", None)
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # Python 3.11 does not hand on its own path
    try:
        multiprocessing.set_forkserver_preload(list(page_child.PRELOAD))
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)


def do_page(page: Path, folder: Path) -> None:
    """Do what a page of the repository says, in ``folder``."""
    place, scratch = folder / "page", folder / "scratch"
    scratch.mkdir()
    _furnish(place, page)
    name = page.relative_to(ROOT).as_posix()
    PageRun(name, place, scratch).do(page.read_text(encoding="utf-8"))


def _furnish(place: Path, page: Path) -> None:
    """The folder that a page is done in: with the configurations and examples of a checkout; of an example, its neighbours."""
    hidden = shutil.ignore_patterns("__pycache__", ".*")
    if page.parent.parent == ROOT / "examples":
        shutil.copytree(ROOT / "examples", place, ignore=hidden)
        return
    for name in ("configs", "examples", "benchmarks"):
        shutil.copytree(ROOT / name, place / name, ignore=hidden)


def _needs_shell(line: str) -> bool:
    """Whether a shell would do more with a line than to part it into words; what is quoted is only looked at for variables."""
    unquoted = re.sub(r"'[^']*'", "", line)
    quoted = "".join(re.findall(r"\"([^\"]*)\"", unquoted))
    return bool(_SHELL.search(re.sub(r"\"[^\"]*\"", "", unquoted)) or re.search(r"[`$]", quoted))


def _parses(parse: Callable[[str], object], text: str) -> None:
    try:
        parse(text)
    except ValueError as error:
        raise PageError(str(error)) from error


def _holds_no_command(block: Block) -> None:
    found = re.findall(
        r"^\s*(?:\$ |(?:evoweights|pip|make|python|tensorboard) [a-z-]).*", block.text, flags=re.MULTILINE
    )
    if found:
        raise PageError(f"a command in a block that is not run: {found[0].strip()!r}; use ```console")
