"""A run's folder in which something is not what it must be: one clear error, or no difference; never a traceback."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import SMALL, CommandLine

FILES = (
    *("config.yaml", "DONE", "FAILED", "overrides.txt", "environment.json"),
    *("metrics.jsonl", "lineage.jsonl", "log.txt", ".lock", ".lock.json"),
)
FOLDERS = ("checkpoints", "best", "task", "tb", "population")
COMMANDS = ("status", "verify", "run", "resume", "export", "generate")

STOPPER = """
import os
from evoweights import hookimpl
from evoweights.errors import RunStopped

@hookimpl
def checkpoint_saved(info, generation):
    if generation == int(os.environ.get("STOP_AT", -1)):
        raise RunStopped("Stopped; the same command continues.", exit_code=130)
"""


def _folder(path: Path) -> None:
    path.mkdir()
    (path / "thesis.tex").write_text("years of work")


SHAPES: dict[str, Callable[[Path], None]] = {
    "a folder": _folder,
    "a file": lambda path: path.write_text("years of work") and None,
    "link to nothing": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "a pipe": os.mkfifo,
}
SAID = {
    "empty": "is empty",
    "blank": "is empty",
    "not UTF-8": "is not UTF-8 text (byte 7 is 0xff)",
    "zeros": "holds zero bytes, as files do that a power cut has damaged",
}
CONTENTS = {"empty": b"", "blank": b" \n", "not UTF-8": b"seed: 4\xff2\n", "zeros": bytes(64), "other": b"- 1\n- 2\n"}

READERS = {
    "config.yaml": (2, COMMANDS),
    "DONE": (4, ("status", "verify", "run", "resume")),
    "FAILED": (4, ("status", "verify")),
    "overrides.txt": (4, ("verify", "resume")),
    "environment.json": (4, ("verify", "resume", "export", "generate")),
}
"""Who reads the content of a small file, and the exit code where it makes no sense."""

FINE = {("DONE", "other"), ("FAILED", "other"), *(("overrides.txt", each) for each in ("empty", "blank", "other"))}
"""Texts are texts: what they say is not judged."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a configuration and its run, stopped half way."""
    from evoweights.cli.running import run
    from evoweights.errors import RunStopped

    folder = tmp_path_factory.mktemp("template")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("STOP_AT", "2")
        Path("stopper.py").write_text(STOPPER)
        Path("half.yaml").write_text(SMALL + "plugins: [./stopper.py]\n")
        with pytest.raises(RunStopped):
            run(Path("half.yaml"))
    return folder


@pytest.fixture
def run_folder(template: Path, tmp_path: Path) -> Path:
    """The run of a copy that may be damaged; commands are given beside it."""
    shutil.copy(template / "half.yaml", tmp_path)
    shutil.copytree(template / "runs", tmp_path / "runs")
    # What the task exports and generates is not the point here, but a task that cannot would hide what is.
    (tmp_path / "stopper.py").write_text(STOPPER)
    text = (tmp_path / "runs" / "half" / "config.yaml").read_text()
    (tmp_path / "runs" / "half" / "config.yaml").write_text(text.replace(str(template), str(tmp_path)))
    return tmp_path / "runs" / "half"


@pytest.fixture(autouse=True)
def task_that_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    """The function task writes and says something, so that these commands can succeed."""
    from evoweights_toy.function import FunctionTask

    monkeypatch.setattr(FunctionTask, "export", lambda self, module, folder: f"nothing in {folder}")
    monkeypatch.setattr(FunctionTask, "generate", lambda self, module, prompt, **options: prompt)


def _words(command: str) -> list[str]:
    return ["run", "half.yaml"] if command == "run" else [command, "runs/half"]


def _tree(folder: Path) -> dict[str, object]:
    """Everything below a folder; what only says that somebody holds it is left out."""

    def content(path: Path) -> object:
        if path.is_symlink():
            return os.readlink(path)
        return path.read_bytes() if path.is_file() else path.stat().st_mode

    return {str(path): content(path) for path in folder.rglob("*") if path.name != ".lock"}


def _replace(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def _refused(evoweights: CommandLine, run_folder: Path, command: str, name: str, code: int) -> None:
    before = _tree(run_folder)
    outcome = evoweights(*_words(command))
    assert outcome.code == code, (outcome.out, outcome.err)
    assert outcome.err.startswith("error: ") and "Traceback" not in outcome.err
    assert name in outcome.err + outcome.out
    assert _tree(run_folder) == before


WRONG_SHAPES = [
    (name, shape)
    for name in (*FILES, *FOLDERS)
    for shape in SHAPES
    if shape != ("a file" if name in FILES else "a folder")
]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("name", "shape"), WRONG_SHAPES)
def test_a_part_of_another_kind_is_refused_by_name(
    evoweights: CommandLine, run_folder: Path, command: str, name: str, shape: str
) -> None:
    _replace(run_folder / name)
    SHAPES[shape](run_folder / name)
    _refused(evoweights, run_folder, command, f"runs/half/{name} ", 2 if name == "config.yaml" else 4)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("damage", CONTENTS)
@pytest.mark.parametrize("name", FILES)
def test_damaged_content_is_refused_by_whoever_reads_it_and_changes_nothing_for_others(
    evoweights: CommandLine, run_folder: Path, command: str, name: str, damage: str
) -> None:
    (run_folder / name).write_bytes(CONTENTS[damage])
    code, readers = READERS.get(name, (0, ()))
    if command in readers and (name, damage) not in FINE:
        _refused(evoweights, run_folder, command, f"{name} {SAID.get(damage, '')}".strip(), code)
        return
    outcome = evoweights(*_words(command))
    assert outcome.code == 0 and "Traceback" not in outcome.err, outcome.err
    if command in ("run", "resume"):
        assert name == "DONE" or (run_folder / "DONE").read_text().startswith("best: ")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", [*FILES[:7], *FOLDERS])
def test_a_part_that_may_not_be_read_is_refused_by_name(
    evoweights: CommandLine, run_folder: Path, command: str, name: str
) -> None:
    path = run_folder / name
    path.exists() or (_folder(path) if name in FOLDERS else path.write_text("x"))
    mode = path.stat().st_mode
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("whoever runs this may read everything")
    try:
        outcome = evoweights(*_words(command))
    finally:
        path.chmod(mode)
    assert outcome.code == (2 if name == "config.yaml" else 4) and "Traceback" not in outcome.err
    assert outcome.err.startswith("error: ") and f"runs/half/{name} cannot be read (no permission)" in outcome.err


def test_without_its_small_files_a_run_is_continued_all_the_same(evoweights: CommandLine, run_folder: Path) -> None:
    for name in FILES[1:]:
        _replace(run_folder / name)
    for name in FOLDERS[1:]:
        _replace(run_folder / name)
    assert evoweights("resume", "runs/half").code == 0
    evoweights("run", "small.yaml")
    weights = [Path(f"runs/{each}/best/genome.safetensors").read_bytes() for each in ("half", "small")]
    assert weights[0] == weights[1]
