"""One step of an evolution strategy: what it reads, what it changes, what it reports, and that it can be done again."""

import json
import math
import signal

import pytest
import torch
from strategies_under_test import Told, Vector, cosine, genes, linear, moment, mounted_on, quadratic

from engine_runs import StopAt, config_in, observe
from evoweights.errors import RunStopped
from evoweights.improvers import NonFiniteStep
from evoweights.runs import session
from evoweights.runs.replay import replay
from evoweights.seeds import Noise, seeded
from evoweights.testing import population_digest
from evoweights_es.chunk import Chunk
from evoweights_es.es import EvolutionStrategy
from evoweights_es.estimators import Antithetic, OneSided
from evoweights_es.gaussian import Gaussian
from evoweights_es.low_rank import LowRank
from evoweights_es.presets import ALL as PRESETS
from evoweights_es.shaping import CentredRank, LeaveOneOut, Raw, ZScore
from evoweights_es.subspace import Subspace
from evoweights_es.updates import Adam, Momentum, Plain

UPDATES = [Plain(), Momentum(momentum=0.5), Adam(beta1=0.6, beta2=0.9)]
PERTURBATIONS = [Gaussian(), Gaussian(density=0.5, bits=16), Subspace(size=20), LowRank()]
named = {"ids": lambda each: each.name}


class Linear(torch.nn.Module):
    """A layer on a fixed input, so that every perturbation can be used."""

    def __init__(self):
        super().__init__()
        with seeded(Noise(3, "linear")):
            self.layer = torch.nn.Linear(40, 30)

    def forward(self, x):
        return self.layer(x.to(self.layer.weight.dtype))


class Rows(Told):
    """Items are the squared rows of the module's output; copies go through it together."""

    @torch.no_grad()
    def scores(self, copies=1):
        self.asked += copies
        inputs = torch.linspace(-1, 1, 80).view(2, 40).repeat(copies, 1)
        return self.mounted.module(inputs).double().square().mean(1)


def individual(strategy, dtype=torch.float32):
    return mounted_on(Linear(), dtype=dtype, slots=strategy.slots)


def strategy_of(perturbation=None, **settings):
    chosen = {"members": 8, "sigma": 1e-2, "learning_rate": 1e-2, "check_every": 0, **settings}
    return EvolutionStrategy(perturbation=perturbation or Gaussian(), **chosen)


@pytest.mark.parametrize("update", UPDATES, **named)
@pytest.mark.parametrize("perturbation", PERTURBATIONS, **named)
def test_s08_the_loss_falls_with_every_composition(perturbation, update):
    strategy = strategy_of(perturbation, update=update, members=16, learning_rate=2e-2)
    found, feed = individual(strategy), Rows(None)
    feed.draw(found)
    before = float(feed.scores().mean())
    for step in range(1, 9):
        strategy.step(found, feed, moment(step))
    assert float(feed.scores().mean()) < before


@pytest.mark.parametrize("update", UPDATES, **named)
@pytest.mark.parametrize("perturbation", PERTURBATIONS, **named)
def test_targets_agree(perturbation, update):
    ends = []
    for backend in ("reference", "cpu", "triton"):
        strategy = strategy_of(perturbation, update=update, members=3)
        found = individual(strategy)
        for step in (1, 2):
            strategy.step(found, Rows(None), moment(step, backend=backend))
        ends.append(genes(found))
    assert ends[0] == ends[1] == ends[2]


@pytest.mark.parametrize("update", UPDATES, **named)
@pytest.mark.parametrize("shaping", [ZScore(), CentredRank(), LeaveOneOut(), Raw()], **named)
@pytest.mark.parametrize("estimator", [OneSided(), Antithetic()], **named)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_s04_members_that_are_all_alike_change_nothing(update, shaping, estimator, dtype):
    strategy = strategy_of(update=update, shaping=shaping, estimator=estimator, by_sigma=True)
    found = mounted_on(Vector(3000), dtype=dtype, slots=strategy.slots)
    before = genes(found)
    strategy.step(found, Told(lambda module: module().new_full((2,), 3.3333333)), moment())
    assert genes(found) == before


@pytest.mark.parametrize("perturbation", PERTURBATIONS, **named)
def test_s09_a_learning_rate_of_zero_changes_nothing(perturbation):
    strategy = strategy_of(perturbation, learning_rate=0.0)
    found = individual(strategy)
    before = genes(found)
    strategy.step(found, Rows(None), moment())
    assert genes(found) == before


