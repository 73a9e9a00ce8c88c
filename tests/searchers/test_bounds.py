"""Settings that EvoTorch could not do with are refused at once, and numbers that overflow are failed members."""

import contextlib
import json
import math

import pytest
import torch
from searchers_under_test import Feed, catalog, genes, mounted_, stepped
from test_searcher_runs import config_in

from evoweights.errors import CheckpointError, UsageError
from evoweights.improvers import NonFiniteStep
from evoweights.runs import session
from evoweights.runs.replay import replay
from evoweights_evotorch.cmaes import CMAES
from evoweights_evotorch.spaces import Subspace

REFUSED = [
    {"name": "pgpe", "optimizer_config": {"max_speed": -1.0}},
    {"name": "pgpe", "optimizer_config": {"momentum": 5.0}},
    {"name": "pgpe", "optimizer": "adam", "optimizer_config": {"beta1": 0.5}},
    {"name": "pgpe", "optimizer": "adam", "optimizer_config": {"beta1": 2.0, "beta2": 0.9}},
    {"name": "snes", "optimizer": "sgd", "optimizer_config": {"momentum": -1.0}},
    {"name": "cmaes", "c_sigma": 100.0},
    {"name": "cmaes", "damp_sigma": 0.0},
    {"name": "cmaes", "damp_sigma_ratio": 0.0},
    {"name": "cmaes", "c_mu": 5.0},
    {"name": "cmaes", "c_mu": 0.0},
    {"name": "cmaes", "c_1": 0.7, "c_mu": 0.7},
    *({"name": name, "stdev_min": 2.0, "stdev_max": 1.0} for name in ("snes", "cem", "pgpe", "cmaes")),
    {"name": "snes", "space": {"name": "subspace", "scale": 1e300}},
]


@pytest.mark.parametrize("settings", REFUSED, ids=lambda each: "-".join(map(str, each.values())))
def test_what_evotorch_cannot_do_with_is_refused_where_it_is_written(settings, tmp_path):
    with pytest.raises(UsageError, match=r"improve\.0"):
        config_in(tmp_path, [settings])


@pytest.mark.parametrize("limited", [True, False])
@pytest.mark.parametrize("rates", [{"c_1": 0.1}, {"c_mu": 0.1}, {"c_1": 0.0, "c_mu": 0.2}, {"c_1": 0.5, "c_mu": 0.4}])
def test_the_learning_rates_of_cmaes_can_be_given(rates, limited):
    searcher = CMAES(space=Subspace(size=4), popsize=6, limit_C_decomposition=limited, **rates)
    found = mounted_(searcher)
    before = found.own.weights.clone()
    stepped(searcher, found, Feed(), [1, 2])
    assert not torch.equal(before, found.own.weights)


@pytest.mark.parametrize("entry", list(catalog().entries("improve")), ids=lambda each: each.name)
@pytest.mark.parametrize("stdev", [1e30, 1e37, 1e300])
@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_noise_beyond_float32_ends_the_turn_and_not_the_run(entry, stdev, scale):
    searcher = entry.component(space=Subspace(size=4, scale=scale), stdev_init=stdev)
    found = mounted_(searcher)
    with contextlib.suppress(NonFiniteStep):
        stepped(searcher, found, Feed(), [1, 2])
    assert bool(torch.isfinite(found.own.weights).all())


@pytest.mark.parametrize("entry", list(catalog().entries("improve")), ids=lambda each: each.name)
def test_a_loss_beyond_float32_is_a_failed_member(entry):
    searcher = entry.component(space=Subspace(size=4))
    ends = []
    for large in (1e200, math.inf):
        found, reports = mounted_(searcher), []
        feed = Feed(lambda losses, number, large=large: losses + (large if number % 2 else 0))
        stepped(searcher, found, feed, [1], reports=reports)
        ends.append((genes(found), reports[0]["failed_members"], reports[0]["spread"]))
    assert ends[0] == ends[1] and ends[0][1] > 0 and math.isfinite(ends[0][2])


@pytest.mark.parametrize("losses", [None, ["a"], [], ["nan"] * 40, 3.0])
def test_losses_that_were_changed_in_the_log_are_found(losses, tmp_path):
    one = {"name": "individuals", "size": 1}
    session.run(
        config_in(tmp_path, [{"name": "snes", "space": {"name": "subspace", "size": 6}}], population=one, generations=1)
    )
    log = tmp_path / "runs" / "searched" / "steps.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    lines[1]["losses"] = losses
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(
        CheckpointError,
        match=r"no losses for a generation of a searcher: it or config\.yaml|cannot have been taken, because .*was changed",
    ):
        replay(log.parent)


def test_rates_that_diverge_end_the_turn_with_what_diverged():
    searcher = CMAES(space=Subspace(size=4), popsize=6, c_sigma=1.0, c_sigma_ratio=100.0)
    with pytest.raises(
        NonFiniteStep,
        match=r"cmaes has diverged: its .* not finite|cmaes has diverged: its covariance is no longer positive definite",
    ):
        stepped(searcher, mounted_(searcher), Feed(), [1, 2])
