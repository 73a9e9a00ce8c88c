"""Gene kernels: operators on neural weights written once, run on CPU, Triton and torch with equal bits.

Importing this package imports neither torch nor numba nor triton; what needs them is loaded when it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from evoweights_kernels.availability import Availability
from evoweights_kernels.bodies._limits import saturate
from evoweights_kernels.bodies.adamw import adamw_scalars
from evoweights_kernels.body import Argument, GeneKernel, gene_kernel
from evoweights_kernels.constants import NOISE_SCHEME, TILE
from evoweights_kernels.errors import CacheError, KernelError
from evoweights_kernels.functions import absolute, maximum, minimum, sqrt, where
from evoweights_kernels.roles import Chance, Gene, Normal, Scalar, State, TileScalar, Uniform
from evoweights_kernels.scalars import stream_id
from evoweights_kernels.trace import Program

if TYPE_CHECKING:
    from evoweights_kernels.call import Call
    from evoweights_kernels.launch import apply_, backends, choose_backend, generated_source, live_table
    from evoweights_kernels.noise import chances, normals, uniforms, words
    from evoweights_kernels.weighted_noise.launch import add_weighted_noise_

__all__ = [
    "NOISE_SCHEME",
    "TILE",
    "Argument",
    "Availability",
    "CacheError",
    "Call",
    "Chance",
    "Gene",
    "GeneKernel",
    "KernelError",
    "Normal",
    "Program",
    "Scalar",
    "State",
    "TileScalar",
    "Uniform",
    "absolute",
    "adamw_scalars",
    "add_weighted_noise_",
    "apply_",
    "backends",
    "chances",
    "choose_backend",
    "gene_kernel",
    "generated_source",
    "live_table",
    "maximum",
    "minimum",
    "normals",
    "saturate",
    "sqrt",
    "stream_id",
    "uniforms",
    "where",
    "words",
]

_NEED_TORCH = {
    "call": ("Call",),
    "launch": ("apply_", "backends", "choose_backend", "generated_source", "live_table"),
    "noise": ("chances", "normals", "uniforms", "words"),
    "weighted_noise.launch": ("add_weighted_noise_",),
}


def __getattr__(name: str) -> Any:
    for module, names in _NEED_TORCH.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
