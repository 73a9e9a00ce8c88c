"""What an evolution strategy must beat: blind search with as many evaluations, and, where there is one, the gradient."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, ClassVar

from evoweights.catalog import setting
from evoweights.comparing.control import entries_of, override
from evoweights.config.run_config import RunConfig
from evoweights_es.es import EvolutionStrategy
from evoweights_es.random_search import RandomSearch
from evoweights_es.text_reward import TextReward

PHASE = ("every", "start", "stop")
"""Settings that whatever stands in for the strategy takes over, beside its steps."""


@dataclass(frozen=True)
class BlindSearch:
    """Random search from as many evaluations of the same noise on the same batches: as many tokens and FLOPs."""

    name: ClassVar[str] = "random_search"
    source: ClassVar[str] = "evoweights; Rastrigin 1963"

    def applies(self, config: RunConfig) -> bool:
        """Whether there is an evolution strategy."""
        return _has_strategy(config)

    def overrides(self, config: RunConfig) -> list[str]:
        """Random search in the place of every strategy."""
        taken = (*PHASE, "members", "sigma", "rounding", "perturbation")
        return [_instead(config, {"name": RandomSearch.name}, taken)]


@dataclass(frozen=True)
class Gradient:
    """AdamW for as many steps on the same batches: as many tokens, and fewer FLOPs."""

    name: ClassVar[str] = "adamw"
    source: ClassVar[str] = "evoweights; Loshchilov and Hutter 2019, arXiv 1711.05101"

    learning_rate: float = setting(1.0e-3, "step size", unit="weight per step", minimum=0.0)

    def applies(self, config: RunConfig) -> bool:
        """Whether there is an evolution strategy, and a task that has a gradient."""
        return _has_strategy(config) and not isinstance(config.task, TextReward)

    def overrides(self, config: RunConfig) -> list[str]:
        """AdamW in the place of every strategy."""
        return [_instead(config, {"name": "adamw", "learning_rate": self.learning_rate}, PHASE)]


@dataclass(frozen=True)
class GradientOfEqualCost:
    """AdamW for as many FLOPs: a step costs three forward passes of the batch, one of the strategy's a pass for every member."""

    name: ClassVar[str] = "adamw_flops"
    source: ClassVar[str] = Gradient.source

    learning_rate: float = setting(1.0e-3, "step size", unit="weight per step", minimum=0.0)

    def applies(self, config: RunConfig) -> bool:
        """Whether there is an evolution strategy, and a task that has a gradient."""
        return Gradient().applies(config)

    def overrides(self, config: RunConfig) -> list[str]:
        """AdamW in the place of every strategy, with a third as many steps as that scores members."""
        settings = {"name": "adamw", "learning_rate": self.learning_rate}
        return [_instead(config, settings, PHASE, lambda entry: max(1, round(entry["steps"] * entry["members"] / 3)))]


def _has_strategy(config: RunConfig) -> bool:
    return any(isinstance(each.component, EvolutionStrategy) for each in config.improve)


def _instead(
    config: RunConfig,
    improver: Mapping[str, Any],
    taken: tuple[str, ...],
    steps: Callable[[Mapping[str, Any]], int] = itemgetter("steps"),
) -> str:
    """``improver`` in the place of every strategy, with those settings ``taken`` over, and so many ``steps``."""
    entries = [
        {**{key: entry[key] for key in taken}, "steps": steps(entry), **improver}
        if entry["name"] == EvolutionStrategy.name
        else entry
        for entry in entries_of(config, "improve")
    ]
    return override("improve", entries)
