"""Chunks, fusion, shared tensors: how a launch is cut or joined never shows in the bits."""

import errno
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from kernel_cases import (
    GENERATED,
    SEED,
    TARGETS,
    apply_to_copies,
    assert_same,
    call,
    copies,
    generator,
    sample_call,
    values,
)

from evoweights_kernels import TILE, CacheError, Call, apply_, bodies, cpu_module, live_table, stream_id

COUNT = 4097


def event(count=COUNT, *, dtype=torch.float32, seed=0, pso=bodies.pso_towards):
    """PSO, crossover and mutation between the same two individuals."""
    rng = generator(seed)
    x, other = values(count, rng=rng).to(dtype), values(count, rng=rng).to(dtype)
    return [
        sample_call(pso, count, rng=rng, shared={"x": x, "leader": other}),
        sample_call(bodies.uniform_crossover, count, rng=rng, shared={"x": x, "other": other}),
        sample_call(bodies.gaussian_mutation, count, rng=rng, shared={"x": x}),
    ]


def pieces(whole, first, stop):
    """The calls restricted to the tiles first .. stop-1."""
    made = []
    for one in whole:
        length = one.target.numel()
        cut = {
            name: t[first * 1024 : stop * 1024] if t.numel() == length else t[first:stop]
            for name, t in one.tensors.items()
        }
        made.append(Call(one.kernel, cut, one.scalars, one.streams))
    return made


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("cuts", [(0, 1, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5)])
def test_any_chunking_gives_the_bits_of_the_whole(target, cuts):
    whole = event()
    expected = apply_to_copies(whole, seed=SEED, backend=target, first_tile=7)
    chunked = copies(whole)
    for first, stop in pairwise(cuts):
        apply_(pieces(chunked, first, stop), seed=SEED, backend=target, first_tile=7 + first)
    assert_same(chunked, expected)


def test_a_chunk_at_another_place_gets_other_numbers():
    calls = event()
    here, there = (apply_to_copies(calls, seed=SEED, first_tile=tile)[0].target for tile in (0, 1))
    assert not torch.equal(here, there)


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16))
@pytest.mark.parametrize("target", TARGETS)
def test_a_fused_launch_gives_the_bits_of_one_call_after_the_other(target, dtype):
    calls = event(dtype=dtype)
    calls[0] = Call(calls[0].kernel, calls[0].tensors, calls[0].scalars, {**calls[0].streams, "rounding": 11})
    fused = apply_to_copies(calls, seed=SEED, backend=target)
    separate = copies(calls)
    for one in separate:
        apply_([one], seed=SEED, backend="reference")
    assert_same(fused, separate)


@pytest.mark.parametrize("target", TARGETS)
def test_later_calls_read_what_earlier_calls_wrote(target):
    a, b, c = (torch.full((1500,), value) for value in (1.0, 2.0, 3.0))
    calls = [
        call(bodies.mix, {"x": a, "leader": b}, {"weight": 1.0}),
        call(bodies.mix, {"x": c, "leader": a}, {"weight": 0.5}),
    ]
    apply_(calls, seed=1, backend=target)
    assert a.unique().tolist() == [2.0] and c.unique().tolist() == [2.5] and b.unique().tolist() == [2.0]


@pytest.mark.parametrize("target", TARGETS)
def test_one_stream_in_two_calls_makes_the_same_choices(target):
    a, b = torch.zeros(3000), torch.ones(3000)
    first, second = a.clone(), b.clone()
    calls = [
        call(bodies.uniform_crossover, {"x": first, "other": b}, {"take": 0.4}, {"take": 5}),
        call(bodies.uniform_crossover, {"x": second, "other": a}, {"take": 0.4}, {"take": 5}),
    ]
    apply_(calls, seed=SEED, backend=target)
    assert torch.equal(first + second, torch.ones(3000)) and 0 < first.sum() < 3000


@pytest.mark.parametrize("target", GENERATED)
def test_an_argument_may_be_the_target_itself(target):
    x = values(2000, rng=generator())
    calls = [call(bodies.uniform_crossover, {"x": x, "other": x}, {"take": 0.5})]
    assert_same(apply_to_copies(calls, seed=SEED, backend=target), calls)


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_to_do_does_nothing(target):
    empty = [sample_call(bodies.pso, 0, rng=generator())]
    assert apply_(empty, seed=1, backend=target) == target
    calls = event()
    skipped = apply_to_copies(calls, seed=1, backend=target, live=torch.zeros(5, dtype=torch.int32))
    assert_same(skipped, calls)


def test_a_live_table_counts_every_gene_once():
    assert live_table(0).tolist() == [] and live_table(1024).tolist() == [1024]
    assert live_table(2049).tolist() == [1024, 1024, 1] and live_table(2049).dtype == torch.int32


