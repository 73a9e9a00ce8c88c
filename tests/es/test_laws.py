"""What theory says of evolution strategies, measured on this implementation. Numbers are those of the papers named in it."""

import math

import pytest
import torch
from strategies_under_test import Told, Vector, cosine, linear, moment, mounted_on, place, quadratic

from evoweights.seeds import Noise, seeded
from evoweights_es import laws
from evoweights_es.chunk import Chunk
from evoweights_es.es import EvolutionStrategy
from evoweights_es.estimators import Antithetic, OneSided
from evoweights_es.gaussian import Gaussian
from evoweights_es.low_rank import LowRank
from evoweights_es.shaping import CentredRank, LeaveOneOut, ZScore
from evoweights_es.subspace import Subspace
from evoweights_es.updates import Adam, Momentum

DIMENSION = 6000


def estimate(estimator, shaping, count, *, seed=1, perturbation=None, sigma=1e-3, losses=None, dimension=DIMENSION):
    """The estimated direction of ascent of the fitness, and the true one."""
    perturbation = perturbation or Gaussian()
    found = mounted_on(Vector(dimension))
    told, slope = linear(dimension) if losses is None else (losses, -found.module().detach().clone())
    members, where = estimator.members(count), place(seed=seed)
    items = -perturbation.scores(found, Told(told).draw(found), members, sigma=sigma, place=where)
    coefficients = estimator.coefficients(shaping.weights(items, members).tolist(), members)
    out = torch.zeros(dimension)
    segment = found.own.layout.segments[0]
    perturbation.add_estimate_(out, Chunk(found.own, "own", segment, 0, len(out)), coefficients, place=where)
    return out, slope


@pytest.mark.parametrize(("estimator", "directions"), [(OneSided(), 1.0), (Antithetic(), 0.5)])
@pytest.mark.parametrize("count", [128, 512])
def test_o1_the_cosine_to_the_gradient_is_the_root_of_n_over_n_plus_d(estimator, directions, count):
    expected = laws.expected_cosine(round(count * directions), DIMENSION)
    found = [cosine(*estimate(estimator, ZScore(), count, seed=seed)) for seed in range(4)]
    assert sum(found) / len(found) == pytest.approx(expected, rel=0.15)


def test_o1_in_a_subspace_the_dimension_is_its_size():
    """Within the subspace the law holds for its own dimension: the estimate's part of the gradient's projection."""
    subspace = Subspace(size=100)
    gradient, slope = estimate(OneSided(), ZScore(), 400, perturbation=subspace)
    axes = torch.zeros(100, DIMENSION)
    where = place(seed=1)
    for row, name in zip(axes, subspace._names, strict=True):
        subspace.add_(row, "own", 0, [name], [1.0], place=type(where)(where.fixed, where.fixed, "auto"))
    projected = torch.linalg.lstsq(axes.T, slope[:, None]).solution
    inside = (axes.T @ projected).flatten()
    assert cosine(gradient, inside) == pytest.approx(laws.expected_cosine(400, 100), rel=0.15)
    assert cosine(gradient, inside) > 5 * cosine(gradient, slope)


def test_o1_leave_one_out_has_half_the_error_of_pairs_for_as_many_evaluations():
    def error(estimator, shaping, seed):
        gradient, slope = estimate(estimator, shaping, 128, seed=seed, sigma=1.0)
        return float((gradient - slope).square().sum())

    alone = sum(error(OneSided(), LeaveOneOut(), seed) for seed in range(24))
    paired = sum(error(Antithetic(), _Raw(), seed) for seed in range(24))
    assert alone / paired == pytest.approx(0.5, abs=0.06)


class _Raw(ZScore):
    def shape(self, fitness, items, members):
        return fitness


def displacement(shaping, sigma, *, steps=30, members=30, update=None, count=400):
    """How far along the slope of a linear fitness so many steps go, with a learning rate of 1e-2."""
    told, slope = linear(count)
    strategy = EvolutionStrategy(
        members=members,
        sigma=sigma,
        learning_rate=1e-2,
        shaping=shaping,
        check_every=0,
        **({"update": update} if update else {}),
    )
    found = mounted_on(Vector(count), slots=strategy.slots)
    start, feed = found.own.weights.clone(), Told(told)
    for step in range(1, steps + 1):
        strategy.step(found, feed, moment(step))
    moved = (found.own.weights - start)[:count]
    return float(moved.double() @ slope.double()), float(moved.norm())


def test_o2_a_z_scored_step_goes_the_learning_rate_along_the_gradient_whatever_sigma():
    along = [displacement(ZScore(), sigma)[0] for sigma in (1e-4, 1e-3, 1e-2)]
    assert along[0] == pytest.approx(30 * 1e-2, rel=0.1)  # the spread of 30 is known to a few per cent
    assert along[1] == pytest.approx(along[0], rel=0.01) and along[2] == pytest.approx(along[0], rel=0.01)


def test_o2_ranks_are_slower_by_their_spread():
    """Their standard deviation is 1/sqrt(3) for many members, .597 for 30; the fitness is Gaussian, so nearly that counts."""
    ratio = displacement(CentredRank(), 1e-3, steps=100)[0] / displacement(ZScore(), 1e-3, steps=100)[0]
    assert ratio == pytest.approx(1 / math.sqrt(3), abs=0.05)


def test_o3_the_drift_is_that_of_a_random_walk():
    _, length = displacement(ZScore(), 1e-3, steps=50, count=4000)
    walk = laws.drift(50, 4000, 30, 1e-2)
    assert length == pytest.approx(math.hypot(walk, 50 * 1e-2), rel=0.05)


