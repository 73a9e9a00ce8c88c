"""The command that examines this machine."""

import os
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from evoweights.cli.output import say_rows
from evoweights.cli.units import duration_text, size_text


def doctor(
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder of runs whose disk is examined.")] = Path("runs"),
) -> None:
    """Examine this machine.

    Shows versions, processors, backends, disk, plugins and network settings.
    """
    say_rows([*_versions(), *_processors(), *_backends(), *_disk(output), *_plugins(), *_network()])


def _versions() -> Iterator[tuple[str, str]]:
    from evoweights.runs.environment import versions
    from evoweights.version import __version__

    yield "evoweights", __version__
    yield "python", f"{platform.python_version()} on {platform.platform()}"
    for name, version in versions().items():
        if name != "evoweights":
            yield name, version or "not installed"


def _processors() -> Iterator[tuple[str, str]]:
    import torch

    yield "cpu", f"{platform.machine()}, {os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads"
    if not torch.cuda.is_available():
        yield "cuda", f"none that torch {torch.__version__} can use (built for CUDA {torch.version.cuda})"
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        yield f"cuda:{index}", f"{facts.name}, {size_text(facts.total_memory)}, CUDA {torch.version.cuda}"


def _backends() -> Iterator[tuple[str, str]]:
    from evoweights_kernels import backends

    for name, each in backends().items():
        yield f"backend {name}", "usable" if each.usable else f"not usable: {each.reason}"


def _disk(output: Path) -> Iterator[tuple[str, str]]:
    """Free space and the time of a small durable write where runs are, or would be."""
    import shutil

    folder = next(each for each in (output.absolute(), *output.absolute().parents) if os.path.isdir(each))
    yield "disk", f"{size_text(shutil.disk_usage(folder).free)} free in {folder}"
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            started = time.perf_counter()
            file.write(bytes(1_000_000))
            file.flush()
            os.fsync(file.fileno())
            yield "fsync", f"{duration_text(time.perf_counter() - started)} for a megabyte"
    except OSError as error:
        yield "fsync", f"cannot write in {folder}: {error}"


def _plugins() -> Iterator[tuple[str, str]]:
    from evoweights.plugins.listing import try_plugins

    found = try_plugins()
    yield "plugins", f"{sum(not each.reason for each in found)} of {len(found)} load"
    for each in found:
        if each.reason:
            yield ("disabled", each.plugin.name) if each.status == "disabled" else ("broken", each.reason)


def _network() -> Iterator[tuple[str, str]]:
    offline = [
        name for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") if os.environ.get(name) not in (None, "", "0")
    ]
    words = f"switched off by {', '.join(offline)}" if offline else "asked only by tasks with hub: true"
    yield "hub", f"Hugging Face: {words}"
