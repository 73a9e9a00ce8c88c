"""The general rules for every registered improver: gradient steps are components like the rest.

G19 and G20 are not theirs: a step returns its loss and refuses what is not finite, so it looks at both; what it keeps are slots.
"""

import dataclasses
import os
import random
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from evoweights.founding import mount_blueprint
from evoweights.improvers import Moment
from evoweights.mounted import Blueprint
from evoweights.population import Slot
from evoweights.seeds import Noise
from evoweights.storage.formats import from_json, tensor_chunks, to_json
from evoweights.testing.grounds import awkward_layout, genes
from evoweights.testing.populations import BACKENDS, CPU, bits
from evoweights.testing.strategies import DTYPES, genes_of
from operators_under_test import registered

ELSEWHERE = ("evoweights_evotorch", "evoweights_est")
"""EvoTorch's searchers keep tensors of other shapes, subnetworks are those of language models; tests/searchers and tests/est hold
them to the same rules."""
IMPROVERS = [each.component() for each in registered().entries("improve") if each.provider not in ELSEWHERE]
every_improver = pytest.mark.parametrize("improver", IMPROVERS, ids=lambda each: each.name)
every_target = pytest.mark.parametrize("backend", BACKENDS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


class Slopes:
    """A feed whose loss is a plane, another one for every batch."""

    def __init__(self, taken=0):
        self.taken = taken

    def next_loss(self, mounted):
        self.taken += 1
        return sum(
            (each.float() * genes_of([self.taken, number], each.numel(), torch.float32, extreme_share=0.0).view(each.shape)).sum()
            for number, each in enumerate(mounted.module.parameters())
            if each.requires_grad
        )  # fmt: skip

    def add_gradient_(self, mounted):
        loss = self.next_loss(mounted)
        loss.backward()
        return loss.detach()

    def draw(self, mounted):
        self.taken += 1
        return Drawn(self.taken, mounted)


@dataclasses.dataclass
class Drawn:
    """The plane of one batch, to be looked up as often as wanted."""

    number: int
    mounted: object

    @torch.no_grad()
    def scores(self, copies=1):
        assert copies == 1
        return Slopes(self.number - 1).next_loss(self.mounted).double()[None]


def mounted_(improver, layout, *, seed=1):
    """A module with a parameter for every segment of the layout; embeddings are shared."""
    module = nn.ParameterDict()
    for number, each in enumerate(layout.segments):
        values = genes_of([seed, number], each.count, layout.dtype, extreme_share=0.0).view(each.shape)
        module[f"p{number}_{each.role}"] = nn.Parameter(values, requires_grad=each.role != "frozen")
    blueprint = Blueprint(module, 1, initialise=lambda row: None, is_shared=lambda name: name.endswith("embedding"))
    return mount_blueprint(blueprint, CPU, improvers=[improver])


def stepped(improver, mounted, feed, *, first=1, count=3, backend="reference", seed=7):
    """The losses of so many steps."""
    moments = [
        Moment(number, 100, Noise(seed, f"step {number}"), backend, Noise(seed))
        for number in range(first, first + count)
    ]
    return [improver.step(mounted, feed, moment) for moment in moments]


def rebuilt(component, values):
    """A component of the same kind from its settings as plain values; parts of it likewise."""
    parts = {name: getattr(component, name) for name in values}
    made = {
        name: rebuilt(parts[name], value) if dataclasses.is_dataclass(parts[name]) else value
        for name, value in values.items()
    }
    return type(component)(**made)


def state(mounted):
    """The bytes of weights and slots without padding, and the counters."""
    tensors = [genes(part.layout, each) for part in mounted.parts for each in (part.weights, *part.slots.values())]
    return tensors, [dict(part.counters) for part in mounted.parts]


@every_improver
@every_target
@every_dtype
def test_steps_are_the_same_on_every_target_and_every_time(improver, backend, dtype):
    """G04, G12, G18, at awkward sizes; frozen parameters and padding keep their bytes."""
    made = []
    for target in (backend, "cpu"):
        mounted = mounted_(improver, awkward_layout(dtype))
        frozen = next(each for name, each in mounted.module.items() if name.endswith("frozen"))
        before = bits(frozen), [each._version for each in (frozen,)]
        torch.rand(3)
        losses = stepped(improver, mounted, Slopes(), backend=target)
        made.append((losses, state(mounted)))
        assert (bits(frozen), [each._version for each in (frozen,)]) == before
        for part in mounted.parts:
            padding = torch.ones(part.layout.size, dtype=torch.bool)
            for segment in part.layout.segments:
                padding[segment.start : segment.start + segment.count] = False
            assert not any(each[padding].any() for each in (part.weights, *part.slots.values()))
    assert made[0] == made[1]
    assert made[0][1] != state(mounted_(improver, awkward_layout(dtype)))


@every_improver
@every_target
def test_nothing_global_is_drawn_from_or_changed(improver, backend):
    """G06."""

    def world():
        return (
            bits(torch.random.get_rng_state()), str(np.random.get_state()), random.getstate(), torch.get_default_dtype(),
            torch.get_num_threads(), torch.is_grad_enabled(), os.getcwd(), dict(os.environ), list(warnings.filters),
        )  # fmt: skip

    mounted = mounted_(improver, awkward_layout(torch.bfloat16))
    stepped(improver, mounted, Slopes(), count=1, backend=backend)
    before = world()
    stepped(improver, mounted, Slopes(), first=2, count=1, backend=backend)
    assert world() == before


@every_improver
@every_target
@every_dtype
def test_settings_through_json_and_state_through_safetensors_give_the_same_next_step(improver, backend, dtype):
    """G21, A08: in the population the state of an individual are its slots and counters."""
    again = rebuilt(improver, from_json(to_json(dataclasses.asdict(improver))))
    assert again == improver
    mounted, other = mounted_(improver, awkward_layout(dtype)), mounted_(improver, awkward_layout(dtype), seed=2)
    stepped(improver, mounted, Slopes(), backend=backend)
    stepped(improver, other, Slopes(3), count=1, backend=backend)
    assert state(other) != state(mounted)
    for part, into in zip(mounted.parts, other.parts, strict=True):
        saved = safetensors.torch.load(
            b"".join(bytes(each) for each in tensor_chunks({"weights": part.weights, **part.slots}))
        )
        into.weights.copy_(saved.pop("weights"))
        for name, each in saved.items():
            into.slots[name].copy_(each)
        into.counters = from_json(to_json(part.counters))
        into.refresh_()
    assert state(other) == state(mounted)
    left = stepped(improver, mounted, Slopes(3), first=4, count=2, backend=backend)
    assert stepped(again, other, Slopes(3), first=4, count=2, backend=backend) == left
    assert state(other) == state(mounted)


@every_improver
@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_one_instance_trains_several_modules_at_once(improver, backend):
    """G23; Triton's interpreter serves one thread only."""

    def trained(seed):
        mounted = mounted_(improver, awkward_layout(torch.bfloat16), seed=seed)
        return stepped(improver, mounted, Slopes(), backend=backend, seed=seed), state(mounted)

    alone = [trained(seed) for seed in range(4)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(trained, range(4))) == alone


@every_improver
def test_an_improver_declares_what_it_keeps(improver):
    """G21: whatever a step leaves behind is in a declared slot or counter, so that it is saved."""
    assert all(isinstance(each, Slot) and each.name.startswith(f"{improver.name}.") for each in improver.slots)
    mounted = mounted_(improver, awkward_layout(torch.float32))
    before = repr(improver)
    stepped(improver, mounted, Slopes(), count=2)
    assert repr(improver) == before
    assert {name for part in mounted.parts for name in part.slots} == {each.name for each in improver.slots}
