"""The whole model instead of its experts: for as many tokens, or for as many FLOPs."""

import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from evoweights.comparing.control import override
from evoweights.config.run_config import RunConfig
from evoweights_eoe.controls import SOURCE
from evoweights_eoe.experts import Experts

WHOLE = (override("population.blocks_per_expert", 0), override("population.experts", 0), "vary=[]")


@dataclass(frozen=True)
class FullDepth:
    """The undivided model, trained on as many tokens: more FLOPs a token, and a larger model in the end."""

    name: ClassVar[str] = "full_depth"
    source: ClassVar[str] = SOURCE

    def applies(self, config: RunConfig) -> bool:
        """Whether the population is one of experts."""
        return isinstance(config.population, Experts)

    def overrides(self, config: RunConfig) -> list[str]:
        """One expert of all blocks, no operators."""
        del config  # unused: it is the same for all
        return [*WHOLE]


@dataclass(frozen=True)
class FullDepthFlops:
    """The undivided model, trained for as many FLOPs: fewer generations, over which its learning rate is scheduled."""

    name: ClassVar[str] = "full_depth_flops"
    source: ClassVar[str] = SOURCE

    def applies(self, config: RunConfig) -> bool:
        """Whether the population is one of experts."""
        return isinstance(config.population, Experts)

    def overrides(self, config: RunConfig) -> list[str]:
        """One expert of all blocks, no operators, and generations in proportion."""
        return [*WHOLE, override("generations", max(1, round(config.generations / flop_ratio(config))))]


def flop_ratio(config: RunConfig) -> float:
    """FLOPs of a training step of the whole model, in those of a step of one expert."""
    import torch

    from evoweights.runs.memory import without_content
    from evoweights.runs.session import open_task
    from evoweights_lm.task import LanguageTask

    with tempfile.TemporaryDirectory() as folder:
        task = open_task(config, Path(folder), torch.device("cpu"))
        assert isinstance(task, LanguageTask)  # experts refuse any other
        depth = task.config.num_hidden_layers
        with without_content() if task.sketches else nullcontext():
            modules = [task.build(layers=each) for each in (depth, config.population.blocks_per_expert or depth)]
            whole, expert = (task.flops(module) for module in modules)
    return whole / expert
