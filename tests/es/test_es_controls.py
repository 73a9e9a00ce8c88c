"""What an evolution strategy must beat: blind search with as many evaluations, and the gradient."""

import itertools
import json
from pathlib import Path

import pytest
import torch
from strategies_under_test import Told, Vector, genes, moment, mounted_on, quadratic

from engine_runs import config_in
from evoweights.config.loading import load_config
from evoweights.errors import UsageError
from evoweights.improvers import NonFiniteStep
from evoweights.runs import session
from evoweights.runs.controls import carry_out, controls_called, controls_of, plan
from evoweights.runs.replay import replay
from evoweights.testing import population_digest
from evoweights_es.low_rank import LowRank
from evoweights_es.random_search import RandomSearch

ROOT = Path(__file__).parents[2]
STRATEGY = {"name": "es", "steps": 2, "members": 4, "sigma": 0.05}


INPUTS = torch.linspace(-1, 1, 80).view(2, 40)


class Outputs(Told):
    """A feed that takes copies that go through the module together."""

    @torch.no_grad()
    def scores(self, copies=1):
        return self.mounted.module(INPUTS.repeat(copies, 1)).double().view(copies, -1).square().mean(1)


def config_of(folder, **top):
    changes = {"population": {"name": "individuals", "size": 1}, "improve": [STRATEGY], "vary": [], **top}
    return config_in(folder, changes, generations=2)


def planned(config, *names):
    return plan(config, controls_called(config, names), left_out=lambda line: None)


@pytest.mark.parametrize("file", ["ea4llm", "es_low_rank", "adamw_and_es", "eoe_then_es"])
def test_every_control_of_every_shipped_configuration_is_a_valid_one(file):
    config = load_config(ROOT / "configs" / f"{file}.yaml")
    search, gradient = planned(config, "random_search", "adamw")
    for each in (search, gradient):
        assert [entry.phase for entry in each.config.improve] == [entry.phase for entry in config.improve]
        assert not [entry for entry in each.config.improve if entry.component.name == "es"]
    for before, after in zip(config.improve, search.config.improve, strict=True):
        if before.component.name == "es":
            names = ("steps", "members", "sigma", "perturbation", "rounding")
            assert all(getattr(before.component, name) == getattr(after.component, name) for name in names)
        else:
            assert before == after


def test_a_reward_has_no_gradient_to_be_beaten_by(tmp_path):
    config = load_config(ROOT / "configs" / "es_reward.yaml")
    assert [each.name for each in controls_of(config)] == ["random_search"]
    with pytest.raises(UsageError, match="adamw says nothing about this configuration"):
        planned(config, "adamw")
    assert not controls_of(config_of(tmp_path, improve=[{"name": "adamw"}]))


def test_random_search_takes_as_many_evaluations_and_tokens_as_the_strategy(tmp_path):
    config = config_of(tmp_path, improve=[{**STRATEGY, "check_every": 0}])
    session.run(config)
    (search,) = planned(config, "random_search")
    carry_out(search)
    lines = [
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (config.output / config.name, search.folder)
    ]
    assert [(line["step"], line["tokens"], line["ledger"]["flops"]) for line in lines[0]] == [
        (line["step"], line["tokens"], line["ledger"]["flops"]) for line in lines[1]
    ]


@pytest.mark.parametrize("members", [6, 7])
def test_adamw_of_equal_cost_takes_as_many_flops_as_the_strategy(tmp_path, members):
    strategy = {"name": "es", "steps": 3, "members": members, "check_every": 0}
    config = config_of(tmp_path, improve=[strategy], task={"name": "digits", "train_images": 64}, credit=False)
    session.run(config)
    (gradient,) = planned(config, "adamw_flops")
    assert gradient.config.improve[0].component.steps == members
    carry_out(gradient)
    spent = [
        sum(json.loads(line)["ledger"]["flops"] for line in (folder / "metrics.jsonl").read_text().splitlines())
        for folder in (config.output / config.name, gradient.folder)
    ]
    assert spent[1] == pytest.approx(spent[0], rel=0.1)


@pytest.mark.parametrize("settings", [{}, {"perturbation": LowRank()}], ids=["gaussian", "low_rank"])
def test_a_search_on_one_batch_never_gets_worse_and_goes_where_the_best_copy_was(settings):
    improver = RandomSearch(members=6, sigma=0.01, **settings)
    mounted = mounted_on(torch.nn.Linear(40, 30))
    feed = Outputs(lambda module: module(INPUTS).square().mean())
    losses, reports = [], []
    for step in range(1, 16):
        losses.append(improver.step(mounted, feed, moment(step, reports=reports)))
        assert float(feed.scores()) == pytest.approx(losses[-1], rel=1e-5)
    assert losses[-1] < losses[0]
    assert all(after <= before * (1 + 1e-6) for before, after in itertools.pairwise(losses))
    assert any(each["best"] is not None for each in reports)


def test_nothing_changes_where_no_copy_is_better():
    mounted = mounted_on(Vector(300))
    mounted.own.weights.zero_()
    improver, reports = RandomSearch(members=5, sigma=0.1), []
    assert improver.step(mounted, Told(quadratic), moment(reports=reports)) == 0.0
    assert not mounted.own.weights.any() and reports[0]["best"] is None and len(reports[0]["losses"]) == 4


def test_a_search_whose_losses_are_all_not_finite_changes_nothing():
    mounted = mounted_on(Vector(300))
    before = genes(mounted)
    with pytest.raises(NonFiniteStep, match="none of the 3 has a finite loss"):
        RandomSearch(members=3).step(mounted, Told(lambda module: torch.tensor([float("nan")])), moment())
    assert genes(mounted) == before


def test_a_run_of_random_search_is_replayed_bit_for_bit(tmp_path):
    config = config_of(tmp_path, improve=[{"name": "random_search", "steps": 3, "members": 4, "sigma": 0.05}])
    session.run(config)
    digest = population_digest(config.output / config.name)
    assert replay(config.output / config.name).steps == 6
    assert population_digest(config.output / config.name) == digest