def test_s09_the_estimate_of_the_gradient_does_not_depend_on_sigma_where_it_is_linear():
    told, _ = linear(500)
    moved = []
    for sigma in (1e-3, 1e-2):
        strategy = strategy_of(shaping=Raw(), estimator=Antithetic(), by_sigma=True, sigma=sigma, learning_rate=1.0)
        found = mounted_on(Vector(500))
        before = found.own.weights.clone()
        strategy.step(found, Told(told), moment())
        moved.append(found.own.weights - before)
    torch.testing.assert_close(moved[0], moved[1], rtol=1e-2, atol=1e-4)


def test_s08_with_many_members_the_step_points_along_the_slope():
    told, slope = linear(20)
    strategy = strategy_of(members=400)
    found = mounted_on(Vector(20))
    before = found.own.weights.clone()
    strategy.step(found, Told(told), moment())
    assert cosine((found.own.weights - before)[:20], slope) > 0.9


def test_one_draw_serves_all_members_and_every_step_draws_anew():
    strategy, feed = strategy_of(), Told(quadratic)
    found = mounted_on(Vector(30))
    for step in (1, 2, 3):
        strategy.step(found, feed, moment(step))
    assert feed.draws == 3 and feed.asked >= 3 * 8


def test_members_without_a_number_count_as_the_worst_and_are_reported():
    reports, strategy, found = [], strategy_of(shaping=CentredRank()), mounted_on(Vector(30))
    start = float(found.own.weights[0])

    def sometimes(module):
        first, second = module()[:2].tolist()
        return torch.tensor([math.nan if first > start else second])

    strategy.step(found, Told(sometimes), moment(reports=reports))
    (report,) = reports
    missing = [math.isnan(each) for each in report["fitness"]]
    assert report["failed_members"] == sum(missing) > 0
    worst = min(report["weights"])
    assert all(weight == worst for weight, is_missing in zip(report["weights"], missing, strict=True) if is_missing)


def test_if_no_member_has_a_number_nothing_changes():
    strategy = strategy_of()
    found, reports = mounted_on(Vector(30)), []
    before = genes(found)
    with pytest.raises(NonFiniteStep, match="none of the 8 members has a finite loss"):
        strategy.step(found, Told(lambda module: torch.tensor([math.nan])), moment(reports=reports))
    assert genes(found) == before and not reports and not found.own.counters


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("update", UPDATES, **named)
@pytest.mark.parametrize("perturbation", PERTURBATIONS, **named)
def test_s06_a_step_is_done_again_bit_for_bit_from_its_report_as_json(perturbation, update, dtype):
    settings = {"update": update, "anchor": 0.1, "weight_decay": 0.1, "check_every": 2, "sigma_decay": 0.9}
    strategy, reports = strategy_of(perturbation, **settings, shaping=LeaveOneOut()), []
    first, again = individual(strategy, dtype), individual(strategy, dtype)
    for step in range(1, 4):
        strategy.step(first, Rows(None), moment(step, reports=reports))
    for step, report in enumerate(json.loads(json.dumps(reports)), 1):
        strategy.replay(again, moment(step), report)
    assert genes(first) == genes(again) and first.own.counters == again.own.counters
    for name, slot in first.own.slots.items():
        assert torch.equal(slot, again.own.slots[name]), name


def test_mezo_is_its_published_formula():
    """``theta -= eta (l+ - l-) / (2 eps) z`` and the log of one pair a step is all that is needed."""
    strategy = strategy_of(
        members=2, shaping=Raw(), estimator=Antithetic(), by_sigma=True, sigma=1e-3, learning_rate=1e-2
    )
    found, reports = mounted_on(Vector(200)), []
    start = found.own.weights[:200].clone()
    strategy.step(found, Told(quadratic), moment(reports=reports))
    z = torch.zeros(200)
    place = type("Place", (), {"noise": moment().noise, "fixed": moment().fixed, "backend": "auto"})
    Gaussian().add_estimate_(z, Chunk(found.own, "own", found.own.layout.segments[0], 0, len(z)), [1.0], place=place)
    plus, minus = ((start + sign * 1e-3 * z).double().square().sum() / 2 for sign in (1, -1))
    expected = start - 1e-2 * float((plus - minus) / 2e-3) * z
    torch.testing.assert_close(found.own.weights[:200], expected, rtol=1e-4, atol=1e-5)
    assert len(json.dumps(reports[0])) < 1000


