"""Output that cannot be written is one message and the exit code for it."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_listing_on_a_full_disk_is_one_message() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "evoweights", "operators"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 7
    assert "what was to be shown cannot be written: No space left on device. Free space and try again." in done.stderr
    assert "Traceback" not in done.stderr
