"""The decoder blocks of a Hugging Face model: where they are, and computing them twice to save memory."""

import functools
from typing import Any, cast

from torch import nn
from torch.utils.checkpoint import checkpoint

from evoweights.errors import UsageError


def find_blocks(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """The name and the list of the decoder blocks of a Hugging Face model.

    It is the one list of ``config.num_hidden_layers`` modules, all of one class.

    Raises:
        UsageError: the model has no such list, or several.
    """
    depth = cast(Any, model).config.num_hidden_layers
    found = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == depth and len({type(each) for each in module}) == 1
    ]
    outer = [(name, each) for name, each in found if not any(name.startswith(f"{other}.") for other, _ in found)]
    if len(outer) != 1:
        names = ", ".join(name for name, _ in outer) or "none"
        raise UsageError(
            f"task.model: expected one list of {depth} decoder blocks in {type(model).__name__}, found {names}. "
            "Experts, recompute and compile need a decoder-only model such as GPT-2, Llama or Qwen."
        )
    return outer[0]


def recompute_(model: nn.Module, what: str) -> None:
    """Let the backward pass compute again what lies inside of every block's ``mlp``, or of all ``blocks``, or ``none``.

    Values and gradients stay what they are, to the bit where the same operations give the same bits twice.
    Source: Chen et al. 2016, arXiv 1604.06174.

    Raises:
        UsageError: the blocks have no part called mlp.
    """
    if what == "none":
        return
    classes: dict[type[nn.Module], type[nn.Module]] = {}
    for block in find_blocks(model)[1]:
        part = block if what == "blocks" else dict(block.named_children()).get("mlp")
        if part is None:
            raise UsageError(
                f"task.recompute: a {type(block).__name__} has no part called mlp, which could be computed again. "
                "Use blocks or none."
            )
        plain = type(part)
        if plain not in classes:
            classes[plain] = _recomputing(plain)
        part.__class__ = classes[plain]


def _recomputing(plain: type[nn.Module]) -> type[nn.Module]:
    """The class of modules that compute their forward again; of a class, so that compiled blocks can share one graph."""

    def forward(self: nn.Module, *arguments: Any, **named: Any) -> Any:  # whatever the model's own blocks take
        again = functools.partial(plain.forward, self)
        # Without dropout there is no random state to keep.
        return checkpoint(again, *arguments, use_reentrant=False, preserve_rng_state=False, **named)

    return type(plain.__name__, (plain,), {"forward": forward})
