"""The sizes of GPT-2 by name, and one small enough for a laptop."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """The shape of a GPT-2: ``positions`` is the longest context it is built for; a longer one is allowed.

    ``activation`` is what ``transformers`` calls GELU by tanh: ``gelu_pytorch_tanh`` is one operation, ``gelu_new`` eight, with
    as many intermediate results to keep.
    """

    layers: int
    width: int
    heads: int
    positions: int
    activation: str = "gelu_pytorch_tanh"


PRESETS = {
    "gpt2-nano": Size(layers=4, width=128, heads=4, positions=1, activation="gelu_new"),
    "gpt2-124m": Size(layers=12, width=768, heads=12, positions=1024),
    "gpt2-350m": Size(layers=24, width=1024, heads=16, positions=1024),
    "gpt2-774m": Size(layers=36, width=1280, heads=20, positions=1024),
    "gpt2-1558m": Size(layers=48, width=1600, heads=25, positions=1024),
}
"""Source: Radford et al. 2019, table 2 (parameter counts as recounted by OpenAI's released models)."""
