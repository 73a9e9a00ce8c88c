"""Runs beside a run: its controls, each an ordinary run that is continued or left as it is if it is there already."""

import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evoweights.comparing.comparison import Comparison, compare
from evoweights.comparing.control import Control
from evoweights.comparing.groups import Group, identity
from evoweights.comparing.measured import MeasuredRun, read_run
from evoweights.config.loading import config_from_text
from evoweights.config.run_config import RunConfig
from evoweights.config.source import parse
from evoweights.contract import calling
from evoweights.errors import DivergedError, RunStopped, UsageError, did_you_mean
from evoweights.runs import session
from evoweights.storage.run_dir import RunFinished

_LOG = logging.getLogger("evoweights")


@dataclass(frozen=True)
class Planned:
    """A run to be carried out, and the label under which it is compared."""

    label: str
    config: RunConfig

    @property
    def folder(self) -> Path:
        """Where it is or will be."""
        return self.config.output / self.config.name


def controls_called(config: RunConfig, names: Sequence[str]) -> list[Control]:
    """The controls of these names, as the configuration sets them or with their defaults.

    Raises:
        UsageError: there is none of a name.
    """
    own = {each.name: each for each in config.controls}
    return [own.get(name) or config.catalog.find("control", name, where="controls").component() for name in names]


def controls_of(config: RunConfig) -> list[Control]:
    """Every control that says something about runs of this configuration, by name."""
    names = [entry.name for entry in config.catalog.entries("control")]
    return [each for each in controls_called(config, names) if _applies(each, config)]


def _applies(control: Control, config: RunConfig) -> bool:
    with calling(f"control {control.name}: applies"):
        return control.applies(config)


def plan(
    config: RunConfig, controls: Iterable[Control], *, allow_env: Sequence[str] = (), left_out: Callable[[str], None]
) -> list[Planned]:
    """The runs of these controls, named after the run's and the control's; ``left_out`` is told of one that changes nothing.

    Raises:
        UsageError: one of them says nothing about this configuration.
    """
    planned = []
    for control in controls:
        if not _applies(control, config):
            fitting = [each.name for each in controls_of(config)]
            near = did_you_mean(control.name, fitting, none="No control does.")
            raise UsageError(f"controls: {control.name} says nothing about this configuration.{near}")
        with calling(f"control {control.name}"):
            overrides = list(control.overrides(config))
        made = derived(config, overrides, name=f"{config.name}-{control.name}", allow_env=allow_env)
        if identity(_settings(made)) == identity(_settings(config)):
            left_out(f"control {control.name} is the configuration itself; it is left out")
        else:
            planned.append(Planned(control.name, made))
    return planned


def derived(config: RunConfig, overrides: Sequence[str], *, name: str, allow_env: Sequence[str] = ()) -> RunConfig:
    """The configuration with other settings and another name, in the same folder of runs, without controls of its own."""
    changes = [*overrides, "controls=[]", f"name={name}"]
    made = config_from_text(config.text, changes, where=f"{name}", folder=Path(), allow_env=allow_env)
    return dataclasses.replace(made, output=config.output)


def _settings(config: RunConfig) -> dict[str, object]:
    return parse(config.text, name=config.name).values


def carry_out(planned: Planned) -> None:
    """Start or continue a run; one that is finished is left as it is, and one that diverges has had its say.

    Raises:
        RunStopped: asked to stop.
        EvoweightsError: whatever else ended it.
    """
    try:
        session.run(planned.config)
    except RunFinished:
        _LOG.info("%s is finished already", planned.folder)
    except DivergedError as error:
        _LOG.warning("%s diverged and is compared as far as it came: %s", planned.folder, error)
    except RunStopped as error:
        raise RunStopped(
            f"{planned.folder}: {error.what}",
            advice="The same command continues with it, and then does what is left.",
            exit_code=error.exit_code,
        ) from error


def compared(runs: Sequence[Planned]) -> Comparison:
    """The comparison of runs that were carried out, pooled by their labels; the first label is what the others are compared with.

    Raises:
        UsageError: nothing was measured in the first runs, or in all others.
    """
    notes: list[str] = []
    labels = list(dict.fromkeys(each.label for each in runs))
    groups = [Group(label, tuple(_measured((each for each in runs if each.label == label), notes))) for label in labels]
    found = compare([group for group in groups if group.runs])
    return dataclasses.replace(found, notes=[*notes, *found.notes])


def _measured(runs: Iterable[Planned], notes: list[str]) -> Iterator[MeasuredRun]:
    for each in runs:
        try:
            yield read_run(each.folder)
        except UsageError as error:
            # One that diverged at once has no loss; the others have.
            notes.append(str(error))
