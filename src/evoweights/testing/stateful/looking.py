"""The state of a run as plain values, to be compared bit by bit."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from torch import Tensor

from evoweights.engine import Engine
from evoweights.testing.populations import bits

TIMED = ("seconds", "improve_seconds")
BORN = ("generation", "operators", "row", "id", "parents", "sources")
COUNTED = ("generation", "step", "ticks", "batches", "evaluations", "recent")
"""What of a run's progress the reference counts as well."""


def seen(engine: Engine) -> dict[str, Any]:
    """Everything of an engine that decides how it goes on, and its lineage; what is timed is left out."""
    world = engine.world
    population, shared, champion = world.population, world.mounted.shared, world.champion
    rows = [
        {**asdict(individual), "tensors": _bits(population.tensors(row))}
        for row, individual in enumerate(population.individuals)
    ]
    best = None if champion is None else {**champion.facts(), "tensors": _bits(champion.tensors)}
    return {
        "rows": rows,
        "next_id": population.next_id,
        "shared": _bits({"weights": shared.weights, **shared.slots}),
        "shared_counters": dict(shared.counters),
        "best": best,
        "progress": {name: each for name, each in asdict(world.progress).items() if name not in TIMED},
        "lineage": [{name: each[name] for name in BORN} for each in engine.run.read_lineage()],
    }


def expected(state: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a reference's state."""
    rows = []
    for each in state["rows"]:
        tensors = {
            **each["tensors"],
            **{f"memory.{name}": value for name, value in each["memory"].items()},
            **{f"buffer.{name}": value for name, value in each["buffers"].items()},
        }
        facts = {name: value for name, value in each.items() if name not in ("tensors", "memory", "buffers")}
        rows.append({**facts, "tensors": _bits(tensors)})
    best = state["best"] and {**state["best"], "tensors": _bits(state["best"]["tensors"])}
    kept = {name: state[name] for name in ("next_id", "shared_counters", "lineage")}
    progress = {name: state[name] for name in COUNTED}
    return {**kept, "rows": rows, "shared": _bits(state["shared"]), "best": best, "progress": progress}


def differences(found: Any, wanted: Any, where: str = "") -> Iterator[str]:
    """Where two such values differ, and how; of a mapping, what ``wanted`` does not have is not compared."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        for name, each in wanted.items():
            yield from differences(found.get(name), each, f"{where}.{name}" if where else name)
    elif isinstance(wanted, list | tuple) and isinstance(found, list | tuple) and len(wanted) == len(found):
        for index, (one, other) in enumerate(zip(found, wanted, strict=True)):
            yield from differences(one, other, f"{where}.{index}")
    elif repr(found) != repr(wanted):
        are_bytes = isinstance(found, bytes) and isinstance(wanted, bytes)
        yield f"{where} has other bits" if are_bytes else f"{where} is {found!r} instead of {wanted!r}"


def _bits(tensors: Mapping[str, Tensor]) -> dict[str, bytes]:
    return {name: bits(each) for name, each in tensors.items()}
