"""What a run says of itself, for those who look at its folder later: ``info.json`` at its start, ``result.json`` at its end."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from evoweights.records import RunInfo, RunResult
from evoweights.storage import durable
from evoweights.storage.run_parts import INFO, RESULT


def note_info(folder: Path, info: RunInfo) -> None:
    """Keep what holds of a run from its start to its end and follows from no single setting, such as what it calls an
    individual: settings may be from the environment, and such values are not written down."""
    words = {"individual": info.individual, "unit": info.unit, "references": dict(info.references)}
    _write(folder / INFO, {**words, "genes": info.genes, "shared_genes": info.shared_genes})


def note_result(folder: Path, result: RunResult) -> None:
    """Keep how a run ended, with the text sample of its best individual if there is one."""
    _write(folder / RESULT, asdict(result))


def _write(file: Path, values: dict[str, Any]) -> None:
    # Folders are left out: a run may be moved, and is wherever its files are.
    plain = {key: value for key, value in values.items() if not isinstance(value, Path)}
    with durable.disk_errors(f"{file}"):
        durable.write_json(file, plain)
