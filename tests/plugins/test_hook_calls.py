import logging

import pytest

from evoweights.errors import PluginError, RunStopped
from evoweights.hookspecs import hookimpl
from evoweights.plugins.loading import MAX_ERRORS, Hooks, hook_names, new_manager, register_hooks


class Recorder:
    """Notes what it is told."""

    def __init__(self, heard: list[object]) -> None:
        self.heard = heard

    @hookimpl
    def step_finished(self, step: int, loss: float) -> float:
        self.heard.append((step, loss))
        return loss


class Raiser:
    """Raises on every step."""

    def __init__(self, error: BaseException) -> None:
        self.error, self.calls = error, 0

    @hookimpl
    def step_finished(self) -> None:
        self.calls += 1
        raise self.error

    @hookimpl
    def run_finished(self) -> None:
        self.calls += 100


class First(Recorder):
    @hookimpl(trylast=True)
    def step_finished(self, step: int, loss: float) -> None:
        self.heard.append("first")


def hooks_of(**plugins: object) -> Hooks:
    manager = new_manager()
    for name, plugin in plugins.items():
        register_hooks(manager, plugin, name=name)
    return Hooks(manager)


def step(hooks: Hooks, number: int = 1) -> None:
    hooks.call("step_finished", info=None, generation=0, row=0, step=number, loss=0.5)


def test_observer_gets_the_arguments_it_takes_and_its_answer_is_ignored() -> None:
    heard: list[object] = []
    assert hooks_of(a=Recorder(heard)).call("step_finished", info=None, generation=0, row=0, step=3, loss=0.5) is None
    assert heard == [(3, 0.5)]


def test_observers_are_called_in_the_order_of_registration() -> None:
    heard: list[object] = []
    step(hooks_of(a=First(heard), b=Recorder(heard), c=First(heard)))
    assert heard == ["first", (1, 0.5), "first"]


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), OSError("full"), AssertionError()])
def test_observer_that_raises_is_switched_off_after_three_errors(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[object] = []
    raiser = Raiser(error)
    hooks = hooks_of(before=Recorder(heard), bad=raiser, after=Recorder(heard))
    with caplog.at_level(logging.WARNING, logger="evoweights"):
        for number in range(10):
            step(hooks, number)
        hooks.call("run_finished", info=None, result=None)
    assert raiser.calls == MAX_ERRORS == 3
    assert heard == [(number, 0.5) for number in range(10) for _ in range(2)]
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == MAX_ERRORS + 1
    assert messages[0].startswith(f"bad: hook step_finished raised {type(error).__name__}")
    assert messages[-1] == "bad: switched off after 3 errors; the run goes on without it."


def test_where_an_observer_raised_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="evoweights"):
        step(hooks_of(bad=Raiser(ValueError("no"))))
    assert "raise self.error" in caplog.text


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RunStopped("stop", exit_code=130)])
def test_request_to_stop_passes_through_an_observer(error: BaseException) -> None:
    with pytest.raises(type(error)):
        step(hooks_of(bad=Raiser(error)))


def test_strict_mode_lets_an_observers_error_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOWEIGHTS_STRICT_PLUGINS", "1")
    with pytest.raises(ValueError, match="no"):
        step(hooks_of(bad=Raiser(ValueError("no"))))


def test_every_hook_can_be_called_with_nobody_listening() -> None:
    hooks = hooks_of()
    names = hook_names(new_manager())
    assert {"run_started", "generation_finished", "run_failed"} < set(names)
    for name in names:
        hooks.call(name)


def test_hook_that_does_not_exist_is_our_bug() -> None:
    with pytest.raises(KeyError):
        hooks_of().call("run_strated")


def test_plugin_that_is_refused_leaves_no_hook_registered() -> None:
    class Half:
        @hookimpl
        def run_started(self) -> None: ...

        @hookimpl
        def run_ended(self) -> None: ...

    manager = new_manager()
    with pytest.raises(PluginError, match=r"plugin half: hook run_ended: there is no such hook"):
        register_hooks(manager, Half(), name="half")
    assert manager.list_name_plugin() == [] and manager.hook.run_started.get_hookimpls() == []
    manager.check_pending()
