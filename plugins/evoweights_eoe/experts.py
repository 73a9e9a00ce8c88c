"""A language model divided into experts: consecutive blocks each, between embeddings, norm and head that all share."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from evoweights.catalog import setting
from evoweights.errors import UsageError
from evoweights.seeds import Noise, seeded

if TYPE_CHECKING:
    from torch import nn

    from evoweights.mounted import Blueprint
    from evoweights.task import Task
    from evoweights_lm.task import LanguageTask


@dataclass(frozen=True)
class Experts:
    """N experts of b consecutive decoder blocks each; embeddings, final norm and head are shared by all.

    The live model has b blocks: forward and backward touch one expert only. Expert e holds the blocks e b to (e + 1) b - 1 of the
    undivided model; a saved model is divided as it is, a fresh one gets its first weights expert by expert.
    """

    name: ClassVar[str] = "experts"
    individual: ClassVar[str] = "expert"
    source: ClassVar[str] = "Chen 2025, arXiv 2509.24436"

    blocks_per_expert: int = setting(
        2, "decoder blocks of one expert; must divide the model's; 0: all of them", unit="blocks", minimum=0
    )
    experts: int = setting(
        0,
        "how many experts there are, the first of those that the model divides into; 0: all",
        unit="experts",
        minimum=0,
    )
    home: str = setting(
        "auto",
        "where experts live that are not mounted; auto: on the accelerator if they take at most half of its free memory, "
        "else in host memory",
        choices=("auto", "device", "host", "disk"),
    )
    initial: str = setting(
        "different",
        "first weights of a fresh model: different for each expert, or the same",
        choices=("different", "same"),
    )
    residual_scale: bool = setting(
        True,
        "keep the model's own smaller first weights for residual projections; false: N(0, 0.02^2) for every matrix",
    )

    def blueprint(self, task: "Task", noise: Noise) -> "Blueprint":
        """Divide the task's language model.

        Raises:
            UsageError: the task is no language model, or its blocks cannot be divided so.
        """
        from evoweights.mounted import Blueprint
        from evoweights_eoe.blocks import copy_blocks_, copy_shared_
        from evoweights_lm.blocks import find_blocks
        from evoweights_lm.task import LanguageTask

        if not isinstance(task, LanguageTask):
            raise UsageError(
                f"population: experts divide a language model, but the task is {type(task).__name__}. "
                "Use `task: {name: language_model, ...}`, or `population: {name: individuals}`."
            )
        depth = task.config.num_hidden_layers
        blocks = self.blocks_per_expert or depth
        size = self._size(depth, blocks)
        with seeded(noise.at("individual", 0)):
            module = self._fresh(task, blocks)
        whole = task.build() if task.pretrained else None
        if whole is not None:
            copy_shared_(module, whole)
        prefix = f"{find_blocks(module)[0]}."

        def initialise(row: int) -> None:
            if whole is not None:
                copy_blocks_(module, whole, first=row * blocks)
            elif row > 0 and self.initial == "different":
                copy_blocks_(module, self._fresh(task, blocks), first=0)

        return Blueprint(
            module,
            size,
            initialise=initialise,
            is_shared=lambda name: not name.startswith(prefix),
            home=self.home,
            depth=depth,
        )

    def _size(self, depth: int, blocks: int) -> int:
        """The number of experts of so many blocks."""
        if depth < 1 or depth % blocks:
            allowed = ", ".join(str(each) for each in range(1, depth + 1) if depth % each == 0)
            raise UsageError(
                f"population.blocks_per_expert: {self.blocks_per_expert} does not divide the model's {depth} blocks. "
                f"Allowed are {allowed}, and 0 for all."
            )
        if self.experts > depth // blocks:
            raise UsageError(
                f"population.experts: found {self.experts}, but {depth} blocks make {depth // blocks} experts of {blocks}. "
                "Take fewer experts, or fewer blocks for each."
            )
        return self.experts or depth // blocks

    def _fresh(self, task: "LanguageTask", blocks: int) -> "nn.Module":
        import torch

        module = task.build(layers=blocks)
        if not self.residual_scale:
            with torch.no_grad():
                for parameter in module.parameters():
                    if parameter.ndim >= 2:
                        parameter.normal_(0.0, 0.02)
        return module
