"""Checkpoints that are whole or absent: staged in a sibling folder, fsynced, sealed with digests, renamed.

    step-000000120/  individuals/0000.safetensors  ...  state.json  MANIFEST.json

The newest is the one with the highest number that verifies; times are never trusted. A damaged one is set
aside, not deleted.
"""

import functools
import logging
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evoweights.errors import CheckpointError, UsageError
from evoweights.storage import durable
from evoweights.storage.checkpoint import STATE, Checkpoint, Verdict, file_of, judge, load, verify
from evoweights.storage.durable import Digest
from evoweights.storage.formats import tensor_chunks, to_json
from evoweights.storage.manifest import seal

if TYPE_CHECKING:
    from torch import Tensor

    from evoweights.storage.manifest import Manifest

    Action = Callable[[], None]
    Check = Callable[[int, Path], tuple[Verdict, Manifest]]
    Files = Mapping[str, Callable[[], Mapping[str, Tensor]]]

_LOG = logging.getLogger(__name__)
_FOLDER = re.compile(r"step-(\d{9,18})|\.replaced-step-(\d{9,18})\.[0-9a-f]+")
_DAMAGED = ".damaged-"
_SPACE = 2.2
TRIES = 20
"""How often a reader starts over when a running process drops every checkpoint under its eyes."""


