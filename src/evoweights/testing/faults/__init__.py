"""Faults to put into a run: at a call of a component or a hook, on the disk, in what lies on the disk.

An author's own test, with the fixture ``run_engine`` of the pytest plugin::

    import pytest
    from evoweights.testing.faults import PowerCut, failing, faulty_disk, BEFORE_RENAME

    CONFIGURATION = {"vary": [MyOperator()]}

    def test_a_run_is_continued_after_my_operator_was_killed(run_engine):
        with pytest.raises(PowerCut):
            run_engine(CONFIGURATION, faults=[failing("vary.0", "pairs", error=PowerCut, at=3)])
        assert run_engine(CONFIGURATION).table

    def test_a_power_cut_in_a_save_loses_nothing(run_engine):
        with pytest.raises(PowerCut), faulty_disk(cut_at=BEFORE_RENAME):
            run_engine(CONFIGURATION)
        assert run_engine(CONFIGURATION).table
"""

from evoweights.testing.faults.calls import Fault, failing, failing_hook, nan_fitness, nan_gene, nan_loss, with_faults
from evoweights.testing.faults.damage import cut_file, flip_bit, newest_checkpoint
from evoweights.testing.faults.disk import (
    AFTER_RENAME,
    BEFORE_MANIFEST,
    BEFORE_RENAME,
    CHANGES,
    IN_TENSORS,
    MOMENTS,
    DiskCall,
    FaultyDisk,
    PowerCut,
    faulty_disk,
    inserted,
    lose,
)

__all__ = [
    "AFTER_RENAME",
    "BEFORE_MANIFEST",
    "BEFORE_RENAME",
    "CHANGES",
    "IN_TENSORS",
    "MOMENTS",
    "DiskCall",
    "Fault",
    "FaultyDisk",
    "PowerCut",
    "cut_file",
    "failing",
    "failing_hook",
    "faulty_disk",
    "flip_bit",
    "inserted",
    "lose",
    "nan_fitness",
    "nan_gene",
    "nan_loss",
    "newest_checkpoint",
    "with_faults",
]
