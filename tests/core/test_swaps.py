"""Swaps beside the main stream: whatever happens in between, what is mounted and what comes home are what plain copies give."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from evoweights.homes.rows import WEIGHTS, Rows
from evoweights.homes.swaps import PlainSwaps, SideSwaps

SIZE, GENES = 3, 4
SLOTS = ("first", "second")


class Late:
    """A side stream that copies as late as it may: when somebody waits for it. What is read too early is then old."""

    def __init__(self) -> None:
        self.queue: list[Callable[[], object]] = []
        self.done = 0
        self.copies = 0

    def follow(self) -> None:
        """The main stream of a CPU is always done."""

    def copy_(self, target: Tensor, source: Tensor) -> None:
        self.copies += 1
        self.queue.append(lambda: target.copy_(source))

    def event(self) -> "Until":
        return Until(self, len(self.queue))


class Until:
    """The moment when so many copies are done."""

    def __init__(self, side: Late, count: int) -> None:
        self.side, self.count = side, count

    def wait(self) -> None:
        while self.side.done < self.count:
            self.side.queue[self.side.done]()
            self.side.done += 1

    synchronize = wait


class Early(Late):
    """A side stream that copies at once: what is fetched too early is then old."""

    def event(self) -> Until:
        until = super().event()
        until.wait()
        return until


class Machine:
    """N rows, the buffers of a live module, and one way between them."""

    def __init__(self, swaps: Callable[[Tensor, dict[str, Tensor]], PlainSwaps | SideSwaps]) -> None:
        dtypes = dict.fromkeys((WEIGHTS, *SLOTS), torch.float32)
        self.rows = Rows(dtypes, SIZE, GENES, home="host", device=torch.device("cpu"), folder=Path(), only={})
        for index in range(SIZE):
            for number, name in enumerate(dtypes):
                self.rows.row(index, name).fill_(100 * index + number)
        self.weights, self.slots = torch.zeros(GENES), {name: torch.zeros(GENES) for name in SLOTS}
        self.swaps = swaps(self.weights, self.slots)
        self.mounted: int | None = None

    def turn(self, index: int, following: int) -> None:
        """Load, say who is next, train, store."""
        self.swaps.load_(self.weights, self.slots, self.rows, index)
        self.swaps.expect(self.rows, following)
        for number, each in enumerate((self.weights, *self.slots.values())):
            each.mul_(3).add_(number)
        self.swaps.store(self.weights, self.slots, self.rows, index)
        self.rows.changed(index)

    def rewrite(self, index: int, kept: tuple[str, ...]) -> None:
        """An operator writes everything of a row but what is kept."""
        for name in (WEIGHTS, *SLOTS):
            if name not in kept:
                self.rows.row(index, name).mul_(2).add_(7)
        self.rows.changed(index, but=kept)

    def look(self, index: int) -> list[float]:
        """Somebody reads a row, such as a checkpoint, or mounts its weights to score it."""
        self.weights.copy_(self.rows.row(index))
        return [float(self.rows.row(index, name).sum()) for name in (WEIGHTS, *SLOTS)]


def beside(side: Late) -> Callable[[Tensor, dict[str, Tensor]], SideSwaps]:
    return lambda weights, slots: SideSwaps(side, weights, slots)


rows = st.integers(0, SIZE - 1)
events = st.one_of(
    st.tuples(st.just("turn"), rows, rows),
    st.tuples(st.just("rewrite"), rows, st.sampled_from([(), SLOTS, SLOTS[:1], (WEIGHTS,)])),
    st.tuples(st.just("look"), rows),
)


@pytest.mark.parametrize("kind", [Late, Early])
@given(story=st.lists(events, min_size=1, max_size=25))
def test_whatever_happens_in_between_plain_copies_give_the_same(kind: type[Late], story: list[tuple]) -> None:
    plain, other = Machine(lambda weights, slots: PlainSwaps()), Machine(beside(kind()))
    for name, *arguments in story:
        assert getattr(plain, name)(*arguments) == getattr(other, name)(*arguments)
    for index in range(SIZE):
        assert plain.look(index) == other.look(index)


def test_what_was_fetched_and_kept_is_not_fetched_again() -> None:
    """Weights rewritten by the event at the end of a turn are copied anew, the moments are those that came meanwhile."""
    side = Early()
    machine = Machine(beside(side))
    moments = dict(machine.slots)
    machine.turn(0, 1)
    machine.rewrite(1, kept=SLOTS)
    for name in SLOTS:
        machine.rows.row(1, name).fill_(-1)  # behind its back: whoever copied them again would see it
    machine.swaps.load_(machine.weights, machine.slots, machine.rows, 1)
    assert torch.equal(machine.weights, machine.rows.row(1))
    for name in SLOTS:
        assert machine.slots[name] is not moments[name]
        assert not bool((machine.slots[name] == -1).any())


def test_the_parameters_of_the_module_stay_where_they_are() -> None:
    machine = Machine(beside(Late()))
    place = machine.weights.data_ptr()
    for index in (0, 1, 2, 0):
        machine.turn(index, (index + 1) % SIZE)
    assert machine.weights.data_ptr() == place


def test_every_byte_between_rows_and_buffers_is_counted_once() -> None:
    """Beside the main stream, what is fetched ahead counts when it is taken, also what was fetched in vain."""
    row = GENES * 4 * (1 + len(SLOTS))
    for machine in (Machine(lambda weights, slots: PlainSwaps()), Machine(beside(Early()))):
        load = lambda index, it=machine: it.swaps.load_(it.weights, it.slots, it.rows, index)  # noqa: E731
        assert load(0) == row
        machine.swaps.expect(machine.rows, 1)
        assert machine.swaps.store(machine.weights, machine.slots, machine.rows, 0) == row
        assert load(1) == row
        machine.swaps.expect(machine.rows, 2)
        machine.rewrite(2, kept=SLOTS)
        again = 0 if isinstance(machine.swaps, PlainSwaps) else GENES * 4
        assert load(2) == row + again


def test_memory_that_is_one_and_the_same_is_not_moved() -> None:
    rows = Rows({WEIGHTS: torch.float32}, 1, GENES, home="host", device=torch.device("cpu"), folder=Path(), only={})
    swaps, own = PlainSwaps(), rows.row(0)
    assert swaps.load_(own, {}, rows, 0) == swaps.store(own, {}, rows, 0) == 0
