"""What evolving subnetwork training must beat: its optimizer on the whole model."""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, ClassVar

from evoweights.comparing.control import entries_of, override
from evoweights.config.run_config import RunConfig
from evoweights_est.est import SubnetworkTraining
from evoweights_est.shares import Shares

if TYPE_CHECKING:
    from evoweights_est.families import Block

SOURCE = "evoweights, for Evolving Subnetwork Training, arXiv 2406.06962"
LOOKED_AT = 1000
"""Steps that stand for a run when the costs of its stages are averaged."""


@dataclass(frozen=True)
class Full:
    """The same optimizer on the whole model in every step: as many tokens, more FLOPs."""

    name: ClassVar[str] = "full"
    source: ClassVar[str] = SOURCE

    def applies(self, config: RunConfig) -> bool:
        """Whether anything is trained by subnetworks."""
        return any(isinstance(each.component, SubnetworkTraining) for each in config.improve)

    def overrides(self, config: RunConfig) -> list[str]:
        """The optimizer in the place of every `est`."""
        return [_whole(config)]


@dataclass(frozen=True)
class FullFlops:
    """The same optimizer on the whole model for as many FLOPs: fewer generations, over which its learning rate is scheduled."""

    name: ClassVar[str] = "full_flops"
    source: ClassVar[str] = SOURCE

    def applies(self, config: RunConfig) -> bool:
        """Whether everything is trained by subnetworks."""
        return bool(config.improve) and all(isinstance(each.component, SubnetworkTraining) for each in config.improve)

    def overrides(self, config: RunConfig) -> list[str]:
        """The optimizer alone, and generations in proportion."""
        return [_whole(config), override("generations", max(1, round(config.generations * relative_cost(config))))]


def _whole(config: RunConfig) -> str:
    entries = []
    for entry in entries_of(config, "improve"):
        phase = {key: entry[key] for key in ("every", "start", "stop")}
        entries.append({**phase, **entry["optimizer"]} if entry["name"] == SubnetworkTraining.name else entry)
    return override("improve", entries)


def relative_cost(config: RunConfig) -> float:
    """FLOPs of a run that trains by subnetworks, in those of training the whole model for as many steps."""
    import torch

    from evoweights.runs.memory import without_content
    from evoweights.runs.session import open_task
    from evoweights.seeds import Noise
    from evoweights_est.families import blocks_of

    improver = config.improve[0].component
    with tempfile.TemporaryDirectory() as folder:
        task = open_task(config, Path(folder), torch.device("cpu"))
        with without_content() if task.sketches else nullcontext():
            module = config.population.blueprint(task, Noise(config.seed)).module
            blocks = blocks_of(module)
            stages = [improver.shares_at(step, LOOKED_AT) for step in range(1, LOOKED_AT + 1)]
            costs = {shares: task.flops(module, _shares_of(blocks, shares)) for shares in set(stages)}
            return mean(costs[shares] for shares in stages) / task.flops(module)


def _shares_of(blocks: "Sequence[Block]", shares: Shares) -> Callable[[str], float]:
    """The mean share of each parameter that steps of a stage compute with."""
    from evoweights_est.drawing import kept, kept_heads
    from evoweights_est.families import KEY_VALUE, NEURON, QUERY

    layers = kept(shares.layers, len(blocks)) / len(blocks)
    found = {}
    for block in blocks:
        queries, key_values = kept_heads(shares.heads, block.key_values, block.queries_each)
        sizes = {QUERY: queries, KEY_VALUE: key_values, NEURON: kept(shares.neurons, block.neurons)}
        for name, cut in block.cuts.items():
            found[name] = layers * sizes[cut.unit] / block.units(cut.unit)
    return lambda name: found.get(name, 1.0)
