"""Gaussian mutation: add noise to some genes, or to all."""

from typing import Any

from evoweights_kernels.bodies._limits import saturate
from evoweights_kernels.body import gene_kernel
from evoweights_kernels.functions import where
from evoweights_kernels.roles import Chance, Gene, Normal, Scalar, TileScalar


@gene_kernel
def gaussian_mutation(x: Gene, scale: TileScalar, sigma: Scalar, touched: Chance, z: Normal) -> Gene:
    """Add sigma scale z to each gene with probability `touched`.

    A scale of 1 makes sigma absolute; the root mean square of the segment makes it relative. A negative sigma adds
    the same noise with the other sign. Genes not touched keep their bytes, and so do all with sigma 0.

    Source: Rechenberg 1973, "Evolutionsstrategie"; Back & Schwefel 1993, "An overview of evolutionary algorithms for
    parameter optimization".
    """
    step = _step(scale, sigma, z)
    return where(touched & (step != 0.0), x + step, x)


@gene_kernel
def gaussian_mutation_of_all(x: Gene, scale: TileScalar, sigma: Scalar, z: Normal) -> Gene:
    """Add sigma scale z to every gene: the bits of `gaussian_mutation` with probability 1, for half its noise.

    Source: as `gaussian_mutation`.
    """
    step = _step(scale, sigma, z)
    return where(step != 0.0, x + step, x)


gaussian_mutation_16 = gaussian_mutation.with_bits({"touched": 16, "z": 16}, name="gaussian_mutation_16")
"""`gaussian_mutation` from 16 random bits a draw, half the work: `touched` is a multiple of 2^-16, and |z| ends at 4.71
instead of 5.77."""

gaussian_mutation_of_all_16 = gaussian_mutation_of_all.with_bits({"z": 16}, name="gaussian_mutation_of_all_16")
"""`gaussian_mutation_of_all` from 16 random bits a gene, half the work: |z| ends at 4.71 instead of 5.77. The bits of
`gaussian_mutation_16` with probability 1."""


def _step(scale: Any, sigma: Any, z: Any) -> Any:
    return where(sigma == 0.0, 0.0, saturate(sigma * scale)) * z
