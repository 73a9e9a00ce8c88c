from pathlib import Path

import pytest
from recorded_runs import record_run

from evoweights.report.page import write_report


@pytest.fixture(scope="session")
def long_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run of 10,000 generations."""
    return write_report([record_run(tmp_path_factory.mktemp("runs") / "long", generations=10_000, size=4)])
