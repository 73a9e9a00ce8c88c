"""What a user may give by mistake: every time one clear error, the right exit code, and never a traceback."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from command_line import SMALL, CommandLine

from evoweights.contract import calling
from evoweights.errors import ResourceError
from evoweights_kernels import CacheError

LONG = "y" * 300

PLUGIN = '''
from dataclasses import dataclass
from evoweights import hookimpl

@dataclass(frozen=True)
class Bare:
    """Has none of what its kind needs."""

    name = "bare"
    source = "a test"

@hookimpl
def register(catalog):
    catalog.add("{kind}", Bare)
'''


@dataclass(frozen=True)
class Bad:
    """Words of a command line, files beside it, and what the one error says."""

    words: list[str | Path]
    code: int
    says: str
    files: Mapping[str, bytes | str] = field(default_factory=dict)


def checked(*overrides: str, config: str = "small.yaml") -> list[str | Path]:
    return ["validate", config, "--schema-only", *overrides]


def bare(kind: str, override: str, says: str, *, code: int = 5) -> Bad:
    """A plugin whose component has nothing of what its kind needs."""
    words = ["run", "small.yaml", "plugins=[./bare.py]", override]
    return Bad(words, code, says, {"bare.py": PLUGIN.format(kind=kind)})


BAD = {
    "a folder": Bad(checked(config="."), 2, ".: cannot be read as a text file: [Errno 21] Is a directory"),
    "no name": Bad(checked(config=""), 2, "cannot be read as a text file"),
    "a name that is too long": Bad(checked(config=f"{LONG}.yaml"), 2, "cannot be read as a text file: [Errno 36] File name too"),
    "a name of two lines": Bad(checked(config="a\nb.yaml"), 2, "b.yaml: there is no such file."),
    "a name that is no text": Bad(checked(config="caf\udce9.yaml"), 2, "caf\\udce9.yaml: there is no such file."),
    "binary junk": Bad(checked(config="x.yaml"), 2, "x.yaml: cannot be read as a text file:", {"x.yaml": bytes(range(256))}),
    "UTF-16": Bad(checked(config="x.yaml"), 2, "can't decode byte 0xff", {"x.yaml": SMALL.encode("utf-16")}),
    "a name with a blank": Bad(checked(config="my ö.yaml"), 2, "name: found 'my ö'; expected 1 to 64", {"my ö.yaml": SMALL}),
    "bytes that are no text": Bad(checked("output=\udcff"), 2, "command line: output: cannot be read as YAML"),
    "an output that is too long": Bad(checked(f"output={LONG}"), 2, "yyy cannot be a folder: File name too long. Choose another"),
    "an output that is a device": Bad(["run", "small.yaml", "output=/dev/null"], 2, "output: /dev/null is no folder, so no run"),
    "a negative number": Bad(checked("population.size=-1"), 2, "population.size: found -1; expected a whole number, at least 1"),
    "a huge number": Bad(checked("generations=1e99"), 2, "generations: found 1e+99; expected a whole number from 1 to 10000000"),
    "a mapping deep inside": Bad(checked("vary.0.rate={a: [{b: 2}]}"), 2, "vary.0.rate: found a mapping; expected a number"),
    "more individuals than memory": Bad(["run", "small.yaml", "population.size=1000000000000"], 7, "out of memory ("),
    "more genes than memory": Bad(["run", "small.yaml", "task.dimension=1000000000000000"], 7, "out of memory ("),
    "a plugin that is a folder": Bad(checked("plugins=[./d.py]"), 2, "d.py is a folder; expected a file", {"d.py/x": ""}),
    "a plugin whose name is too long": Bad(checked(f"plugins=[./{LONG}.py]"), 2, "plugins.0: no file "),
    "a plugin that is empty": Bad(checked("plugins=[./x.py]"), 5, "plugin x: it has no hook. Mark a function", {"x.py": ""}),
    "a plugin that is binary": Bad(checked("plugins=[./x.py]"), 5, "cannot be imported: SyntaxError", {"x.py": b"\0\xff"}),
    "a plugin that never ends": Bad(checked("plugins=[./x.py]"), 5, "RecursionError", {"x.py": "def f(): f()\nf()\n"}),
    "a plugin that leaves": Bad(checked("plugins=[./x.py]"), 5, "imported: SystemExit 0", {"x.py": "raise SystemExit(0)"}),
    "a bare selection": bare("select", "select={name: bare}", "select bare: choose raised AttributeError"),
    "a bare turn": bare("turn", "turn={name: bare}", "turn bare: choose raised AttributeError"),
    "a bare task": bare("task", "task={name: bare}", "task bare: open raised AttributeError"),
    "a bare population": bare("population", "population={name: bare}", "population bare: found it for task function raised"),
    "a bare improver": bare("improve", "improve=[{name: bare}]", "'Bare' object has no attribute 'slots'"),
    "a bare operator": bare("operator", "vary=[{name: bare}]", "'Bare' object has no attribute"),
    "a bare control": bare("control", "controls=[bare]", "control bare: applies raised AttributeError"),
    "a bare observer": bare("observer", "observers=[{name: bare}]", "plugin observers.0 (bare): it has no hook."),
    "a run that is a file": Bad(["status", "small.yaml"], 2, "small.yaml is no run: it has no config.yaml. Give the folder"),
    "a run whose name is too long": Bad(["report", LONG], 2, "File name too long. Give another path, or mend what"),
    "a page in no folder": Bad(["report", "small.yaml", "--to", f"{LONG}.html"], 2, "File name too long. Give another path"),
    "a new plugin in no folder": Bad(["plugins", "new", "mine", "--to", LONG], 2, "File name too long. Give another path"),
    "no control": Bad(["ablate", "small.yaml", "--controls", ", ,"], 2, "--controls: found ', ,', which names none."),
    "no kind": Bad(["operators", "--kind", ""], 2, "--kind: found ''. Known: "),
    "no kernel": Bad(["kernels", "show", ""], 2, "there is no kernel ''. Known: "),
    "a model whose name is too long": Bad(
        ["run", "small.yaml", f"task={{name: language_model, model: {LONG}}}"], 2, "is no preset, and no file or folder"
    ),
    "a tokenizer whose name is too long": Bad(
        ["run", "small.yaml", f"task={{name: language_model, tokenizer: {LONG}}}"], 2, "is neither a file nor a known vocabulary"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_is_given_by_mistake_is_one_error_that_says_so(evoweights: CommandLine, what: str) -> None:
    bad = BAD[what]
    for name, content in bad.files.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    outcome = evoweights(*bad.words)
    assert (outcome.code, outcome.err.count("error: ")) == (bad.code, 1), outcome.err
    assert outcome.err.startswith("error: ") and bad.says in outcome.err and "Traceback" not in outcome.err


OWN_KERNEL = """
from dataclasses import dataclass
from evoweights import Gene, GeneOperator, Scalar, gene_kernel, hookimpl, setting

