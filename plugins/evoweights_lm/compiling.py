"""``torch.compile`` for decoder blocks, where it pays, and a way back that says so."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch
from torch import nn

from evoweights.errors import UsageError
from evoweights.ledger.eager import eagerly
from evoweights_lm.blocks import find_blocks

BACKEND = "inductor"
_LOG = logging.getLogger("evoweights.language_model")
Result = TypeVar("Result")


class Compiling:
    """Whether blocks are compiled: by ``setting`` ``on`` always, ``off`` never, ``auto`` on CUDA devices, where it pays.

    With ``auto``, what cannot be compiled runs as it is written from then on, after one warning in the log.
    """

    def __init__(self, setting: str, device: torch.device) -> None:
        self.is_required = setting == "on"
        self.is_active = self.is_required or (setting == "auto" and device.type == "cuda")

    def compile_(self, model: nn.Module) -> None:
        """Let the blocks be compiled, each when it is first called; equal blocks share one graph.

        Parameters are inputs of the graph, so that other weights in the same buffers compile nothing anew.
        """
        if not self.is_active:
            return
        try:
            for block in find_blocks(model)[1]:
                block.compile(backend=BACKEND, dynamic=False)
        except UsageError as error:
            self._give_up(model, str(error))

    def run(self, call: Callable[[], Result], model: nn.Module) -> Result:
        """What ``call`` gives; if compiling ``model`` fails in it, called again without.

        Raises:
            UsageError: compiling fails, but was required.
        """
        if not self.is_active:
            return call()
        from torch._dynamo.exc import TorchDynamoException

        try:
            return call()
        except TorchDynamoException as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            self._give_up(model, " ".join([f"{type(error).__name__}:", *lines[:2]]))
        return call()

    def eagerly(self) -> AbstractContextManager[object]:
        """A context without compiling: for texts, whose length changes with every token."""
        return eagerly() if self.is_active else nullcontext()

    def _give_up(self, model: nn.Module, cause: str) -> None:
        if self.is_required:
            raise UsageError(f"task.compile: on, but the model cannot be compiled ({cause}). Use auto or off.")
        _LOG.warning("torch.compile is not used: %s", cause)
        self.is_active = False
        for module in model.modules():
            module._compiled_call_impl = None
