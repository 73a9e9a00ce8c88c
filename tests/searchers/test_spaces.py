"""What a searcher's vector says of the weights: the same vector, the same bits, and nothing outside the scope."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from searchers_under_test import Net, genes, moment, mount_net, mounted_

from evoweights.errors import UsageError
from evoweights.testing.populations import inside
from evoweights_evotorch.gaussians import SNES
from evoweights_evotorch.lora import LoRA
from evoweights_evotorch.spaces import Genome, Subspace

START = "snes.start"
SPACES = (
    Genome(),
    Genome(scope="matrices"),
    Subspace(size=5, scale=0.3),
    Subspace(size=3, scope="vectors"),
    LoRA(rank=2),
    LoRA(scope="first"),
)
every_space = pytest.mark.parametrize("space", SPACES, ids=lambda each: f"{each.name}-{each.scope}")


def begun(space, dtype=torch.float32, **how):
    """A mounted net, and the vector of its weights."""
    mounted = mounted_(SNES(space=space), dtype=dtype, **how)
    return mounted, space.begin_(mounted, START, moment(1))


@every_space
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_search_begins_at_the_very_weights(space, dtype):
    """Minus zero among them."""
    mounted, vector = begun(space, dtype)
    before = genes(mounted)
    assert space.holds(mounted, vector, START, moment(2))
    space.write_(mounted, vector, START, moment(3))
    assert genes(mounted) == before
    assert (vector.shape, vector.dtype) == ((space.length(mounted),), torch.float32)


@every_space
@given(seed=st.integers(0, 2**20), size=st.sampled_from([1e-3, 1.0, 30.0]))
def test_the_same_vector_gives_the_same_bits_whatever_lay_there(space, seed, size):
    mounted, vector = begun(space)
    generator = torch.Generator().manual_seed(seed)
    other = vector + size * torch.randn(len(vector), generator=generator)
    space.write_(mounted, other, START, moment(1))
    made = genes(mounted)
    assert space.holds(mounted, other, START, moment(2))
    assert not space.holds(mounted, vector, START, moment(2))
    space.write_(mounted, vector, START, moment(1))
    space.write_(mounted, other, START, moment(1, backend="reference"))
    assert genes(mounted) == made


@every_space
def test_what_is_out_of_scope_stays(space):
    mounted, vector = begun(space)
    before = {name: each.clone() for name, each in mounted.module.named_parameters()}
    space.write_(mounted, vector + 1, START, moment(1))
    changed = {name for name, each in mounted.module.named_parameters() if not torch.equal(each, before[name])}
    matrices, vectors = {"first", "common"}, {"bias"}
    expected = {
        "all": matrices | (set() if isinstance(space, LoRA) else vectors),
        "matrices": matrices,
        "vectors": vectors,
        "first": {"first"},
    }[space.scope]
    assert changed == expected
    for part in mounted.parts:
        padding = ~inside(part.layout, part.layout.segments)
        assert not part.weights[padding].any()


def test_a_genome_is_its_weights():
    mounted, vector = begun(Genome())
    assert len(vector) == 20 + 12 + 3
    assert torch.equal(vector[:20], mounted.module.first.detach().flatten())
    Genome().write_(mounted, torch.arange(35.0), START, moment(1))
    assert mounted.module.common.flatten().tolist() == list(range(23, 35))


def test_a_bfloat16_genome_is_rounded_from_the_vector_to_nearest():
    mounted, vector = begun(Genome(), torch.bfloat16)
    moved = vector * 1.003
    Genome().write_(mounted, moved, START, moment(1))
    assert torch.equal(mounted.module.first.flatten(), moved[:20].bfloat16())
    assert Genome().holds(mounted, moved, START, moment(1))


def test_a_subspace_is_flat_random_and_as_wide_as_its_scale_says():
    space = Subspace(size=16, scale=0.3)
    module = torch.nn.Linear(300, 300)
    mounted = mount_net(module, SNES(space=space))
    zero = space.begin_(mounted, START, moment(1))
    first = mounted.own.weights.clone()

    def change(vector):
        space.write_(mounted, vector, START, moment(1))
        return (mounted.own.weights - first)[: 300 * 300].double()

    ones = change(zero + 1)
    assert float(ones.std()) == pytest.approx(0.3, rel=0.02)
    unit = [change(zero + row) for row in torch.eye(16)]
    assert all(float(each.std()) == pytest.approx(0.3 / 4, rel=0.02) for each in unit)
    assert torch.allclose(sum(unit), ones, atol=1e-5)
    products = torch.corrcoef(torch.stack(unit)) - torch.eye(16)
    assert float(products.abs().max()) < 5 / 300
    both = torch.stack([unit[0][:90_000], unit[0].roll(1)])
    assert abs(float(torch.corrcoef(both)[0, 1])) < 5 / 300


def test_a_lora_is_a_product_of_its_factors():
    space = LoRA(rank=2, scale=0.5)
    mounted, vector = begun(space)
    start = mounted.module.first.detach().clone()
    assert len(vector) == 2 * (5 + 4) + 2 * (4 + 3)
    assert not vector[:10].any() and vector[10:18].all()
    numbers = torch.randn(len(vector), generator=torch.Generator().manual_seed(1))
    space.write_(mounted, numbers, START, moment(1))
    change = mounted.module.first.detach() - start
    assert torch.allclose(change, 0.5 * numbers[:10].view(5, 2) @ numbers[10:18].view(2, 4), atol=1e-6)
    assert torch.linalg.matrix_rank(change, rtol=1e-5) == 2


def test_the_factors_of_a_lora_begin_as_different_noise_of_the_right_size():
    space = LoRA(rank=4)
    module = torch.nn.Sequential(torch.nn.Linear(400, 30, bias=False), torch.nn.Linear(400, 30, bias=False))
    mounted = mount_net(module, SNES(space=space))
    vector = space.begin_(mounted, START, moment(1))
    factors = vector.view(2, -1)[:, 4 * 30 :]
    assert float(factors.std()) == pytest.approx(1 / math.sqrt(400), rel=0.05)
    assert abs(float(torch.corrcoef(factors)[0, 1])) < 5 / 40


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (LoRA(scope="bias"), "holds nothing that this space can change"),
        (Genome(scope="*.attn.*"), "holds nothing"),
        (Genome(scope="embeddings"), "holds nothing"),
        (Subspace(size=1), "searchers need at least 2"),
    ],
    ids=str,
)
def test_an_empty_space_is_refused(space, message):
    searcher = SNES(space=space)
    with pytest.raises(UsageError, match=message):
        searcher.check(mounted_(searcher))


def test_a_net_of_tests_has_a_minus_zero():
    assert math.copysign(1, float(Net().bias[1])) == -1
