from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from evoweights.seeds import Noise
from evoweights.task import TaskPlace


@pytest.fixture
def place_at(tmp_path: Path) -> Callable[[int], TaskPlace]:
    """A place to open a task at, by seed."""
    return lambda seed: TaskPlace(tmp_path, Noise(seed, "task"), torch.device("cpu"))
