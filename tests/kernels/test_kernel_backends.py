"""Choosing a backend, importing lightly, and the folder of generated code."""

import json
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from kernel_cases import call

from evoweights_kernels import KernelError, apply_, backends, bodies, choose_backend, generated_source
from evoweights_kernels.cache import cache_folder, load_module

SCRIPT = """
import json, sys, torch
from evoweights_kernels import Call, apply_, bodies
x = torch.zeros(5000)
crossover = Call(bodies.uniform_crossover, {"x": x, "other": torch.ones(5000)}, {"take": 0.5}, {"take": 7})
print(json.dumps([apply_([crossover], seed=3, backend="cpu"), int(x.sum()), int(x[:2500].sum())]))
"""


def python(code, **environment):
    """Run code in a fresh interpreter; a value of None removes a variable."""
    variables = {name: value for name, value in {**os.environ, **environment}.items() if value is not None}
    variables["PYTHONPATH"] = os.pathsep.join(sys.path)
    return subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True)


def test_importing_and_tracing_load_neither_torch_nor_numpy_nor_a_compiler():
    done = python(
        "import sys, evoweights_kernels, evoweights_kernels.bodies as b\n"
        "b.pso.trace(), evoweights_kernels.stream_id('a')\n"
        "print([m for m in ('torch', 'numpy', 'numba', 'triton') if m in sys.modules])"
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_every_backend_says_whether_it_is_usable():
    found = backends()
    assert list(found) == ["reference", "cpu", "triton", "cuda"]
    assert found["reference"].usable and found["cpu"].usable and found["triton"].usable
    assert found["cuda"].usable or found["cuda"].reason
    if not torch.cuda.is_available():
        assert found["cuda"].reason == "torch finds no CUDA device"


def test_auto_takes_the_compiled_cpu_target_and_names_it():
    assert choose_backend("auto", "cpu") == "cpu"
    x = torch.zeros(10)
    assert apply_([call(bodies.mix, {"x": x, "leader": torch.ones(10)}, {"weight": 1.0})], seed=1) == "cpu"
    assert x.all()


@pytest.mark.parametrize(
    ("name", "device", "says"),
    [
        ("cuda", "cpu", "'cuda' cannot run: (it runs on CUDA tensors, these lie on cpu|torch finds no CUDA device)"),
        ("cpu", "cuda", "'cpu' cannot run: it runs on CPU tensors, these lie on cuda"),
        ("tpu", "cpu", "'tpu' does not exist; allowed are auto, reference, cpu, triton, cuda"),
    ],
)
def test_a_backend_named_never_falls_back(name, device, says):
    with pytest.raises(KernelError, match=says):
        choose_backend(name, device)


def test_triton_on_cpu_tensors_needs_the_interpreter():
    done = python(
        "from evoweights_kernels import choose_backend\nchoose_backend('triton', 'cpu')", TRITON_INTERPRET=None
    )
    assert "KernelError: backend 'triton' cannot run" in done.stderr
    assert "TRITON_INTERPRET=1" in done.stderr


def test_what_auto_passes_over_is_logged_once(caplog, monkeypatch):
    from evoweights_kernels import launch
    from evoweights_kernels.availability import Availability

    monkeypatch.setitem(launch._AVAILABILITY, "cpu", lambda: Availability(False, "no compiler for this test"))
    caplog.set_level(logging.INFO, "evoweights.kernels")
    assert [choose_backend("auto", "cpu") for _ in range(3)] == ["reference"] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "backend cpu passed over for cpu tensors: no compiler for this test"
    ]
    with pytest.raises(KernelError, match="no compiler for this test"):
        choose_backend("cpu", "cpu")


def test_two_processes_may_generate_the_same_kernel_at_once(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: python(SCRIPT, EVOWEIGHTS_CACHE=str(tmp_path)), range(2)))
    again = python(SCRIPT, EVOWEIGHTS_CACHE=str(tmp_path))
    assert both[0].returncode == both[1].returncode == again.returncode == 0, both[0].stderr + both[1].stderr
    assert both[0].stdout == both[1].stdout == again.stdout and json.loads(again.stdout)[0] == "cpu"
    (module,) = (tmp_path / "kernels").glob("*.py")
    assert module.stat().st_mtime == 0
    assert len(list((tmp_path / "kernels" / "__pycache__").glob("*kernel*.nbi"))) == 1
    assert not list((tmp_path / "kernels").glob(".*.tmp"))


def test_a_damaged_file_in_the_cache_is_written_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("EVOWEIGHTS_CACHE", str(tmp_path))
    assert load_module("answer = 42\n", target="test", versions=("1",)).answer == 42
    (path,) = cache_folder().glob("test_*.py")
    path.write_text("answer = 4")
    assert load_module("answer = 42\n", target="test", versions=("1",)).answer == 42
    assert load_module("answer = 42\n", target="test", versions=("2",)).answer == 42
    assert len(list(cache_folder().glob("test_*.py"))) == 2


def test_a_cache_that_cannot_be_written_is_explained(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("EVOWEIGHTS_CACHE", str(tmp_path / "file"))
    with pytest.raises(KernelError, match="set EVOWEIGHTS_CACHE to a folder that can be written"):
        load_module("answer = 42\n", target="test", versions=())


def test_generated_code_can_be_read():
    pipeline = [bodies.pso_towards, bodies.uniform_crossover]
    assert "@njit" in generated_source(pipeline, "cpu")
    assert "@triton.jit" in generated_source(bodies.adamw, "triton")
    assert "def uniform_crossover" in generated_source(bodies.uniform_crossover, "reference")
    calls = [call(bodies.mix, {"x": torch.zeros(3).bfloat16(), "leader": torch.ones(3)}, {"weight": 0.5})]
    assert "uint16[::1]" in generated_source(calls, "cpu")
    assert "uint4" in generated_source(bodies.adamw, "cuda")
    with pytest.raises(KernelError, match="target 'metal' does not exist"):
        generated_source(bodies.adamw, "metal")
    with pytest.raises(KernelError, match="storage 'float16' does not exist; allowed are float32, bfloat16"):
        generated_source(bodies.adamw, "cpu", storage="float16")
    with pytest.raises(KernelError, match="takes calls or kernels, at least one, not a mixture"):
        generated_source([*calls, bodies.adamw], "cpu")
