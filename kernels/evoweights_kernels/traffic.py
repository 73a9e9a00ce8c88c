"""What a pipeline of kernels costs per gene, computed from what it does: bytes moved, and Philox calls."""

from collections.abc import Sequence
from fractions import Fraction

from evoweights_kernels.body import GeneKernel
from evoweights_kernels.fuse import BFLOAT16, Fused, fuse_kernels


def bytes_per_gene(fused: Fused) -> int:
    """Bytes read and written per gene of one launch: each tensor that is used once, each that is written once more."""
    read = {op.index for op in fused.ops if op.code == "load"}
    moved = [*read, *(slot for slot, _ in fused.stores)]
    return sum(2 if fused.slots[slot] == BFLOAT16 else 4 for slot in moved)


def philox_per_gene(fused: Fused) -> Fraction:
    """Calls of Philox4x32-10 per gene of one launch: a call gives 128 bits."""
    return sum((Fraction(noise.bits, 128) for noise in fused.noises if noise.as_bits or noise.as_normal), Fraction(0))


def cost(kernels: GeneKernel | Sequence[GeneKernel], *, storage: str = "float32") -> tuple[int, Fraction]:
    """Bytes and Philox calls per gene of kernels fused into one launch, arguments of one name being one tensor."""
    pipeline = [kernels] if isinstance(kernels, GeneKernel) else kernels
    fused = fuse_kernels(pipeline, storage=storage)
    return bytes_per_gene(fused), philox_per_gene(fused)
