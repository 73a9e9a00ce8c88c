"""The engine under a random story of generations, saves, crashes and damage, beside a plain reference of the loop."""

import copy
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from evoweights.config.run_config import RunConfig
from evoweights.errors import DivergedError, PluginError, ResourceError, RunStopped
from evoweights.operators import Turn
from evoweights.seeds import Noise
from evoweights.task import TaskPlace
from evoweights.testing import faults
from evoweights.testing.populations import CPU
from evoweights.testing.stateful.invariants import Watched, broken_rules
from evoweights.testing.stateful.looking import differences, expected, seen
from evoweights.testing.stateful.place import TOTAL_STEPS, Kept, Place
from evoweights.testing.stateful.reference import Ended, Reference

HOMES = st.sampled_from(("host", "disk", "device"))
CALLS = st.one_of(st.sampled_from(faults.MOMENTS), st.integers(0, 45))
"""Where in a save something happens: a named moment, or a number of a call to the disk; a save has about forty."""
ROWS = st.lists(st.integers(0, 7), min_size=1, max_size=3)


class EngineMachine(RuleBasedStateMachine):
    """A run to which anything may happen, for hypothesis; :func:`check_engine` runs it, a subclass may add rules.

    ``config`` is the run's. After every rule R01 to R09 must hold: the population has its size, the best is no NaN and never
    gets worse, the lineage is acyclic, what is shared is one storage, counters never go back, a checkpoint on the disk
    verifies, a resumed run is bitwise the one that was saved, and everything is as in the reference.
    """

    config: ClassVar[RunConfig]

    def __init__(self) -> None:
        super().__init__()
        self._open = ExitStack()
        folder = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="evoweights-")))
        self._open.enter_context(faults.faulty_disk())  # without faults: it only saves the waiting for fsync
        self.place, self.watched = Place(self.config, folder), Watched()
        self.disk: dict[int, Kept] = {}
        task = self.config.task.open(TaskPlace(folder, Noise(self.config.seed).at("task"), CPU))
        self.reference = Reference(self.config, task, total_steps=TOTAL_STEPS)
        self.first = copy.deepcopy(self.reference.state)

    def teardown(self) -> None:
        """Let go of the run and its folder."""
        self.place.drop()
        self._open.close()

    def is_running(self) -> bool:
        """Whether there is an engine."""
        return self.place.engine is not None

    def may_go_on(self) -> bool:
        """Whether there is an engine, and a generation left for it."""
        return self.is_running() and self.reference.state["generation"] < self.config.generations - 1

    def has_done_something(self) -> bool:
        """Whether there is an engine, and work that it would lose."""
        return self.is_running() and self.reference.state["generation"] > 0

    @initialize(home=HOMES)
    def start(self, home: str) -> None:
        """The run is started."""
        self._begin(home)

    @precondition(may_go_on)
    @rule()
    def step(self) -> None:
        """A generation as configured."""
        self._generation(None)

    @precondition(may_go_on)
    @rule(rows=ROWS)
    def event(self, rows: list[int]) -> None:
        """A generation of operators alone."""
        self._generation(Turn(self._rows(rows), steps=0))

    @precondition(may_go_on)
    @rule(rows=ROWS, varies=st.booleans())
    def switch(self, rows: list[int], varies: bool) -> None:
        """A generation in which it is the turn of others, with or without operators."""
        self._generation(Turn(self._rows(rows), varies=varies))

    @precondition(is_running)
    @rule()
    def evaluate(self) -> None:
        """Whoever is unknown is measured."""
        generation = self.reference.state["generation"]
        self._both(lambda: self.place.running.score(generation), lambda: self.reference.score(generation))

    @precondition(is_running)
    @rule(row=st.integers(0, 7))
    def spoil(self, row: int) -> None:
        """A gene becomes NaN, from nowhere."""
        population = self.place.running.world.population
        row %= population.size
        gene = next(each.start for each in population.layout.segments if each.count)
        population.row(row)[gene] = float("nan")
        population.changed(row)
        population.mark_changed([row])
        self.reference.spoil(row)

    @precondition(is_running)
    @rule()
    def save(self) -> None:
        """A checkpoint is written."""
        self.place.running.checkpoint()
        self._keep()

    @precondition(is_running)
    @rule(at=CALLS, torn=st.booleans())
    def save_on_a_full_disk(self, at: Any, torn: bool) -> None:
        """A write fails; the run goes on."""
        with faults.faulty_disk(fail_at=at, torn=torn) as disk, suppress(ResourceError):
            self.place.running.checkpoint()
        if disk.carried_out(faults.AFTER_RENAME):
            self._keep()

    @precondition(has_done_something)
    @rule(at=CALLS, torn=st.booleans(), how=st.sampled_from(("kept", "absent", "truncated", "zeroed")))
    def crash_in_a_save(self, at: Any, torn: bool, how: str) -> None:
        """The power is cut, and what was not fsynced may be lost."""
        with faults.faulty_disk(cut_at=at, torn=torn) as disk, suppress(faults.PowerCut):
            self.place.running.checkpoint()
        if disk.carried_out(faults.AFTER_RENAME):
            self._keep()
        if how != "kept":
            faults.lose(self.place.folder / "checkpoints", disk.unsynced, how)
        self.place.drop()

    @precondition(has_done_something)
    @rule()
    def crash(self) -> None:
        """The process is gone."""
        self.place.drop()

    @precondition(may_go_on)
    @rule(rows=ROWS, looks=st.integers(0, 12), home=HOMES)
    def stop_and_resume(self, rows: list[int], looks: int, home: str) -> None:
        """The run is asked to stop somewhere in a generation, and continued."""
        turn, number = Turn(self._rows(rows)), self.reference.state["generation"]
        before, self.place.stop.left = copy.deepcopy(self.reference.state), looks
        try:
            self._generation(turn)
        except RunStopped:
            is_within = self.place.running.world.progress.generation == number
            if not is_within:
                self.reference.generation(turn)
            self._keep(before if is_within else None, turn if is_within else None)
            self.place.drop()
            self._resume(home)
        else:
            self.place.stop.left = None

    @precondition(lambda self: not self.is_running() and len(self.disk) > 1)
    @rule(file=st.integers(0, 99), bit=st.integers(0, 10**6), is_cut=st.booleans())
    def damage(self, file: int, bit: int, is_cut: bool) -> None:
        """A bit flips in a file of the newest checkpoint, or the file is cut off."""
        checkpoints = self.place.folder / "checkpoints"
        if list(checkpoints.glob(".replaced-*")):  # a save that was cut off left two of one step: either may be used
            return
        newest = faults.newest_checkpoint(self.place.folder)
        files = sorted(path for path in newest.rglob("*") if path.is_file())
        path = files[file % len(files)]
        size = path.stat().st_size
        faults.cut_file(path, bit % size) if is_cut else faults.flip_bit(path, bit % (8 * size))
        del self.disk[max(self.disk)]

    @precondition(lambda self: not self.is_running())
    @rule(home=HOMES)
    def resume(self, home: str) -> None:
        """The same command again, and perhaps another home."""
        self._resume(home)

    @invariant()
    def holds(self) -> None:
        """R01 to R07, and R09."""
        found = list(broken_rules(self.place, self.watched, has_saved=bool(self.disk)))
        if self.place.engine is not None:
            now, wanted = seen(self.place.engine), expected(self.reference.state)
            found += [f"EW-R09: {each}, by the reference" for each in differences(now, wanted)]
        assert not found, "\n".join(found)

    def _begin(self, home: str) -> None:
        engine = self.place.open(home)
        self.watched = Watched.of(engine.world)
        self._both(lambda: engine.score(-1), lambda: self.reference.score(-1))

    def _resume(self, home: str) -> None:
        if not self.disk:
            self.reference.state = copy.deepcopy(self.first)
            self._begin(home)
            return
        kept = self.disk[max(self.disk)]
        engine = self.place.open(home)
        now = seen(engine)
        found = [*differences(now, kept.look), *differences(kept.look, now)]
        assert not found, f"EW-R08: the resumed run is not the saved one: {'; '.join(found)}"
        self.reference.state = copy.deepcopy(kept.state)
        self.watched = Watched.of(engine.world)
        if kept.within is not None:
            self._generation(kept.within)

    def _rows(self, rows: list[int]) -> tuple[int, ...]:
        return tuple(dict.fromkeys(row % len(self.reference.rows) for row in rows))

    def _generation(self, made_up: Turn | None) -> None:
        number, turns = self.reference.state["generation"], self.place.turns
        turns.made_up.pop(number, None)
        if made_up is not None:
            turns.made_up[number] = made_up
        noise = Noise(self.config.seed).at("generation", number, "turn")
        turn = turns.choose(number, len(self.reference.rows), noise)
        self._both(self.place.running.one_generation, lambda: self.reference.generation(turn))

    def _both(self, real: Callable[[], Any], plain: Callable[[], None]) -> None:
        """Let both do the same; if that ends the run, it is as after a crash."""
        ended: Exception | None = None
        try:
            real()
        except (PluginError, DivergedError) as error:
            ended = error
        try:
            plain()
        except Ended as error:
            assert ended is not None, f"EW-R09: the run goes on, though by the reference {error}"
            self.place.drop()
        else:
            assert ended is None, f"EW-R09: the run ended, but not by the reference: {ended}"

    def _keep(self, state: dict[str, Any] | None = None, within: Turn | None = None) -> None:
        """Note what is on the disk now; the two newest checkpoints stay there."""
        engine = self.place.running
        state = copy.deepcopy(self.reference.state if state is None else state)
        self.disk[engine.world.progress.ticks] = Kept(state, seen(engine), within)
        self.disk = {step: self.disk[step] for step in sorted(self.disk)[-2:]}
