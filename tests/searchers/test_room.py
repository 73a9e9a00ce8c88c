"""What does not fit is refused before anything is allocated, with the figures."""

import pytest
import torch
from searchers_under_test import Feed, catalog, mount_net, mounted_
from torch import nn

from engine_runs import config_in
from evoweights.errors import ResourceError
from evoweights.runs import session
from evoweights.runs.planning import estimate
from evoweights_evotorch import room
from evoweights_evotorch.cmaes import CMAES
from evoweights_evotorch.gaussians import CEM, SNES, XNES
from evoweights_evotorch.pgpe import PGPE
from evoweights_evotorch.populations import Cosyne, GeneticAlgorithm, MapElites
from evoweights_evotorch.spaces import Genome, Subspace

GENES = 124_000_000


@pytest.fixture
def free(tmp_path, monkeypatch):
    """Says how much memory is free."""

    def set_(count):
        (tmp_path / "meminfo").write_text(f"MemTotal: 99 kB\nMemFree: 1 kB\nMemAvailable:   {count // 1024} kB\n")
        monkeypatch.setattr(room, "MEMINFO", tmp_path / "meminfo")

    return set_


@pytest.mark.parametrize(
    ("searcher", "populations"),
    [(CEM(popsize=16), 2), (PGPE(popsize=16), 3), (SNES(popsize=16), 5.4), (GeneticAlgorithm(popsize=16), 11.2),
     (Cosyne(popsize=16), 15.7), (CMAES(popsize=16, separable=True), 7)],
    ids=lambda each: getattr(each, "name", ""),
)  # fmt: skip
def test_searchers_need_so_many_populations(searcher, populations):
    assert searcher.needed_bytes(GENES) == pytest.approx(populations * 16 * GENES * 4, rel=1e-6)


def test_those_that_compare_everything_with_everything_need_more():
    assert XNES(popsize=10).needed_bytes(1000) == 4 * 46 * 1000**2
    assert CMAES(popsize=10).needed_bytes(1000) == 4 * 28 * 1000**2
    assert MapElites(bins=4).needed_bytes(1000) == 4 * 39 * 16 * 1000


@pytest.mark.parametrize("searcher", [CMAES(space=Genome()), XNES(space=Genome())], ids=lambda each: each.name)
def test_a_covariance_of_a_whole_model_is_refused_on_any_machine(searcher, free):
    free(2**60)
    module = nn.Linear(200, 200)
    mounted, feed = mount_net(module, searcher), Feed()
    before = mounted.own.weights.clone()
    with pytest.raises(
        ResourceError, match=r"covariance of 40,200 numbers takes about [0-9.,]+ GiB .* allowed are 20,000"
    ):
        searcher.check(mounted)
    assert feed.asked == 0 and not mounted.memory and torch.equal(mounted.own.weights, before)


@pytest.mark.parametrize("entry", list(catalog().entries("improve")), ids=lambda each: each.name)
def test_what_does_not_fit_is_refused_with_both_figures(entry, free):
    searcher = entry.component()
    mounted, feed = mounted_(searcher), Feed()
    needed = searcher.needed_bytes(searcher.space.length(mounted))
    free(needed + 1024)
    searcher.check(mounted)
    free(needed - 1024)
    with pytest.raises(
        ResourceError,
        match=rf"improve {searcher.name} over [0-9,]+ numbers .*: a generation takes about .* GiB, and .* GiB are free",
    ):
        searcher.check(mounted)
    assert feed.asked == 0


@pytest.mark.parametrize("start", [session.run, estimate], ids=["run", "validate"])
def test_a_run_is_refused_before_it_starts(tmp_path, start, free):
    """With the figure, and before a fitness was measured."""
    free(2**20)
    config = config_in(tmp_path, improve=[{"name": "snes", "popsize": 64, "space": "genome"}], vary=[])
    with pytest.raises(ResourceError, match=r"improve snes over [0-9,]+ numbers .* and 0.00 GiB are free") as caught:
        start(config)
    advice = "Search a subspace or a LoRA (`space: subspace`), narrow space.scope, or make popsize smaller."
    assert str(caught.value).endswith(advice)
    assert not list(tmp_path.rglob("step-*")) and not list(tmp_path.rglob("metrics.jsonl"))


def test_a_subspace_of_a_large_model_fits(free):
    """Its vector is short, however many genes it moves."""
    free(2**20)
    searcher = CMAES(space=Subspace(size=10), popsize=4)
    searcher.check(mount_net(nn.Linear(500, 500), searcher))


def test_a_machine_that_does_not_say_what_is_free_is_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "MEMINFO", tmp_path / "missing")
    assert room.available_bytes(torch.device("cpu")) is None
    SNES().check(mounted_(SNES()))


def test_this_machine_says():
    found = room.available_bytes(torch.device("cpu"))
    assert found is None or found > 2**20
