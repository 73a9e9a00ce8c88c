"""Runs the engine machine on a configuration."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from evoweights.errors import UsageError
from evoweights.testing.profiles import Profile, profile_of
from evoweights.testing.requirements import need_assertions
from evoweights.testing.stateful.machine import EngineMachine
from evoweights.testing.tiny_runs import config_in, filled_in

EVENTFUL: Mapping[str, Any] = {
    "generations": 64,
    "population": {"name": "individuals", "size": 3},
    "vary": [
        {"name": "pso", "inertia": 0.5, "cognitive": 0.5},
        {"name": "crossover", "rate": 0.3},
        {"name": "mutation", "rate": 0.05, "direction": "all"},
    ],
    "select": {"name": "truncation", "share": 0.34},
    "evaluate": {"every": 2},
    "checkpoint": {"every_generations": 1000, "every_seconds": 1e9},
    "device": "cpu",
    "credit": False,
}
"""What :func:`check_engine` lays under a configuration, before ``TINY``: every phase does something, and nothing is saved but
when the story says so."""

LENGTH = {"quick": (4, 20), "default": (8, 40), "thorough": (200, 60)}
"""Stories, and events in each, by profile."""


def engine_machine(
    configuration: Mapping[str, Any] | None = None, *, plugins: Sequence[str | object] = (), folder: Path | None = None
) -> type[EngineMachine]:
    """A machine for hypothesis of runs of this configuration; its ``TestCase`` is a test.

    ``configuration`` is a mapping, not text, and may hold components as they are; sections that it leaves out are those of
    ``EVENTFUL``, or of its preset. ``plugins`` are further ones; files among them are looked up in ``folder`` (None: the
    working directory).

    Raises:
        UsageError: anything in it is wrong, or assertions are switched off.
    """
    if isinstance(configuration, str):
        raise UsageError("engine_machine, check_engine: found text; expected a mapping such as {'population': {...}}.")
    need_assertions()
    config = config_in(folder or Path(), filled_in(configuration or {}, EVENTFUL), plugins=plugins)
    return type("Machine", (EngineMachine,), {"config": config})


def check_engine(
    configuration: Mapping[str, Any] | None = None,
    *,
    plugins: Sequence[str | object] = (),
    folder: Path | None = None,
    profile: str = "default",
) -> None:
    """Hold runs of a configuration to rules R01 to R09, whatever happens to them; arguments as of :func:`engine_machine`.

    ``profile`` is ``quick``, ``default`` or ``thorough``: 4 stories of up to 20 events, 8 of 40, 200 of 60, the same every time.
    Only ``thorough`` looks for the shortest story that breaks a rule. A configuration with a task of its own should be small.

    Raises:
        AssertionError: a rule is broken; the message says which and how, and what had happened is printed.
        UsageError: anything in the configuration is wrong, or assertions are switched off.
    """
    machine = engine_machine(configuration, plugins=plugins, folder=folder)

    run_state_machine_as_test(machine, settings=_settings(profile_of(profile)))


def _settings(profile: Profile) -> settings:
    """Those of the profile; the shortest story that breaks a rule takes minutes to find, and only ``thorough`` takes them."""
    stories, events = LENGTH[profile.name]
    base = profile.settings(None)
    return settings(
        base,
        max_examples=stories,
        stateful_step_count=events,
        suppress_health_check=[*base.suppress_health_check, HealthCheck.filter_too_much],
        phases=[Phase.generate, *([Phase.shrink] if profile.name == "thorough" else [])],
    )
