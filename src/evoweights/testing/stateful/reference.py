"""The generation loop a second time, as plainly as possible: dictionaries, whole copies, one thing after the other.

It calls the same components, but shares nothing with the engine's phases: no homes, no fusion across rows, no checkpoints, no
records. What it does not know is whether a component does what it should; that is what the other checks are for.
"""

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch

from evoweights.config.run_config import RunConfig, Scheduled
from evoweights.founding import mount_blueprint
from evoweights.improvers import Moment, NonFiniteStep
from evoweights.mounted import Mounted
from evoweights.operators import Turn
from evoweights.seeds import Noise, seeded
from evoweights.task import Task
from evoweights.testing.populations import CPU
from evoweights.testing.stateful.reference_events import Event, events
from evoweights.testing.stateful.reference_feed import PlainFeed

STRIKES, RECENT = 3, 3
"""Stopped turns in a row after which an individual has failed; losses of a turn that are remembered for the next."""

LOSSES = dict.fromkeys(("fitness", "score", "train_loss", "start"), math.nan)
NOBODY = {"parents": (), "born": 0, "turns": 0, "strikes": 0, "failed": False, "counters": {}, "best_fitness": math.inf}
"""What is known of an individual at first."""


class Ended(Exception):
    """The run cannot go on: everybody has failed, or a component has broken its contract."""


