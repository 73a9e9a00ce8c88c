"""A call: one gene kernel, the tensors it acts on, its scalars and its streams."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isnan
from typing import final

import torch
from torch import Tensor

from evoweights_kernels.body import ROUNDING, Argument, GeneKernel
from evoweights_kernels.constants import TILE
from evoweights_kernels.errors import KernelError
from evoweights_kernels.roles import Chance, Gene, Scalar, State, TileScalar
from evoweights_kernels.scalars import chance_threshold

STORAGE_DTYPES = (torch.float32, torch.bfloat16)


@final
@dataclass(frozen=True)
class Call:
    """A gene kernel with everything it needs but the seed.

    `tensors` holds every Gene and State (flat, contiguous, one length, float32 or bfloat16) and every TileScalar
    (float32, one per tile); `scalars` every Scalar and the probability of every Chance; `streams` a 64-bit
    integer per noise argument (`stream_id` makes one from a path). A stream named "rounding" rounds a bfloat16
    target stochastically; a float32 target takes no notice of it.

    Raises:
        KernelError: something is missing, unknown, of the wrong shape, dtype or device, or out of range.
    """

    kernel: GeneKernel
    tensors: Mapping[str, Tensor]
    scalars: Mapping[str, float]
    streams: Mapping[str, int]

    def __post_init__(self) -> None:
        arguments = self.kernel.arguments
        self._check_names("tensors", self.tensors, (a.name for a in arguments if a.role in _TENSOR_ROLES))
        self._check_names("scalars", self.scalars, (a.name for a in arguments if a.role in (Scalar, Chance)))
        noise = [a.name for a in arguments if a.is_noise]
        self._check_names("streams", self.streams, noise, optional=(ROUNDING,))
        for argument in arguments:
            if argument.role in _TENSOR_ROLES:
                self._check_tensor(argument)
            elif argument.role in (Scalar, Chance):
                self._check_scalar(argument)
        for name, stream in self.streams.items():
            if isinstance(stream, bool) or not isinstance(stream, int):
                raise self._error(f"stream {name!r} must be an integer (see stream_id), found {stream!r}")

    @property
    def target(self) -> Tensor:
        """The tensor that is written."""
        return self.tensors[self.kernel.target]

    @property
    def rounding(self) -> int | None:
        """The stream that rounds the target, None when it is rounded to nearest or needs no rounding."""
        return self.streams.get(ROUNDING) if self.target.dtype == torch.bfloat16 else None

    def _error(self, message: str) -> KernelError:
        return KernelError(f"call of {self.kernel.name!r}: {message}")

    def _check_names(
        self, what: str, given: Mapping[str, object], wanted: Iterable[str], *, optional: tuple[str, ...] = ()
    ) -> None:
        wanted = list(wanted)
        missing = [name for name in wanted if name not in given]
        unknown = [name for name in given if name not in wanted and name not in optional]
        if missing or unknown:
            found = [f"missing {missing}"] * bool(missing) + [f"unknown {unknown}"] * bool(unknown)
            raise self._error(f"{what}: {' and '.join(found)}; it takes exactly {wanted}")

    def _check_tensor(self, argument: Argument) -> None:
        name, tensor, target = argument.name, self.tensors[argument.name], self.target
        if not isinstance(tensor, Tensor) or tensor.dim() != 1 or not tensor.is_contiguous():
            raise self._error(f"{name!r} must be a flat contiguous tensor, found {_describe(tensor)}")
        if tensor.device != target.device:
            raise self._error(f"{name!r} lies on {tensor.device}, the target on {target.device}; move one of them")
        is_table = argument.role is TileScalar
        length = -(-target.numel() // TILE) if is_table else target.numel()
        if tensor.numel() != length:
            unit = f"one value per tile of {TILE} genes" if is_table else "the target's length"
            raise self._error(f"{name!r} has {tensor.numel()} elements; needed are {length}, {unit}")
        allowed = (torch.float32,) if is_table else STORAGE_DTYPES
        if tensor.dtype not in allowed:
            raise self._error(f"{name!r} is {tensor.dtype}; allowed are {', '.join(map(str, allowed))}")

    def _check_scalar(self, argument: Argument) -> None:
        value = self.scalars[argument.name]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or isnan(value):
            raise self._error(f"scalar {argument.name!r} must be a number, found {value!r}")
        if argument.role is Chance:
            try:
                chance_threshold(value, argument.bits)
            except KernelError as error:
                raise self._error(f"{argument.name!r}: {error}") from error


_TENSOR_ROLES = (Gene, State, TileScalar)


def _describe(tensor: object) -> str:
    if not isinstance(tensor, Tensor):
        return type(tensor).__name__
    return f"shape {tuple(tensor.shape)}, stride {tensor.stride()}"
