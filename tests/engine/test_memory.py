"""Only what is mounted takes memory: with experts on disk the peak does not grow with their number."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent / "peak_memory.py"


def _peak(folder: Path, home: str, size: int) -> int:
    folder.mkdir()
    command = [sys.executable, str(SCRIPT), str(folder), home, str(size)]
    # glibc gives freed tensors back at once and not when its heap happens to be free above them, so that the peak is ours.
    here = {"PYTHONPATH": os.pathsep.join(sys.path)}  # what the tests share
    environment = {**os.environ, **here, "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "1000000"}
    return int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def test_on_disk_the_peak_is_the_same_for_2_8_and_16_individuals(tmp_path: Path) -> None:
    """An individual is 48 MB with its moments; in host memory 14 more would be 672 MB."""
    _peak(tmp_path / "warm", "disk", 2)  # compiles the kernels, which takes memory of its own
    peaks = {size: _peak(tmp_path / str(size), "disk", size) for size in (2, 8, 16)}
    assert max(peaks.values()) <= 1.05 * min(peaks.values()), peaks


def test_in_host_memory_it_grows_so_the_measurement_can_tell(tmp_path: Path) -> None:
    assert _peak(tmp_path / "2", "host", 2) + 500e6 < _peak(tmp_path / "16", "host", 16)
