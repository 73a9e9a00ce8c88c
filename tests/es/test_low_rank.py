"""Low-rank members: their noise, their scores, and the update that is one product per matrix."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from low_rank_cases import (
    PLACE,
    Perceptron,
    Points,
    Tokens,
    epsilon,
    explicit_scores,
    language_model,
    members,
    mounted,
)
from torch import nn

from evoweights.seeds import Noise
from evoweights.testing.populations import bits
from evoweights_es import low_rank
from evoweights_es.chunk import Chunk
from evoweights_es.low_rank import LowRank
from evoweights_es.member import Member, Place
from evoweights_kernels import TILE, normals

SIGMA = 0.02


def _individual(widths=(6, 40, 30, 4), **how):
    return mounted(Perceptron(*widths), **how)


def _segments(perturbation, individual):
    return [(part, label, each) for part, label in _parts(individual) for each in perturbation.segments(part)]


def _parts(individual):
    return [(individual.own, "own"), (individual.shared, "shared")]


def test_scores_of_own_and_shared_parts_equal_explicit_weights() -> None:
    individual = _individual(is_shared=lambda name: name.startswith("2."))
    subset = Points(individual.module, 6, 4)
    for rank in (1, 2):
        perturbation = LowRank(rank=rank)
        found = perturbation.scores(individual, subset, members(5), sigma=SIGMA, place=PLACE)
        right = explicit_scores(perturbation, individual, subset, members(5), sigma=SIGMA)
        torch.testing.assert_close(found, right, rtol=0, atol=1e-6)


def test_scores_do_not_depend_on_how_members_are_grouped_or_who_else_is_asked_for() -> None:
    model = language_model("gpt2")
    individual, subset = mounted(model), Tokens(model)
    everyone = members(10, mirrored=True)
    together = LowRank().scores(individual, subset, everyone, sigma=SIGMA, place=PLACE)
    spread = together.std(0).min()
    assert spread > 1e-3
    for at_once in (1, 3, 10, 64):
        found = LowRank(members_at_once=at_once).scores(individual, subset, everyone, sigma=SIGMA, place=PLACE)
        torch.testing.assert_close(found, together, rtol=0, atol=1e-5)
    for chosen in ([9], [0, 9, 4], [7, 7, 2]):
        found = LowRank().scores(individual, subset, [everyone[each] for each in chosen], sigma=SIGMA, place=PLACE)
        torch.testing.assert_close(found, together[chosen], rtol=0, atol=1e-5)


def test_as_many_members_go_together_as_the_budget_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    model = language_model("gpt2")
    individual, seen = mounted(model), []

    class Watched(Tokens):
        def scores(self, copies=1):
            seen.append(copies)
            return super().scores(copies)

    perturbation, subset = LowRank(), Watched(model)
    perturbation.scores(individual, subset, members(12), sigma=SIGMA, place=PLACE)
    assert seen == [1, 2, 2, 12]  # once to see who reads what, twice to see that members stay apart
    hidden = subset.sequences * 7 * 128 * 4  # the widest result, in bytes
    monkeypatch.setitem(low_rank.BUDGET, "cpu", 5 * low_rank.RESULTS * hidden)
    seen.clear()
    perturbation.scores(individual, subset, members(12), sigma=SIGMA, place=PLACE)
    assert seen == [4, 4, 4]
    seen.clear()
    LowRank(members_at_once=1).scores(individual, subset, members(2), sigma=SIGMA, place=PLACE)
    assert seen == [1, 1, 1]


def test_mirrored_members_share_their_direction() -> None:
    individual = _individual()
    subset = Points(individual.module, 6, 4)
    pair = [Member(3, 1.0), Member(3, -1.0)]
    found = LowRank().scores(individual, subset, pair, sigma=SIGMA, place=PLACE)
    right = explicit_scores(LowRank(), individual, subset, pair, sigma=SIGMA)
    torch.testing.assert_close(found, right, rtol=0, atol=1e-6)
    assert (found[0] - found[1]).abs().max() > 1e-3


def test_noise_has_the_rank_and_the_moments_it_should() -> None:
    individual = _individual((90, 110, 4))
    for rank in (1, 4):
        perturbation = LowRank(rank=rank)
        for part, label, segment in _segments(perturbation, individual):
            noise = epsilon(perturbation, part, label, segment, 1)
            if noise.ndim == 2:
                assert torch.linalg.matrix_rank(noise.double(), rtol=1e-5) == min(rank, *noise.shape)
        noise = epsilon(perturbation, individual.own, "own", individual.own.layout.segments[0], 1)
        assert noise.shape == (110, 90)
        # A product of two normals has unit variance; those of a row are not independent.
        assert abs(noise.mean()) < 0.05
        assert abs(noise.square().mean() - 1) < 0.5


def test_no_two_tensors_directions_parts_or_steps_share_noise() -> None:
    module = Perceptron(20, 20, 20, 20)
    halves = mounted(module, is_shared=lambda name: name.startswith("2."))
    perturbation = LowRank()
    found = []
    for part, label, segment in _segments(perturbation, halves):
        for direction in (0, 1, 2):
            found.append(epsilon(perturbation, part, label, segment, direction))
        found.append(
            epsilon(perturbation, part, label, segment, 0, place=Place(Noise(5, "later"), PLACE.fixed, "auto"))
        )
        found.append(
            epsilon(perturbation, part, label, segment, 0, place=Place(Noise(6, "generation 3"), PLACE.fixed, "auto"))
        )
    for shape in {each.shape for each in found}:
        alike = torch.stack([each.flatten() for each in found if each.shape == shape])
        angles = torch.corrcoef(alike) - torch.eye(len(alike))
        assert angles.abs().max() < (0.4 if len(shape) == 2 else 0.8), shape
        assert len(alike.unique(dim=0)) == len(alike)


def test_noise_is_the_documented_function_of_stream_and_gene() -> None:
    individual, perturbation = _individual(), LowRank(rank=2)
    part, label, segment = _segments(perturbation, individual)[1]
    rows, columns = segment.shape
    space = -(-2 * (rows + columns) // TILE) * TILE
    stream = PLACE.noise.stream(f"own/low rank/{segment.name}")
    factors = normals(PLACE.noise.seed, stream, 2 * (rows + columns), first_gene=7 * space)
    left, right = factors[: 2 * rows].view(2, rows), factors[2 * rows :].view(2, columns)
    torch.testing.assert_close(epsilon(perturbation, part, label, segment, 7), left.T @ right / math.sqrt(2))
    bias = next(each for each in part.layout.segments if each.role == "vector")
    right = normals(PLACE.noise.seed, PLACE.noise.stream("own/direction 7"), bias.count, first_gene=bias.start)
    assert bits(epsilon(perturbation, part, label, bias, 7)) == bits(right)


@settings(deadline=None, max_examples=25, derandomize=True)
@given(data=st.data(), rank=st.integers(1, 3), count=st.integers(1, 6), at_once=st.sampled_from([1, 1 << 22]))
def test_an_estimate_is_the_weighted_sum_of_the_noise_over_any_range(data, rank, count, at_once) -> None:
    individual, perturbation = _individual((50, 60, 4)), LowRank(rank=rank)
    part, label, segment = data.draw(st.sampled_from(_segments(perturbation, individual)))
    coefficients = data.draw(st.lists(st.sampled_from([0.0, 1.0, -0.3, 2e-3]), min_size=count, max_size=count))
    first = TILE * data.draw(st.integers(0, (segment.count - 1) // TILE))
    genes = data.draw(st.integers(1, segment.count - first))
    start = torch.linspace(-1, 1, genes)
    out = start.clone()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(low_rank, "FACTORS", at_once)
        perturbation.add_estimate_(out, Chunk(part, label, segment, first, len(out)), coefficients, place=PLACE)
    right = start.double()
    for number, each in enumerate(coefficients):
        noise = epsilon(perturbation, part, label, segment, number).flatten()[first : first + genes]
        right += each * noise.double()
    torch.testing.assert_close(out.double(), right, rtol=1e-5, atol=1e-5)
    if not any(coefficients):
        assert bits(out) == bits(start)


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("directions", [1, 4, 9, 50])
def test_the_rank_of_an_update_is_that_of_all_directions_together(rank: int, directions: int) -> None:
    individual, perturbation = _individual((20, 30, 4)), LowRank(rank=rank)
    individual.own.weights.zero_()
    coefficients = [0.1 + each for each in range(directions)]
    perturbation.update_plain_(individual.own, "own", coefficients, place=PLACE, rounding=None)
    for segment in individual.own.layout.segments:
        if len(segment.shape) == 2:
            update = segment.view(individual.own.weights).double()
            assert torch.linalg.matrix_rank(update, rtol=1e-6) == min(directions * rank, *segment.shape)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("vectors", ["gaussian", "frozen"])
def test_an_update_adds_the_estimate_and_touches_nothing_else(dtype: torch.dtype, vectors: str) -> None:
    individual = _individual(dtype=dtype, is_shared=lambda name: name == "0.weight")
    perturbation = LowRank(rank=2, vectors=vectors, scope="*.weight" if vectors == "gaussian" else "all")
    coefficients = [0.5, 0.0, -0.25]
    for part, label in _parts(individual):
        part.weights.uniform_(-1, 1, generator=torch.Generator().manual_seed(1))
        before = part.weights.clone()
        touched = torch.zeros(len(before), dtype=torch.bool)
        perturbation.update_plain_(part, label, coefficients, place=PLACE, rounding=None)
        for segment in perturbation.segments(part):
            estimate = torch.zeros(segment.count)
            perturbation.add_estimate_(
                estimate, Chunk(part, label, segment, 0, len(estimate)), coefficients, place=PLACE
            )
            right = (segment.view(before).flatten().float() + estimate).to(dtype)
            tolerance = {"rtol": 0.0, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 0.008, "atol": 1e-6}
            torch.testing.assert_close(segment.view(part.weights).flatten(), right, **tolerance)
            segment.view(touched).fill_(True)
        assert touched.any()
        assert not touched.all()
        assert bits(part.weights[~touched]) == bits(before[~touched])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_coefficients_of_zero_change_no_byte(dtype: torch.dtype) -> None:
    individual = _individual(dtype=dtype)
    individual.own.weights[::3] = -0.0
    before = bits(individual.own.weights)
    LowRank().update_plain_(individual.own, "own", [0.0, 0.0], place=PLACE, rounding=None)
    assert bits(individual.own.weights) == before


def test_the_same_update_gives_the_same_bits() -> None:
    first, second = _individual(), _individual()
    for individual in (first, second):
        LowRank().update_plain_(individual.own, "own", [0.5, 1.0, -0.25], place=PLACE, rounding=None)
    assert bits(first.own.weights) == bits(second.own.weights)


def test_the_dimension_counts_the_genes_that_are_perturbed() -> None:
    individual = _individual((6, 5, 4), is_shared=lambda name: name == "2.weight")
    assert LowRank().dimension(individual) == 6 * 5 + 5 + 5 * 4 + 4
    assert LowRank(vectors="frozen").dimension(individual) == 6 * 5 + 5 * 4
    assert LowRank(scope="vectors").dimension(individual) == 9


def _cosine(perturbation, individual, subset, count, place):
    """Of the estimate from z-scored fitness and the gradient."""
    who, sigma = members(count), 1e-3
    fitness = -perturbation.scores(individual, subset, who, sigma=sigma, place=place).mean(1)
    weights = (fitness - fitness.mean()) / fitness.std()
    estimate, gradient = [], []
    individual.module.zero_grad(set_to_none=False)
    subset.losses().mean().backward()
    for part, label, segment in _segments(perturbation, individual):
        out = torch.zeros(segment.count)
        perturbation.add_estimate_(
            out, Chunk(part, label, segment, 0, len(out)), (weights / count).tolist(), place=place
        )
        estimate.append(out)
        gradient.append(segment.view(part.gradient).flatten())
    return -float(nn.functional.cosine_similarity(torch.cat(estimate), torch.cat(gradient), dim=0))


@pytest.mark.parametrize("rank", [1, 4])
def test_the_cosine_to_the_gradient_follows_the_law_of_full_noise(rank: int) -> None:
    """sqrt(n / (n + d)) within 15 %, although a direction of rank 1 has far fewer free numbers than genes."""
    module = Perceptron(24, 64, 64, 8)
    individual, subset, perturbation = mounted(module), Points(module, 24, 8, items=16), LowRank(rank=rank)
    count, genes = 512, perturbation.dimension(individual)
    found = [
        _cosine(perturbation, individual, subset, count, Place(Noise(each), PLACE.fixed, "auto")) for each in range(4)
    ]
    law = math.sqrt(count / (count + genes))
    assert sum(found) / len(found) == pytest.approx(law, rel=0.15)
