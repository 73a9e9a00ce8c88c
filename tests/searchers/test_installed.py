"""EvoTorch is imported by a step and by nothing else; where it is missing, that is said before any work."""

import importlib.metadata
import subprocess
import sys

import pytest
from searchers_under_test import catalog

from evoweights.config.schema import settings_of
from evoweights.errors import UsageError
from evoweights_evotorch.cmaes import CMAES
from evoweights_evotorch.gaussians import CEM, SNES
from evoweights_evotorch.pgpe import PGPE
from evoweights_evotorch.populations import Cosyne

LISTING = """
import sys
from evoweights.catalog import Catalog
from evoweights.config.schema import settings_of
from evoweights_evotorch import register
catalog = Catalog()
register(catalog.registrar("evoweights_evotorch"))
for entry in catalog.entries():
    settings_of(entry.component)
    if entry.kind == "improve":
        print(entry.name, entry.component().steps)
assert "torch" not in sys.modules, "torch"
assert not {"evotorch", "ray", "pandas", "cma"} & set(sys.modules)
"""


def test_listing_and_configuring_imports_neither_torch_nor_evotorch():
    done = subprocess.run([sys.executable, "-c", LISTING], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[::2] == [
        *("cem", "cmaes", "cosyne", "genetic_algorithm", "map_elites", "pgpe", "snes", "xnes"),
    ]


@pytest.mark.parametrize("entry", list(catalog().entries("improve")), ids=lambda each: each.name)
def test_without_evotorch_a_searcher_says_how_to_get_it(entry, monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(UsageError, match=r"pip install evoweights\[evotorch\]"):
        entry.component()


@pytest.mark.parametrize("entry", list(catalog().entries()), ids=lambda each: each.name)
def test_every_setting_says_what_it_is_and_its_source_is_named(entry):
    assert all(each.facts["doc"] for each in settings_of(entry.component).values())
    assert any(character.isdigit() for character in entry.source)


def test_no_cluster_is_started():
    import ray
    from searchers_under_test import Feed, mounted_, stepped

    stepped(SNES(), mounted_(SNES()), Feed(), [1])
    assert not ray.is_initialized()


@pytest.mark.parametrize(
    ("component", "settings", "message"),
    [
        (
            CEM,
            {"popsize": 4, "parenthood_ratio": 0.25},
            "parenthood_ratio: 0.25 of 4 members are 1, needed are 2; raise it",
        ),
        (PGPE, {"popsize": 5}, "popsize: found 5; members come in pairs, so it must be even"),
        (PGPE, {"optimizer_config": {"beta1": 0.9}}, "beta1 is no setting of clipup, which takes momentum, max_speed"),
        (
            PGPE,
            {"optimizer": "adam", "optimizer_config": {"beta1": 0.9}},
            "adam takes beta1 and beta2 together; give both",
        ),
        (CMAES, {"c_1": 0.7, "c_mu": 0.5}, "found 1.2 together; a covariance is replaced by at most 1 of itself"),
        (CMAES, {"stdev_min": 2.0, "stdev_max": 1.0}, "is more than stdev_max, 1.0; lower it or leave one of them out"),
        (SNES, {"optimizer_config": {"momentum": 0.9}}, "momentum is no setting of none, which takes nothing"),
        (
            Cosyne,
            {"num_elites": 1, "elitism_ratio": 0.1},
            "num_elites, elitism_ratio: both are given; give one of them",
        ),
        (Cosyne, {"num_elites": 99}, "num_elites: found 99, but there are only 32 members"),
        (Cosyne, {"num_children": 3}, "num_children: found 3; children come in pairs, so it must be even"),
        (
            Cosyne,
            {"mutation_stdev": None, "mutation_probability": 0.5},
            "mutation_stdev is null, so there is no mutation",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(component, settings, message):
    with pytest.raises(ValueError, match=message):
        component(**settings)
