"""Dense Gaussian perturbations, regenerated wherever they are needed."""

import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary

from evoweights.catalog import setting
from evoweights.errors import UsageError
from evoweights_es.chunk import Chunk
from evoweights_es.member import Member, Place
from evoweights_es.perturbation import Perturbation
from evoweights_es.uncounted import counted_once

if TYPE_CHECKING:
    from torch import Tensor, nn

    from evoweights.homes.part import Part
    from evoweights.improvers import Subset
    from evoweights.mounted import Mounted
    from evoweights_es.windows import Elsewhere, Windows

_LOG = logging.getLogger("evoweights.es")


@dataclass(frozen=True)
class Gaussian(Perturbation):
    """Independent Gaussian noise on every gene; members are scored one by one.

    Noise is added layer by layer, while the layer runs, to a copy of its weights or of a piece of them: the weights are
    never written, so not a bit of them is lost, in bfloat16 either. There a member's weights are rounded to nearest; with a
    float32 genome that is computed with in bfloat16, the noise is added before the rounding.
    """

    name: ClassVar[str] = "gaussian"
    source: ClassVar[str] = "EA4LLM, arXiv 2510.10603; Qiu et al. 2025, arXiv 2509.24372 (layer by layer)"

    density: float = setting(
        1.0,
        "share of the genes that are perturbed; which ones is drawn once for the run",
        minimum=1.0 / 65536,
        maximum=1.0,
    )
    bits: int = setting(32, "random bits per number: 16 take half the work and end at 4.7 standard deviations")
    layerwise: str = setting(
        "auto",
        "whether noise is added layer by layer; off: to all weights at once, in a copy of them, which is faster where an item "
        "takes many forward passes, as a text does; auto: a parameter that other layers read than the one that owns it is "
        "kept for as long as they run; on: refuse such parameters",
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
            found.append(self.score(mounted, subset, names, weights, place=place))
        return torch.stack(found)

    def score(
        self, mounted: "Mounted", subset: "Subset", names: Sequence[str], weights: Sequence[float], *, place: Place
    ) -> "Tensor":
        """Losses of the individual with the weighted noise of these names added to its weights: float64 ``[items]``.

        Raises:
            UsageError: a parameter cannot be perturbed, or not as ``layerwise`` has it.
        """
        import torch

        from evoweights_es.layers import layers_of
        from evoweights_es.windows import Windows

        def write(out: "Tensor", part: "Part", label: str, first: int, live: "Tensor | None") -> None:
            base = part.weights[first : first + len(out)]
            self.add_(out, label, first, names, weights, place=place, base=base, live=live)

        layers, modules = layers_of(mounted, self.segments), dict(mounted.module.named_modules())
        score = counted_once(mounted, subset.scores)
        if self.layerwise == "off":
            windows = Windows(
                layers, write, modules, {None: {each.segment.name for one in layers for each in one.owned}}
            )
            with windows.open():
                return score()
        known = self._elsewhere.get(mounted.module)
        windows = Windows(layers, write, modules, {} if known is None else known)
        if known is not None:
            with windows.open():
                found = score()
            if torch.isfinite(found).all():
                return found
            # What other items or weights read may not be known yet, and is NaN then.
        found = windows.look(score, functools.partial(self._say, windows))
        self._elsewhere[mounted.module] = windows.elsewhere
        return found

    def add_(
        self,
        out: "Tensor",
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
        """Add weighted noise to ``out`` (or to ``base``, into it), whose first gene has the number ``gene`` in its part."""
        from evoweights_kernels import TILE, add_weighted_noise_

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

    def add_estimate_(self, out: "Tensor", chunk: Chunk, coefficients: Sequence[float], *, place: Place) -> None:
        """``out += sum_i coefficients[i] eps_i`` over the genes of a chunk, in one pass."""
        names = [f"direction {number}" for number in range(len(coefficients))]
        self.add_(out, chunk.label, chunk.start, names, coefficients, place=place)

    def update_plain_(
        self, part: "Part", label: str, coefficients: Sequence[float], *, place: Place, rounding: int | None
    ) -> None:
        """``weights += sum_i coefficients[i] eps_i`` in one pass over the part."""
        names = [f"direction {number}" for number in range(len(coefficients))]
        live = part.layout.live(self.segments(part), device=part.weights.device)
        self.add_(part.weights, label, 0, names, coefficients, place=place, live=live, rounding=rounding)

    def dimension(self, mounted: "Mounted") -> int:
        """Genes that are perturbed."""
        return round(self.density * super().dimension(mounted))

    def _say(self, windows: "Windows", path: str | None, name: str) -> None:
        """Tell once that a parameter is read elsewhere than in its layer, and what it costs.

        Raises:
            UsageError: ``layerwise`` is on.
        """
        reader = "the task, while no layer runs" if path is None else path or "the model itself"
        if self.layerwise == "on":
            raise UsageError(
                f"perturbation gaussian: layerwise is on, but {name} is read by {reader} and not only by the layer that owns it. "
                "Use auto, which keeps a perturbed copy of it meanwhile."
            )
        owned = windows.owned[name]
        size = owned.segment.count * owned.part.compute.itemsize / 2**20
        _LOG.warning(
            "%s is read by %s, not only by its own layer: %.1f MiB are kept for it meanwhile", name, reader, size
        )

    @functools.cached_property
    def _elsewhere(self) -> "WeakKeyDictionary[nn.Module, Elsewhere]":
        """What is read elsewhere than in its layer, of every module that was scored."""
        return WeakKeyDictionary()
