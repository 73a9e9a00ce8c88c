"""Small runs for tests: a configuration as a mapping or as YAML text, with components as they are, run in a folder."""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from evoweights.catalog import Registrar
from evoweights.config.loading import config_from_text
from evoweights.config.run_config import SEVERAL, SINGLE, RunConfig
from evoweights.config.source import parse
from evoweights.hookspecs import hookimpl
from evoweights.plugins.loading import Plugins, load_plugins
from evoweights.plugins.sources import Plugin
from evoweights.storage.checkpoints import CheckpointStore
from evoweights.testing.faults import Fault, with_faults

if TYPE_CHECKING:
    from evoweights.records import RunResult

TINY: Mapping[str, Any] = {
    "name": "tiny",
    "generations": 4,
    "seed": 7,
    "task": {"name": "digits", "hidden": [4], "batch": 8, "train_images": 64, "validation_images": 32},
    "population": {"name": "individuals", "size": 3},
    "improve": [{"name": "adamw", "steps": 2, "learning_rate": 3.0e-3}],
    "vary": [{"name": "crossover", "rate": 0.3}],
    "checkpoint": {"every_generations": 1},
    "backend": "reference",
    "observers": [],
}
"""What a configuration says that leaves something out: three networks of 310 genes that read digits, for four generations."""

OF_PRESETS = ("task", "population", "improve", "vary", "select", "evaluate")
"""Sections that are not filled in where a configuration names a preset: what that says is what counts."""

Configuration = Mapping[str, Any] | str
"""YAML text, or a mapping in which a component may also stand as it is: ``{"vary": [MyOperator(rate=0.5)]}``."""


def config_in(folder: Path, configuration: Configuration, *, plugins: Sequence[str | object] = ()) -> RunConfig:
    """A checked configuration whose run will be in ``folder``/runs. Sections that it leaves out are those of ``TINY``.

    With a ``preset`` those of ``OF_PRESETS`` are the preset's, or have to be said.
    ``plugins`` are names of installed plugins, ``.py`` files in ``folder``, and modules or objects with a ``register`` hook.

    Raises:
        UsageError: anything in it is wrong.
        PluginError: a plugin, or a component that is given as it is, cannot be registered.
    """
    values = parse(configuration, name="test").values if isinstance(configuration, str) else dict(configuration)
    components: list[tuple[str, type]] = []
    kinds = {**SINGLE, **SEVERAL}
    plain = {key: _plain(each, kinds.get(key, ""), components) for key, each in filled_in(values, TINY).items()}
    names, objects = _sorted(plugins)
    if names:
        plain["plugins"] = [*plain.get("plugins", []), *names]
    config = config_from_text(
        OmegaConf.to_yaml(OmegaConf.create(plain)),
        where="test",
        folder=folder,
        given=[*_given(objects), *_given([_Components(components)] if components else [], name="components")],
    )
    return dataclasses.replace(config, output=folder / "runs")


def filled_in(values: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with the sections of ``base`` that it leaves out, but for those that its preset is asked for."""
    return {key: each for key, each in base.items() if "preset" not in values or key not in OF_PRESETS} | dict(values)


def plugins_in(folder: Path, plugins: Sequence[str | object] = ()) -> Plugins:
    """The built-in plugins and those given, loaded apart from every other load; arguments as of :func:`config_in`.

    Raises:
        UsageError: one is not there.
        PluginError: one cannot be loaded.
    """
    names, objects = _sorted(plugins)
    return load_plugins(names, folder=folder, given=list(_given(objects)))


def run_in(
    folder: Path,
    configuration: Configuration,
    *,
    plugins: Sequence[str | object] = (),
    faults: Sequence[Fault] = (),
) -> "RunResult":
    """Run it to its end; what was begun in this folder under this name is continued. Arguments as of :func:`config_in`.

    ``faults`` go wrong on the way. The result's ``folder`` is that of the run.
    """
    from evoweights.runs.session import run

    return run(with_faults(config_in(folder, configuration, plugins=plugins), *faults))


def population_digest(run: Path) -> str:
    """SHA-256 over every tensor and individual of a run's newest checkpoint: what must not depend on interruptions.

    Raises:
        FileNotFoundError: the run has none.
    """
    import torch

    checkpoint = CheckpointStore(run / "checkpoints", read_only=True).latest()
    if checkpoint is None:
        raise FileNotFoundError(f"{run} has no checkpoint")
    digest = hashlib.sha256()
    for name in sorted(checkpoint.names):
        for key, tensor in sorted(checkpoint.tensors(name).items()):
            digest.update(f"{name}/{key}/{tensor.dtype}/{tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    state = dict(checkpoint.state)
    # What a process looks at once, such as whether members see each other, is done and counted again after a stop.
    progress = {key: each for key, each in state["progress"].items() if "seconds" not in key and "flops" not in key}
    digest.update(repr((state["population"], state["shared_counters"], state["champion"], progress)).encode())
    return digest.hexdigest()


def _plain(value: Any, kind: str, components: list[tuple[str, type]]) -> Any:
    """A value of a configuration with mappings in the place of components, whose kinds and classes are added to the list."""
    if isinstance(value, Mapping):
        return {key: _plain(each, "", components) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, kind, components) for each in value]
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    components.append((kind, type(value)))
    settings = {
        each.name: (getattr(value, each.name), each.metadata.get("kind", "")) for each in dataclasses.fields(value)
    }
    name: Any = getattr(value, "name", type(value).__name__)
    return {"name": name, **{key: _plain(each, held, components) for key, (each, held) in settings.items()}}


@dataclasses.dataclass(eq=False)
class _Components:
    """A plugin that offers the components that a configuration holds as they are."""

    found: list[tuple[str, type]]

    @hookimpl
    def register(self, catalog: Registrar) -> None:
        """Offer those that no plugin offers."""
        for kind, component in self.found:
            if not any(component is each.component for each in catalog.catalog.entries(kind)):
                catalog.add(kind, component)


def _given(objects: Sequence[object], *, name: str = "") -> Iterator[Plugin]:
    """Modules and other objects with hooks as plugins that have been found."""
    for index, each in enumerate(objects):
        label = name or str(getattr(each, "__name__", f"given-{index}"))
        yield Plugin(label, "a test", "0", False, lambda each=each: each)


def _sorted(plugins: Sequence[str | object]) -> tuple[list[str], list[object]]:
    """The names among the plugins, and the rest."""
    return [each for each in plugins if isinstance(each, str)], [each for each in plugins if not isinstance(each, str)]
