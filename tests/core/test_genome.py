"""Layouts, their fingerprints and live tables, and modules mounted on one buffer."""

import copy
import dataclasses
import fnmatch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from evoweights.errors import UsageError
from evoweights.genome import ROLES, SCOPES, Layout, Segment, layout_of
from evoweights.homes.part import check_mounted, mount_
from evoweights.seeds import Noise, seeded
from evoweights.testing.populations import bits, inside, mixed_layout
from evoweights.testing.strategies import DTYPES, layouts, modules
from evoweights_kernels import TILE


def names_of(module):
    return [name for name, _ in module.named_parameters()]


def mounted_(module):
    return mount_(module, layout_of(module, names_of(module)), device="cpu")


def live_mask(layout, segments):
    return (torch.arange(TILE) < layout.live(segments)[:, None]).flatten()


# Layouts


@given(modules())
def test_segments_start_at_tiles_and_never_overlap(module):
    layout, end = layout_of(module, names_of(module)), 0
    for segment in layout.segments:
        assert segment.start % TILE == 0
        assert segment.start >= end
        end = segment.start + segment.count
    assert layout.size % TILE == 0
    assert end <= layout.size < end + TILE


@given(modules())
def test_every_parameter_is_one_segment_of_its_shape_in_the_order_of_roles(module):
    layout, parameters = layout_of(module, names_of(module)), dict(module.named_parameters())
    assert sorted(segment.name for segment in layout.segments) == sorted(parameters)
    assert all(segment.shape == tuple(parameters[segment.name].shape) for segment in layout.segments)
    assert layout.count == sum(each.numel() for each in parameters.values())
    order = [ROLES.index(segment.role) for segment in layout.segments]
    assert order == sorted(order)


@given(modules())
def test_roles_follow_from_the_parameter_and_its_module(module):
    tables = {id(each.weight) for each in module.modules() if isinstance(each, nn.Embedding)}
    for segment in layout_of(module, names_of(module)).segments:
        parameter = module.get_parameter(segment.name)
        if not parameter.requires_grad:
            expected = "frozen"
        elif id(parameter) in tables:
            expected = "embedding"
        else:
            expected = "matrix" if parameter.ndim > 1 else "vector"
        assert segment.role == expected


def test_segments_of_one_role_keep_the_order_of_the_module():
    module = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    matrices = [segment.name for segment in layout_of(module, names_of(module)).scope("matrices")]
    assert matrices == ["0.weight", "2.weight"]


@given(layouts())
def test_the_fingerprint_is_a_function_of_the_layout(layout):
    again = Layout(tuple(dataclasses.replace(each) for each in layout.segments), layout.dtype)
    assert again.fingerprint == layout.fingerprint
    assert len(layout.fingerprint) == 16
    layout.check(again.fingerprint, where="here")


CHANGES = {
    "name": lambda each: dataclasses.replace(each, name=f"{each.name}x"),
    "shape": lambda each: dataclasses.replace(each, shape=(*each.shape, 1)),
    "role": lambda each: dataclasses.replace(each, role="frozen" if each.role != "frozen" else "matrix"),
    "place": lambda each: dataclasses.replace(each, start=each.start + TILE),
}


@pytest.mark.parametrize("what", CHANGES)
@given(layout=layouts(), pick=st.integers(0, 5))
def test_the_fingerprint_changes_with_every_segment(what, layout, pick):
    segments = list(layout.segments)
    segments[pick % len(segments)] = CHANGES[what](segments[pick % len(segments)])
    assert Layout(tuple(segments), layout.dtype).fingerprint != layout.fingerprint


@given(layouts())
def test_the_fingerprint_changes_with_dtype_and_with_order(layout):
    other = DTYPES[1 - DTYPES.index(layout.dtype)]
    assert Layout(layout.segments, other).fingerprint != layout.fingerprint
    if len(layout.segments) > 1:
        assert Layout(layout.segments[::-1], layout.dtype).fingerprint != layout.fingerprint


