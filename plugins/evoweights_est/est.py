"""Evolving subnetwork training: an optimizer's steps on a part of the model that is drawn anew and grows in stages."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from evoweights.catalog import part, setting
from evoweights.errors import UsageError
from evoweights.improvers import Checking, Feed, Improver, Moment, uses_gradient
from evoweights_classic.adamw import AdamW
from evoweights_est.shares import Shares

if TYPE_CHECKING:
    from evoweights.mounted import Mounted
    from evoweights.population import Slot

_LOG = logging.getLogger("evoweights.est")


@dataclass(frozen=True)
class SubnetworkTraining:
    """Lets an optimizer take its steps on a subnetwork of heads, neurons and layers, at first; later on the whole model.

    What is left out is not computed: matrices are smaller, layers skipped. The optimizer does not touch those genes or
    their state. Membership is a function of seed, individual and step. With all shares at 1 it is the optimizer alone,
    bit for bit.
    """

    name: ClassVar[str] = "est"
    source: ClassVar[str] = "Evolving Subnetwork Training, arXiv 2406.06962 (ICML 2024)"

    heads: float = setting(0.5, "share of the attention heads of a layer", minimum=0.0, maximum=1.0)
    neurons: float = setting(0.5, "share of the MLP neurons of a layer", minimum=0.0, maximum=1.0)
    layers: float = setting(0.5, "share of the layers", minimum=0.0, maximum=1.0)
    layers_until: float = setting(
        20 / 150, "layers are drawn in this share of the run's steps, then all are in", minimum=0.0, maximum=1.0
    )
    widths_until: float = setting(
        70 / 150, "heads and neurons are drawn in this share of the run's steps", minimum=0.0, maximum=1.0
    )
    sampling: str = setting(
        "random",
        "which heads and neurons: random ones as published, or a window of neighbours that moves on with every draw and is "
        "copied in one piece",
        choices=("random", "window"),
    )
    resample_every: int = setting(1, "steps with the same subnetwork", unit="steps", minimum=1)
    scale_heads: bool = setting(True, "divide the output of the attention by the share of its heads that is in")
    scale_neurons: bool = setting(True, "divide the output of the MLP by the share of its neurons that is in")
    scale_layers: bool = setting(False, "divide what a layer adds by the share of layers that is in")
    protect_ends: bool = setting(False, "keep the first and the last layer in")
    optimizer: Improver = part("improve", AdamW, "what takes the steps; its `steps` are those of a turn")

    def __post_init__(self) -> None:
        """Refuse what cannot take its steps on a subnetwork."""
        if not uses_gradient(self.optimizer) or isinstance(self.optimizer, SubnetworkTraining):
            raise UsageError(
                f"optimizer: {self.optimizer.name} cannot take steps on a subnetwork. Use one that follows gradients, such as "
                "adamw."
            )

    @property
    def steps(self) -> int:
        """Those of the optimizer."""
        return self.optimizer.steps

    @property
    def slots(self) -> "tuple[Slot, ...]":
        """Those of the optimizer."""
        return self.optimizer.slots

    def check(self, mounted: "Mounted") -> None:
        """See that the model is built in a way that is known, if any of it is ever left out."""
        from evoweights_est.families import blocks_of

        if min(self.heads, self.neurons, self.layers) < 1.0:
            blocks_of(mounted.module)
        if isinstance(self.optimizer, Checking):
            self.optimizer.check(mounted)

    def shares_at(self, step: int, total: int) -> Shares:
        """The shares at a step (from 1) of a run of ``total``."""
        widths, layers = (step <= int(until * total + 0.5) for until in (self.widths_until, self.layers_until))
        return Shares(
            heads=self.heads if widths else 1.0,
            neurons=self.neurons if widths else 1.0,
            layers=self.layers if layers else 1.0,
        )

    def step(self, mounted: "Mounted", feed: Feed, moment: Moment) -> float:
        """The optimizer's step, on the subnetwork of this moment.

        Raises:
            NonFiniteStep: the optimizer's loss or gradient is NaN or infinite; nothing was changed.
        """
        shares = self.shares_at(moment.step, moment.total_steps)
        if moment.step > 1 and shares != self.shares_at(moment.step - 1, moment.total_steps):
            _LOG.info("step %d: a new stage begins, with %s", moment.step, shares)
        if shares == Shares(1.0, 1.0, 1.0):
            return self.optimizer.step(mounted, feed, moment)
        return self._step_on_part(mounted, feed, moment, shares)

    def _step_on_part(self, mounted: "Mounted", feed: Feed, moment: Moment, shares: Shares) -> float:
        from evoweights_est.drawing import Draw
        from evoweights_est.families import blocks_of
        from evoweights_est.subnetwork import Scales, Subnetwork, choose

        blocks = blocks_of(mounted.module)
        draw = Draw(moment.fixed.at("subnetwork"), (moment.step - 1) // self.resample_every, self.sampling)
        chosen = choose(blocks, draw, shares, protect_ends=self.protect_ends)
        if all(each is not None and each.is_whole for each in chosen):
            return self.optimizer.step(mounted, feed, moment)
        mounted.refresh_()  # so that what parts share with the subnetwork is as the individual's watch expects it
        scales = Scales(self.scale_heads, self.scale_neurons, self.scale_layers)
        subnetwork = Subnetwork(mounted, chosen, blocks, [slot.name for slot in self.optimizer.slots], scales)
        with subnetwork.in_place():
            loss = self.optimizer.step(subnetwork.mounted, feed, moment)
            subnetwork.mounted.refuse_written_copies(self.optimizer.name)
        subnetwork.write_back_()
        return loss
