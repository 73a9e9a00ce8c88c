"""The commands that show gene kernels: what they cost, and what is generated from them."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evoweights.cli.options import Json
from evoweights.cli.output import say, say_json, say_rows
from evoweights.errors import EvoweightsError, PluginError, UsageError, did_you_mean

if TYPE_CHECKING:
    from evoweights.catalog import Entry
    from evoweights_kernels import GeneKernel

kernels = typer.Typer(
    help="Show gene kernels: their cost, and the code made from them.", no_args_is_help=True, rich_markup_mode=None
)

Plugins = Annotated[
    list[str] | None,
    typer.Option("--plugin", help="Also look in this plugin (a name or a .py file); can be repeated."),
]


class Target(StrEnum):
    """What code can be generated for."""

    REFERENCE, CPU, TRITON, CUDA = "reference", "cpu", "triton", "cuda"


class Storage(StrEnum):
    """How genes lie in memory."""

    FLOAT32, BFLOAT16 = "float32", "bfloat16"


@kernels.command("list")
def list_kernels(plugin: Plugins = None, json: Json = False) -> None:
    """List all kernels with their cost per gene, and the backends.

    Of an operator whose settings decide between kernels, it is the one of its defaults.
    """
    from evoweights_kernels import backends

    with _explained():
        rows = [_facts(name, kernel) for name, kernel in _kernels(plugin)[0].items()]
    states = {name: each.reason for name, each in backends().items()}
    if json:
        say_json({"kernels": rows, "backends": states})
        return
    say("Per gene of float32: bytes moved, calls of Philox.", bold=True)
    say_rows((row["name"], f"{row['bytes']} B", f"{row['philox']} Philox", row["doc"]) for row in rows)
    say("Backends:", bold=True)
    say_rows((name, f"not usable: {reason}" if reason else "usable") for name, reason in states.items())


@kernels.command()
def show(
    name: Annotated[
        list[str], typer.Argument(help="A kernel or an operator; several are fused into one launch, in this order.")
    ],
    target: Annotated[Target, typer.Option(help="What to generate code for.")] = Target.CPU,
    storage: Annotated[Storage, typer.Option(help="How genes lie in memory.")] = Storage.FLOAT32,
    plugin: Plugins = None,
) -> None:
    """Print the code made from a kernel, or from several fused.

    An operator stands for the kernel of its defaults, unless a kernel has that name itself.
    """
    from evoweights_kernels import generated_source

    kernels, by_operator = _kernels(plugin)
    known = by_operator | kernels
    for each in name:
        if each not in known:
            raise UsageError(f"there is no kernel {each!r}.{did_you_mean(each, known)}{_elsewhere(plugin)}")
    with _explained():
        source = generated_source([known[each] for each in name], target.value, storage=storage.value)
    say(source)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what is wrong with the body of a kernel, which shows when it is looked at, into an error for people."""
    from evoweights_kernels import KernelError

    try:
        yield
    except KernelError as error:
        raise PluginError(str(error)) from error


def _elsewhere(plugins: list[str] | None) -> str:
    """The end of a message: installed plugins that were not looked into."""
    from evoweights.plugins.sources import installed_plugins

    names = sorted({each.name for each in installed_plugins()} - set(plugins or []))
    return f" Installed plugins are looked into with --plugin: {', '.join(names)}." if names else ""


def _kernels(plugins: list[str] | None) -> "tuple[dict[str, GeneKernel], dict[str, GeneKernel]]":
    """The kernels that ship and those that operators have, by their own name; and the latter by that of the operator."""
    from evoweights.plugins.loading import load_plugins
    from evoweights_kernels import GeneKernel, bodies

    found, by_operator = {name: getattr(bodies, name) for name in bodies.__all__}, {}
    for entry in load_plugins(plugins or [], folder=Path()).catalog.entries("operator"):
        kernel = _kernel_of(entry)
        if not isinstance(kernel, GeneKernel):
            continue
        by_operator[entry.name] = kernel
        if found.setdefault(kernel.name, kernel) is not kernel:
            raise UsageError(
                f"{entry.provider}: a kernel {kernel.name!r} exists already. Rename the plugin's function."
            )
    return found, by_operator


def _kernel_of(entry: "Entry") -> object:
    """An operator's class attribute ``kernel``, or what it is with default settings; None without them, or without one."""
    from evoweights.contract import calling

    kernel = getattr(entry.component, "kernel", None)
    if not isinstance(kernel, property):
        return kernel
    try:
        operator = entry.component()
    except (EvoweightsError, TypeError, ValueError):  # a setting has no default, or the defaults do not go together
        return None
    with calling(f"operator {entry.name}: kernel"):
        return operator.kernel


def _facts(name: str, kernel: "GeneKernel") -> dict[str, Any]:
    from evoweights_kernels.traffic import cost

    moved, philox = cost(kernel)
    arguments = [
        f"{each.name}: {each.role.__name__}{f'[{each.bits}]' if each.bits else ''}" for each in kernel.arguments
    ]
    return {
        "name": name,
        "bytes": moved,
        "philox": str(philox),
        "arguments": arguments,
        "doc": kernel.doc.partition("\n")[0],
    }
