"""EvoTorch is imported by a step and by nothing else; where it is missing, that is said before any work."""

import importlib.metadata
import subprocess
import sys

import pytest
from searchers_under_test import catalog

from evoweights.config.schema import settings_of
from evoweights.errors import UsageError
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
        (CEM, {"popsize": 4, "parenthood_ratio": 0.25}, "parenthood_ratio: 0.25 of 4 members are 1, needed are 2"),
        (PGPE, {"popsize": 5}, "popsize: found 5; members come in pairs"),
        (PGPE, {"optimizer_config": {"beta1": 0.9}}, "beta1 is no setting of clipup, which takes momentum, max_speed"),
        (SNES, {"optimizer_config": {"momentum": 0.9}}, "momentum is no setting of none, which takes nothing"),
        (Cosyne, {"num_elites": 1, "elitism_ratio": 0.1}, "both are given"),
        (Cosyne, {"num_elites": 99}, "found 99 of 32"),
        (Cosyne, {"num_children": 3}, "must be even"),
        (Cosyne, {"mutation_stdev": None, "mutation_probability": 0.5}, "there is no mutation"),
    ],
)
def test_settings_that_cannot_work_are_refused(component, settings, message):
    with pytest.raises(ValueError, match=message):
        component(**settings)
