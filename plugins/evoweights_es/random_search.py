"""Random search: the simplest use of as many evaluations as an evolution strategy makes, its control."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from evoweights.catalog import part, setting
from evoweights.improvers import Feed, Moment, NonFiniteStep
from evoweights_es.gaussian import Gaussian
from evoweights_es.member import Member, Place
from evoweights_es.perturbation import Perturbation

if TYPE_CHECKING:
    from evoweights.mounted import Mounted
    from evoweights.population import Slot


@dataclass(frozen=True)
class RandomSearch:
    """Scores the individual and perturbed copies of it on one batch, and takes the best copy if it is better.

    A step makes as many evaluations as one of `es` with as many members: one of them is the individual as it is.
    """

    name: ClassVar[str] = "random_search"
    source: ClassVar[str] = "Rastrigin 1963; Solis and Wets 1981, Minimization by Random Search Techniques"
    needs_gradient: ClassVar[bool] = False

    steps: int = setting(10, "steps in one turn", unit="steps", minimum=0)
    members: int = setting(30, "individuals that a step scores, itself included", minimum=2)
    sigma: float = setting(1.0e-3, "standard deviation of the noise", unit="weight", minimum=1e-12)
    rounding: str = setting("stochastic", "how bfloat16 weights are rounded", choices=("stochastic", "nearest"))
    perturbation: Perturbation = part("perturbation", Gaussian, "how copies differ")

    @property
    def slots(self) -> "tuple[Slot, ...]":
        """It keeps nothing."""
        return ()

    def check(self, mounted: "Mounted") -> None:
        """See that there is something to perturb."""
        self.perturbation.check(mounted)

    def step(self, mounted: "Mounted", feed: Feed, moment: Moment) -> float:
        """Score all on one draw of the data, and go to the best; its loss.

        Raises:
            NonFiniteStep: nobody has a finite loss; nothing was changed.
        """
        subset, place = feed.draw(mounted), Place(moment.noise, moment.fixed, moment.backend)
        here = float(subset.scores().mean())
        members = [Member(number, 1.0) for number in range(self.members - 1)]
        losses = self.perturbation.scores(mounted, subset, members, sigma=self.sigma, place=place).mean(1).tolist()
        best, loss = min(enumerate([*losses, here]), key=lambda each: each[1] if math.isfinite(each[1]) else math.inf)
        if not math.isfinite(loss):
            raise NonFiniteStep(f"none of the {self.members} has a finite loss")
        report = {"best": best if loss < here or not math.isfinite(here) else None, "losses": losses, "loss": here}
        self.replay(mounted, moment, report)
        moment.report(report)
        return loss

    def replay(self, mounted: "Mounted", moment: Moment, report: Mapping[str, Any]) -> None:
        """Go where the step of this report went."""
        if report["best"] is None:
            return
        place = Place(moment.noise, moment.fixed, moment.backend)
        coefficients = [self.sigma if number == report["best"] else 0.0 for number in range(self.members - 1)]
        for label, each in (("own", mounted.own), ("shared", mounted.shared)):
            if not each.layout.count:
                continue
            rounding = None
            if each.layout.dtype.itemsize < 4 and self.rounding == "stochastic":
                rounding = place.noise.stream(f"{label}/rounding")
            self.perturbation.update_plain_(each, label, coefficients, place=place, rounding=rounding)