def test_the_anchor_pulls_towards_the_start():
    told, _ = linear(400)
    ends = []
    for anchor in (0.0, 20.0):
        strategy = strategy_of(anchor=anchor, learning_rate=1e-2)
        found = mounted_on(Vector(400), slots=strategy.slots)
        start = found.own.weights.clone()
        for step in range(1, 31):
            strategy.step(found, Told(told), moment(step))
        ends.append(float((found.own.weights - start).norm()))
    assert ends[1] < 0.6 * ends[0]


def test_vectors_do_not_decay():
    strategy = strategy_of(weight_decay=1.0, learning_rate=0.5)
    found = individual(strategy)
    with torch.no_grad():
        found.module.layer.bias.fill_(2.0)
    matrix = found.module.layer.weight.clone()
    strategy.step(found, Told(lambda module: torch.ones(1)), moment())  # nothing to learn: only the decay acts
    torch.testing.assert_close(found.module.layer.weight, 0.5 * matrix)
    assert bool((found.module.layer.bias == 2.0).all())


def test_sigma_and_rate_decay_from_their_start():
    reports, strategy = [], strategy_of(sigma_decay=0.5, sigma_decay_start=2, learning_rate_decay=0.1)
    found = mounted_on(Vector(30))
    for step in range(1, 5):
        strategy.step(found, Told(quadratic), moment(step, reports=reports))
    assert [each["sigma"] for each in reports] == pytest.approx([1e-2, 1e-2, 1e-2, 5e-3])
    assert [each["rate"] for each in reports] == pytest.approx([1e-2, 1e-3, 1e-4, 1e-5])


def test_a_step_too_large_for_float32_is_not_taken_and_says_what_to_change():
    strategy = strategy_of(learning_rate=1e60)
    found = mounted_on(Vector(30))
    before = genes(found)
    with pytest.raises(NonFiniteStep, match="too large for float32; lower learning_rate, or raise sigma"):
        strategy.step(found, Told(quadratic), moment())
    assert genes(found) == before


def test_pairs_need_an_even_number_of_members():
    with pytest.raises(ValueError, match="members: found 5, but antithetic members come in pairs; give an even number"):
        EvolutionStrategy(members=5, estimator=Antithetic())


ES = {"name": "es", "steps": 3, "members": 6, "sigma": 1e-2, "learning_rate": 1e-2, "check_every": 2}
RUN = {"improve": [ES], "vary": [], "generations": 4}


@pytest.mark.parametrize(
    ("size", "perturbation", "update"),
    [(1, "gaussian", "plain"), (3, "gaussian", "adam"), (1, "low_rank", "adam"), (3, "subspace", "plain")],
)
def test_a_stopped_run_ends_as_an_uninterrupted_one_and_is_replayed(tmp_path, size, perturbation, update):
    ends = []
    changes = {**RUN, "improve": [{**ES, "perturbation": perturbation, "update": update}]}
    for name, observer in (("stopped", StopAt(5, signal.SIGTERM)), ("whole", None)):
        folder = tmp_path / name
        folder.mkdir()
        config = config_in(folder, changes, population={"name": "individuals", "size": size})
        if observer is not None:
            observe(config, observer)
            with pytest.raises(RunStopped):
                session.run(config)
            config = config_in(folder, changes, population={"name": "individuals", "size": size})
        session.run(config)
        ends.append(population_digest(folder / "runs" / "digits"))
        done = replay(folder / "runs" / "digits")
        assert done.steps == 12 and done.log_bytes / done.steps < 4096
    assert ends[0] == ends[1]


@pytest.mark.parametrize("preset", PRESETS, ids=lambda each: each.name)
def test_every_preset_runs_and_one_setting_of_it_can_be_changed(tmp_path, preset):
    values = {
        "improve": [{"name": "es", "steps": 1, "members": 4}],
        "vary": [],
        "generations": 1,
        "preset": preset.name,
    }
    config = config_in(tmp_path, values, population={"name": "individuals"})
    component = config.improve[0].component
    assert component.members == 4 and component.sigma == preset.settings["sigma"]
    assert component.perturbation.name == preset.settings["perturbation"]["name"]
    session.run(config)


def test_es_takes_its_turn_beside_adamw(tmp_path):
    adamw = {"name": "adamw", "steps": 2}
    session.run(config_in(tmp_path, {**RUN, "improve": [adamw, {**ES, "every": 2}]}))
    lines = (tmp_path / "runs" / "digits" / "steps.jsonl").read_text().splitlines()
    assert {json.loads(line)["entry"] for line in lines} == {"1-es"} and len(lines) == 6
