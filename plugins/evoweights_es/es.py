"""Evolution strategies: steps along noise that made the model better, without a gradient."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from evoweights.catalog import part, setting
from evoweights.improvers import Feed, Moment, NonFiniteStep
from evoweights_es import laws
from evoweights_es.bounds import LARGEST, SMALLEST_SIGMA, can_be_taken, changed_log, logged_weights, within_range
from evoweights_es.decay import ANCHOR, keep_start_, towards_start_, towards_zero_
from evoweights_es.estimators import Estimator, OneSided
from evoweights_es.gaussian import Gaussian
from evoweights_es.member import Member, Place
from evoweights_es.perturbation import Perturbation
from evoweights_es.shaping import Shaping, ZScore
from evoweights_es.updates import STEPS, Plain, Step, Update

if TYPE_CHECKING:
    from torch import Tensor

    from evoweights.improvers import Subset
    from evoweights.mounted import Mounted
    from evoweights.population import Slot

PROBED = 8
"""Directions along which sigma is checked."""

_LOG = logging.getLogger("evoweights.es")


@dataclass(frozen=True)
class EvolutionStrategy:
    """Perturbs the individual, scores every member on the same items, and goes where the better ones lie.

    One step scores ``members`` perturbed copies on one batch and changes the weights once. It needs the memory of a forward
    pass, and any score will do. Noise is a function of seed, step and gene; what a step reports is enough to do it again.
    """

    name: ClassVar[str] = "es"
    source: ClassVar[str] = (
        "Rechenberg 1973; Salimans et al. 2017, arXiv 1703.03864; for language models EA4LLM, arXiv 2510.10603, and Qiu et al. "
        "2025, arXiv 2509.24372"
    )
    needs_gradient: ClassVar[bool] = False

    steps: int = setting(10, "steps in one turn", unit="steps", minimum=0)
    members: int = setting(30, "perturbed copies that a step scores", minimum=2)
    sigma: float = setting(
        1.0e-3, "standard deviation of the noise", unit="weight", minimum=SMALLEST_SIGMA, maximum=LARGEST
    )
    learning_rate: float = setting(5.0e-4, "factor of the estimate", minimum=0.0, maximum=LARGEST)
    by_sigma: bool = setting(False, "whether the estimate is divided by sigma, as that of the gradient is")
    sigma_decay: float = setting(1.0, "factor of sigma in every step after sigma_decay_start", minimum=0.0, maximum=1.0)
    sigma_decay_start: int = setting(0, "own step after which sigma decays", unit="steps", minimum=0)
    learning_rate_decay: float = setting(
        1.0, "factor of the learning rate in every step after learning_rate_decay_start", minimum=0.0, maximum=1.0
    )
    learning_rate_decay_start: int = setting(0, "own step after which it decays", unit="steps", minimum=0)
    weight_decay: float = setting(0.0, "decay towards zero, times the learning rate; not of vectors", minimum=0.0)
    anchor: float = setting(
        0.0, "decay towards the weights of the first step, times the learning rate; keeps them, one genome", minimum=0.0
    )
    rounding: str = setting("stochastic", "how bfloat16 weights are rounded", choices=("stochastic", "nearest"))
    check_every: int = setting(
        10,
        f"in every n-th step the change of the loss is measured beside the predicted one, and sigma checked along {PROBED} "
        "directions, for some evaluations more; 0 never does",
        unit="steps",
        minimum=0,
    )
    perturbation: Perturbation = part("perturbation", Gaussian, "how members differ")
    shaping: Shaping = part("shaping", ZScore, "how fitness becomes weights")
    estimator: Estimator = part("estimator", OneSided, "which members there are")
    update: Update = part("update", Plain, "how the estimate changes the weights")

    def __post_init__(self) -> None:
        """Refuse numbers of members that the estimator cannot have."""
        self.estimator.members(self.members)

    @property
    def slots(self) -> "tuple[Slot, ...]":
        """The update's state, and the start if there is an anchor."""
        from evoweights.population import Slot

        return (*self.update.slots, *([Slot(ANCHOR, role="state")] if self.anchor else []))

    def check(self, mounted: "Mounted") -> None:
        """See that there is something to perturb."""
        self.perturbation.check(mounted)

    def step(self, mounted: "Mounted", feed: Feed, moment: Moment) -> float:
        """Score all members on one draw of the data and change the weights; the mean loss of the members.

        Raises:
            NonFiniteStep: no member has a finite loss, or the step is too large; nothing was changed.
        """
        number = self._number(mounted)
        sigma, subset, place = self._sigma(number), feed.draw(mounted), _place(moment)
        members = self.estimator.members(self.members)
        items = -within_range(self.perturbation.scores(mounted, subset, members, sigma=sigma, place=place))
        finite = [each for each in items.mean(1).tolist() if math.isfinite(each)]
        if not finite:
            raise NonFiniteStep(f"none of the {len(members)} members has a finite loss")
        is_checked = self.check_every > 0 and number % self.check_every == 0
        check = self._look(mounted, subset, members, sigma, items, place) if is_checked else {}
        report = self._report(mounted, items, members, number) | check
        if not can_be_taken(self._coefficients(report["weights"], members, sigma), self._rate(number)):
            raise NonFiniteStep("the step is too large for float32; lower learning_rate, or raise sigma")
        self.replay(mounted, moment, report)
        if is_checked:
            report |= self._look_back(subset, mounted, report)
        moment.report(report)
        return -sum(finite) / len(finite)

    def replay(self, mounted: "Mounted", moment: Moment, report: Mapping[str, Any]) -> None:
        """Change the weights as the step of this report did.

        Raises:
            CheckpointError: it is no report of such a step.
        """
        number, members = self._number(mounted), self.estimator.members(self.members)
        coefficients = self._coefficients(logged_weights(report, len(members)), members, self._sigma(number))
        if not can_be_taken(coefficients, self._rate(number)):
            raise changed_log(f"weights that make a step too large for float32 (step {number} of the individual)")
        for label, each in (("own", mounted.own), ("shared", mounted.shared)):
            each.counters[STEPS] = taken = each.counters.get(STEPS, 0) + 1
            if not each.layout.count:
                continue
            if self.anchor:
                keep_start_(each)
            place = _place(moment)
            rounding = None
            if each.layout.dtype.itemsize < 4 and self.rounding == "stochastic":
                rounding = place.noise.stream(f"{label}/rounding")
            step = Step(each, label, self.perturbation, coefficients, self._rate(number), taken, place, rounding)
            self._update_(step)

    def _update_(self, step: Step) -> None:
        if self.weight_decay:
            towards_zero_(replace(step, rounding=_other(step, "decay")), self.weight_decay)
        if any(step.coefficients):  # members that are all alike say nothing, and change nothing
            self.update.apply_(step)
        if self.anchor:
            towards_start_(replace(step, rounding=_other(step, "anchor")), self.anchor)

    def _number(self, mounted: "Mounted") -> int:
        """Number of the individual's next step of this kind, from 1."""
        return mounted.own.counters.get(STEPS, 0) + 1

    def _sigma(self, number: int) -> float:
        decayed = self.sigma * self.sigma_decay ** max(0, number - 1 - self.sigma_decay_start)
        return max(SMALLEST_SIGMA, decayed)

    def _rate(self, number: int) -> float:
        return self.learning_rate * self.learning_rate_decay ** max(0, number - 1 - self.learning_rate_decay_start)

    def _coefficients(self, weights: Sequence[float], members: Sequence[Member], sigma: float) -> list[float]:
        found = self.estimator.coefficients(weights, members)
        return [each / sigma for each in found] if self.by_sigma else found

    def _report(self, mounted: "Mounted", items: "Tensor", members: Sequence[Member], number: int) -> dict[str, Any]:
        """What a step is done from, and the laws beside it."""
        sigma, rate = self._sigma(number), self._rate(number)
        weights = _short(self.shaping.weights(items, members).tolist())
        fitness = _short(items.mean(1).tolist())
        coefficients = self._coefficients(weights, members, sigma)
        known = [(value, member) for value, member in zip(fitness, members, strict=True) if math.isfinite(value)]
        values, scored = [value for value, _ in known], [member for _, member in known]
        report = {
            "weights": weights,
            "fitness": fitness,
            "failed_members": len(fitness) - len(values),
            "sigma": sigma,
            "rate": rate,
            "spread": laws.spread(values),
            "gradient_norm": laws.gradient_norm(values, scored, sigma),
            "expected_cosine": laws.expected_cosine(len(coefficients), self.perturbation.dimension(mounted)),
        }
        if isinstance(self.update, Plain):  # other updates go elsewhere than along the estimate
            report["movement"] = laws.movement(coefficients, self.perturbation.genes(mounted), rate)
            report["expected_drift"] = report["movement"] * math.sqrt(number)
            if len(values) == len(fitness):
                slopes = laws.directional(values, scored, sigma)
                report["predicted_change"] = laws.predicted_change(coefficients, slopes, rate)
        return report

    def _look(
        self,
        mounted: "Mounted",
        subset: "Subset",
        members: Sequence[Member],
        sigma: float,
        items: "Tensor",
        place: Place,
    ) -> dict[str, Any]:
        """The loss before the step, and whether sigma is small enough for the fitness to be nearly linear.

        ``sigma_ratio`` and ``sigma_too_large`` are None if that cannot be told: a tenth of sigma drowns in rounding.
        """
        before = float(within_range(subset.scores()).mean())
        if not _is_held(mounted, sigma / 10):
            return {"loss_before": before, "sigma_ratio": None, "sigma_too_large": None}
        chosen = [index for index, each in enumerate(members) if each.sign > 0][:PROBED]
        probed = [members[index] for index in chosen]
        near = -within_range(self.perturbation.scores(mounted, subset, probed, sigma=sigma / 10, place=place)).mean(1)
        ratio = laws.curvature_ratio(near.tolist(), items.mean(1)[chosen].tolist(), -before)
        is_too_large = ratio is not None and abs(ratio - 1) > laws.TOO_LARGE
        if is_too_large:
            _LOG.warning(
                "sigma %.3g may be too large: slopes are %.2f times those at a tenth of it; try a smaller sigma",
                sigma,
                ratio,
            )
        return {"loss_before": before, "sigma_ratio": ratio, "sigma_too_large": is_too_large}

    def _look_back(self, subset: "Subset", mounted: "Mounted", report: Mapping[str, Any]) -> dict[str, Any]:
        mounted.refresh_()
        after = float(subset.scores().mean())
        return {"loss_after": after, "observed_change": after - report["loss_before"]}


def _place(moment: Moment) -> Place:
    return Place(moment.noise, moment.fixed, moment.backend)


def _short(numbers: Sequence[float]) -> list[float]:
    """Numbers of nine significant digits, as many as float32 has, so that a line of the log stays short; the step is done
    from them as well, so that its replay is the same."""
    return [float(f"{each:.9g}") for each in numbers]


def _is_held(mounted: "Mounted", size: float) -> bool:
    """Whether noise of this size changes weights of the type that the module computes with by more than their rounding."""
    import torch

    for each in mounted.parts:
        mean = float(torch.linalg.vector_norm(each.compute, 1, dtype=torch.float32)) / each.layout.count
        if size < torch.finfo(each.compute.dtype).eps * mean:
            return False
    return True


def _other(step: Step, name: str) -> int | None:
    """A rounding stream of its own for what is written before or after the estimate."""
    return None if step.rounding is None else step.place.noise.stream(f"{step.label}/rounding/{name}")
