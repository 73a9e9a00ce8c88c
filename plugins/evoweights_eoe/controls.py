"""What EOE must beat: the model of one expert alone, evolution that only copies, and the whole model.

Every control has the seed, the data in the same order, the schedule of the learning rate and the number of steps of the
run that it is beside, unless it says otherwise; a single model begins with the first weights of expert 0.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from evoweights.comparing.control import entries_of, override
from evoweights.config.run_config import RunConfig
from evoweights.operators import PairOperator
from evoweights_eoe.experts import Experts

SOURCE = "evoweights, for EOE: Chen 2025, arXiv 2509.24436"
ALONE = override("population.experts", 1)
LIKE_AN_EVENT = ("every", "start", "stop", "direction", "scope", "best_by", "rounding")
"""Settings of the first operator that one in its place takes over."""


@dataclass(frozen=True)
class _OfExperts(ABC):
    """A control of runs that divide a language model into experts."""

    source: ClassVar[str] = SOURCE

    def applies(self, config: RunConfig) -> bool:
        """Whether the population is one of experts."""
        return isinstance(config.population, Experts)

    @abstractmethod
    def overrides(self, config: RunConfig) -> Sequence[str]:
        """What it changes."""


@dataclass(frozen=True)
class _OfEvents(_OfExperts, ABC):
    """A control of runs in which operators act between experts."""

    def applies(self, config: RunConfig) -> bool:
        """Whether there are experts and operators."""
        return super().applies(config) and bool(config.vary)


@dataclass(frozen=True)
class Dense(_OfExperts):
    """The blocks of one expert as a model alone, trained in every turn: what EOE's best expert is at the same tokens."""

    name: ClassVar[str] = "dense"

    def overrides(self, config: RunConfig) -> list[str]:
        """One expert, no operators."""
        del config  # unused: it is the same for all
        return [ALONE, "vary=[]"]


@dataclass(frozen=True)
class DenseReset(_OfExperts):
    """The dense model, the moments of its blocks set back to zero after every turn, as a switch of experts does to them."""

    name: ClassVar[str] = "dense_reset"

    def overrides(self, config: RunConfig) -> list[str]:
        """One expert that is rewritten as it is."""
        del config  # unused: it is the same for all
        untouched = {"name": "mutation", "rate": 0.0, "sigma": 0.0, "direction": "current"}
        return [ALONE, override("vary", [untouched]), "optimizer_state=reset"]


@dataclass(frozen=True)
class DenseNoise(_OfExperts):
    """The dense model with the noise of an event after every turn: 1/3 of the turn's change on 40 % of the matrices."""

    name: ClassVar[str] = "dense_noise"

    def overrides(self, config: RunConfig) -> list[str]:
        """One expert, one operator."""
        del config  # unused: it is the same for all
        return [ALONE, override("vary", [{"name": "last_change_noise", "direction": "current"}])]


@dataclass(frozen=True)
class NoEvolution(_OfEvents):
    """The same experts in the same turns without operators: each sees its share of the tokens alone."""

    name: ClassVar[str] = "no_evolution"

    def overrides(self, config: RunConfig) -> list[str]:
        """No operators."""
        del config  # unused: it is the same for all
        return ["vary=[]"]


@dataclass(frozen=True)
class Copy(_OfEvents):
    """Evolution as plain copying: in place of the operators the leader's genes are taken as they are."""

    name: ClassVar[str] = "copy"

    def overrides(self, config: RunConfig) -> list[str]:
        """Crossover of all genes."""
        return [_instead(config, {"name": "crossover", "rate": 1.0})]


@dataclass(frozen=True)
class CopyMoments(_OfEvents):
    """Evolution as plain copying, with the moments that belong to the copied weights."""

    name: ClassVar[str] = "copy_moments"

    def overrides(self, config: RunConfig) -> list[str]:
        """Crossover of all genes and their moments."""
        return [_instead(config, {"name": "crossover", "rate": 1.0}), "optimizer_state=copy"]


@dataclass(frozen=True)
class SwarmOnly(_OfEvents):
    """The swarm step alone, without crossover or mutation."""

    name: ClassVar[str] = "pso"

    def overrides(self, config: RunConfig) -> list[str]:
        """The swarm steps of the run, or one as published."""
        steps = [entry for entry in entries_of(config, "vary") if entry["name"] == "pso"]
        return [override("vary", steps) if steps else _instead(config, {"name": "pso", "social": 2.0})]


@dataclass(frozen=True)
class MixOnly(_OfEvents):
    """The deterministic mix of EOE's published code, a tenth of the way to the leader, in place of the operators."""

    name: ClassVar[str] = "mix"

    def overrides(self, config: RunConfig) -> list[str]:
        """A mix."""
        return [_instead(config, {"name": "mix"})]


@dataclass(frozen=True)
class BestToCurrent(_OfEvents):
    """The direction that the paper states: whoever has trained learns from the best."""

    name: ClassVar[str] = "best_to_current"

    def overrides(self, config: RunConfig) -> list[str]:
        """The direction of every operator."""
        return _turned(config, self.name)


@dataclass(frozen=True)
class CurrentToOthers(_OfEvents):
    """The direction of the published code: whoever has trained overwrites all the others."""

    name: ClassVar[str] = "current_to_others"

    def overrides(self, config: RunConfig) -> list[str]:
        """The direction of every operator."""
        return _turned(config, self.name)


def _instead(config: RunConfig, operator: Mapping[str, Any]) -> str:
    """One operator in place of all, at the same events and between the same experts as the first of them."""
    first = entries_of(config, "vary")[0]
    return override("vary", [{**{key: first[key] for key in LIKE_AN_EVENT if key in first}, **operator}])


def _turned(config: RunConfig, direction: str) -> list[str]:
    between = [index for index, each in enumerate(config.vary) if isinstance(each.component, PairOperator)]
    return [override(f"vary.{index}.direction", direction) for index in between]
