"""Energy counters: what they add up to, and that a machine that tells nothing is said to."""

import types
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoweights.ledger.energy import LOOK_SECONDS, EnergyCounter, EnergyMeter, energy_meter, nvml_counter, rapl_counters


class Machine:
    """A counter of so many microjoules that wraps around, and a clock."""

    def __init__(self, wraps_at: int | None = None) -> None:
        self.used = self.now = self.reads = 0
        self.wraps_at = wraps_at

    def read(self) -> int:
        self.reads += 1
        return self.used if self.wraps_at is None else self.used % (self.wraps_at + 1)

    def meter(self) -> EnergyMeter:
        return EnergyMeter([EnergyCounter("machine", self.read, self.wraps_at)], clock=lambda: self.now)


@given(start=st.integers(0, 10**6), wraps_at=st.integers(1000, 10**6) | st.none(), steps=st.lists(st.integers(0, 999)))
def test_a_meter_has_what_was_used_since_it_was_made_however_often_its_counter_wraps(start, wraps_at, steps):
    machine = Machine(wraps_at)
    machine.used = start
    meter = machine.meter()
    for step in steps:
        machine.used += step
        meter.joules()
    assert meter.joules() == pytest.approx(sum(steps) / 1e6)


def test_looks_are_as_rare_as_wrap_arounds_allow():
    machine = Machine()
    meter = machine.meter()
    for second in range(100):
        machine.now = second
        meter.look()
    assert machine.reads == 1 + 99 // LOOK_SECONDS


def test_several_counters_add_up():
    first, second = Machine(), Machine()
    meter = EnergyMeter([EnergyCounter("a", first.read), EnergyCounter("b", second.read)])
    first.used, second.used = 2_000_000, 500_000
    assert meter.joules() == 2.5
    assert meter.names == ("a", "b")


def test_without_a_counter_the_energy_is_unknown():
    assert EnergyMeter().joules() is None


@pytest.mark.parametrize("answers", [[0, None, 5, 9], [None, 5, 9]])
def test_a_counter_that_fails_once_leaves_the_energy_unknown(answers):
    readings = iter(answers)
    meter = EnergyMeter([EnergyCounter("flaky", lambda: next(readings))])
    assert [meter.joules() for _ in answers[1:]] == [None] * len(answers[1:])


def zone(folder: Path, number: str, name: str, energy: str = "1000000", limit: str = "262143328850") -> Path:
    path = folder / f"intel-rapl:{number}"
    path.mkdir(parents=True)
    for file, text in (("name", name), ("energy_uj", energy), ("max_energy_range_uj", limit)):
        (path / file).write_text(f"{text}\n")
    return path


def test_processors_and_their_memory_are_counted_once(tmp_path):
    """Cores are in their package's energy, and psys has everything again."""
    zone(tmp_path, "0", "package-0")
    zone(tmp_path, "0:0", "core")
    zone(tmp_path, "0:1", "dram")
    zone(tmp_path, "1", "package-1")
    zone(tmp_path, "2", "psys")
    (tmp_path / "intel-rapl").mkdir()
    names = [each.name for each in rapl_counters(tmp_path)]
    assert names == ["intel-rapl:0 package-0", "intel-rapl:0:1 dram", "intel-rapl:1 package-1"]


def test_a_processor_is_read_anew_and_wraps_where_it_says(tmp_path):
    path = zone(tmp_path, "0", "package-0", energy="900", limit="999")
    (counter,) = rapl_counters(tmp_path)
    meter = EnergyMeter([counter])
    (path / "energy_uj").write_text("100\n")
    assert meter.joules() == pytest.approx(200e-6)


def test_what_cannot_be_read_is_left_out(tmp_path):
    (zone(tmp_path, "0", "package-0") / "energy_uj").unlink()  # as if it were root's alone
    (zone(tmp_path, "1", "package-1") / "name").unlink()
    zone(tmp_path, "2", "package-2", energy="no number")
    assert rapl_counters(tmp_path) == [] == rapl_counters(tmp_path / "nowhere")


class FakeError(Exception):
    """What the fake NVML raises."""


def fake_nvml(millijoules: list[int | None], known: str = "GPU-1234") -> types.SimpleNamespace:
    """NVML's module with one GPU whose counter gives these readings; None is an error."""

    def handle(uuid: str) -> str:
        if uuid != known:
            raise FakeError
        return "handle"

    def consumption(given: str) -> int:
        assert given == "handle"
        reading = millijoules.pop(0)
        if reading is None:
            raise FakeError
        return reading

    return types.SimpleNamespace(
        NVMLError=FakeError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=handle,
        nvmlDeviceGetTotalEnergyConsumption=consumption,
    )


def test_a_gpu_counts_millijoules():
    counter = nvml_counter(fake_nvml([0, 1000, 4500]), "1234")
    assert counter is not None
    assert EnergyMeter([counter]).joules() == 3.5


@pytest.mark.parametrize(("readings", "uuid"), [([None], "1234"), ([5], "other")])
def test_a_gpu_without_a_counter_has_none(readings, uuid):
    assert nvml_counter(fake_nvml(readings), uuid) is None


def test_a_machine_can_be_asked_whatever_it_is():
    joules = energy_meter("cpu").joules()
    assert joules is None or joules >= 0
