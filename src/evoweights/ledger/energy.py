"""The energy that the machine says it has used: the GPU's counter (NVML), and the processor's (RAPL) where it may be read."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, final

RAPL = Path("/sys/class/powercap")
LOOK_SECONDS = 20.0
"""Age of a reading after which :meth:`EnergyMeter.look` takes another: RAPL's counters wrap around after some minutes."""


@dataclass(frozen=True)
class EnergyCounter:
    """A counter of microjoules (``read`` gives None once it cannot be read) that begins again at 0 after ``wraps_at``."""

    name: str
    read: Callable[[], int | None]
    wraps_at: int | None = None

    def since(self, before: int, now: int) -> int:
        """Microjoules between two readings, of which the counter has wrapped around once at most."""
        if now >= before or self.wraps_at is None:
            return max(0, now - before)
        return now + self.wraps_at + 1 - before


@final
class EnergyMeter:
    """Adds up counters from the moment it is made; ``names`` are theirs."""

    def __init__(self, counters: Sequence[EnergyCounter] = (), *, clock: Callable[[], float] = time.monotonic) -> None:
        self.names = tuple(each.name for each in counters)
        self._clock, self._looked, self._used = clock, clock(), 0
        self._before = {each: each.read() for each in counters}

    def joules(self) -> float | None:
        """Energy since this meter was made; None if there is no counter, or one of them could not be read."""
        self._looked = self._clock()
        for counter, before in self._before.items():
            now = None if before is None else counter.read()
            self._before[counter] = now
            if before is not None and now is not None:
                self._used += counter.since(before, now)
        is_known = self._before and None not in self._before.values()
        return self._used / 1e6 if is_known else None

    def look(self) -> None:
        """Read the counters if the last reading is old, so that no wrap-around is missed; cheap enough for every step."""
        if self._before and self._clock() - self._looked >= LOOK_SECONDS:
            self.joules()


def energy_meter(device: str) -> EnergyMeter:
    """A meter of the machine's processors and, for a CUDA device, of that device."""
    gpu = _gpu(device) if device.startswith("cuda") else None
    return EnergyMeter([*rapl_counters(RAPL), *([] if gpu is None else [gpu])])


def rapl_counters(folder: Path) -> list[EnergyCounter]:
    """The counters of processors and their memory under ``folder``, Intel's or AMD's; without those that may not be read
    (Linux lets only root), and without those whose energy is in another one's."""
    counters = []
    for zone in sorted(folder.glob("intel-rapl:*")):
        try:
            name, limit = (zone / "name").read_text().strip(), int((zone / "max_energy_range_uj").read_text())
        except (OSError, ValueError):
            continue
        counter = EnergyCounter(f"{zone.name} {name}", _reader(zone / "energy_uj"), limit)
        if name.startswith(("package", "dram")) and counter.read() is not None:
            counters.append(counter)
    return counters


def _reader(file: Path) -> Callable[[], int | None]:
    def read() -> int | None:
        try:
            return int(file.read_text())
        except (OSError, ValueError):
            return None

    return read


def _gpu(device: str) -> EnergyCounter | None:
    """The counter of a CUDA device; None without the package nvidia-ml-py."""
    import torch

    if find_spec("pynvml") is None:
        return None
    return nvml_counter(import_module("pynvml"), str(torch.cuda.get_device_properties(device).uuid))


def nvml_counter(nvml: Any, uuid: str) -> EnergyCounter | None:
    """The counter of the GPU with this id, asked of NVML's module; None if it has none (MIG, GPUs before Volta)."""

    def read() -> int | None:
        try:
            return 1000 * int(nvml.nvmlDeviceGetTotalEnergyConsumption(handle))
        except nvml.NVMLError:
            return None

    try:
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except nvml.NVMLError:
        return None
    return None if read() is None else EnergyCounter(f"nvml {uuid}", read)