@pytest.mark.parametrize("estimator", [OneSided(), Antithetic()])
def test_o5_the_norm_of_the_gradient_follows_from_the_spread(estimator):
    found = mounted_on(Vector(2000))
    true = float(found.module().detach().norm())
    members = estimator.members(256)
    items = -Gaussian().scores(found, Told(quadratic).draw(found), members, sigma=1e-4, place=place())
    assert laws.gradient_norm(items.mean(1).tolist(), members, 1e-4) == pytest.approx(true, rel=0.15)


def test_o5_a_sigma_that_leaves_the_linear_range_raises_the_alarm(caplog):
    steep = mounted_on(Vector(300))
    for sigma, alarm in ((1e-3, False), (3.0, True)):
        reports = []
        EvolutionStrategy(members=16, sigma=sigma, check_every=1).step(steep, Told(quadratic), moment(reports=reports))
        assert reports[0]["sigma_too_large"] is alarm
    assert "sigma 3 may be too large" in caplog.text


@pytest.mark.parametrize("sigma", [1e-3, 1e-2])
def test_o5_nothing_is_said_of_a_sigma_whose_tenth_bfloat16_weights_cannot_hold(sigma, caplog):
    """Of weights of 1, neighbours are 1/128 apart. A ratio of slopes would tell of rounding only, in either direction."""
    reports, found = [], mounted_on(Vector(2000), dtype=torch.bfloat16)
    EvolutionStrategy(members=16, sigma=sigma, check_every=1).step(found, Told(quadratic), moment(reports=reports))
    assert reports[0]["sigma_ratio"] is None and reports[0]["sigma_too_large"] is None
    assert not caplog.text and reports[0]["observed_change"] is not None


def test_o5_a_sigma_that_is_too_large_raises_the_alarm_in_bfloat16_too():
    reports, found = [], mounted_on(Vector(300), dtype=torch.bfloat16)
    EvolutionStrategy(members=16, sigma=3.0, check_every=1).step(found, Told(quadratic), moment(reports=reports))
    assert reports[0]["sigma_too_large"] is True


@pytest.mark.parametrize("estimator", [OneSided(), Antithetic()])
def test_the_change_of_the_loss_is_predicted(estimator):
    strategy = EvolutionStrategy(members=64, sigma=1e-3, learning_rate=1e-3, estimator=estimator, check_every=1)
    reports, found = [], mounted_on(Vector(50))
    for step in range(1, 6):
        strategy.step(found, Told(quadratic), moment(step, reports=reports))
    for report in reports:
        assert report["observed_change"] == pytest.approx(report["predicted_change"], rel=0.15)
        assert report["observed_change"] == pytest.approx(report["loss_after"] - report["loss_before"])


PERTURBATIONS = [Gaussian(), Gaussian(density=0.25), Subspace(size=200), LowRank()]


class Layer(torch.nn.Module):
    """A layer on a fixed input, so that every perturbation can be used."""

    def __init__(self):
        super().__init__()
        with seeded(Noise(3, "layer")):
            self.layer = torch.nn.Linear(60, 50, bias=False)

    def forward(self, copies=1):
        return self.layer(torch.linspace(-1, 1, 120).view(2, 60).repeat(copies, 1))


class Rows(Told):
    """Items are the squared rows of a layer's output."""

    @torch.no_grad()
    def scores(self, copies=1):
        return self.mounted.module(copies).double().square().mean(1)


@pytest.mark.parametrize("perturbation", PERTURBATIONS, ids=lambda each: f"{each.name} {getattr(each, 'density', '')}")
def test_o3_a_step_is_as_long_as_reported_and_steps_add_up_as_a_random_walk(perturbation):
    strategy = EvolutionStrategy(
        members=16, sigma=1e-3, learning_rate=1e-3, shaping=CentredRank(), perturbation=perturbation, check_every=0
    )
    found, reports, lengths = mounted_on(Layer()), [], []
    start = found.own.weights.clone()
    for step in range(1, 17):
        before = found.own.weights.clone()
        strategy.step(found, Rows(None), moment(step, reports=reports))
        lengths.append(float((found.own.weights - before).norm()) / reports[-1]["movement"])
    assert sum(lengths) / len(lengths) == pytest.approx(1.0, rel=0.1)
    if not isinstance(perturbation, Subspace):  # of 200 directions, the part along the gradient soon is not small
        assert float((found.own.weights - start).norm()) == pytest.approx(reports[-1]["expected_drift"], rel=0.2)
    walk = laws.drift(16, strategy.perturbation.genes(found), 16, 1e-3)
    assert reports[-1]["expected_drift"] == pytest.approx(walk / math.sqrt(3), rel=0.1)  # ranks have this spread


@pytest.mark.parametrize("update", [Momentum(momentum=0.5), Adam()], ids=lambda each: each.name)
def test_laws_of_plain_steps_are_not_reported_of_others(update):
    strategy, reports = EvolutionStrategy(members=4, update=update, check_every=0), []
    found = mounted_on(Vector(50), slots=strategy.slots)
    strategy.step(found, Told(quadratic), moment(reports=reports))
    assert not reports[0].keys() & {"movement", "expected_drift", "predicted_change"}
    assert {"gradient_norm", "expected_cosine", "spread"} <= reports[0].keys()


@pytest.mark.parametrize("update", [Momentum(momentum=0.5), Adam()], ids=lambda each: each.name)
def test_other_updates_descend_too(update):
    strategy = EvolutionStrategy(
        members=40, sigma=1e-3, learning_rate=0.05, shaping=LeaveOneOut(), by_sigma=True, update=update, check_every=0
    )
    found = mounted_on(Vector(30), slots=strategy.slots)
    before = float(quadratic(found.module).detach())
    for step in range(1, 31):
        strategy.step(found, Told(quadratic), moment(step))
    assert float(quadratic(found.module).detach()) < before / 4
