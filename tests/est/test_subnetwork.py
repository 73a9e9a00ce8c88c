"""A subnetwork computes what the whole model would with everything else masked, on smaller matrices; then all is as before."""

import contextlib
import copy

import pytest
import torch
from est_cases import MODELS, inside, mounted_model, subnetwork_of
from torch.utils.flop_counter import FlopCounterMode

from evoweights.homes.part import check_mounted
from evoweights.testing.populations import bits
from evoweights_est.standing_in import standing_in
from evoweights_est.subnetwork import Scales

SAMPLINGS = ("random", "window")


def loss_and_gradients(task, subnetwork):
    """The loss of the subnetwork and its gradient on the whole model's parameters, zero where it has none."""
    mounted = subnetwork.mounted
    with subnetwork.in_place():
        for part in mounted.parts:
            check_mounted(mounted.module, part)
        task.loss(mounted.module, task.batch(0)).backward()
        loss = task.loss(mounted.module, task.batch(0)).detach()
    whole = subnetwork.whole.own.gradient.clone()  # embeddings are trained where they are
    for each in subnetwork._smaller:
        for piece in each.pieces:
            piece.put_(each.small.gradient, whole)
    layout = subnetwork.whole.own.layout
    return loss, {segment.name: segment.view(whole).clone() for segment in layout.segments}


@contextlib.contextmanager
def masked(subnetwork):
    """The whole model with hooks: outputs of heads and neurons that are out are zero, skipped layers give their input."""
    hooks = []
    for block, each in zip(subnetwork.blocks, subnetwork.chosen, strict=True):
        if each is None:
            hooks.append(block.module.register_forward_hook(lambda module, given, made: given[0]))
            continue
        for unit, width in (("query", block.head_width), ("neuron", 1)):
            mask = torch.zeros(block.units(unit))
            mask[each.units[unit]] = 1 / each.share(unit)
            mask = mask.repeat_interleave(width)
            hooks.append(
                block.outputs[unit].register_forward_pre_hook(lambda module, given, mask=mask: (given[0] * mask,))
            )
    yield
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("layers", [1.0, 0.5])
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("name", MODELS)
def test_loss_and_gradients_are_those_of_the_masked_model(name, sampling, layers):
    task, mounted = mounted_model(name)
    subnetwork = subnetwork_of(mounted, sampling=sampling, layers=layers)
    loss, gradients = loss_and_gradients(task, subnetwork)
    mounted.own.gradient.zero_()
    with masked(subnetwork):
        dense = task.loss(mounted.module, task.batch(0))
        dense.backward()
    torch.testing.assert_close(loss, dense.detach(), rtol=1e-5, atol=1e-6)
    marks = inside(subnetwork)
    for segment in mounted.own.layout.segments:
        wanted, found = segment.view(mounted.own.gradient), gradients[segment.name]
        torch.testing.assert_close(found, wanted * marks[segment.name], rtol=1e-4, atol=1e-6, msg=segment.name)
        assert found.abs().sum() > 0 or not marks[segment.name].any(), segment.name


@pytest.mark.parametrize("name", MODELS)
def test_it_holds_exactly_the_genes_that_are_in(name):
    _, mounted = mounted_model(name)
    subnetwork = subnetwork_of(mounted, heads=0.5, neurons=0.3, layers=0.5)
    marks = inside(subnetwork)
    assert sum(part.layout.count for part in subnetwork.mounted.parts) == sum(
        int(each.sum()) for each in marks.values()
    )
    with subnetwork.in_place():
        sizes = {each: parameter.numel() for each, parameter in mounted.module.named_parameters()}
    assert sizes == {each: int(mark.sum()) for each, mark in marks.items() if mark.any()}
    for each, mark in marks.items():
        assert subnetwork.share(each) == pytest.approx(mark.float().mean().item())


def _everything(module):
    """All that layers hold, in its order: attributes, and which parameter and child stands under which name."""
    return {
        path: (type(each), {key: _held(value) for key, value in vars(each).items()}, list(vars(each)))
        for path, each in module.named_modules()
    }


def _held(value):
    return [(key, id(each)) for key, each in value.items()] if isinstance(value, dict) else value


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("fails", [False, True])
def test_afterwards_the_module_is_what_it_was_even_if_something_raised(name, fails):
    task, mounted = mounted_model(name)
    before, weights = _everything(mounted.module), bits(mounted.own.weights)
    expectation = pytest.raises(ZeroDivisionError) if fails else contextlib.nullcontext()
    subnetwork = subnetwork_of(mounted, layers=0.5)
    with expectation, subnetwork.in_place():
        task.loss(mounted.module, task.batch(0)).backward()
        if fails:
            raise ZeroDivisionError
    assert _everything(mounted.module) == before
    assert bits(mounted.own.weights) == weights
    check_mounted(mounted.module, mounted.own)


def test_a_change_that_cannot_be_made_leaves_no_other_behind():
    table = {"a": 1}

    def changes():
        yield table, "a", 2
        yield table, "b", 3
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), standing_in(changes()):
        pass
    assert table == {"a": 1}


