"""Makes the distribution of a new plugin from the templates beside this file."""

import ast
import datetime
import importlib.resources
import importlib.util
import keyword
import re
import shutil
import string
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from evoweights.errors import UsageError
from evoweights.plugins.loading import API, load_plugins
from evoweights.plugins.sources import is_built_in
from evoweights.version import __version__

_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_YAML_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "none"})
_PLACES = {
    "every/pyproject.toml.in": "pyproject.toml",
    "every/README.md.in": "README.md",
    "every/gitignore.in": ".gitignore",
    "every/test_run.py.in": "tests/test_run.py",
    "{kind}/__init__.py.in": "evoweights_{module}/__init__.py",
    "{kind}/config.yaml.in": "{module}.yaml",
    "{kind}/test_component.py.in": "tests/test_{module}.py",
    "task/task.py.in": "evoweights_{module}/task.py",
}
"""The templates and the files made from them; a template of another kind than the one asked for is left out."""
_CHECKED = "`plugins check` holds what the plugin offers to the rules of its kind, and so does the first test of its component."
_UNCHECKED = "There are no rules for observers to be held to, so the tests in `tests/` are all there is."


@dataclass(frozen=True)
class Made:
    """A distribution that was made: the plugin's name, its folder, its files, that of the configuration, and what it brings."""

    plugin: str
    folder: Path
    files: tuple[Path, ...]
    config: Path
    what: str


def make_distribution(name: str, *, kind: str, licence: str, to: Path) -> Made:
    """Make ``evoweights-NAME`` in the folder ``to``, with one component of ``kind``; no network, nothing is written over.

    ``licence`` is Apache-2.0, MIT or none.

    Raises:
        UsageError: a name that cannot be used, a folder that exists or cannot be made.
    """
    values = _values(name, kind, licence)
    _refuse_taken(values, kind)
    files = dict(_rendered(values, kind, licence))
    _refuse_hiding(values, files)
    folder = to / f"evoweights-{values['dashed']}"
    _write(folder, files)
    paths = tuple(folder / each for each in sorted(files))
    return Made(values["module"], folder, paths, Path(f"{values['module']}.yaml"), f"{kind} {values['module']}")


def _values(name: str, kind: str, licence: str) -> dict[str, str]:
    """What stands for the placeholders of the templates. None of it can be more than a word, so none needs escaping."""
    if name.startswith(("evoweights-", "evoweights_")):
        short = name[len("evoweights-") :]
        raise UsageError(f"NAME: found {name!r}; evoweights- is put before it. Give only {short!r}.")
    if not _NAME.fullmatch(name) or len(name) > 40:
        raise UsageError(
            f"NAME: found {name!r}; expected at most 40 lower-case letters and digits, a letter first, with single - or _ "
            f"between words, such as {_nearest(name)}."
        )
    module = name.replace("-", "_")
    if keyword.iskeyword(module) or module in _YAML_WORDS:
        raise UsageError(f"NAME: {name!r} means something else in Python or YAML. Take another.")
    texts = {
        "licence_lines": 'classifiers = ["Private :: Do Not Upload"]',
        "licence_sentence": "No licence: nobody but its author may copy it.",
    }
    if licence != "none":
        texts["licence_lines"] = f'license = "{licence}"\nlicense-files = ["LICENSE"]'
        texts["licence_sentence"] = f"Licence: {licence}."
    return texts | {
        "module": module,
        "dashed": module.replace("_", "-"),
        "component": "".join(word.capitalize() for word in module.split("_")),
        "kind": kind,
        "checked": _UNCHECKED if kind == "observer" else _CHECKED,
        "check_line": "" if kind == "observer" else f"    evoweights plugins check {module}\n",
        "api": ".".join(map(str, API)),
        "release": ".".join(__version__.split(".")[:2]),
        "year": str(datetime.date.today().year),
    }


def _nearest(name: str) -> str:
    """The allowed name that is most like this one, or an example."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.findall("[a-z0-9]+", re.sub("(?<=[a-z])(?=[A-Z])", "-", plain).lower())
    near = "-".join(words).lstrip("0123456789-")[:40].rstrip("-")
    if not _NAME.fullmatch(near):
        return "my-operator"
    return f"my-{near}"[:40].rstrip("-") if _is_module(near.replace("-", "_")) else near


def _refuse_taken(values: Mapping[str, str], kind: str) -> None:
    """Raises: UsageError for a name under which a module, a plugin or a component exists."""
    module = values["module"]
    if _is_module(module):
        raise UsageError(
            f"NAME: there is a Python module {module} already, which a plugin of that name would be mistaken for. Take another "
            f"name, such as my-{values['dashed']}."
        )
    if is_built_in(module) or importlib.util.find_spec(f"evoweights_{module}") is not None:
        raise UsageError(f"NAME: there is a module evoweights_{module} already. Take another name.")
    for entry in load_plugins(folder=Path()).catalog.entries(kind):
        if entry.name == module:
            raise UsageError(f"NAME: {entry.provider} has a component {kind} {module}. Take another name.")


def _is_module(name: str) -> bool:
    """Whether Python can import a module or package of this name; a folder without code is none."""
    if name in sys.stdlib_module_names:
        return True
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin is not None


def _rendered(values: Mapping[str, str], kind: str, licence: str) -> Iterator[tuple[str, str]]:
    """The path and the text of every file."""
    templates = importlib.resources.files("evoweights.plugins") / "templates"

    def text(template: str) -> str:
        return string.Template((templates / template).read_text(encoding="utf-8")).substitute(all_values)

    all_values = dict(values)
    all_values["about"] = text(f"{kind}/about.txt").strip()
    for template, place in _PLACES.items():
        if template.split("/")[0] in ("every", "{kind}", kind):
            yield place.format(**values), text(template.format(kind=kind))
    yield f"evoweights_{values['module']}/py.typed", ""
    if licence != "none":
        yield "LICENSE", text(f"licences/{licence}.txt")


def _refuse_hiding(values: Mapping[str, str], files: Mapping[str, str]) -> None:
    """Raises: UsageError for a name whose class would hide something that its module imports, as ``gene`` would."""
    for path, text in files.items():
        if not path.endswith(".py"):
            continue
        imports = (each for each in ast.walk(ast.parse(text)) if isinstance(each, ast.Import | ast.ImportFrom))
        imported = [(getattr(each, "module", None), alias.name) for each in imports for alias in each.names]
        for source, name in imported:
            if name == values["component"] and source != f"evoweights_{values['module']}":
                raise UsageError(f"NAME: {values['component']} would hide {name} of {source}. Take another name.")


def _write(folder: Path, files: Mapping[str, str]) -> None:
    if folder.exists():
        raise UsageError(f"{folder}: exists already. Remove it, or give another name or folder (--to).")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made: {error}. Give another folder (--to).") from error
    try:
        for place, text in files.items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_text(text, encoding="utf-8")
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise UsageError(f"{folder}: cannot be written: {error}. Nothing was left there.") from error
