"""G11, G13: tensors that lie in memory in unusual ways give the values of their contiguous copies; other types are refused."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import safetensors.torch
import torch
from torch import nn

from evoweights.errors import UsageError
from evoweights.founding import found
from evoweights.genome import layout_of
from evoweights.mounted import Blueprint
from evoweights.operators import TensorOperator
from evoweights.seeds import Noise
from evoweights.storage.formats import tensor_chunks
from evoweights.testing.grounds import label, with_settings
from evoweights.testing.populations import BACKENDS, CPU, bits, contents, population_of, vary_
from evoweights.testing.strategies import DTYPES, genes_of
from evoweights_classic import AdamW
from operators_under_test import on

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def unusual(dtype):
    """Tensors by the way they lie in memory."""

    def made(seed, *shape):
        return genes_of(seed, torch.Size(shape).numel(), dtype, extreme_share=0.2).view(shape)

    return {
        "transposed": made(1, 33, 40).T,
        "permuted": made(2, 5, 4, 3, 7).permute(3, 1, 0, 2),
        "channels_last": made(3, 2, 3, 8, 9).to(memory_format=torch.channels_last),
        "strided": made(4, 3000)[::3],
        "sliced": made(5, 20, 30)[3:17, 4:26],
        "expanded": made(6, 1, 50).expand(21, 50),
        "repeated": made(7, 1).expand(1025),
        "offset": made(8, 4100)[3:],
        "scalar": made(9, 3)[1],
        "empty": made(10, 0, 3).T,
    }


class Laid(nn.Module):
    """Parameters and a buffer that lie in memory as they are given."""

    def __init__(self, tensors, buffer):
        super().__init__()
        for name, tensor in tensors.items():
            self.register_parameter(name, nn.Parameter(tensor))
        self.register_buffer("statistics", buffer)


def founded(tensors, acting, folder):
    module = Laid(tensors, torch.arange(12.0).view(3, 4).T)
    blueprint = Blueprint(module, 3, initialise=lambda row: None, is_shared=lambda name: False)
    population, mounted = found(
        blueprint, improvers=[AdamW()], operators=acting, noise=Noise(1), device=CPU, folder=folder
    )
    for row in (1, 2):
        population.row(row).mul_(-0.5)
    return population, mounted


@every_dtype
def test_a_genome_holds_the_values_of_its_parameters_however_they_lie(dtype, tmp_path):
    tensors = unusual(dtype)
    assert sum(not each.is_contiguous() for each in tensors.values()) >= 6
    expected = {name: bits(each) for name, each in tensors.items()}
    population, mounted = founded(tensors, on("cpu")[:1], tmp_path)
    for segment in population.layout.segments:
        assert bits(segment.view(population.row(0))) == expected[segment.name]
        assert bits(mounted.module.get_parameter(segment.name)) == expected[segment.name]
        assert segment.view(population.row(0)).is_contiguous()
    mounted.load(population, 1)
    mounted.load(population, 0)
    assert {name: bits(each) for name, each in mounted.module.named_parameters()} == expected


@every_dtype
def test_operators_do_to_them_what_they_do_to_contiguous_copies(dtype, tmp_path):
    tensors = unusual(dtype)
    copied = {name: each.clone(memory_format=torch.contiguous_format) for name, each in tensors.items()}
    acting = [with_settings(each, scope="all") for each in on("triton")]
    one, other = (founded(each, acting, tmp_path)[0] for each in (tensors, copied))
    assert contents(one) == contents(other)
    for backend in BACKENDS:
        for operator in acting:
            for population in (one, other):
                vary_(population, operator, backend=backend)
            assert contents(one) == contents(other), (label(operator), backend)


def test_a_buffer_that_is_transposed_is_saved_and_put_back(tmp_path):
    population, mounted = founded(unusual(torch.float32), on("cpu")[:1], tmp_path)
    statistics = mounted.module.statistics
    assert not statistics.is_contiguous()
    saved = safetensors.torch.load(b"".join(bytes(each) for each in tensor_chunks(population.tensors(2))))
    assert bits(saved["buffer.statistics"]) == bits(statistics)
    statistics.zero_()
    population.restore(2, saved)
    mounted.load(population, 2)
    assert bits(mounted.module.statistics) == bits(torch.arange(12.0).view(3, 4).T)


@dataclass(frozen=True)
class Relaid(TensorOperator):
    """Gives its tensors back in another layout of memory, doubled."""

    name: ClassVar[str] = "relaid"
    source: ClassVar[str] = "a test"

    how: object = None

    def rewrite(self, target, source, noise):
        assert all(each.is_contiguous() for each in (*target.values(), *source.values()))
        return {name: self.how(each * 2) for name, each in target.items()}


HOW = {
    "transposed": lambda each: each.T.contiguous().T,
    "strided": lambda each: torch.stack([each, each], dim=-1)[..., 0],
    "expanded": lambda each: (each * 0 + 3.0)[:1, :1].expand(each.shape),
    "sliced": lambda each: nn.functional.pad(each, (1, 2, 3, 4))[3:-4, 1:-2],
}


@pytest.mark.parametrize("how", HOW)
@every_dtype
def test_an_operator_may_give_its_tensors_in_any_layout_of_memory(how, dtype):
    module = nn.Module()
    module.w = nn.Parameter(torch.zeros(33, 40, dtype=dtype))
    population = population_of(layout_of(module, ["w"]), 2)
    segment = population.layout.segments[0]
    expected = HOW[how](segment.view(population.row(1)) * 2).clone()
    assert not HOW[how](segment.view(population.row(1))).is_contiguous()
    vary_(population, Relaid(how=HOW[how]))
    assert bits(segment.view(population.row(1))) == bits(expected)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.bool, torch.float16, torch.float64, torch.complex64])
def test_parameters_of_other_types_are_refused_by_name_and_never_cast(dtype):
    """G13."""
    module = nn.Module()
    module.good = nn.Parameter(torch.zeros(3))
    module.odd = nn.Parameter(torch.zeros(3, dtype=dtype), requires_grad=False)
    with pytest.raises(UsageError, match=rf"'odd' is {dtype}"):
        layout_of(module, ["good", "odd"])
    assert module.odd.dtype == dtype
