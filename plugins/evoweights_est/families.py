"""What the decoder blocks of a language model are made of: where their heads and neurons lie in which parameters.

Two families are known, by their structure: that of GPT-2 (queries, keys and values in one matrix of inputs times outputs)
and that of Llama (a matrix of outputs times inputs for each; fewer key-value heads than query heads; a gated MLP).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from evoweights.errors import UsageError

QUERY, KEY_VALUE, NEURON = "query", "key_value", "neuron"


@dataclass(frozen=True)
class Cut:
    """How a parameter follows the units that are picked: along ``dim``, each unit ``width`` places wide, ``copies`` of all."""

    unit: str
    dim: int
    width: int = 1
    copies: int = 1


@dataclass(frozen=True, eq=False)
class Block:
    """A decoder block: ``cuts`` are its parameters that heads and neurons lie in, by their names in the model.

    ``key_values`` heads serve ``queries_each`` query heads each. ``outputs`` are the projections back to the residual stream.
    """

    path: str
    module: nn.Module
    attention: nn.Module
    outputs: Mapping[str, nn.Module]
    cuts: Mapping[str, Cut]
    head_width: int
    key_values: int
    queries_each: int
    neurons: int
    is_fused: bool

    def units(self, unit: str) -> int:
        """How many of a unit the block has."""
        return {
            QUERY: self.key_values * self.queries_each,
            KEY_VALUE: self.key_values,
            NEURON: self.neurons,
        }[unit]

    def attributes(self, queries: int, key_values: int) -> dict[str, int]:
        """What its attention must believe of itself to compute with so many heads."""
        if self.is_fused:
            return {"num_heads": queries, "split_size": queries * self.head_width}
        return {"num_key_value_groups": queries // key_values}


def blocks_of(model: nn.Module) -> tuple[Block, ...]:
    """The decoder blocks of a language model, in their order.

    Raises:
        UsageError: it has none, or they are of neither family.
    """
    from transformers import PreTrainedModel

    from evoweights_lm.blocks import find_blocks

    if not isinstance(model, PreTrainedModel):
        raise _unknown(type(model).__name__, "has no attention heads")
    path, modules = find_blocks(model)
    parameters = [id(each) for module in modules for each in module.parameters()]
    if len(set(parameters)) < len(parameters):
        raise _unknown(type(modules[0]).__name__, "shares parameters with other layers")
    return tuple(_block(f"{path}.{number}", module) for number, module in enumerate(modules))


def _block(path: str, module: nn.Module) -> Block:
    children = dict(module.named_children())
    read = {"attn": _gpt2, "self_attn": _llama}
    known = [name for name in read if name in children]
    if len(known) != 1 or "mlp" not in children or "crossattention" in children:
        raise _unknown(type(module).__name__, f"consists of {', '.join(children) or 'nothing'}")
    return read[known[0]](path, module, children[known[0]], children["mlp"])


def _gpt2(path: str, module: nn.Module, attention: nn.Module, mlp: nn.Module) -> Block:
    from transformers.pytorch_utils import Conv1D

    mixed, projected = _layers(attention, ("c_attn", "c_proj"), Conv1D)
    widened, narrowed = _layers(mlp, ("c_fc", "c_proj"), Conv1D)
    width, inner, neurons = _head_width(attention), projected.weight.shape[0], widened.weight.shape[1]
    if mixed.weight.shape[1] != 3 * inner or inner % width or narrowed.weight.shape[0] != neurons:
        raise _unknown(type(module).__name__, "has matrices of other shapes than GPT-2's")
    cuts = {
        "attn.c_attn.weight": Cut(QUERY, 1, width, 3),
        "attn.c_attn.bias": Cut(QUERY, 0, width, 3),
        "attn.c_proj.weight": Cut(QUERY, 0, width),
        "mlp.c_fc.weight": Cut(NEURON, 1),
        "mlp.c_fc.bias": Cut(NEURON, 0),
        "mlp.c_proj.weight": Cut(NEURON, 0),
    }
    return Block(
        path, module, attention,
        outputs={QUERY: projected, NEURON: narrowed},
        cuts={f"{path}.{name}": cut for name, cut in cuts.items()},
        head_width=width, key_values=inner // width, queries_each=1, neurons=neurons, is_fused=True,
    )  # fmt: skip


def _llama(path: str, module: nn.Module, attention: nn.Module, mlp: nn.Module) -> Block:
    width = _head_width(attention)
    q, k, v, o = _layers(attention, ("q_proj", "k_proj", "v_proj", "o_proj"), nn.Linear, norms=width)
    gate, up, down = _layers(mlp, ("gate_proj", "up_proj", "down_proj"), nn.Linear)
    queries, keys, neurons = (len(each.weight) for each in (q, k, gate))
    is_whole = queries % width == keys % width == 0 and queries % keys == 0
    if not is_whole or o.weight.shape[1] != queries or len(v.weight) != keys:
        raise _unknown(type(module).__name__, "has attention matrices of other shapes than Llama's")
    if len(up.weight) != neurons or down.weight.shape[1] != neurons:
        raise _unknown(type(module).__name__, "has MLP matrices of other shapes than Llama's")
    cuts = {"self_attn.o_proj.weight": Cut(QUERY, 1, width), "mlp.down_proj.weight": Cut(NEURON, 1)}
    rows = {
        "self_attn.q_proj": Cut(QUERY, 0, width),
        "self_attn.k_proj": Cut(KEY_VALUE, 0, width),
        "self_attn.v_proj": Cut(KEY_VALUE, 0, width),
        "mlp.gate_proj": Cut(NEURON, 0),
        "mlp.up_proj": Cut(NEURON, 0),
    }
    names = [name for name, _ in module.named_parameters()]
    cuts |= {name: cut for layer, cut in rows.items() for name in names if name.rpartition(".")[0] == layer}
    return Block(
        path, module, attention,
        outputs={QUERY: o, NEURON: down},
        cuts={f"{path}.{name}": cut for name, cut in cuts.items()},
        head_width=width, key_values=keys // width, queries_each=queries // keys, neurons=neurons, is_fused=False,
    )  # fmt: skip


def _layers(module: nn.Module, names: Sequence[str], kind: type[nn.Module], *, norms: int = 0) -> list[Any]:
    """The layers of these names, if they hold all parameters of ``module`` but norms of vectors ``norms`` wide."""
    found = [each for name, each in module.named_children() if name in names and type(each) is kind]
    of_heads = [name for name, each in module.named_parameters() if "norm" in name and tuple(each.shape) == (norms,)]
    known = {f"{name}.{which}" for name in names for which in ("weight", "bias")} | set(of_heads)
    others = [name for name, _ in module.named_parameters() if name not in known]
    if len(found) != len(names) or others:
        has = f"has the parameter {others[0]}" if others else f"lacks a {kind.__name__} among {', '.join(names)}"
        raise _unknown(type(module).__name__, has)
    return [dict(module.named_children())[name] for name in names]


def _head_width(attention: nn.Module) -> int:
    width = vars(attention).get("head_dim")
    if not isinstance(width, int):
        raise _unknown(type(attention).__name__, "does not say how wide a head is (head_dim)")
    return width


def _unknown(found: str, why: str) -> UsageError:
    return UsageError(
        "improve est: it draws heads and neurons of models built like GPT-2 or like Llama (Mistral, Qwen2, Qwen3), but found "
        f"{found}, which {why}. Use such a model, or improve with the optimizer alone."
    )
