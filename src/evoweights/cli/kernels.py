"""The commands that show gene kernels: what they cost, and what is generated from them."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evoweights.cli.options import Json
from evoweights.cli.output import say, say_json, say_rows
from evoweights.errors import EvoweightsError, UsageError, did_you_mean

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

    rows = [_facts(name, kernel) for name, kernel in _kernels(plugin).items()]
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
    name: Annotated[list[str], typer.Argument(help="A kernel; several are fused into one launch, in this order.")],
    target: Annotated[Target, typer.Option(help="What to generate code for.")] = Target.CPU,
    storage: Annotated[Storage, typer.Option(help="How genes lie in memory.")] = Storage.FLOAT32,
    plugin: Plugins = None,
) -> None:
    """Print the code made from a kernel, or from several fused."""
    from evoweights_kernels import generated_source

    known = _kernels(plugin)
    for each in name:
        if each not in known:
            raise UsageError(
                f"there is no kernel {each!r}.{did_you_mean(each, known)} `evoweights kernels list` lists all."
            )
    say(generated_source([known[each] for each in name], target.value, storage=storage.value))


def _kernels(plugins: list[str] | None) -> "dict[str, GeneKernel]":
    """The kernels that ship and those that operators have, by name."""
    from evoweights.plugins.loading import load_plugins
    from evoweights_kernels import GeneKernel, bodies

    found = {name: getattr(bodies, name) for name in bodies.__all__}
    for entry in load_plugins(plugins or [], folder=Path()).catalog.entries("operator"):
        kernel = _kernel_of(entry)
        if not isinstance(kernel, GeneKernel):
            continue
        if found.setdefault(kernel.name, kernel) is not kernel:
            raise UsageError(
                f"{entry.provider}: a kernel {kernel.name!r} exists already. Rename the plugin's function."
            )
    return found


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
