"""The run directory: what a run is made of on disk, who may write to it, and how it is continued.

    <output>/<name>/  config.yaml  overrides.txt  environment.json  metrics.jsonl  lineage.jsonl  log.txt  tb/
                      checkpoints/  best/  DONE | FAILED

One process writes (it holds a lock); anyone may read beside it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from evoweights.errors import EvoweightsError
from evoweights.storage import durable, journal
from evoweights.storage.best import load_best, put_back_best, save_best
from evoweights.storage.checkpoints import CheckpointStore
from evoweights.storage.run_folder import check_name, check_output, free_folder, is_unused, refuse_no_run, refuse_other
from evoweights.storage.run_lock import Holder, RunLock, holder_of
from evoweights.storage.run_parts import (
    BEST,
    CHECKPOINTS,
    CONFIG,
    DONE,
    ENVIRONMENT,
    FAILED,
    LINEAGE,
    LOG,
    METRICS,
    OVERRIDES,
    STEPS,
    TENSORBOARD,
    problems,
    read_facts,
    read_text,
    refuse_damaged,
)
from evoweights.storage.run_status import RunStatus, status_of

if TYPE_CHECKING:
    from torch import Tensor


class RunFinished(EvoweightsError):
    """The run is complete; there is nothing left to do."""

    exit_code = 0


class RunDirectory:
    """One run on disk; made by :meth:`open` (to write, with the lock) or :meth:`read`."""

    def __init__(self, folder: Path, *, lock: RunLock | None = None, keep: int = 2) -> None:
        self.folder, self.name, self._lock = folder, folder.name, lock
        self.log_path = folder / LOG
        self.tensorboard_folder = folder / TENSORBOARD
        self.best_folder = folder / BEST
        self.checkpoints = CheckpointStore(
            folder / CHECKPOINTS, keep=keep, read_only=lock is None, before_commit=self._sync_journals
        )

    @classmethod
    def open(
        cls,
        output: Path,
        name: str,
        *,
        config_text: str,
        overrides: Sequence[str],
        environment: Mapping[str, Any],
        fresh: bool = False,
        keep: int = 2,
    ) -> "RunDirectory":
        """Make the run ``name``, or continue it if it is unfinished and of the same configuration.

        ``config_text`` is stored as it is: leave interpolations unresolved, they may hold secrets. ``fresh``
        starts a new run beside one that exists, called ``<name>-2`` and so on (see :attr:`name`).

        Raises:
            RunFinished: it is complete.
            RunInUseError: another process writes to it.
            UsageError: the name is not allowed, the folder is no run, or the run has another configuration.
            CheckpointError: a part of the run is not what it must be; nothing is changed.
        """
        folder = output / name
        check_output(output)
        if not (folder / CONFIG).is_file():  # a run that was moved keeps whatever name it was given
            check_name(name)
        if fresh:
            folder = free_folder(folder)
        refuse_other(folder, config_text)
        with durable.disk_errors(f"The run directory {folder}"):
            durable.make_folder(folder)
            lock = RunLock.acquire(folder)
            try:
                refuse_other(folder, config_text)
                run = cls(folder, lock=lock, keep=keep)
                run._refuse_finished()
                run._begin(config_text, overrides, environment)
            except BaseException:
                lock.release()
                raise
        return run

    @classmethod
    def read(cls, folder: Path) -> "RunDirectory":
        """A run to look at, whether or not a process is writing to it.

        Raises:
            UsageError: the folder holds no run, or no readable configuration.
            CheckpointError: a part of the run is not what it must be.
        """
        refuse_no_run(folder)
        refuse_damaged(folder)
        read_text(folder / CONFIG)
        return cls(folder)

    def __enter__(self) -> "RunDirectory":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let another process write to this run."""
        if self._lock is not None:
            self._lock.release()

    @property
    def holder(self) -> Holder | None:
        """The process that writes to this run now; None if there is none."""
        return holder_of(self.folder) if self._lock is None else self._lock.holder

    @property
    def config_text(self) -> str:
        """The configuration that the run was started with."""
        return read_text(self.folder / CONFIG)

    @property
    def overrides(self) -> tuple[str, ...]:
        """What the command line changed of the configuration."""
        file = self.folder / OVERRIDES
        return tuple(read_text(file, may_be_empty=True).splitlines()) if file.exists() else ()

    @property
    def environment(self) -> dict[str, Any]:
        """What the run ran on when it was last started; empty if that is not known."""
        return read_facts(self.folder / ENVIRONMENT) if (self.folder / ENVIRONMENT).exists() else {}

    def problems(self) -> list[tuple[str, str]]:
        """The small files that cannot be read, with what is wrong."""
        return list(problems(self.folder))

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """Add one line to ``metrics.jsonl``; NaN and infinities are written as the texts nan, inf, -inf."""
        with durable.disk_errors(f"{self.folder / METRICS}"):
            journal.append(self.folder / METRICS, record)

    def append_lineage(self, record: Mapping[str, Any]) -> None:
        """Add one line to ``lineage.jsonl``, as in :meth:`append_metrics`."""
        with durable.disk_errors(f"{self.folder / LINEAGE}"):
            journal.append(self.folder / LINEAGE, record)

    def append_step(self, record: Mapping[str, Any]) -> None:
        """Add one line to ``steps.jsonl``, as in :meth:`append_metrics`."""
        with durable.disk_errors(f"{self.folder / STEPS}"):
            journal.append(self.folder / STEPS, record)

    def read_steps(self) -> Iterator[dict[str, Any]]:
        """The lines of ``steps.jsonl``."""
        return journal.records(self.folder / STEPS)

    @property
    def steps_bytes(self) -> int:
        """Size of ``steps.jsonl``."""
        file = self.folder / STEPS
        return file.stat().st_size if file.exists() else 0

    def read_metrics(self) -> Iterator[dict[str, Any]]:
        """The lines of ``metrics.jsonl``; a line that is just being written is left out."""
        return journal.records(self.folder / METRICS)

    def read_lineage(self) -> Iterator[dict[str, Any]]:
        """The lines of ``lineage.jsonl``, as in :meth:`read_metrics`."""
        return journal.records(self.folder / LINEAGE)

    def rewind(self, generation: float, step: float) -> None:
        """Drop what was recorded of ``generation`` and later, and of steps after ``step``: it is done again after a resume."""
        with durable.disk_errors(f"{self.folder}"):
            for name in (METRICS, LINEAGE):
                journal.rewind(self.folder / name, generation)
            journal.rewind(self.folder / STEPS, step + 1, key="step")

    def save_best(self, tensors: "Mapping[str, Tensor]", meta: Mapping[str, Any]) -> None:
        """Put a new best individual in ``best/``; see :func:`evoweights.storage.best.save_best`."""
        save_best(self.best_folder, tensors, meta)

    def load_best(self) -> "tuple[dict[str, Tensor], dict[str, Any]]":
        """Tensors and facts of the best individual, verified; see :func:`evoweights.storage.best.load_best`."""
        return load_best(self.best_folder)

    def finish(self, text: str) -> None:
        """Mark the run complete."""
        with durable.disk_errors(f"{self.folder / DONE}"):
            durable.write_text(self.folder / DONE, text + "\n")
            durable.remove(self.folder / FAILED)

    def fail(self, text: str) -> None:
        """Say why the run ended; continuing it removes that."""
        with durable.disk_errors(f"{self.folder / FAILED}"):
            durable.write_text(self.folder / FAILED, text + "\n")

    def status(self, *, verify: bool = True) -> RunStatus:
        """How the run stands; changes nothing. Without ``verify`` digests are believed, which is quick."""
        return status_of(self.folder, self.checkpoints, self.holder, verify=verify)

    def _refuse_finished(self) -> None:
        if (self.folder / DONE).exists():
            raise RunFinished(
                f"The run {self.folder} is finished: {read_text(self.folder / DONE).strip()}\n"
                f"Its best individual is in {self.best_folder}. `evoweights run` with --fresh starts a new one "
                "beside it; a finished run cannot be made longer."
            )

    def _begin(self, config_text: str, overrides: Sequence[str], environment: Mapping[str, Any]) -> None:
        """Make what every run has, and mend what a killed process left."""
        durable.clean(self.folder)
        # Before anything else: what tells this folder from one that is no run.
        if not (self.folder / CONFIG).exists() or is_unused(self.folder):
            durable.write_text(self.folder / CONFIG, config_text)
        put_back_best(self.best_folder)
        durable.make_folder(self.checkpoints.folder)
        durable.clean(self.checkpoints.folder)
        durable.write_text(self.folder / OVERRIDES, "".join(f"{each}\n" for each in overrides))
        durable.write_json(self.folder / ENVIRONMENT, environment)
        durable.remove(self.folder / FAILED)
        self.rewind(math.inf, math.inf)

    def _sync_journals(self) -> None:
        """See that a checkpoint is never newer on the disk than the records of what led to it, nor without configuration."""
        read_text(self.folder / CONFIG)
        for name in (METRICS, LINEAGE, STEPS):
            if (self.folder / name).exists():
                durable.sync_file(self.folder / name)
