"""Runs the command line in this process, as a user would see it, and small runs to use it on."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from evoweights.cli import main

SMALL = """\
generations: 4
task: {name: function, dimension: 4}
population: {name: individuals, size: 2}
improve: [{name: adamw, steps: 2}]
vary: [{name: crossover, rate: 0.5, direction: current_to_others}]
checkpoint: {every_generations: 1}
observers: []
"""

FAST = """
from dataclasses import dataclass
from evoweights import hookimpl
from evoweights.comparing.control import override

@dataclass(frozen=True)
class Fast:
    "Another learning rate."
    name, source = "fast", "a test"

    def applies(self, config):
        return True

    def overrides(self, config):
        return [override("improve.0.learning_rate", 2e-3)]

@hookimpl
def register(catalog):
    catalog.add("control", Fast)
"""
"""A plugin with a control for the small run."""


@dataclass(frozen=True)
class Outcome:
    """What a command wrote and its exit code."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class CommandLine:
    """Calls ``evoweights`` with arguments."""

    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str | Path) -> Outcome:
        self.patch.setattr(sys, "argv", ["evoweights", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        written = self.capture.readouterr()
        return Outcome(int(caught.value.code or 0), written.out, written.err)
