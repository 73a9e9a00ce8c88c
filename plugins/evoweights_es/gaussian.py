"""Dense Gaussian perturbations, regenerated wherever they are needed."""

import functools
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary

from evoweights.catalog import setting
from evoweights.errors import UsageError
from evoweights_es.member import Member, Place
from evoweights_es.perturbation import Perturbation

if TYPE_CHECKING:
    from torch import Tensor, nn

    from evoweights.genome import Segment
    from evoweights.homes.part import Part
    from evoweights.improvers import Subset
    from evoweights.mounted import Mounted

_LOG = logging.getLogger("evoweights.es")


@dataclass(frozen=True)
class Gaussian(Perturbation):
    """Independent Gaussian noise on every gene; members are scored one by one.

    Noise is added layer by layer, while the layer runs, to a copy of its weights or of a piece of them: the weights are
    never written, so not a bit of them is lost, in bfloat16 either.
    """

    name: ClassVar[str] = "gaussian"
    source: ClassVar[str] = "EA4LLM, arXiv 2510.10603; Qiu et al. 2025, arXiv 2509.24372 (layer by layer)"

    density: float = setting(
        1.0, "share of the genes that are perturbed, drawn once for the run", minimum=1.0 / 65536, maximum=1.0
    )
    bits: int = setting(32, "random bits per number: 16 take half the work and end at 4.7 standard deviations")
    layerwise: str = setting(
        "auto",
        "whether noise is added layer by layer; off: to all weights at once, which keeps a copy of them; auto: unless a "
        "parameter is read elsewhere than in the layer that owns it",
        choices=("auto", "on", "off"),
    )

    def __post_init__(self) -> None:
        """Refuse widths that do not exist."""
        if self.bits not in (16, 32):
            raise ValueError(f"bits: found {self.bits}, allowed are 16 and 32")

    def scores(
        self, mounted: "Mounted", subset: "Subset", members: Sequence[Member], *, sigma: float, place: Place
    ) -> "Tensor":
        """Losses of the members, float64 ``[members, items]``, one forward pass each."""
        import torch

        found = []
        for member in members:
            names, weights = [f"direction {member.direction}"], [member.sign * sigma]
            with self.perturbed(mounted, subset, names, weights, place=place):
                found.append(subset.scores())
        return torch.stack(found)

    @contextmanager
    def perturbed(
        self, mounted: "Mounted", subset: "Subset", names: Sequence[str], weights: Sequence[float], *, place: Place
    ) -> Iterator[None]:
        """Let the module compute with the weighted noise of these names added to its weights."""
        from evoweights_es.windows import layers_of, open_windows

        def write(out: "Tensor", part: "Part", label: str, segment: "Segment", first: int) -> None:
            genes = segment.view(part.weights).flatten()[first : first + len(out)]
            self.add_(out, part, label, segment.start + first, names, weights, place=place, base=genes)

        if self._is_layerwise(mounted, subset):
            with open_windows(layers_of(mounted, self.segments), write):
                yield
            return
        kept = [(part, part.compute.clone()) for part in mounted.parts]
        try:
            for label, part in (("own", mounted.own), ("shared", mounted.shared)):
                for segment in self.segments(part):
                    out = segment.view(part.compute).flatten()
                    self.add_(out, part, label, segment.start, names, weights, place=place, base=_base(part, segment))
            yield
        finally:
            for part, compute in kept:
                part.compute.copy_(compute)

    def add_(
        self,
        out: "Tensor",
        part: "Part",
        label: str,
        gene: int,
        names: Sequence[str],
        weights: Sequence[float],
        *,
        place: Place,
        base: "Tensor | None" = None,
        live: "Tensor | None" = None,
        rounding: int | None = None,
    ) -> None:
        """Add weighted noise to ``out`` (or to ``base``, into it), whose first gene has the number ``gene`` in the part."""
        from evoweights_kernels import TILE, add_weighted_noise_

        del part  # unused: numbers of genes are all that noise depends on
        mask = None if self.density == 1.0 else (place.fixed.stream(f"{label}/mask"), self.density)
        add_weighted_noise_(
            out,
            streams=[place.noise.stream(f"{label}/{name}") for name in names],
            weights=list(weights),
            seed=place.noise.seed,
            base=base,
            bits=self.bits,
            mask=mask,
            live=live,
            first_tile=gene // TILE,
            rounding=rounding,
            backend=place.backend,
        )

    def add_estimate_(
        self,
        out: "Tensor",
        part: "Part",
        label: str,
        segment: "Segment",
        first: int,
        coefficients: Sequence[float],
        *,
        place: Place,
    ) -> None:
        """``out += sum_i coefficients[i] eps_i`` over the genes from ``first`` on, in one pass."""
        names = [f"direction {number}" for number in range(len(coefficients))]
        self.add_(out, part, label, segment.start + first, names, coefficients, place=place)

    def update_plain_(
        self, part: "Part", label: str, coefficients: Sequence[float], *, place: Place, rounding: int | None
    ) -> None:
        """``weights += sum_i coefficients[i] eps_i`` in one pass over the part."""
        names = [f"direction {number}" for number in range(len(coefficients))]
        live = part.layout.live(self.segments(part), device=part.weights.device)
        self.add_(part.weights, part, label, 0, names, coefficients, place=place, live=live, rounding=rounding)

    def dimension(self, mounted: "Mounted") -> int:
        """Genes that are perturbed."""
        return round(self.density * super().dimension(mounted))

    def _is_layerwise(self, mounted: "Mounted", subset: "Subset") -> bool:
        """Whether the module's layers can be perturbed one by one; a module that is new here is tried out.

        Raises:
            UsageError: ``layerwise`` is on, but a parameter is read elsewhere.
        """
        from evoweights_es.windows import layers_of, read_outside

        if self.layerwise == "off":
            return False
        if mounted.module not in self._read_outside:
            self._read_outside[mounted.module] = outside = read_outside(
                layers_of(mounted, self.segments), subset.scores
            )
            if outside is not None and self.layerwise == "on":
                raise UsageError(
                    f"perturbation gaussian: layerwise is on, but {outside} is read elsewhere than in the layer that owns it. "
                    "Use auto or off."
                )
            if outside is not None:
                _LOG.warning(
                    "%s is read elsewhere than in the layer that owns it: all weights are perturbed at once, and a copy of them "
                    "kept meanwhile",
                    outside,
                )
        return self._read_outside[mounted.module] is None

    @functools.cached_property
    def _read_outside(self) -> "WeakKeyDictionary[nn.Module, str | None]":
        """What is read elsewhere than in its layer, of every module that was tried out."""
        return WeakKeyDictionary()


def _base(part: "Part", segment: "Segment") -> "Tensor | None":
    return None if part.compute is part.weights else segment.view(part.weights).flatten()