@pytest.mark.parametrize("name", ["gpt2", "qwen3"])
def test_a_skipped_layer_is_the_identity_on_the_residual_stream_to_the_bit(name):
    task, mounted = mounted_model(name)
    subnetwork = subnetwork_of(mounted, heads=1.0, neurons=1.0, layers=0.5)
    found = []
    with subnetwork.in_place():
        for number, each in enumerate(subnetwork.chosen):
            path = subnetwork.blocks[number].path
            if each is None:
                mounted.module.get_submodule(path).register_forward_hook(
                    lambda module, given, made: found.append(bits(given[0]) == bits(made))
                )
        short = copy.deepcopy(mounted.module)
        loss = task.loss(mounted.module, task.batch(0))
    assert found == [True, True]
    kept = [number for number, each in enumerate(subnetwork.chosen) if each is not None]
    blocks = short.get_submodule(subnetwork.blocks[0].path.rpartition(".")[0])
    left = [blocks[number] for number in kept]
    del blocks[: len(blocks)]
    blocks.extend(left)
    short.config.num_hidden_layers = len(left)
    assert bits(task.loss(short, task.batch(0))) == bits(loss)


@pytest.mark.parametrize("name", ["llama", "llama, 2 of 8 heads for keys", "qwen3"])
def test_gate_up_and_down_follow_one_set_of_neurons_and_keys_one_of_groups(name):
    _, mounted = mounted_model(name)
    for each in subnetwork_of(mounted, neurons=0.4).chosen:
        places = {name.split(".", 3)[3]: (dim, found.index.tolist()) for name, dim, found in each.places()}
        gate, up, down = (places[f"mlp.{layer}_proj.weight"] for layer in ("gate", "up", "down"))
        assert gate == up == (0, each.units["neuron"].tolist()) and down == (1, gate[1])
        assert places["self_attn.q_proj.weight"][1] == places["self_attn.o_proj.weight"][1]
        assert ("self_attn.k_proj.weight" in places) is (len(each.units["key_value"]) < each.block.key_values)
        keys = [places.get(f"self_attn.{layer}_proj.weight") for layer in ("k", "v")]
        assert keys[0] == keys[1]


@pytest.mark.parametrize("name", ["gpt2", "llama, groups of 2 by 3"])
def test_the_mean_of_scaled_outputs_over_draws_is_the_full_output(name):
    """Of both output projections, given what they are fed in the full model: the linear part; a bias is not scaled."""
    _, mounted = mounted_model(name)
    block = subnetwork_of(mounted).blocks[1]
    widths = {"query": block.units("query") * block.head_width, "neuron": block.units("neuron")}
    x = {unit: torch.randn(5, width, generator=_generator()) for unit, width in widths.items()}
    full = {unit: block.outputs[unit](each).detach() for unit, each in x.items()}
    found = {unit: [] for unit in x}
    for number in range(200):
        subnetwork = subnetwork_of(mounted, number=number)
        places = {cut: each for cut, _, each in subnetwork.chosen[1].places()}
        with subnetwork.in_place():
            for unit, projection in block.outputs.items():
                index = next(each.index for cut, each in places.items() if cut.endswith(_suffix(name, unit)))
                found[unit].append(projection(x[unit][:, index]).detach())
    for unit, drawn in found.items():
        drawn = torch.stack(drawn)
        error = drawn.std(0) / len(drawn) ** 0.5
        assert ((drawn.mean(0) - full[unit]).abs() < 5 * error).all(), unit
        assert (drawn.std(0) > 0).all(), unit


def _generator():
    return torch.Generator().manual_seed(0)


def _suffix(name, unit):
    if name == "gpt2":
        return "attn.c_proj.weight" if unit == "query" else "mlp.c_proj.weight"
    return "o_proj.weight" if unit == "query" else "down_proj.weight"


@pytest.mark.parametrize("name", ["gpt2", "llama", "mistral"])
def test_scaled_layers_scale_all_that_a_layer_adds(name):
    """Twice the product and twice the bias with half of the layers; heads and neurons are all in."""
    _, mounted = mounted_model(name)
    plain, scaled = (
        subnetwork_of(mounted, heads=1.0, neurons=1.0, layers=0.5, scales=Scales(layers=each)) for each in (False, True)
    )
    active = next(each for each in plain.chosen if each is not None)
    for projection in active.block.outputs.values():
        x = torch.randn(3, 7, _inputs(projection), generator=_generator())
        with plain.in_place():
            once = projection(x)
        with scaled.in_place():
            torch.testing.assert_close(projection(x), 2 * once)


def _inputs(projection):
    return getattr(projection, "nx", None) or projection.in_features


def test_without_scaling_outputs_are_plain_sums():
    _, mounted = mounted_model("gpt2")
    subnetwork = subnetwork_of(mounted, scales=Scales(heads=False, neurons=False))
    with subnetwork.in_place():
        for block in subnetwork.blocks:
            assert all("forward" not in vars(each) for each in block.outputs.values())


def flops(task, module):
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        task.loss(module, task.batch(0))
    return counted.get_total_flops()


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("name", ["gpt2", "llama", "mistral"])
def test_torch_counts_a_quarter_and_a_half_of_the_operations(name, sampling):
    task, mounted = mounted_model(name)
    with subnetwork_of(mounted, heads=1.0, neurons=1.0, layers=0.25).in_place():
        quarter = flops(task, mounted.module)
    whole = flops(task, mounted.module)
    outside = (4 * quarter - whole) / 3  # of the head: what does not depend on the number of layers
    shares = {}
    for layers in (0.5, 1.0):
        with subnetwork_of(mounted, layers=layers, sampling=sampling).in_place():
            shares[layers] = (flops(task, mounted.module) - outside) / (whole - outside)
    assert shares == {0.5: pytest.approx(0.25), 1.0: pytest.approx(0.5)}
