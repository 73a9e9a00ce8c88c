"""R01 to R07: what must hold of a run whatever happens to it, seen without knowing how it came there."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from evoweights.engine import Engine
from evoweights.storage.checkpoints import CheckpointStore
from evoweights.testing.stateful.place import Place
from evoweights.world import World

COUNTERS = ("generation", "step", "ticks", "batches", "evaluations")


@dataclass
class Watched:
    """What was seen of a run since it was last opened: its best loss, its counters, and where the shared weights lie."""

    best: float = math.inf
    counters: tuple[int, ...] = ()
    shared: int = 0

    @classmethod
    def of(cls, world: World) -> "Watched":
        """As it is now."""
        best = math.inf if world.champion is None else world.champion.fitness
        return cls(best, _counters(world), world.mounted.shared.weights.data_ptr())


def broken_rules(place: Place, watched: Watched, *, has_saved: bool) -> Iterator[str]:
    """Each rule that does not hold, with what was found; ``watched`` is brought up to date."""
    if has_saved:
        verdicts = CheckpointStore(place.folder / "checkpoints", read_only=True).verify()
        if not any(each.ok for each in verdicts):
            yield f"EW-R07: no checkpoint verifies: {[each.problems for each in verdicts]}"
    if (engine := place.engine) is not None:
        world = engine.world
        now = Watched.of(world)
        yield from _size(world)
        yield from _best(engine, watched, now)
        yield from _lineage(engine)
        yield from _shared(world, watched, now)
        if any(new < old for new, old in zip(now.counters, watched.counters, strict=True)):
            yield f"EW-R06: {', '.join(COUNTERS)} went from {watched.counters} to {now.counters}"
        watched.best, watched.counters = now.best, now.counters


def _counters(world: World) -> tuple[int, ...]:
    progress = world.progress
    return progress.generation, progress.step, progress.ticks, progress.batches, progress.evaluations


def _size(world: World) -> Iterator[str]:
    population = world.population
    lengths = {
        name: [len(population.row(row, name)) for row in range(population.size)] for name in population.rows.names
    }
    if len(population.individuals) != population.size:
        yield f"EW-R01: {len(population.individuals)} individuals in a population of {population.size}"
    if any(each != [population.layout.size] * population.size for each in lengths.values()):
        yield f"EW-R01: tensors of {lengths} numbers where each has {population.layout.size}"


def _best(engine: Engine, watched: Watched, now: Watched) -> Iterator[str]:
    champion = engine.world.champion
    if champion is not None:
        genes = [each.view(champion.tensors["own.weights"]) for each in engine.world.population.layout.segments]
        if not math.isfinite(champion.fitness) or any(each.isnan().any() for each in genes):
            yield f"EW-R02: individual {champion.id} is the best, with loss {champion.fitness} or with genes that are NaN"
    if not now.best <= watched.best:
        yield f"EW-R03: the best loss went from {watched.best} to {now.best}"
    if engine.run.best_folder.exists():
        tensors, facts = engine.run.load_best()
        if not math.isfinite(facts["fitness"]) or any(torch.isnan(each).any() for each in tensors.values()):
            yield f"EW-R02: {engine.run.best_folder} holds NaN"


def _lineage(engine: Engine) -> Iterator[str]:
    population = engine.world.population
    known = set(range(population.size))
    for each in engine.run.read_lineage():
        if each["id"] in known or not known.issuperset(each["parents"]):
            yield f"EW-R04: lineage.jsonl has individual {each['id']} of parents {each['parents']} after {sorted(known)}"
        if any(parent >= each["id"] for parent in each["parents"]):
            yield f"EW-R04: individual {each['id']} is no younger than its parents {each['parents']}"
        known.add(each["id"])
    ids = [each.id for each in population.individuals]
    if len(set(ids)) < len(ids) or not known.issuperset(ids) or population.next_id <= max(known):
        yield f"EW-R04: individuals {ids} and the next {population.next_id}, where the lineage has {sorted(known)}"


def _shared(world: World, watched: Watched, now: Watched) -> Iterator[str]:
    shared, parameters = world.mounted.shared, dict(world.mounted.module.named_parameters())
    if now.shared != watched.shared:
        yield "EW-R05: the shared weights lie in another storage than at the start"
    for segment in shared.layout.segments:
        if segment.count and parameters[segment.name].data_ptr() != segment.view(shared.compute).data_ptr():
            yield f"EW-R05: {segment.name} is no longer the shared one"
    own = {each.name for each in world.population.layout.segments}
    if both := own & {each.name for each in shared.layout.segments}:
        yield f"EW-R05: {', '.join(sorted(both))} is shared and owned as well"
