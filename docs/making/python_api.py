"""Reference of the Python interface: every public name of the packages, with its signature and its docstring."""

import dataclasses
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

from making.text import prose, table

MODULES = (
    "evoweights",
    "evoweights.errors",
    "evoweights.testing",
    "evoweights.testing.faults",
    "evoweights.testing.strategies",
    "evoweights_kernels",
)
_WIDTH = 100


def python_pages() -> dict[str, str]:
    """A page for each module, by its place on the site."""
    return {f"reference/python/{name}.md": module_page(name) for name in MODULES}


def public_names(module: Any) -> list[str]:
    """What a module offers: ``__all__``, or the classes and functions that are its own."""
    own = [name for name, each in vars(module).items() if getattr(each, "__module__", "") == module.__name__]
    names = getattr(module, "__all__", own)
    return [name for name in names if not name.startswith("_") and not inspect.ismodule(getattr(module, name))]


def module_page(name: str) -> str:
    """The page of one module."""
    module = importlib.import_module(name)
    named = {each: getattr(module, each) for each in public_names(module)}
    rows = [(f"[`{each}`](#{each.lower()})", _summary(value)) for each, value in named.items()]
    parts = [f"# {name}\n\n{prose(module.__doc__)}\n", table(["name", "what it is"], rows)]
    return "\n".join(parts + [_entry(each, value) for each, value in named.items()])


def _summary(value: Any) -> str:
    documented = inspect.isclass(value) or callable(value)
    return prose(value.__doc__).split("\n")[0] if documented else f"the constant `{value!r}`"


def _entry(name: str, value: Any) -> str:
    heading = f"## {name} {{ #{name.lower()} }}\n"
    if not (inspect.isclass(value) or callable(value)):
        return f"{heading}\n```python\n{name} = {value!r}\n```\n"
    kind = "class" if inspect.isclass(value) else "def"
    parts = [heading, f"```python\n{kind} {name}{_signature(value)}\n```\n", prose(value.__doc__), ""]
    return "\n".join([*parts, *(_member(*each) for each in _members(value))])


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    """The documented public methods and properties of a class, those of its bases within evoweights included."""
    if not inspect.isclass(value):
        return
    fields = {each.name for each in dataclasses.fields(value)} if dataclasses.is_dataclass(value) else set()
    for name in sorted(
        {name for base in value.__mro__ if base.__module__.startswith("evoweights") for name in vars(base)}
    ):
        member = inspect.getattr_static(value, name)
        is_code = isinstance(member, property | staticmethod | classmethod) or inspect.isfunction(member)
        if not name.startswith("_") and is_code and name not in fields and getattr(value, name).__doc__:
            yield name, member


def _member(name: str, member: Any) -> str:
    if isinstance(member, property):
        return f"### {name}\n\nA property. {prose(member.__doc__)}\n"
    function = member.__func__ if isinstance(member, staticmethod | classmethod) else member
    return f"### {name}\n\n```python\ndef {name}{_signature(function)}\n```\n\n{prose(function.__doc__)}\n"


def _signature(value: Any) -> str:
    """The signature, one argument a line where it is long; empty where there is none."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    text = str(signature)
    if len(text) <= _WIDTH:
        return text
    arguments = "".join(f"    {each},\n" for each in _arguments(signature))
    end = (
        ""
        if signature.return_annotation is signature.empty
        else f" -> {inspect.formatannotation(signature.return_annotation)}"
    )
    return f"(\n{arguments}){end}"


def _arguments(signature: inspect.Signature) -> Iterator[str]:
    keyword_only = False
    for each in signature.parameters.values():
        if each.kind is each.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            yield "*"
        yield str(each)
