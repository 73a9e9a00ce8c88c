"""Evaluation and selection: who is measured, who failed, who is the best so far, and who lives on."""

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from evoweights.contract import calling
from evoweights.errors import PluginError
from evoweights.mounted import Mounted
from evoweights.operators import Selection
from evoweights.population import BUFFER, WEIGHTS, Population, best_of, better, buffers_among
from evoweights.records import VaryRecord
from evoweights.seeds import Noise
from evoweights.task import Task


@dataclass(frozen=True)
class Champion:
    """The best individual seen so far: a copy of everything needed to use it, and the scores it was chosen by.

    ``scores`` are the fitness of every row when it was chosen (None where unknown or failed); ``tensors`` are its own weights,
    the shared weights as they were then, and its buffers.
    """

    row: int
    id: int
    generation: int
    fitness: float
    scores: tuple[float | None, ...]
    tensors: Mapping[str, Tensor]

    def facts(self) -> dict[str, Any]:
        """Everything but the tensors, as JSON values."""
        return {
            "row": self.row,
            "id": self.id,
            "generation": self.generation,
            "fitness": self.fitness,
            "scores": list(self.scores),
        }

    def load_into_(self, mounted: Mounted) -> None:
        """Mount the champion: its own weights, the shared weights of its time and its buffers."""
        mounted.own.weights.copy_(self.tensors[f"own.{WEIGHTS}"])
        mounted.shared.weights.copy_(self.tensors[f"shared.{WEIGHTS}"])
        mounted.put_buffers_(buffers_among(self.tensors))
        mounted.refresh_()
        mounted.row = None


class _AskedToStop(BaseException):
    """Ends an evaluation; not an ``Exception``, so that no task takes it for a failure of its own."""


def evaluate(population: Population, mounted: Mounted, task: Task, *, stop: Callable[[], int] = lambda: 0) -> bool:
    """Measure every individual whose fitness is unknown; False if ``stop`` asked for an end before all were.

    The individual that was being measured then stays unknown; those before it are measured. A fitness that is NaN or
    infinite makes the individual ``failed``: it never leads, wins or trains until an operator has given it new weights.
    """
    for row in population.unknown():
        mounted.show(population, row)
        individual = population.individuals[row]
        try:
            with calling(f"{type(task).__name__}: evaluate individual {row}"), _left_on(stop, mounted.module):
                fitness = float(task.evaluate(mounted.module))
        except _AskedToStop:
            return False
        individual.fitness = fitness
        if not math.isfinite(fitness):
            individual.failed = True
            continue
        individual.score = fitness
        if math.isnan(individual.start):
            individual.start = fitness
        if better(fitness, individual.best_fitness):
            individual.best_fitness = fitness
            _keep_personal_best_(population, row)
    return True


def evaluation_flops(task: Task, mounted: Mounted) -> int | None:
    """The floating-point operations of measuring an individual; None if the task does not know."""
    with calling(f"{type(task).__name__}: count the operations of an evaluation"):
        return None if (found := task.evaluation_flops(mounted.module)) is None else round(found)


@contextmanager
def _left_on(stop: Callable[[], int], module: nn.Module) -> Iterator[None]:
    """Let whoever calls the module, or one of the parts it consists of, be interrupted as soon as ``stop`` asks for it.

    What is compiled is not interrupted inside: a graph that asked would have to be made anew for every evaluation.
    """

    def check(*_: object) -> None:
        if not torch.compiler.is_compiling() and stop():
            raise _AskedToStop

    check()
    hooks = [each.register_forward_pre_hook(check) for each in (module, *module.children())]
    try:
        yield
    finally:
        for each in hooks:
            each.remove()


def _keep_personal_best_(population: Population, row: int) -> None:
    for slot in population.slots:
        if slot.role == "personal_best":
            population.row(row, slot.name).copy_(population.row(row))
            population.changed(row)


def crown(champion: Champion | None, population: Population, mounted: Mounted, *, generation: int) -> Champion | None:
    """The champion after a generation: the old one, unless a measured individual is strictly better."""
    fitness = population.fitness()
    row = best_of(fitness, population.healthy())
    if row is None or (champion is not None and not better(fitness[row], champion.fitness)):
        return champion
    mounted.show(population, row)
    tensors = {
        f"own.{WEIGHTS}": mounted.own.weights.to("cpu", copy=True),
        f"shared.{WEIGHTS}": mounted.shared.weights.to("cpu", copy=True),
    }
    tensors |= {f"{BUFFER}{name}": value.clone() for name, value in population.buffers[row].items()}
    scores = tuple(value if math.isfinite(value) else None for value in fitness)
    return Champion(row, population.individuals[row].id, generation, fitness[row], scores, tensors)


def select(population: Population, selection: Selection, *, generation: int, noise: Noise) -> list[VaryRecord]:
    """Fill every row with the individual the selection chose for it: weights, slots, buffers and fitness.

    Raises:
        PluginError: the selection gave the wrong number of rows, or a row that does not exist.
    """
    with calling(f"select {selection.name}: choose"):
        chosen = [operator.index(row) for row in selection.choose(population.fitness(), noise)]
    if len(chosen) != population.size or not all(0 <= row < population.size for row in chosen):
        raise PluginError(
            f"select.{selection.name}: gave rows {chosen}, expected {population.size} of 0..{population.size - 1}."
        )
    moved = {target: source for target, source in enumerate(chosen) if target != source}
    # A row that is both overwritten and wanted elsewhere is copied before anything is written.
    kept = {row: _clone(population, row) for row in set(moved) & set(moved.values())}
    origins = list(population.individuals)
    records = []
    for target, source in moved.items():
        tensors = kept.get(source) or population.tensors(source)
        origin = origins[source]
        population.restore(target, tensors)
        new = population.rewritten(target, parents=[origin.id], generation=generation)
        new.parents = (origin.id,)
        new.fitness, new.score, new.best_fitness = origin.fitness, origin.score, origin.best_fitness
        new.train_loss, new.counters = origin.train_loss, dict(origin.counters)
        new.failed = origin.failed
        records.append(VaryRecord(generation, (selection.name,), target, new.id, new.parents, (source,), "copy"))
    return records


def _clone(population: Population, row: int) -> dict[str, Tensor]:
    return {
        name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in population.tensors(row).items()
    }