class Reference:
    """The state of a run as dictionaries, ``state``, and what changes it.

    ``total_steps`` is what improvers are told of the length of the run.
    """

    def __init__(self, config: RunConfig, task: Task, *, total_steps: int) -> None:
        self.config, self.task, self.total_steps = config, task, total_steps
        noise = Noise(config.seed).at("population")
        blueprint = config.population.blueprint(task, noise)
        components = [each.component for each in (*config.improve, *config.vary)]
        self.mounted: Mounted = mount_blueprint(blueprint, CPU, improvers=components[: len(config.improve)])
        self.layout = self.mounted.own.layout
        self.slots = {slot.name: slot for component in components for slot in component.slots}
        self.state: dict[str, Any] = {
            **{"generation": 0, "step": 0, "ticks": 0, "batches": 0, "evaluations": 0, "recent": []},
            **{"next_id": blueprint.size, "rows": [], "best": None, "lineage": [], "shared_counters": {}},
        }
        shared = None
        for row in range(blueprint.size):
            with seeded(noise.at("individual", row)), torch.no_grad():
                blueprint.initialise(row)
            shared = self.mounted.shared.weights.clone() if shared is None else shared
            self.mounted.shared.weights.copy_(shared)
            self.state["rows"].append(self._founded(row))
        self.state["shared"] = {"weights": shared, **copy.deepcopy(self.mounted.shared.slots)}
        self.mounted.compute_in_(task.compute_dtype or self.layout.dtype)

    def _founded(self, row: int) -> dict[str, Any]:
        weights = self.mounted.own.weights.clone()
        tensors = {"weights": weights}
        for name, slot in self.slots.items():
            is_best = slot.role == "personal_best"
            tensors[name] = (
                weights.clone() if is_best else torch.zeros(self.layout.size, dtype=slot.dtype_for(self.layout))
            )
        return {
            "tensors": tensors,
            "buffers": self.mounted.buffers(),
            "memory": {},
            "id": row,
            **LOSSES,
            **copy.deepcopy(NOBODY),
        }

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The individuals."""
        return self.state["rows"]

    def healthy(self) -> list[int]:
        """Who has not failed."""
        return [row for row, each in enumerate(self.rows) if not each["failed"]]

    def generation(self, turn: Turn) -> None:
        """One generation in which it is this turn.

        Raises:
            Ended: everybody has failed, or an operator gave what is not finite.
        """
        number = self.state["generation"]
        noise = Noise(self.config.seed).at("generation", number)
        actors = [row for row in turn.rows if row in self.healthy()]
        active = [each for each in self.config.improve if _acts(each, number)]
        for index, entry in enumerate(active):
            for row in actors:
                steps = entry.component.steps if turn.steps is None else turn.steps
                self._train(entry, row, steps, noise.at("improve", entry.label, "individual", row), is_first=index == 0)
        self._see_who_is_left()
        if turn.varies:
            self.vary(number, actors, noise.at("vary"))
        if (number + 1) % self.config.evaluate.every == 0:
            self.score(number)
            self._select(number, noise.at("select"))
        self.state["generation"] += 1
        self.state["ticks"] += 1

    def vary(self, generation: int, actors: Sequence[int], noise: Noise) -> None:
        """All operators of a generation."""
        entries = [each for each in self.config.vary if _acts(each, generation)]
        for event in events(self.rows, self.layout, entries, actors, noise):
            self._rewrite(event, generation)

    def score(self, generation: int) -> None:
        """Measure whoever is unknown, and see who is the best.

        Raises:
            Ended: everybody has failed.
        """
        for row, each in enumerate(self.rows):
            if not math.isnan(each["fitness"]) or each["failed"]:
                continue
            self._mount(row)
            each["fitness"] = float(self.task.evaluate(self.mounted.module))
            self.state["evaluations"] += 1
            each["failed"] = not math.isfinite(each["fitness"])
            if each["failed"]:
                continue
            each["score"] = each["fitness"]
            each["start"] = each["fitness"] if math.isnan(each["start"]) else each["start"]
            if each["fitness"] < each["best_fitness"]:
                each["best_fitness"] = each["fitness"]
                for name, slot in self.slots.items():
                    if slot.role == "personal_best":
                        each["tensors"][name] = each["tensors"]["weights"].clone()
        self._see_who_is_left()
        self._crown(generation)

    def spoil(self, row: int) -> None:
        """A NaN in the first gene of an individual, from nowhere."""
        gene = next(each.start for each in self.layout.segments if each.count)
        self.rows[row]["tensors"]["weights"][gene] = math.nan
        self.rows[row]["fitness"] = math.nan

    def _see_who_is_left(self) -> None:
        if not self.healthy():
            raise Ended("everybody has failed")

    def _mount(self, row: int) -> None:
        each, mounted, shared = self.rows[row], self.mounted, dict(self.state["shared"])
        mounted.own.weights.copy_(each["tensors"]["weights"])
        for name, slot in mounted.own.slots.items():
            slot.copy_(each["tensors"][name])
        mounted.shared.weights.copy_(shared.pop("weights"))
        for name, slot in shared.items():
            mounted.shared.slots[name].copy_(slot)
        mounted.own.counters, mounted.shared.counters = dict(each["counters"]), dict(self.state["shared_counters"])
        mounted.memory, mounted.row = dict(each["memory"]), row
        mounted.put_buffers_(each["buffers"])
        mounted.refresh_()

    def _train(self, entry: Scheduled, row: int, steps: int, noise: Noise, *, is_first: bool) -> None:
        state, each, losses, is_stopped = self.state, self.rows[row], [], False
        fixed = Noise(self.config.seed).at("improve", entry.label, "individual", row)
        self._mount(row)
        while len(losses) < steps and not is_stopped:
            number, buffers = state["step"] + 1, self.mounted.buffers()
            moment = Moment(number, self.total_steps, noise.at("step", number), self.config.backend, fixed)
            try:
                losses.append(float(entry.component.step(self.mounted, PlainFeed(self.task, state), moment)))
            except NonFiniteStep:
                self.mounted.put_buffers_(buffers)
                is_stopped = True
            else:
                state["step"], state["ticks"] = number, state["ticks"] + 1
        each["tensors"] |= {"weights": self.mounted.own.weights.clone(), **copy.deepcopy(self.mounted.own.slots)}
        each["counters"], each["memory"] = dict(self.mounted.own.counters), dict(self.mounted.memory)
        each["buffers"] = self.mounted.buffers()
        state["shared"] = {"weights": self.mounted.shared.weights.clone(), **copy.deepcopy(self.mounted.shared.slots)}
        state["shared_counters"] = dict(self.mounted.shared.counters)
        each["turns"] += is_first
        each["strikes"] = each["strikes"] + 1 if is_stopped else 0
        each["failed"] = each["failed"] or each["strikes"] >= STRIKES
        if losses:
            each["train_loss"], state["recent"] = sum(losses) / len(losses), losses[-RECENT:]
        for other in self.rows if self.mounted.shared.layout.count else [each]:
            other["fitness"] = math.nan

    def _rewrite(self, event: Event, generation: int) -> None:
        """Put what an event made in the place of its target, as somebody new."""
        old, before = self.rows[event.target], event.before
        if event.written is None:
            raise Ended("an operator gave NaN or infinity")
        new = {**old, "id": self.state["next_id"], "tensors": {**old["tensors"], **event.written}, "born": generation}
        new |= {"fitness": math.nan, "strikes": 0, "failed": False, "counters": dict(old["counters"])}
        new["parents"] = tuple(dict.fromkeys([old["id"], *(before[row]["id"] for row in event.parents)]))
        policy, source = self.config.optimizer_state, before[event.parents[0]]
        for name, slot in self.slots.items():
            if slot.role == "optimizer" and policy == "reset":
                new["tensors"][name] = torch.zeros_like(old["tensors"][name])
            elif slot.role == "optimizer" and policy == "copy" and event.parents[0] != event.target:
                new["tensors"][name] = source["tensors"][name].clone()
        new["counters"] = {"keep": new["counters"], "reset": {}, "copy": dict(source["counters"])}[policy]
        self._born(event.target, new, event.labels, event.parents)

    def _select(self, generation: int, noise: Noise) -> None:
        before = copy.deepcopy(self.rows)
        fitness = [math.nan if each["failed"] else each["fitness"] for each in before]
        for row, chosen in enumerate(self.config.select.choose(fitness, noise)):
            if row == chosen:
                continue
            old, origin = before[row], copy.deepcopy(before[chosen])
            stays = {"start": old["start"], "turns": old["turns"], "strikes": 0}
            new = {**origin, **stays, "id": self.state["next_id"], "parents": (origin["id"],), "born": generation}
            self._born(row, new, (self.config.select.name,), (chosen,))

    def _born(self, row: int, new: dict[str, Any], labels: tuple[str, ...], sources: tuple[int, ...]) -> None:
        self.rows[row] = new
        self.state["next_id"] += 1
        told = {"generation": new["born"], "operators": labels, "row": row, "id": new["id"], "parents": new["parents"]}
        self.state["lineage"].append({**told, "sources": sources})

    def _crown(self, generation: int) -> None:
        known = [(each["fitness"], row) for row, each in enumerate(self.rows) if not math.isnan(each["fitness"])]
        fitness, row = min((each for each in known if each[1] in self.healthy()), default=(math.nan, -1))
        best = self.state["best"]
        if row < 0 or (best is not None and fitness >= best["fitness"]):
            return
        each = self.rows[row]
        tensors = {
            "own.weights": each["tensors"]["weights"].clone(),
            "shared.weights": self.state["shared"]["weights"].clone(),
        }
        tensors |= {f"buffer.{name}": value.clone() for name, value in each["buffers"].items()}
        scores = tuple(None if one["failed"] or math.isnan(one["fitness"]) else one["fitness"] for one in self.rows)
        self.state["best"] = {
            **{"row": row, "id": each["id"], "generation": generation, "fitness": fitness},
            **{"scores": scores, "tensors": tensors},
        }


def _acts(entry: Scheduled, generation: int) -> bool:
    start, stop, every = entry.phase.start, entry.phase.stop, entry.phase.every
    return generation in range(start, generation + 1 if stop is None else stop, every)
