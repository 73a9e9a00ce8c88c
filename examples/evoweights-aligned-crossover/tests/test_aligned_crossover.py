"""Reordered neurons compute the same; a reordered copy is recognised; crossover takes whole neurons; what cannot be aligned
is refused; and aligning pays."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from evoweights_aligned_crossover import AlignedCrossover
from evoweights_aligned_crossover.matching import matched
from evoweights_aligned_crossover.neurons import layers_of, permuted
from torch import nn

from evoweights import Noise
from evoweights.errors import UsageError

CONFIG = Path(__file__).parents[1] / "aligned_crossover.yaml"
WIDTHS = (20, 24, 16, 24, 5)


def generator_of(seed):
    return torch.Generator().manual_seed(seed)


def network(seed, *, widths=WIDTHS, bias=True):
    generator, tensors = generator_of(seed), {}
    for index, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        tensors[f"{2 * index}.weight"] = torch.randn(outputs, inputs, generator=generator) / inputs**0.5
        if bias:
            tensors[f"{2 * index}.bias"] = 0.3 * torch.randn(outputs, generator=generator)
    return tensors


def computed(tensors, inputs):
    modules = []
    for name in (each for each in tensors if each.endswith("weight")):
        outputs, width = tensors[name].shape
        modules += [nn.Linear(width, outputs, bias=name.replace("weight", "bias") in tensors), nn.ReLU()]
    module = nn.Sequential(*modules[:-1])
    module.load_state_dict(tensors)
    with torch.no_grad():
        return module.double()(inputs.double())


def random_orders(layers, tensors, seed):
    generator = generator_of(seed)
    return [torch.randperm(len(tensors[layer.weight]), generator=generator) for layer in layers[:-1]]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_another_order_of_the_neurons_computes_the_same_function(seed, bias):
    tensors, inputs = network(seed, bias=bias), torch.randn(50, WIDTHS[0], generator=generator_of(99))
    layers = layers_of(tensors)
    other = permuted(tensors, layers, random_orders(layers, tensors, seed))
    assert not torch.equal(other["0.weight"], tensors["0.weight"])
    assert float((computed(other, inputs) - computed(tensors, inputs)).abs().max()) < 1e-6


@pytest.mark.parametrize("seed", range(10))
def test_aligning_two_networks_does_not_change_what_they_compute(seed):
    ours, theirs = network(seed), network(seed + 100)
    layers, inputs = layers_of(ours), torch.randn(50, WIDTHS[0], generator=generator_of(99))
    aligned = permuted(theirs, layers, matched(ours, theirs, layers, sweeps=20))
    assert float((computed(aligned, inputs) - computed(theirs, inputs)).abs().max()) < 1e-6


@pytest.mark.parametrize("seed", range(20))
def test_a_reordered_copy_is_recognised_neuron_by_neuron(seed):
    ours = network(seed)
    layers = layers_of(ours)
    theirs = permuted(ours, layers, random_orders(layers, ours, seed + 1))
    found = permuted(theirs, layers, matched(ours, theirs, layers, sweeps=20))
    assert all(torch.equal(found[name], ours[name]) for name in ours)


@pytest.mark.parametrize("seed", range(10))
def test_aligning_never_makes_two_networks_less_alike(seed):
    ours, theirs = network(seed), network(seed + 50)
    layers = layers_of(ours)

    def likeness(other):
        return sum(float((ours[name].double() * other[name].double()).sum()) for name in ours)

    values = [likeness(theirs)]
    for sweeps in (1, 2, 20):
        values.append(likeness(permuted(theirs, layers, matched(ours, theirs, layers, sweeps=sweeps))))
    assert values == sorted(values) and values[-1] > values[0]


def test_crossover_with_a_reordered_copy_changes_nothing():
    ours = network(1)
    layers = layers_of(ours)
    theirs = permuted(ours, layers, random_orders(layers, ours, 2))
    written = AlignedCrossover(rate=0.5).rewrite(ours, theirs, Noise(1))
    assert all(torch.equal(written[name], ours[name]) for name in ours)
    plain = AlignedCrossover(rate=0.5, align=False).rewrite(ours, theirs, Noise(1))
    assert not any(torch.equal(plain[layer.weight], ours[layer.weight]) for layer in layers)


@pytest.mark.parametrize("unit", ["neuron", "layer"])
def test_a_unit_is_taken_as_a_whole_with_the_probability_that_is_set(unit):
    ours, theirs, taken, units = network(1), network(2), 0, 0
    for seed in range(200):
        written = AlignedCrossover(rate=0.3, unit=unit, align=False).rewrite(ours, theirs, Noise(seed))
        for layer in layers_of(ours):
            is_theirs = (written[layer.weight] == theirs[layer.weight]).all(1)
            assert torch.equal(is_theirs, ~(written[layer.weight] == ours[layer.weight]).all(1))
            assert torch.equal(is_theirs, written[layer.bias] == theirs[layer.bias])
            counted = is_theirs if unit == "neuron" else is_theirs[:1]
            assert unit == "neuron" or is_theirs.all() or not is_theirs.any()
            taken, units = taken + int(counted.sum()), units + len(counted)
    assert taken / units == pytest.approx(0.3, abs=4 * (0.21 / units) ** 0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rates_and_shares_at_their_ends(dtype):
    ours, theirs = ({name: each.to(dtype) for name, each in network(seed).items()} for seed in (1, 2))
    nothing = AlignedCrossover(rate=0.0).rewrite(ours, theirs, Noise(1))
    assert all(torch.equal(nothing[name], ours[name]) for name in ours)
    nothing = AlignedCrossover(rate=1.0, share=0.0).rewrite(ours, theirs, Noise(1))
    assert all(torch.equal(nothing[name], ours[name]) for name in ours)
    everything = AlignedCrossover(rate=1.0, align=False).rewrite(ours, theirs, Noise(1))
    assert all(torch.equal(everything[name], theirs[name]) and everything[name].dtype == dtype for name in ours)


def test_all_of_an_aligned_network_computes_what_it_did_before():
    ours, theirs, inputs = network(1), network(2), torch.randn(50, WIDTHS[0], generator=generator_of(99))
    written = AlignedCrossover(rate=1.0).rewrite(ours, theirs, Noise(1))
    assert float((computed(written, inputs) - computed(theirs, inputs)).abs().max()) < 1e-6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda tensors: tensors | {"1.weight": torch.ones(24), "1.bias": torch.ones(24)},
            r"1\.weight: expected a matrix",
        ),
        (
            lambda tensors: tensors | {"9.running": torch.ones(3)},
            r"9\.running belong to none of the layers 0, 2, 4, 6",
        ),
        (
            lambda tensors: {"table": torch.ones(3, 4)},
            r"table belong to no layer, as there is none\. Only plain perceptrons",
        ),
        (
            lambda tensors: tensors | {"8.weight": torch.ones(3, 7)},
            r"6\.weight has 5 neurons, but 8\.weight takes 7 inputs",
        ),
    ],
)
def test_what_is_no_plain_perceptron_is_refused(change, message):
    with pytest.raises(UsageError, match=message):
        layers_of(change(network(1)))


def test_layers_are_taken_in_the_order_that_is_set():
    tensors = network(1)
    backwards = dict(reversed(tensors.items()))
    with pytest.raises(UsageError, match="Set `layers`"):
        layers_of(backwards)
    assert layers_of(backwards, ["0", "2", "4", "6"]) == layers_of(tensors)
    with pytest.raises(UsageError, match=r"3\.weight: expected a matrix of a Linear, found nothing"):
        layers_of(tensors, ["0", "3"])


def harm(folder, align):
    """How much a crossover raised the loss on a batch, on average over the first three."""
    folder.mkdir()
    changes = ["generations=6", "observers=[]", "device=cpu", f"vary.0.align={align}"]
    words = [sys.executable, "-m", "evoweights", "run", str(CONFIG), *changes]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = (folder / "runs" / "aligned_crossover" / "metrics.jsonl").read_text().splitlines()
    losses = [each["losses"] for line in lines for each in json.loads(line)["varied"]]
    assert len(losses) == 3
    return sum(after - before for before, after in losses) / len(losses)


def test_networks_that_were_trained_apart_are_harmed_less_if_they_are_aligned(tmp_path):
    assert harm(tmp_path / "aligned", "true") < 0.5 * harm(tmp_path / "plain", "false")
