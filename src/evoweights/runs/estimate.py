"""What a run will take, before it starts: memory, disk, steps and time."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """The size of a run.

    ``steps`` and ``tokens`` are of the whole run, ``unit`` is what tokens are (images, ...); ``seconds`` is ``steps`` at the
    speed of the few that were timed, without evaluation and checkpoints, and None if none was.

    ``device_bytes`` is what stays allocated where individuals train; ``activation_bytes`` is the most that a step needs
    there besides: activations, logits, and what is in between (None if nothing trains). ``host_bytes`` and ``disk_bytes``
    are the rest of the population, ``checkpoint_bytes`` is one checkpoint. All count tensors, not Python, libraries or
    the context of a CUDA device.
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
    unit: str = "tokens"

    @property
    def peak_bytes(self) -> int:
        """The most that tensors take where individuals train: on a CPU together with what lies in host memory."""
        here = self.device_bytes + (self.activation_bytes or 0)
        return here + (self.host_bytes if self.device == "cpu" else 0)

    @property
    def fits_on_disk(self) -> bool:
        """Whether there is room for a checkpoint beside the one before it, with a little to spare."""
        return self.free_disk_bytes >= 2.2 * self.checkpoint_bytes