@gene_kernel
def never_compiled_before(x: Gene, other: Gene, share: Scalar):
    return x + share * (other - x) * 0.{number}

@dataclass(frozen=True)
class Own(GeneOperator):
    "Has a kernel that no other test has."
    name, source, kernel = "own", "a test", never_compiled_before
    share: float = setting(0.5, "share")

@hookimpl
def register(catalog):
    catalog.add("operator", Own)
"""


def in_a_file(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("EVOWEIGHTS_CACHE", "small.yaml")
    return "small.yaml/kernels: [Errno 20] Not a directory"


def in_the_home_of_nobody(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("EVOWEIGHTS_CACHE", "/proc/~/nobody")
    return "/proc/~/nobody/kernels: [Errno 2] No such file or directory"


def on_a_disk_that_is_full_once_numba_writes(monkeypatch: pytest.MonkeyPatch) -> str:
    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("EVOWEIGHTS_CACHE", "cache")
    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile.save", full)
    return "cache/kernels: [Errno 28] No space left on device"


@pytest.mark.parametrize("cache", [in_a_file, in_the_home_of_nobody, on_a_disk_that_is_full_once_numba_writes])
def test_a_cache_of_kernels_that_cannot_be_written_is_a_want_of_resources(
    evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch, cache: Callable[[pytest.MonkeyPatch], str]
) -> None:
    found = cache(monkeypatch)
    Path("own.py").write_text(OWN_KERNEL.replace("{number}", str(len(cache.__name__))))
    outcome = evoweights("run", "small.yaml", "plugins=[./own.py]", "improve=[]", "vary=[{name: own}]")
    assert outcome.code == 7 and outcome.err.startswith("error: vary.0-own on individual "), outcome
    assert f"generated kernels cannot be written to {found}" in outcome.err
    assert "set EVOWEIGHTS_CACHE to a folder that can be written" in outcome.err
    with pytest.raises(ResourceError, match="improve mine: step 1: no room"), calling("improve mine: step 1"):
        raise CacheError("no room")


REMOVER = """
import os, shutil
from evoweights import hookimpl

