"""A genome that is mounted: a live module's parameters are views of its buffer, or of a rounded copy of it."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from evoweights.errors import UsageError
from evoweights.genome import Layout


@dataclass
class Part:
    """A mounted genome: buffers that a live module's parameters are views of, with their optimizer state.

    ``weights`` are the genome, ``[size]`` in the layout's dtype. The module's parameters are views of ``compute``: the
    same tensor, or a copy in another dtype, then rounded from the genome by :meth:`refresh_`. ``gradient`` is ``[size]`` in
    the dtype of ``compute``, or empty in a run that takes no gradients; ``slots`` are ``[size]`` by name; ``counters`` are the
    whole numbers that belong to them, such as an optimizer's step count.
    """

    layout: Layout
    weights: Tensor
    gradient: Tensor
    compute: Tensor
    slots: dict[str, Tensor] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    _live: dict[tuple[str, ...], Tensor | None] = field(default_factory=dict)
    _rounded: int = -1

    @property
    def takes_gradients(self) -> bool:
        """Whether there is a buffer for gradients."""
        return self.gradient.numel() == self.layout.size

    def refresh_(self) -> None:
        """Round the genome to what the module computes with, if it was written since the last time."""
        if self.compute is not self.weights and self.weights._version != self._rounded:
            self.compute.copy_(self.weights)
            self._rounded = self.weights._version

    def buffers(self) -> list[Tensor]:
        """Everything that stays allocated for it, each buffer once."""
        buffers = (self.weights, self.compute, self.gradient, *self.slots.values())
        return list({id(each): each for each in buffers}.values())

    def live(self, roles: tuple[str, ...]) -> Tensor | None:
        """Table of the genes that have one of these roles, see :meth:`Layout.live`; None if there are none."""
        if roles not in self._live:
            segments = [each for each in self.layout.segments if each.role in roles and each.count]
            table = self.layout.live(segments, device=self.weights.device)
            self._live[roles] = table if segments else None
        return self._live[roles]


def mount_(module: nn.Module, layout: Layout, *, device: torch.device | str, gradient: bool = True) -> Part:
    """Move the layout's parameters of ``module`` into one buffer on ``device`` and make them views of it.

    Without ``gradient`` there is no buffer for gradients, and the parameters have none.
    """
    weights = torch.zeros(layout.size, dtype=layout.dtype, device=device)
    parameters = dict(module.named_parameters())
    with torch.no_grad():
        for segment in layout.segments:
            segment.view(weights).copy_(parameters[segment.name])
    part = Part(layout, weights, torch.zeros_like(weights) if gradient else weights.new_empty(0), weights)
    _attach_(module, part)
    return part


def compute_in_(module: nn.Module, part: Part, dtype: torch.dtype) -> None:
    """Let a mounted module compute with a copy of its genome in ``dtype``; its gradient has that dtype too."""
    if dtype != part.compute.dtype:
        part.compute, part.gradient = part.weights.to(dtype), torch.zeros_like(part.gradient, dtype=dtype)
        _attach_(module, part)


def _attach_(module: nn.Module, part: Part) -> None:
    parameters = dict(module.named_parameters())
    for segment in part.layout.segments:
        parameter = parameters[segment.name]
        parameter.grad = None
        parameter.data = segment.view(part.compute)
        has_gradient = segment.role != "frozen" and part.takes_gradients
        parameter.grad = segment.view(part.gradient) if has_gradient else None


def check_mounted(module: nn.Module, part: Part) -> None:
    """Make sure that the module's parameters still are views of the buffer.

    Raises:
        UsageError: something replaced a parameter's storage (``.to``, ``copy.deepcopy``, ``.data =``) or its gradient's
            (``zero_grad``).
    """
    parameters: dict[str, Any] = dict(module.named_parameters())
    for segment in part.layout.segments:
        if parameters[segment.name].data_ptr() != segment.view(part.compute).data_ptr() and segment.count:
            raise UsageError(
                f"Parameter {segment.name!r} has left its genome: its storage was replaced. Do not call .to() or "
                "assign .data on a mounted module; change values in place instead."
            )
        if segment.role == "frozen" or not part.takes_gradients:
            continue
        gradient = parameters[segment.name].grad
        at_home = gradient is not None and gradient.data_ptr() == segment.view(part.gradient).data_ptr()
        if not at_home and segment.count:
            raise UsageError(
                f"The gradient of {segment.name!r} has left its genome, so nothing was learned from it. A task must not call "
                "zero_grad() or assign .grad; improvers zero the gradients."
            )