@pytest.mark.parametrize("target", GENERATED)
def test_writing_is_noticed_by_autograd(target):
    weights = torch.ones(10, requires_grad=True)
    tracked = weights * 2.0
    loss = (tracked * tracked).sum()
    apply_([call(bodies.mix, {"x": tracked, "leader": torch.zeros(10)}, {"weight": 0.5})], seed=1, backend=target)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_parameters_are_written_in_place():
    parameter = torch.nn.Parameter(torch.ones(3000))
    address = parameter.data_ptr()
    call_ = call(bodies.mix, {"x": parameter, "leader": torch.zeros(3000)}, {"weight": 1.0})
    for target in TARGETS:
        with torch.no_grad():
            parameter.fill_(1.0)
        apply_([call_], seed=1, backend=target)
        assert parameter.data_ptr() == address and not parameter.any(), target


def test_threads_of_python_launch_at_once():
    from concurrent.futures import ThreadPoolExecutor

    calls = [event(1 << 17, seed=seed) for seed in range(4)]
    expected = [apply_to_copies(each, seed=SEED, backend="cpu") for each in calls]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda each: apply_to_copies(each, seed=SEED, backend="cpu"), calls))
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)


def test_the_number_of_threads_never_shows():
    calls = event(1 << 17)
    threads, results = torch.get_num_threads(), []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        results.append(apply_to_copies(calls, seed=SEED, backend="cpu"))
    torch.set_num_threads(threads)
    assert_same(results[1], results[0])
    assert_same(results[2], results[0])


def test_plain_threads_give_the_same_bits_where_openmp_is_missing(monkeypatch):
    from evoweights_kernels import cpu_threads

    calls = event(1 << 17)
    expected = apply_to_copies(calls, seed=SEED, backend="cpu")
    monkeypatch.setattr(cpu_threads, "_is_thread_safe", lambda: False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert_same(apply_to_copies(calls, seed=SEED, backend="cpu"), expected)


def test_seeds_and_streams_choose_other_numbers():
    base = apply_to_copies(event(), seed=SEED)[0].target
    assert not torch.equal(base, apply_to_copies(event(), seed=SEED + 1)[0].target)
    calls = event()
    renamed = {name: stream_id(f"elsewhere/{name}") for name in calls[0].streams}
    calls[0] = Call(calls[0].kernel, calls[0].tensors, calls[0].scalars, renamed)
    assert not torch.equal(base, apply_to_copies(calls, seed=SEED)[0].target)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs files with holes")
def test_more_than_two_to_the_31_genes_are_all_reached(tmp_path):
    """The genome is a file with holes of which only the first, a middle and the last tile take part."""
    genes = 2**31 + 3 * TILE + 5
    file = tmp_path / "genome"
    with file.open("wb") as stream:
        stream.truncate(genes * 2)
    x = torch.from_file(str(file), shared=True, size=genes, dtype=torch.bfloat16)
    live = torch.zeros(-(-genes // TILE), dtype=torch.int32)
    tiles = [0, 7, 2**20, len(live) - 2, len(live) - 1]
    live[tiles] = torch.tensor([TILE, TILE, TILE, TILE, 5], dtype=torch.int32)
    table = torch.ones(len(live))
    call = Call(bodies.gaussian_mutation_of_all, {"x": x, "scale": table}, {"sigma": 1.0}, {"z": 3})
    apply_([call], seed=1, live=live, backend="cpu")
    for tile in tiles:
        start, count = tile * TILE, int(live[tile])
        small = torch.zeros(count, dtype=torch.bfloat16)
        part = Call(bodies.gaussian_mutation_of_all, {"x": small, "scale": torch.ones(1)}, {"sigma": 1.0}, {"z": 3})
        apply_([part], seed=1, first_tile=tile, backend="reference")
        assert small.any() and torch.equal(x[start : start + count], small)
    assert not x[TILE : 7 * TILE].any()


@pytest.mark.parametrize("part", ["kernel", "parallel"])
@pytest.mark.parametrize(
    "code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EPERM, errno.EIO]
)
def test_machine_code_that_cannot_be_kept_is_an_error_of_the_cache_whenever_it_is_compiled(
    part: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from numba.core.caching import IndexDataCacheFile

    save = IndexDataCacheFile.save

    def saved(self: Any, *given: object) -> None:
        if f".{part}-" in self._index_name:
            raise OSError(code, "so it was wanted")
        save(self, *given)

    monkeypatch.setenv("EVOWEIGHTS_CACHE", str(tmp_path))
    monkeypatch.setattr(IndexDataCacheFile, "save", saved)
    threads = torch.get_num_threads()
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    arguments = (np.zeros(3), np.float64(1.0))
    body = ["for tile in range(start, stop):", f"    x[0] += amount + {code}"]
    with pytest.raises(OSError if code == errno.EIO else CacheError, match="so it was wanted") as caught:
        module = cpu_module.load(cpu_module.text([("x", "float64[::1]"), ("amount", "float64")], body))
        assert part == "parallel"
        cpu_module.launch(module, arguments, tiles=cpu_module.INLINE_TILES)
        cpu_module.launch(module, arguments, tiles=cpu_module.INLINE_TILES + 1)
    if code != errno.EIO:
        assert f"generated kernels cannot be written to {tmp_path / 'kernels'}: [Errno {code}]" in str(caught.value)
    monkeypatch.undo()
    torch.set_num_threads(threads)  # Numba's first launch on threads may have changed it: they have one OpenMP
