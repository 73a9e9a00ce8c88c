"""What holds for every test: the Triton interpreter, reproducible examples, a settled heap, no trace left in torch's settings."""

import gc
import os
import sys

os.environ.setdefault("TRITON_INTERPRET", "1")
# Waiting threads that spin make small tests several times slower where processes outnumber cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:
    # As many processes as cores run already; tests of many threads ask for them.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

settings.register_profile("ci", derandomize=True, database=None, deadline=None, print_blob=True, max_examples=30)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True)
def heap_is_settled():
    """Keeps collections as quick as in a fresh process: what lives before a test is not searched in it. A run founds its
    population after a collection of all garbage, and there are many short runs."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def torch_settings_stay():
    """Fails a test that leaves torch's default dtype, grad mode, number of threads or way to compile other than it found them."""
    import torch

    def now():
        dynamo = sys.modules.get("torch._dynamo.eval_frame")
        stance = "default" if dynamo is None else dynamo._stance.stance
        return torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads(), stance

    before = now()
    yield
    after = now()
    torch.set_default_dtype(before[0])
    torch.set_grad_enabled(before[1])
    torch.set_num_threads(before[2])
    assert after == before, f"default dtype, grad mode, threads, compiling: {before} before the test, {after} after it"