def test_genomes_of_another_layout_are_refused_with_both_fingerprints():
    layout = mixed_layout()
    with pytest.raises(UsageError, match=f"champion: .*0123456789abcdef.*{layout.fingerprint}. The model, its dtype"):
        layout.check("0123456789abcdef", where="champion")


# Scopes and live tables


@pytest.mark.parametrize("scope", SCOPES)
@given(layout=layouts())
def test_live_tables_count_exactly_the_genes_of_a_scope(scope, layout):
    segments = layout.scope(scope)
    assert all(segment.role in SCOPES[scope] for segment in segments)
    assert int(layout.live(segments).sum()) == sum(segment.count for segment in segments)
    assert torch.equal(live_mask(layout, segments), inside(layout, segments))


@given(layout=layouts(), pattern=st.sampled_from(("*", "*.1", "matrix.*", "*e*", "[mv]*.?")))
def test_a_glob_takes_the_matching_segments_that_are_not_frozen(layout, pattern):
    live = [segment for segment in layout.segments if segment.role != "frozen"]
    expected = tuple(segment for segment in live if fnmatch.fnmatchcase(segment.name, pattern))
    if expected or not live:
        assert layout.scope(pattern) == expected
    else:
        with pytest.raises(UsageError):
            layout.scope(pattern)


def test_an_unknown_scope_is_refused_with_the_nearest_word():
    with pytest.raises(UsageError, match=r"vary\.0-pso\.scope: 'matrixes'.*Did you mean 'matrices'"):
        mixed_layout().scope("matrixes", where="vary.0-pso.scope")


@given(layouts())
def test_all_is_everything_but_what_is_frozen(layout):
    together = layout.scope("matrices") + layout.scope("vectors") + layout.scope("embeddings")
    assert set(layout.scope("all")) == set(together)
    assert not [segment for segment in together if segment.role == "frozen"]


@given(modules())
def test_the_live_table_of_roles_is_none_only_without_genes(module):
    part = mounted_(module)
    for role in ROLES:
        segments = [segment for segment in part.layout.segments if segment.role == role]
        table = part.live((role,))
        if any(segment.count for segment in segments):
            assert torch.equal(table, part.layout.live(segments))
        else:
            assert table is None


# Dtypes


def test_mixed_dtypes_are_refused_with_both_names():
    module = nn.ModuleDict({"first": nn.Linear(2, 2), "second": nn.Linear(2, 2).bfloat16()})
    with pytest.raises(
        UsageError, match=r"'first\.weight' is .*float32 but 'second\.weight' is .*bfloat16; a genome has one"
    ):
        layout_of(module, names_of(module))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_unsupported_dtypes_are_refused_with_the_name(dtype):
    module = nn.ModuleDict({"good": nn.Linear(2, 2), "bad": nn.Linear(2, 2).to(dtype)})
    with pytest.raises(UsageError, match=rf"'bad\.weight' is {dtype}; a genome holds float32 or"):
        layout_of(module, names_of(module))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_dtype_that_is_asked_for_converts_on_mounting(dtype):
    module = nn.ModuleDict({"first": nn.Linear(5, 3), "second": nn.Linear(3, 5).bfloat16()})
    expected = {name: each.detach().to(dtype) for name, each in module.named_parameters()}
    mount_(module, layout_of(module, names_of(module), dtype=dtype), device="cpu")
    for name, parameter in module.named_parameters():
        assert parameter.dtype == parameter.grad.dtype == dtype
        assert bits(parameter) == bits(expected[name])


# Mounting


@given(modules())
def test_mounting_keeps_every_value_and_leaves_the_padding_zero(module):
    before = {name: bits(each) for name, each in module.named_parameters()}
    part = mounted_(module)
    for segment in part.layout.segments:
        assert bits(module.get_parameter(segment.name)) == before[segment.name]
        assert bits(segment.view(part.weights)) == before[segment.name]
    padding = ~inside(part.layout, part.layout.segments)
    assert not part.weights[padding].any()
    assert not part.gradient.any()


