"""The general rules for improvers, held to on a language model: the same on every target, nothing global, all of it saved."""

import dataclasses
import os
import random
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import safetensors.torch
import torch
from est_cases import gpt2, mounted_model

from evoweights.improvers import Moment
from evoweights.progress import Progress
from evoweights.seeds import Noise
from evoweights.storage.formats import from_json, tensor_chunks, to_json
from evoweights.testing.populations import BACKENDS, bits, inside
from evoweights.training import Feed
from evoweights_classic.adamw import AdamW
from evoweights_est.est import SubnetworkTraining

EST = SubnetworkTraining(widths_until=1.0, layers_until=0.5, optimizer=AdamW(learning_rate=1e-2))
every_target = pytest.mark.parametrize("backend", BACKENDS)
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)


def small():
    """A model whose first block is frozen."""
    model = gpt2(n_layer=3, n_embd=16, n_head=4)
    model.transformer.h[0].requires_grad_(False)
    return model


def mounted_(dtype, *, make=small):
    return mounted_model(make=make, improver=EST, dtype=dtype)


def stepped(improver, pair, *, first=1, count=3, backend="cpu", seed=7):
    task, mounted = pair
    feed = Feed(task, Progress(batches=first - 1))
    return [
        improver.step(mounted, feed, Moment(number, 6, Noise(seed, f"step {number}"), backend, Noise(seed)))
        for number in range(first, first + count)
    ]


def state(pair):
    return [
        ([bits(each) for each in (part.weights, *part.slots.values())], dict(part.counters)) for part in pair[1].parts
    ]


@every_target
@every_dtype
def test_steps_are_the_same_on_every_target_and_every_time(backend, dtype):
    made = []
    for target in (backend, "cpu"):
        pair = mounted_(dtype)
        frozen = pair[1].shared.weights
        before = bits(frozen), frozen._version
        torch.rand(3)
        made.append((stepped(EST, pair, backend=target), state(pair)))
        assert (bits(frozen), frozen._version) == before
        for part in pair[1].parts:
            padding = ~inside(part.layout, part.layout.segments)
            assert not any(each[padding].any() for each in (part.weights, *part.slots.values()))
    assert made[0] == made[1]
    assert made[0][1] != state(mounted_(dtype))


@every_target
def test_nothing_global_is_drawn_from_or_changed(backend):
    def world():
        return (
            bits(torch.random.get_rng_state()), str(np.random.get_state()), random.getstate(), torch.get_default_dtype(),
            torch.get_num_threads(), torch.is_grad_enabled(), os.getcwd(), dict(os.environ), list(warnings.filters),
        )  # fmt: skip

    pair = mounted_(torch.bfloat16)
    stepped(EST, pair, count=1, backend=backend)
    before = world()
    stepped(EST, pair, first=2, count=1, backend=backend)
    assert world() == before


@every_dtype
def test_settings_through_json_and_state_through_safetensors_give_the_same_next_step(dtype):
    values = from_json(to_json(dataclasses.asdict(EST)))
    again = SubnetworkTraining(**values | {"optimizer": AdamW(**values["optimizer"])})
    assert again == EST
    pair, other = mounted_(dtype), mounted_(dtype)
    stepped(EST, pair)
    for part, into in zip(pair[1].parts, other[1].parts, strict=True):
        saved = safetensors.torch.load(
            b"".join(bytes(each) for each in tensor_chunks({"weights": part.weights, **part.slots}))
        )
        into.weights.copy_(saved.pop("weights"))
        for name, each in saved.items():
            into.slots[name].copy_(each)
        into.counters = from_json(to_json(part.counters))
    assert stepped(again, other, first=4, count=2) == stepped(EST, pair, first=4, count=2)
    assert state(other) == state(pair)


def test_one_instance_trains_several_models_at_once():
    def trained(seed, pair):
        return stepped(EST, pair, seed=seed), state(pair)

    alone = [trained(seed, mounted_(torch.float32)) for seed in range(4)]
    pairs = [
        mounted_(torch.float32) for _ in range(4)
    ]  # made here: fresh weights are drawn from torch's global generator
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(trained, range(4), pairs)) == alone


def test_it_keeps_nothing_but_what_its_optimizer_declares():
    pair, before = mounted_(torch.float32), repr(EST)
    stepped(EST, pair, count=2)
    assert repr(EST) == before and vars(EST).keys() == {each.name for each in dataclasses.fields(EST)}
    assert all(set(part.slots) == {slot.name for slot in EST.slots} for part in pair[1].parts)
    assert pair[1].memory == {}
