"""What a run is: its words, settings and state, from the small files of its folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evoweights.config.saved import run_settings
from evoweights.storage.run_parts import CONFIG, INFO, RESULT, read_facts

if TYPE_CHECKING:
    from evoweights.storage.run_dir import RunDirectory


@dataclass(frozen=True)
class RunFacts:
    """The facts of a run. ``individual`` is its population's word for one, ``unit`` what its task counts in a batch;
    ``references`` are losses to compare with; ``sample`` is a text of its best individual, None if there is none.
    """

    name: str
    folder: Path
    state: str
    note: str
    generations: int | None
    settings: Mapping[str, Any]
    config_text: str
    overrides: tuple[str, ...]
    environment: Mapping[str, Any]
    individual: str
    unit: str
    references: Mapping[str, float]
    best: Mapping[str, Any]
    sample: str | None
    genes: int | None
    shared_genes: int | None

    def component(self, section: str) -> str:
        """The name of the component in a section of the configuration; empty if there is none."""
        value = self.settings.get(section)
        return str(value.get("name", "")) if isinstance(value, Mapping) else ""

    def components(self, section: str) -> list[str]:
        """The names of the components in a list of the configuration."""
        entries = self.settings.get(section)
        return [str(each["name"]) for each in entries or () if isinstance(each, Mapping) and "name" in each]


def read_facts_of(run: "RunDirectory") -> RunFacts:
    """The facts of a run. Runs of earlier versions say less of themselves; then plain words stand in.

    Raises:
        UsageError: its configuration is not one of a run.
        CheckpointError: a file cannot be read.
    """
    settings = run_settings(run.config_text, run.folder / CONFIG)
    status = run.status(verify=False)
    info, result = (read_facts(path) if (path := run.folder / name).exists() else {} for name in (INFO, RESULT))
    references = info.get("references")
    sample = result.get("sample")
    return RunFacts(
        name=run.folder.absolute().name,
        folder=run.folder,
        state=status.state,
        note=status.note,
        generations=_count(settings["generations"]),  # not where it is from the environment
        settings=settings,
        config_text=run.config_text,
        overrides=run.overrides,
        environment=run.environment,
        individual=_word(info.get("individual"), "individual"),
        unit=_word(info.get("unit"), "tokens"),
        references={str(name): float(loss) for name, loss in references.items() if isinstance(loss, int | float)}
        if isinstance(references, Mapping)
        else {},
        best=status.best or {},
        sample=sample if isinstance(sample, str) and sample.strip() else None,
        genes=_count(info.get("genes")),
        shared_genes=_count(info.get("shared_genes")),
    )


def _word(value: object, default: str) -> str:
    return value if isinstance(value, str) and value else default


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None
