"""Whatever happens to a run, it is as a plain reference of the loop says; and where the engine is broken, that is noticed."""

import dataclasses

import pytest
import torch
from small_components import Blend, SharedFirst, Wander

from evoweights import engine, variation
from evoweights.errors import DivergedError, UsageError
from evoweights.hookspecs import hookimpl
from evoweights.mounted import Mounted
from evoweights.population import Population
from evoweights.progress import Progress
from evoweights.storage.run_dir import RunDirectory
from evoweights.testing import EngineMachine, check_engine, engine_machine
from evoweights.testing.stateful.reference import Ended
from evoweights.testing.tiny_runs import TINY
from evoweights.world import World

SHARING = {"population": SharedFirst(size=3), "improve": [Wander()], "vary": [Blend(scope="all")]}
CONFIGURATIONS = {
    "as it comes": {},
    "shared layer and components of one's own": SHARING,
    "batch norm, moments of others, tournament": {
        "task": {"name": "digits", "hidden": [3], "batch": 4, "train_images": 32, "batch_norm": True},
        "population": {"name": "individuals", "size": 4},
        "turn": {"name": "random", "count": 2},
        "vary": [{"name": "crossover", "rate": 0.5, "every": 2}, {"name": "mutation", "direction": "best_to_others"}],
        "select": {"name": "tournament"},
        "optimizer_state": "copy",
        "evaluate": {"every": 1},
    },
    "one individual, without gradients": {
        "task": {"name": "function", "function": "rastrigin", "dimension": 5},
        "population": {"name": "individuals", "size": 1},
        "improve": [{"name": "es", "steps": 2, "members": 4}],
        "vary": [{"name": "mutation", "direction": "all", "rate": 0.5}],
        "optimizer_state": "reset",
    },
}


PROFILES = ("default", "default", "quick", "quick")


@pytest.mark.parametrize(("name", "profile"), [*zip(CONFIGURATIONS, PROFILES, strict=True)])
def test_whatever_happens_a_run_is_as_the_reference_says(name, profile):
    check_engine(CONFIGURATIONS[name], profile=profile)


def test_a_machine_is_a_test_case_of_a_configuration():
    machine = engine_machine({"population": {"name": "individuals", "size": 2}})
    assert issubclass(machine, EngineMachine) and machine.config.population.size == 2
    assert machine.TestCase is not None


def test_a_preset_is_what_is_tested():
    machine = engine_machine({"preset": "ea4llm", "task": TINY["task"]})
    assert machine.config.population.size == 1 and machine.config.vary == ()
    assert [each.component.name for each in machine.config.improve] == ["es"]


def test_text_is_refused():
    with pytest.raises(UsageError, match="check_engine: found text; expected a mapping"):
        check_engine("population: {name: individuals}")


def forget(counter):
    """Resume forgets a counter."""

    def broken(monkeypatch):
        true = Progress.from_state.__func__

        def careless(cls, state):
            return true(cls, {**state, counter: 0})

        monkeypatch.setattr(Progress, "from_state", classmethod(careless))

    return broken


def worse_is_better(monkeypatch):
    """The best of all times gives way to the best of now."""
    true = engine.crown

    def careless(champion, population, mounted, *, generation):
        return true(None, population, mounted, generation=generation) or champion

    monkeypatch.setattr(engine, "crown", careless)


def nan_is_best(monkeypatch):
    """An individual that has failed is crowned."""
    true = engine.crown

    def careless(champion, population, mounted, *, generation):
        crowned = true(champion, population, mounted, generation=generation)
        failed = [row for row, each in enumerate(population.individuals) if each.failed]
        if not failed or crowned is None:
            return crowned
        weights = {**crowned.tensors, "own.weights": population.row(failed[0]).clone()}
        return dataclasses.replace(crowned, fitness=float("nan"), tensors=weights)

    monkeypatch.setattr(engine, "crown", careless)


def shared_is_copied(monkeypatch):
    """Mounting gives the module shared weights of its own."""
    true = Mounted.load

    def careless(self, population, row):
        true(self, population, row)
        for segment in self.shared.layout.segments:
            parameter = self.module.get_parameter(segment.name)
            parameter.data = parameter.data.clone()

    monkeypatch.setattr(Mounted, "load", careless)


def parent_is_lost(monkeypatch):
    """An individual knows one parent only."""
    true = Population.rewritten

    def careless(self, row, *, parents, generation, kept=()):
        return true(self, row, parents=(), generation=generation, kept=kept)

    monkeypatch.setattr(Population, "rewritten", careless)


def lineage_is_not_written(monkeypatch):
    """Who was born is not recorded."""
    monkeypatch.setattr(RunDirectory, "append_lineage", lambda self, record: None)


