"""Particle swarm optimisation with velocities."""

from typing import Any

from evoweights_kernels.bodies._limits import saturate
from evoweights_kernels.body import gene_kernel
from evoweights_kernels.functions import maximum, minimum, where
from evoweights_kernels.roles import Gene, Scalar, State, Uniform


@gene_kernel
def pso(
    x: Gene,
    personal_best: Gene,
    leader: Gene,
    velocity: State,
    inertia: Scalar,
    cognitive: Scalar,
    social: Scalar,
    max_velocity: Scalar,
    r1: Uniform,
    r2: Uniform,
) -> tuple[Gene, State]:
    """Move by a velocity that is drawn towards the particle's own best and the swarm's leader.

    v <- clip(inertia v + cognitive r1 (personal_best - x) + social r2 (leader - x), +-max_velocity);  x <- x + v.
    An infinite `max_velocity` clips nothing. Where v is zero the bytes of x stay; finite genes and coefficients never
    give NaN.

    Source: Kennedy & Eberhart 1995, "Particle swarm optimization"; Shi & Eberhart 1998, "A modified particle swarm
    optimizer" (inertia).
    """
    velocity = inertia * velocity + _pull(cognitive * r1, personal_best - x)
    velocity = velocity + _pull(social * r2, leader - x)
    velocity = maximum(minimum(velocity, max_velocity), -max_velocity)
    return where(velocity == 0.0, x, x + velocity), velocity


def _pull(strength: Any, difference: Any) -> Any:
    """Strength times difference; -0.0, which changes no sum, where one is zero, so that 0 * inf cannot arise."""
    return where((strength == 0.0) | (difference == 0.0), -0.0, saturate(strength * difference))
