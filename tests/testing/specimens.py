"""Every broken component of the zoos, by kind, and how each is shown to the rules."""

import os
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from zoo_choices import SELECTIONS, TURNS
from zoo_crossover import CROSSOVER
from zoo_general import GENERAL
from zoo_improvers import IMPROVERS
from zoo_mutation import MUTATION
from zoo_swarm import SWARM
from zoo_tasks import TASKS

from evoweights.testing import improver_checks, operator_checks, selection_checks, task_checks, turn_checks
from evoweights.testing.checking import Check
from evoweights.testing.grounds import forget

COMPILED = ("G18", "G19", "G20", "G20-growth")
"""Rules that say something of compiled kernels only; a compiler takes a second for each, so that others get the reference."""

_PUBLISHED = re.compile(r" ?\(([^()]*?(?:#|PR )\d[^()]*)\)")


@dataclass(frozen=True)
class Specimen:
    """A broken component and the rules that its fault is named after."""

    kind: str
    component: Any
    rules: tuple[str, ...]

    @property
    def name(self) -> str:
        """What its class is called."""
        return type(self.component).__name__

    @property
    def fault(self) -> str:
        """What is wrong with it, as a sentence."""
        told = _PUBLISHED.sub("", " ".join((type(self.component).__doc__ or "").split())).rstrip(".")
        return f"{told[0].upper()}{told[1:]}."

    @property
    def published(self) -> str:
        """The reports of other projects that tell of such a fault; empty if none is known to us."""
        found = _PUBLISHED.search(" ".join((type(self.component).__doc__ or "").split()))
        return found[1] if found else ""

    def checks(self) -> Iterator[Check]:
        """Every rule of its kind, those that do not apply included."""
        if self.kind != "operator":
            makers = {"select": selection_checks, "turn": turn_checks, "improve": improver_checks, "task": task_checks}
            yield from makers[self.kind](self.component, profile="quick")
            return
        for backend in ("reference", "cpu"):
            for each in operator_checks(self.component, profile="quick", backend=backend):
                if (each.rule.id in COMPILED) == (backend == "cpu"):
                    yield each


def specimens() -> list[Specimen]:
    """All of them, each once."""
    zoos = {
        "operator": (*GENERAL, *CROSSOVER, *SWARM, *MUTATION),
        "select": SELECTIONS,
        "turn": TURNS,
        "improve": IMPROVERS,
        "task": TASKS,
    }
    found: dict[tuple[str, str], Specimen] = {}
    for kind, zoo in zoos.items():
        for rule, component, _ in zoo:
            key = kind, type(component).__name__
            rules = found[key].rules if key in found else ()
            found[key] = Specimen(kind, component, (*rules, rule))
    return list(found.values())


@contextmanager
def world_put_back() -> Iterator[None]:
    """Undo what a specimen does to generators, the folder and torch's settings."""
    folder, drawn = os.getcwd(), (torch.get_rng_state(), np.random.get_state(), random.getstate())
    try:
        yield
    finally:
        os.chdir(folder)
        torch.set_rng_state(drawn[0])
        np.random.set_state(drawn[1])
        random.setstate(drawn[2])
        torch.set_default_dtype(torch.float32)
        forget()
