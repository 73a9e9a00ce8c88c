"""An EOE run that is stopped in the middle of a turn ends with the same files as one that was not."""

import hashlib
import os
import signal
from pathlib import Path

import pytest
from test_koifish_preset import small_config

from evoweights.errors import RunStopped
from evoweights.hookspecs import hookimpl
from evoweights.plugins.loading import register_hooks
from evoweights.runs import session


class StopAt:
    """Sends this process SIGTERM after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl
    def step_finished(self, step: int) -> None:
        if step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


def _files(folder: Path) -> dict[str, str]:
    """SHA-256 of every tensor file of the last checkpoint and of the best expert."""
    run = folder / "runs" / "koifish"
    last = max((run / "checkpoints").glob("step-*"))
    files = [*last.rglob("*.safetensors"), run / "best" / "genome.safetensors"]
    return {str(file.relative_to(run)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.parametrize("step", [1, 4, 7, 11])
def test_a_stopped_run_of_experts_continues_to_the_same_bits(tmp_path: Path, step: int) -> None:
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    session.run(small_config(tmp_path / "whole"))
    config = small_config(tmp_path / "stopped")
    register_hooks(config.plugins.manager, StopAt(step), name="test")
    object.__setattr__(config, "hooks", type(config.hooks)(config.plugins.manager))
    with pytest.raises(RunStopped):
        session.run(config)
    session.run(small_config(tmp_path / "stopped"))
    assert _files(tmp_path / "stopped") == _files(tmp_path / "whole")
