"""Faults at a chosen call of a component or a hook: an exception, another result, a NaN."""

import copy
import dataclasses
import functools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from evoweights.config.observers import with_observers
from evoweights.config.run_config import SEVERAL, SINGLE, RunConfig, Scheduled
from evoweights.errors import UsageError, did_you_mean
from evoweights.hookspecs import hookimpl

HOOKS = "hooks"
"""The place of a fault that is an observer of its own."""

Call = Callable[[], Any]
Act = Callable[[Call, Sequence[Any]], Any]
"""What happens instead of a call: takes the true call, to be made or not, and its arguments; gives or raises the outcome."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong in a run, and at which call.

    ``place`` is a section of the configuration, with an index where it holds several components: ``task``, ``turn``,
    ``improve.0``, ``vary.1``, ``select``, ``population``, ``observers.0``; or ``hooks`` for an observer of its own. ``method`` is
    the component's or, of ``task``, also one of the opened task's (``loss``, ``evaluate``, ``batch``, ...); of ``hooks`` it is a
    hook's name. ``act`` is what happens at call ``at``, counted from 1 in this process, and at the ``times - 1`` calls after it.

    Raises:
        UsageError: ``at`` or ``times`` is less than 1.
    """

    place: str
    method: str
    act: Act
    at: int = 1
    times: int = 1

    def __post_init__(self) -> None:
        for name in ("at", "times"):
            if (found := getattr(self, name)) < 1:
                raise UsageError(f"fault at {self.place!r}: {name} is {found}; expected 1 or more.")


def failing(
    place: str, method: str, *, error: BaseException | type[BaseException], at: int = 1, times: int = 1
) -> Fault:
    """A call that raises ``error`` and does nothing else. With :class:`PowerCut` the process is gone there."""

    def act(call: Call, arguments: Sequence[Any]) -> Any:
        del call, arguments  # unused: nothing is done
        raise error

    return Fault(place, method, act, at, times)


def failing_hook(hook: str, *, error: BaseException | type[BaseException], at: int = 1, times: int = 1) -> Fault:
    """An observer that raises in ``hook``, such as ``step_finished``; it is there besides those of the configuration."""
    return failing(HOOKS, hook, error=error, at=at, times=times)


def nan_loss(*, at: int = 1, times: int = 1) -> Fault:
    """A training loss that is NaN, with gradients that are NaN."""
    return Fault("task", "loss", lambda call, arguments: call() * math.nan, at, times)


def nan_fitness(*, at: int = 1, times: int = 1) -> Fault:
    """A measurement that gives NaN, whatever the individual."""
    return Fault("task", "evaluate", lambda call, arguments: math.nan, at, times)


def nan_gene(place: str, *, gene: int = 0, at: int = 1, times: int = 1) -> Fault:
    """A component that leaves NaN in one gene of the first tensor it writes.

    ``place`` is an improver (``improve.0``) or an operator in plain torch (``vary.0``). A gene kernel writes without being
    called by the engine gene by gene: let the kernel itself give NaN.
    """

    def act(call: Call, arguments: Sequence[Any]) -> Any:
        result = call()
        if place.startswith("improve"):
            _spoiled_(arguments[0].own.weights, gene)
            return result
        first = next(iter(result))
        return {**result, first: _spoiled_(result[first].clone(), gene)}

    return Fault(place, "step" if place.startswith("improve") else "rewrite", act, at, times)


def with_faults(config: RunConfig, *faults: Fault) -> RunConfig:
    """The same run, in which these things go wrong.

    Its text stays as it is, so that the run can be continued without the faults. Calls are counted from here on: take
    another copy for another run.

    Raises:
        UsageError: there is no such place, or no such method; of an opened task, the run raises that.
        PluginError: there is no such hook.
    """
    for fault in faults:
        config = _with_observer(config, fault) if fault.place == HOOKS else _with_component(config, fault)
    return config


def _spoiled_(tensor: Any, gene: int) -> Any:
    tensor.view(-1)[gene] = math.nan
    return tensor


@dataclass(eq=False)
class _Counted:
    """Makes the calls of one method, and lets those go wrong that are to."""

    fault: Fault
    calls: int = 0

    def __call__(self, call: Call, arguments: Sequence[Any]) -> Any:
        self.calls += 1
        is_on = 0 <= self.calls - self.fault.at < self.fault.times
        return self.fault.act(call, arguments) if is_on else call()


def _with_observer(config: RunConfig, fault: Fault) -> RunConfig:
    counted = _Counted(fault)

    @hookimpl
    def watch() -> None:
        counted(lambda: None, ())

    observer = type("Fault", (), {"name": "fault", fault.method: staticmethod(watch)})()
    return with_observers(config, (*config.observers, observer))


def _with_component(config: RunConfig, fault: Fault) -> RunConfig:
    match = re.fullmatch(r"(?P<section>[a-z]+)(\.(?P<index>\d+))?", fault.place)
    section, index = (match["section"], match["index"]) if match else ("", None)
    sections = {**SINGLE, **SEVERAL}
    if section not in sections or (section in SEVERAL) != (index is not None):
        places = [*SINGLE, *(f"{each}.0" for each in SEVERAL), HOOKS]
        raise UsageError(f"fault at {fault.place!r}: there is no such place.{did_you_mean(fault.place, places)}")
    held = getattr(config, section)
    if index is None:
        return dataclasses.replace(config, **{section: _faulty(held, fault)})
    if int(index) >= len(held):
        raise UsageError(f"fault at {fault.place!r}: {section} has {len(held)} entries, counted from 0.")
    entries = list(held)
    each = entries[int(index)]
    is_scheduled = isinstance(each, Scheduled)
    faulty = _faulty(each.component if is_scheduled else each, fault)
    entries[int(index)] = dataclasses.replace(each, component=faulty) if is_scheduled else faulty
    if section == "observers":
        return with_observers(config, entries)
    return dataclasses.replace(config, **{section: tuple(entries)})


def _faulty(component: Any, fault: Fault) -> Any:
    """A component like this one in which the method is replaced, or, of a task's settings, that of the task they open."""
    counted = _Counted(fault)
    if fault.place == "task" and not callable(getattr(component, fault.method, None)):
        return _derived(component, "open", fault, lambda call, arguments: _spoil_task_(call(), fault, counted))
    return _derived(component, fault.method, fault, counted)


def _derived(component: Any, method: str, fault: Fault, acted: Act) -> Any:
    """A copy whose class is derived from the component's own, with one method replaced."""
    cls = type(component)
    true = _method(cls, method, fault)

    @functools.wraps(true)
    def called(self: Any, *arguments: Any, **options: Any) -> Any:
        return acted(lambda: true(self, *arguments, **options), arguments)

    made = copy.copy(component)
    # Without slots of its own the class has the layout of the component's, whether that has slots or not.
    object.__setattr__(made, "__class__", type(cls.__name__, (cls,), {"__slots__": (), method: called}))
    return made


def _spoil_task_(task: Any, fault: Fault, acted: Act) -> Any:
    true = _method(task, fault.method, fault)

    @functools.wraps(true)
    def called(*arguments: Any, **options: Any) -> Any:
        return acted(lambda: true(*arguments, **options), arguments)

    setattr(task, fault.method, called)
    return task


def _method(owner: Any, name: str, fault: Fault) -> Callable[..., Any]:
    methods = [each for each in dir(owner) if not each.startswith("_") and callable(getattr(owner, each))]
    if name not in methods:
        raise UsageError(f"fault at {fault.place!r}: there is no method {name!r}.{did_you_mean(name, methods)}")
    return getattr(owner, name)
