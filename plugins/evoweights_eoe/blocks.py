"""The blocks of a decoder-only Hugging Face model: how they are copied, and how a divided model is put together again."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from evoweights.errors import UsageError
from evoweights_lm.blocks import find_blocks

if TYPE_CHECKING:
    from torch import nn

    from evoweights.mounted import Mounted
    from evoweights.population import Population
    from evoweights_lm.task import LanguageTask


def copy_blocks_(target: "nn.Module", source: "nn.Module", *, first: int, into: int = 0) -> None:
    """Copy the parameters and buffers of blocks of ``source``, from its block ``first`` on, into blocks of ``target``.

    As many are copied as the shorter of the two lists still has; the first goes into block ``into``.
    """
    import torch

    (_, targets), (_, sources) = find_blocks(target), find_blocks(source)
    with torch.no_grad():
        for own, other in zip(targets[into:], sources[first:], strict=False):
            values = other.state_dict()
            for name, tensor in own.state_dict(keep_vars=True).items():
                tensor.data.copy_(values[name])


def copy_shared_(target: "nn.Module", source: "nn.Module") -> None:
    """Copy everything outside the blocks of ``source`` into ``target``: embeddings, final norm, head."""
    import torch

    prefix = f"{find_blocks(target)[0]}."
    values = source.state_dict()
    with torch.no_grad():
        for name, tensor in target.state_dict(keep_vars=True).items():
            if not name.startswith(prefix):
                tensor.data.copy_(values[name])


def undivided(task: "LanguageTask", population: "Population", mounted: "Mounted") -> "nn.Module":
    """The whole model: the blocks of all experts in their order between the shared embeddings and head.

    Raises:
        UsageError: some of its blocks are in no expert.
    """
    whole = task.build()
    if population.size < len(list(_starts(whole, mounted.module))):
        raise UsageError(
            "The model cannot be put together again: with population.experts some blocks are in no expert."
        )
    copy_shared_(whole, mounted.module)
    for row, first in enumerate(_starts(whole, mounted.module)):
        mounted.load(population, row)
        copy_blocks_(whole, mounted.module, first=0, into=first)
    return whole


def _starts(whole: "nn.Module", expert: "nn.Module") -> Iterator[int]:
    """The number, in the whole model, of the first block of every expert."""
    yield from range(0, len(find_blocks(whole)[1]), len(find_blocks(expert)[1]))
