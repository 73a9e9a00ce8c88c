"""Gaussian mutation: add noise to some genes."""

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
    deviation = where(sigma == 0.0, 0.0, saturate(sigma * scale))
    step = deviation * z
    return where(touched & (step != 0.0), x + step, x)
