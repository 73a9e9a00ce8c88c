"""Particle swarm: individuals are pulled towards a leader and, with a memory, towards their own best."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from evoweights.catalog import setting
from evoweights.operators import GeneOperator
from evoweights.traits import Traits
from evoweights_kernels import GeneKernel, bodies

if TYPE_CHECKING:
    from evoweights.population import Slot


@dataclass(frozen=True)
class PSO(GeneOperator):
    """Particle swarm move towards a leader; with inertia or a cognitive part it keeps velocity and personal best.

    Without both it is EOE's form, ``x + social * r * (leader - x)`` with ``r = min((z + 3) / 6, 1)`` and z standard normal,
    where r <= 0 leaves a gene alone. With either it is ``v = inertia v + cognitive r1 (best - x) + social r2 (leader - x)``,
    ``x + v``, r1 and r2 uniform per gene; a usual setting is 0.729, 1.494, 1.494.
    """

    name: ClassVar[str] = "pso"
    source: ClassVar[str] = "Kennedy and Eberhart 1995; Shi and Eberhart 1998; EOE's form: Chen 2025, arXiv 2509.24436"

    social: float = setting(2.0, "pull towards the leader", minimum=0.0)
    inertia: float = setting(0.0, "share of the velocity that is kept", minimum=0.0)
    cognitive: float = setting(0.0, "pull towards the individual's own best weights", minimum=0.0)
    max_velocity: float = setting(
        1.0e30, "largest change of a gene in one move, with velocity only", unit="weight", minimum=0.0
    )

    @property
    def has_memory(self) -> bool:
        """Whether velocity and personal best are needed."""
        return self.inertia != 0.0 or self.cognitive != 0.0

    @property
    def traits(self) -> Traits:  # pyright: ignore[reportIncompatibleVariableOverride] (a setting decides)
        """Those of a swarm, with inertia, own best and limit if it has a memory."""
        told = Traits(
            "swarm",
            stochastic=True,
            gene_wise=True,
            idempotent=True,
            homogeneous=True,
            translates=True,
            leader_pull="social",
        )
        memory = {"inertia": "inertia", "own_pull": "cognitive", "limit": "max_velocity"}
        return replace(told, **memory) if self.has_memory else told

    @property
    def kernel(self) -> GeneKernel:  # pyright: ignore[reportIncompatibleVariableOverride] (a setting decides)
        """The velocity-free body, or the one with memory."""
        return bodies.pso if self.has_memory else bodies.pso_towards

    @property
    def slots(self) -> "tuple[Slot, ...]":
        """Velocity and personal best, if the move has a memory."""
        from evoweights.population import Slot

        memory = (Slot("pso.velocity", "state"), Slot("pso.personal_best", "personal_best"))
        return memory if self.has_memory else ()

    def scalars(self) -> Mapping[str, float]:
        """The coefficients that the chosen body takes."""
        coefficients = {
            "social": self.social,
            "inertia": self.inertia,
            "cognitive": self.cognitive,
            "max_velocity": self.max_velocity,
        }
        return {each.name: coefficients[each.name] for each in self.kernel.arguments if each.name in coefficients}
