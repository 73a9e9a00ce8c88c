"""AdamW: one gradient step with decoupled weight decay."""

from math import sqrt as host_sqrt

from evoweights_kernels.body import gene_kernel
from evoweights_kernels.errors import KernelError
from evoweights_kernels.functions import sqrt, where
from evoweights_kernels.roles import Gene, Scalar, State


@gene_kernel
def adamw(
    x: Gene,
    gradient: Gene,
    first_moment: State,
    second_moment: State,
    decay: Scalar,
    beta1: Scalar,
    rest1: Scalar,
    beta2: Scalar,
    rest2: Scalar,
    inverse_bias: Scalar,
    epsilon: Scalar,
    step_size: Scalar,
) -> tuple[Gene, State, State]:
    """One step of Adam with decoupled weight decay; `adamw_scalars` makes the scalars.

    x <- x - lr wd x;  m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2;
    x <- x - lr/(1-b1^t) m / (sqrt(v / (1-b2^t)) + eps). A gene of zero that gets no update keeps its bytes, -0.0 too.

    Source: Kingma & Ba 2015, "Adam", Algorithm 1; Loshchilov & Hutter 2019, "Decoupled weight decay
    regularization", Algorithm 2.
    """
    first_moment = first_moment * beta1 + gradient * rest1
    second_moment = second_moment * beta2 + (gradient * gradient) * rest2
    divisor = sqrt(second_moment) * inverse_bias + epsilon
    update = (first_moment * step_size) / divisor
    # Subtracting zeros turns -0.0 into 0.0.
    x = where((x == 0.0) & (update == 0.0), x, x - x * decay - update)
    return x, first_moment, second_moment


def adamw_scalars(
    learning_rate: float, weight_decay: float, beta1: float, beta2: float, eps: float, step: int
) -> dict[str, float]:
    """The scalars of `adamw` for step `step` (1 is the first), computed in float64.

    Raises:
        KernelError: `step` is below 1, or a beta is not within [0, 1).
    """
    if step < 1:
        raise KernelError(f"AdamW counts steps from 1, found {step}")
    if not (0.0 <= beta1 < 1.0 and 0.0 <= beta2 < 1.0):
        raise KernelError(f"AdamW takes betas within [0, 1), found {beta1} and {beta2}")
    return {
        "decay": learning_rate * weight_decay,
        "beta1": beta1,
        "rest1": 1.0 - beta1,
        "beta2": beta2,
        "rest2": 1.0 - beta2,
        "inverse_bias": 1.0 / host_sqrt(1.0 - beta2**step),
        "epsilon": eps,
        "step_size": learning_rate / (1.0 - beta1**step),
    }