@given(modules())
def test_writing_to_the_buffer_is_writing_to_the_parameters(module):
    part = mounted_(module)
    part.weights.copy_(torch.arange(part.layout.size))
    for segment in part.layout.segments:
        expected = torch.arange(segment.start, segment.start + segment.count, dtype=torch.float32)
        assert torch.equal(module.get_parameter(segment.name).detach().flatten(), expected)


class Tied(nn.Module):
    """A language model in small: an embedding whose table is the head's matrix too, and a norm."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(40, 24)
        self.inner = nn.Linear(24, 24)
        self.norm = nn.LayerNorm(24)
        self.head = nn.Linear(24, 40, bias=False)
        self.head.weight = self.table.weight

    def forward(self, tokens):
        return self.head(self.norm(torch.tanh(self.inner(self.table(tokens)))))


@pytest.fixture
def tied():
    with seeded(Noise(3)):
        return Tied()


TOKENS = torch.arange(120).reshape(4, 30) % 40


def test_tied_weights_are_one_segment_and_stay_tied(tied):
    part = mounted_(tied)
    assert [segment.name for segment in part.layout.segments].count("table.weight") == 1
    assert "head.weight" not in [segment.name for segment in part.layout.segments]
    assert tied.head.weight is tied.table.weight
    assert part.layout.scope("embeddings")[0].name == "table.weight"


def test_a_mounted_module_computes_the_bits_of_the_unmounted_one(tied):
    expected = tied(TOKENS)
    mounted_(tied)
    assert bits(tied(TOKENS)) == bits(expected)


def test_gradients_land_in_the_buffer(tied):
    plain = copy.deepcopy(tied)
    plain(TOKENS).square().mean().backward()
    part = mounted_(tied)
    tied(TOKENS).square().mean().backward()
    for segment in part.layout.segments:
        assert bits(segment.view(part.gradient)) == bits(plain.get_parameter(segment.name).grad)
    assert part.gradient.any()
    assert not part.gradient[~inside(part.layout, part.layout.segments)].any()


def test_a_frozen_parameter_has_no_gradient_and_keeps_its_place(tied):
    tied.inner.weight.requires_grad_(False)
    part = mounted_(tied)
    tied(TOKENS).sum().backward()
    frozen = next(segment for segment in part.layout.segments if segment.name == "inner.weight")
    assert frozen.role == "frozen"
    assert tied.inner.weight.grad is None
    assert not frozen.view(part.gradient).any()
    check_mounted(tied, part)


@pytest.mark.parametrize("name", ["inner.weight", "inner.bias", "table.weight"])
def test_assigning_data_is_noticed_and_named(tied, name):
    part = mounted_(tied)
    check_mounted(tied, part)
    tied.get_parameter(name).data = tied.get_parameter(name).detach().clone()
    with pytest.raises(
        UsageError, match=f"Parameter '{name}' has left its genome: its storage was replaced. Do not call"
    ):
        check_mounted(tied, part)


def test_converting_a_mounted_module_is_noticed(tied):
    part = mounted_(tied)
    tied.to(torch.bfloat16)
    with pytest.raises(UsageError, match="has left its genome"):
        check_mounted(tied, part)


def test_a_deep_copy_is_not_the_mounted_module(tied):
    part = mounted_(tied)
    with pytest.raises(UsageError, match="has left its genome"):
        check_mounted(copy.deepcopy(tied), part)


def test_loading_values_in_place_is_allowed(tied):
    part = mounted_(tied)
    tied.load_state_dict({name: each + 1 for name, each in tied.state_dict().items()})
    check_mounted(tied, part)
    assert bits(tied.inner.bias) == bits(
        next(each for each in part.layout.segments if each.name == "inner.bias").view(part.weights)
    )


def test_a_segment_shows_its_genes_in_its_shape():
    segment = Segment("w", (2, 3), "matrix", TILE)
    assert segment.view(torch.arange(3 * TILE)).tolist() == [[1024, 1025, 1026], [1027, 1028, 1029]]