def save_drops_moments(monkeypatch):
    """A checkpoint has zeros for what optimizers keep."""
    true = Population.tensors

    def careless(self, index):
        found = true(self, index)
        return {name: torch.zeros_like(each) if "moment" in name else each for name, each in found.items()}

    monkeypatch.setattr(World, "files", _with_rows(careless))


def _with_rows(tensors):
    true = World.files

    def files(self):
        made = true(self)
        return made | {
            f"individuals/{row:04d}": lambda row=row: tensors(self.population, row)
            for row in range(self.population.size)
        }

    return files


def stale_fitness(monkeypatch):
    """New weights keep the fitness of the old."""
    monkeypatch.setattr(Population, "mark_changed", lambda self, rows: None)


def ids_start_again(monkeypatch):
    """A resumed run gives ids that were given before."""
    true = Population.load_state

    def careless(self, state):
        true(self, state)
        self.next_id = self.size

    monkeypatch.setattr(Population, "load_state", careless)


def moments_follow_nobody(monkeypatch):
    """What happens to optimizer state on a rewrite is not what the configuration says."""
    monkeypatch.setattr(variation, "carry_optimizer_state_", lambda *told: None)


def checkpoints_without_manifest(monkeypatch):
    """A checkpoint is sealed before it is written, and so not sealed at all."""
    from evoweights.storage import checkpoints

    monkeypatch.setattr(checkpoints, "seal", lambda folder, files, facts: None)


def half_a_turn_is_lost(monkeypatch):
    """A turn that was interrupted begins again."""
    from evoweights import progress

    true = progress.TurnProgress

    def careless(**told):
        return true(**{**told, "losses": []})

    monkeypatch.setattr(progress, "TurnProgress", careless)


SMALL = {"task": {"name": "function", "dimension": 5}, "vary": [{"name": "crossover", "rate": 0.5}]}
BREAKAGES = {
    "R08 forgets the batches": (
        forget("batches"),
        SMALL,
        "EW-R08: the resumed run is not the saved one: .*progress.batches",
    ),
    "R08 forgets the steps": (forget("step"), SMALL, "EW-R08.*progress.step"),
    "R03 worse is better": (worse_is_better, SMALL, "EW-R0[39].*best"),
    "R02 NaN is best": (nan_is_best, SMALL, "EW-R02"),
    "R05 shared is copied": (shared_is_copied, SHARING, "EW-R05"),
    "R09 a parent is lost": (parent_is_lost, SMALL, "EW-R09: .*parents.*, by the reference"),
    "R04 lineage is not written": (lineage_is_not_written, SMALL, "EW-R04"),
    "R08 a save drops moments": (save_drops_moments, SMALL, "EW-R08.*first_moment has other bits"),
    "R09 stale fitness": (stale_fitness, SMALL, "EW-R09.*fitness"),
    "R08 ids start again": (ids_start_again, SMALL, "EW-R08.*next_id"),
    "R09 moments follow nobody": (moments_follow_nobody, {**SMALL, "optimizer_state": "copy"}, "EW-R09.*moment"),
    "R07 no manifest": (checkpoints_without_manifest, SMALL, "EW-R07"),
    "R08 half a turn is lost": (half_a_turn_is_lost, SMALL, "EW-R08.*losses"),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_a_broken_engine_is_noticed(monkeypatch, name):
    """And the message names the rule and what is wrong."""
    breaks, configuration, message = BREAKAGES[name]
    breaks(monkeypatch)
    with pytest.raises(AssertionError, match=f"(?s){message}"):
        check_engine(configuration)


def diverges():
    raise DivergedError("all individuals have failed")


def ends():
    raise Ended("all individuals have failed")


@pytest.mark.parametrize(("real", "plain", "said"), [
    (diverges, int, "EW-R09: the run ended, but not by the reference: all individuals have failed"),
    (int, ends, "EW-R09: the run goes on, though by the reference all individuals have failed"),
])  # fmt: skip
def test_a_run_that_ends_otherwise_than_the_reference_is_noticed(real, plain, said):
    machine = engine_machine({"task": {"name": "function", "dimension": 5}})()
    try:
        with pytest.raises(AssertionError, match=said):
            machine._both(real, plain)
    finally:
        machine.teardown()


def test_observers_and_plugins_of_ones_own_take_part():
    """Components may also come through a register hook."""

    class Mine:
        @hookimpl
        def register(self, catalog):
            catalog.add("operator", Blend)

    check_engine({"vary": [{"name": "blend", "share": 0.25}]}, plugins=[Mine()], profile="quick")