class CheckpointStore:
    """The checkpoints of one run, for its one writer or, with ``read_only``, for anyone beside it.

    ``keep`` (at least 2) is how many verified ones stay; ``before_commit`` is called when all of a checkpoint
    but its name is on the disk.
    """

    def __init__(
        self, folder: Path, *, keep: int = 2, read_only: bool = False, before_commit: "Action | None" = None
    ) -> None:
        if keep < 2:
            raise UsageError(f"checkpoint.keep: {keep} is too few; at least 2, as one may be damaged.")
        self.folder, self.keep, self._read_only, self._before_commit = folder, keep, read_only, before_commit
        self._verified: set[int] = set()
        self._recent: list[tuple[Path, Mapping[str, Digest]]] = []

    def check_space(self, estimated_bytes: int) -> None:
        """See that a checkpoint of this size can be written beside the one before it.

        Raises:
            ResourceError: less than 2.2 times ``estimated_bytes`` is free.
        """
        durable.check_space(self.folder, _SPACE * estimated_bytes)

    def save(
        self,
        step: int,
        files: "Files",
        state: Mapping[str, Any],
        *,
        environment: Mapping[str, Any] | None = None,
        unchanged: Collection[str] = (),
    ) -> Path:
        """Commit a checkpoint, then drop the oldest; an interrupted save leaves those before it as they were.

        ``files`` makes the tensors of each file when it is its turn to be written. Those in ``unchanged`` are
        as in the last checkpoint that this store saved or gave; what stays so is written twice, then shared.

        Raises:
            ResourceError: the disk is full or broken; nothing of this checkpoint is left.
        """
        assert not self._read_only and 0 <= step < 10**18
        target = self.folder / f"step-{step:09d}"
        staging = self.folder / f".staging-{step}-{os.getpid()}-{durable.nonce()}"
        with durable.disk_errors(f"The checkpoint {target}"):
            durable.make_folder(self.folder)
            durable.clean(self.folder)
            try:
                digests = self._stage(staging, target, files, state, unchanged)
                seal(staging, digests, {"step": step, "environment": environment or {}})
                if self._before_commit is not None:
                    self._before_commit()
                durable.replace_folder(staging, target)
            except BaseException:
                self._recent = []  # it may have its name or not: the next one shares nothing
                raise
            finally:
                # A staging folder that cannot be removed now (broken disk) goes with the next save.
                with suppress(OSError):
                    durable.clean(self.folder)
        others = [each for each in self._recent if each[0] != target]
        self._recent = [*others[-1:], (target, digests)]
        self._verified.add(step)
        self._drop_old()
        return target

    def latest(self, *, on_skip: Callable[[str], None] = _LOG.warning) -> Checkpoint | None:
        """The newest checkpoint that verifies, or None if none was ever written.

        Newer ones that are damaged are set aside (``.damaged-step-...``), each with one line to ``on_skip``.

        Raises:
            CheckpointError: there are checkpoints but none is intact, or one was written by a newer version.
        """
        skipped: list[Verdict] = []
        for verdict, manifest in self._each(verify):
            if verdict.ok:
                folder = self._put_back(verdict.step, verdict.folder)
                try:
                    checkpoint = load(folder, verdict.step, manifest)
                except CheckpointError:
                    if folder.exists():
                        raise
                    return self.latest(on_skip=on_skip)  # dropped since it was verified: there are newer ones
                for each in skipped:
                    on_skip(self._set_aside(each, verdict.step))
                self._recent = [(checkpoint.folder, manifest.files)]
                self._verified.add(verdict.step)
                return checkpoint
            skipped.append(verdict)
        lines = [f"  {each.folder}: {'; '.join(each.problems)}" for each in skipped]
        lines += [f"  {path}: set aside earlier" for path in sorted(self.folder.glob(f"{_DAMAGED}*"))]
        if not lines:
            return None
        lines.append("Put back an intact copy of one of them, or start again beside this run with --fresh.")
        raise CheckpointError("\n".join(["No intact checkpoint is left:", *lines]))

    def verify(self, *, digests: bool = True) -> list[Verdict]:
        """Check every checkpoint (or only its sizes), newest first, and change nothing."""
        return [verdict for verdict, _ in self._each(functools.partial(judge, digests=digests))]

    def _each(self, check: "Check") -> "Iterator[tuple[Verdict, Manifest]]":
        """What ``check`` finds of every checkpoint, newest first; without those that a running process drops meanwhile."""
        for _ in range(TRIES):
            found, kept = 0, 0
            for step, folder in self._listed():
                before = durable.identity(folder)
                verdict, manifest = check(step, folder)
                found += 1
                if verdict.ok or (before is not None and durable.identity(folder) == before):
                    kept += 1
                    yield verdict, manifest
            if kept or not found:
                return

    def _stage(
        self, staging: Path, target: Path, files: "Files", state: Mapping[str, Any], unchanged: Collection[str]
    ) -> dict[str, Digest]:
        shared = {file_of(name) for name in unchanged}
        makers = {file_of(name): make for name, make in files.items()}
        assert shared <= makers.keys() and len({name.lower() for name in makers}) == len(files)
        durable.make_folder(staging)
        # Shared with the last but one, or with what this replaces: no two of the newest share a file that a flipped bit spoils.
        (folder, older), (newest, last) = ([(self.folder, {})] * 2 + self._recent)[-2:]
        if newest == target:
            folder, older = newest, last
        same = {file: last[file] for file in shared if file in last and last[file] == older.get(file)}
        digests: dict[str, Digest] = {}
        for file, make in makers.items():
            durable.make_folder((staging / file).parent)
            if file in same and durable.link(folder / file, staging / file, size=same[file].size):
                digests[file] = same[file]
            else:
                digests[file] = durable.create_file(staging / file, tensor_chunks(make()))
        digests[STATE] = durable.create_file(staging / STATE, [to_json(state).encode()])
        return digests

    def _drop_old(self) -> None:
        kept = sorted(self._verified)[-self.keep :]
        self._verified = set(kept)
        try:
            for step, folder in self._listed():
                if folder.name.startswith(".") or (len(kept) == self.keep and step < kept[0]):
                    durable.discard(folder)
        except OSError as error:
            _LOG.warning("An old checkpoint could not be removed (%s); the next save tries again.", error)

    def _set_aside(self, damaged: Verdict, used: int) -> str:
        line = f"Checkpoint {damaged.folder} is damaged and skipped: {'; '.join(damaged.problems)}."
        if self._read_only:
            return f"{line} Step {used} is used."
        aside = self.folder / f"{_DAMAGED}step-{damaged.step:09d}.{durable.nonce()}"
        with durable.disk_errors(f"The name {aside}"):
            durable.rename(damaged.folder, aside)
        return f"{line} It is set aside as {aside.name}; step {used} is used."

    def _put_back(self, step: int, folder: Path) -> Path:
        """Give a checkpoint its name back that was being replaced when a process died."""
        if self._read_only or not folder.name.startswith("."):
            return folder
        target = self.folder / f"step-{step:09d}"
        with durable.disk_errors(f"The name {target}"):
            durable.rename(folder, target)
        return target

    def _listed(self) -> Iterator[tuple[int, Path]]:
        """Step and folder of every checkpoint, newest first; a replaced one after its replacement."""
        paths = self.folder.iterdir() if self.folder.exists() else ()
        matches = [(_FOLDER.fullmatch(path.name), path) for path in paths]
        found = [(int(match[1] or match[2]), path) for match, path in matches if match]
        yield from sorted(found, key=lambda each: (-each[0], each[1].name.startswith("."), each[1].name))
