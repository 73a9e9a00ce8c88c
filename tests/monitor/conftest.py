"""Synthetic runs for the observers."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from evoweights.records import (
    GenerationRecord,
    ImproveRecord,
    IndividualSummary,
    RunInfo,
    RunResult,
    VaryRecord,
)


@pytest.fixture
def make_info(tmp_path: Path) -> Callable[..., RunInfo]:
    def make(
        size: int = 3,
        *,
        generations: int = 40,
        first: int = 0,
        total_steps: int = 2000,
        individual: str = "expert",
        unit: str = "tokens",
    ) -> RunInfo:
        return RunInfo(
            name="demo",
            folder=tmp_path / "demo",
            seed=42,
            generations=generations,
            size=size,
            first_generation=first,
            total_steps=total_steps,
            tokens_per_step=2048,
            genes=1_234_567,
            shared_genes=456_789,
            backend="cpu",
            device="cpu",
            references={"unigram_entropy": 5.43},
            individual=individual,
            unit=unit,
        )

    return make


def improve_record(generation: int, row: int, loss: float, *, stopped: str | None = None) -> ImproveRecord:
    jump = None if generation == 0 else 0.25
    return ImproveRecord(generation, row, row, 50, loss + 1, loss, loss - 0.5, jump, 4.0, stopped)


@pytest.fixture
def make_generation() -> Callable[..., GenerationRecord]:
    def make(
        generation: int,
        size: int = 3,
        *,
        fitness: tuple[float | None, ...] | None = None,
        train: float = 5.0,
        failed: tuple[int, ...] = (),
    ) -> GenerationRecord:
        row = generation % size
        fitness = tuple(4.0 + row / 10 for row in range(size)) if fitness is None else fitness
        known = [row for row, loss in enumerate(fitness) if loss is not None]
        best = min(known, key=lambda row: fitness[row], default=None)
        others = [other for other in range(size) if other != row]
        return GenerationRecord(
            generation=generation,
            step=(generation + 1) * 50,
            tokens=(generation + 1) * 50 * 2048,
            improved=(improve_record(generation, row, train),),
            varied=tuple(
                VaryRecord(generation, ("pso", "crossover"), other, other, (row, other), (row,), "cpu")
                for other in others
            ),
            fitness=fitness,
            best_row=best,
            best_fitness=None if best is None else fitness[best],
            distance=0.0123,
            seconds={"improve": 4.0, "vary": 0.5, "evaluate": 1.5},
            failed=failed,
        )

    return make


@pytest.fixture
def make_result() -> Callable[..., RunResult]:
    def make(
        size: int = 3, *, sample: str | None = "Once upon a time", end: float = 4.0, evaluations: int = 0
    ) -> RunResult:
        return RunResult(
            table=tuple(
                IndividualSummary(row, row, start=6.0, end=end + row / 10, turns=13, is_best=row == 0)
                for row in range(size)
            ),
            best_row=0,
            best_fitness=end,
            best_generation=37,
            tokens=4_096_000,
            seconds=3723.2,
            tokens_per_second=1100.0,
            peak_memory_bytes=2**31,
            sample=sample,
            references={"unigram_entropy": 5.43},
            generates=sample is not None,
            exports=sample is not None,
            evaluations=evaluations,
        )

    return make


@pytest.fixture
def make_console() -> Callable[..., Console]:
    def make(*, terminal: bool, width: int = 80) -> Console:
        return Console(file=io.StringIO(), force_terminal=terminal, width=width, legacy_windows=False, _environ={})

    return make


@pytest.fixture
def text_of() -> Callable[[Console], str]:
    def text(console: Console) -> str:
        stream = console.file
        assert isinstance(stream, io.StringIO)
        return stream.getvalue()

    return text
