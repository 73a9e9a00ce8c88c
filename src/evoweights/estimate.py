"""What a run will take, before it starts: memory, disk, steps and time."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """The size of a run.

    ``steps`` and ``tokens`` are of the whole run; ``seconds`` is ``steps`` at the speed of the few that were timed,
    without evaluation and checkpoints, and None if none was.

    ``device_bytes`` is what stays allocated where individuals train, ``activation_bytes`` what a forward pass keeps there for
    its backward (None if nothing trains), ``host_bytes`` and ``disk_bytes`` what the rest of the population takes; ``checkpoint_bytes`` is one checkpoint.
    """

    device: str
    backend: str
    home: str
    individuals: int
    genes: int
    shared_genes: int
    device_bytes: int
    activation_bytes: int | None
    host_bytes: int
    disk_bytes: int
    checkpoint_bytes: int
    free_disk_bytes: int
    steps: int
    tokens: int
    seconds_per_step: float | None
    seconds: float | None