@hookimpl
def generation_finished(info, record):
    if record.generation == 1:
        target = info.folder / os.environ["TARGET"]
        shutil.rmtree(target) if target.is_dir() else target.unlink()
"""


@pytest.mark.parametrize("target", ["", "config.yaml"])
def test_a_run_whose_folder_is_removed_while_it_goes_on_does_not_end_as_if_it_were_there(
    evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.setenv("TARGET", target)
    Path("remover.py").write_text(REMOVER)
    outcome = evoweights("run", "small.yaml", "plugins=[./remover.py]")
    assert outcome.code == 2 and "Traceback" not in outcome.err
    words = "runs/small/config.yaml cannot be read (No such file or directory). Put back an intact copy, or start again"
    assert words in outcome.err and not Path("runs/small/DONE").exists()


@pytest.mark.parametrize("target", ["checkpoints", "metrics.jsonl", "best", ".lock"])
def test_a_part_that_is_removed_while_a_run_goes_on_is_made_again(
    evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.setenv("TARGET", target)
    Path("remover.py").write_text(REMOVER)
    assert evoweights("run", "small.yaml", "plugins=[./remover.py]").code == 0
    assert evoweights("status", "runs/small").code == 0


def _started(shell: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program = f"{sys.executable} -m evoweights"
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    command = ["sh", "-c", shell.replace("evoweights", program)]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", ["validate ../small.yaml --schema-only", "run ../small.yaml", "status x"])
def test_a_folder_that_was_deleted_is_no_place_to_start_from(words: str) -> None:
    done = _started(f"mkdir gone && cd gone && rmdir ../gone && evoweights {words}")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.strip() == (
        "error: the folder in which this was started has been deleted. Change to one that is there."
    )


@pytest.mark.parametrize(("shell", "code"), [
    ("evoweights operators >&-", 0), ("evoweights --help >&-", 0), ("evoweights run none.yaml 2>&-", 2),
])  # fmt: skip
def test_closed_streams_are_no_error(shell: str, code: int) -> None:
    done = _started(shell)
    assert (done.returncode, done.stderr) == (code, "")


@pytest.mark.parametrize(("name", "encoding", "shown"), [
    ("\u2603.yaml", "latin-1", "\\u2603.yaml"), ("\udcff.yaml", "utf-8", "\\udcff.yaml"),
])  # fmt: skip
def test_what_a_terminal_cannot_show_is_shown_by_its_number(name: str, encoding: str, shown: str) -> None:
    shutil.copy("small.yaml", name)
    done = _started(f"evoweights validate {name} --schema-only name=x", PYTHONIOENCODING=encoding, PYTHONUTF8="1")
    assert done.returncode == 0 and done.stdout.startswith(f"{shown}: valid."), done.stderr
