"""The page: pictures and words of runs in one HTML file that asks nothing of any other place."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.resources import files
from pathlib import Path

from bokeh.document import Document
from bokeh.resources import Resources
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from evoweights.errors import UsageError
from evoweights.report.distances import distance_picture
from evoweights.report.facts import RunFacts, read_facts_of
from evoweights.report.family import family_picture
from evoweights.report.history import History, read_history
from evoweights.report.losses import loss_picture
from evoweights.report.picture import LeftOut, Picture
from evoweights.report.sources import sources_picture
from evoweights.report.spending import ledger_picture, spending_picture
from evoweights.report.style import NAMED, STAND_INS, colours
from evoweights.report.summary import Tile, environment_rows, remarks_of, sentence_of, tiles_of
from evoweights.report.switching import switching_picture
from evoweights.report.thinning import POINTS
from evoweights.report.timeline import timeline_of
from evoweights.report.versus import versus_pictures
from evoweights.report.worth import credit_picture
from evoweights.storage import durable
from evoweights.storage.run_dir import RunDirectory
from evoweights.storage.run_parts import METRICS
from evoweights.version import __version__

REPORT = "report.html"


@dataclass(frozen=True)
class Part:
    """A run, or the comparison of several: what is drawn in one go, with its words. ``individuals`` are the name and colour
    of each, where there are few enough to be told apart."""

    key: str
    pictures: tuple[Picture, ...]
    left_out: tuple[LeftOut, ...]
    drawing: Markup
    individuals: tuple[tuple[str, str], ...] = ()
    facts: RunFacts | None = None
    sentence: str = ""
    until: str = ""
    tiles: tuple[Tile, ...] = ()
    remarks: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


def write_report(folders: Sequence[Path], *, to: Path | None = None) -> Path:
    """Make the page of one or more runs; by default in the run's folder, of several beside the first one's.

    Raises:
        UsageError: a folder is no run, or no generation is over; or ``to`` is a folder, or no .html.
        CheckpointError: a file of a run cannot be read.
        ResourceError: the page cannot be written.
    """
    target = to or (folders[0] if len(folders) == 1 else folders[0].absolute().parent) / REPORT
    if target.is_dir():
        raise UsageError(f"--to: {target} is a folder. Give the name of a file, such as {target / REPORT}.")
    if target.suffix.lower() not in (".html", ".htm"):  # else a slip could replace a run's own files
        raise UsageError(f"--to: {target} does not end in .html. Give the name of a page, such as {REPORT}.")
    page = render(folders)
    with durable.disk_errors(f"The report {target}"):
        durable.make_folder(target.absolute().parent)
        durable.write_text(target, page)
    return target


def render(folders: Sequence[Path]) -> str:
    """The page as HTML."""
    parts = [run_part(f"run-{index}", folder) for index, folder in enumerate(folders)]
    if len(folders) > 1:
        pictures, remarks = versus_pictures(folders)
        parts.insert(0, replace(part_of("versus", pictures), remarks=tuple(remarks)))
    names = [part.facts.name for part in parts if part.facts]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    own = files("evoweights.report")
    return environment.from_string((own / "page.html").read_text("utf-8")).render(
        title=names[0] if len(names) == 1 else f"{len(names)} runs side by side",
        parts=parts,
        is_single=len(folders) == 1,
        points=POINTS,
        version=__version__,
        css=Markup((own / "page.css").read_text("utf-8")),
        script=Markup((own / "page.js").read_text("utf-8")),
        stand_ins=Markup(_json(STAND_INS)),
        bokeh=[Markup(each) for each in Resources(mode="inline", components=["bokeh"], log_level="error").js_raw],
    )


def run_part(key: str, folder: Path) -> Part:
    """A run: all its pictures and words; ``key`` is its name in the page."""
    run = RunDirectory.read(folder)
    facts, history = read_facts_of(run), read_history(run)
    changed = datetime.fromtimestamp((folder / METRICS).stat().st_mtime).astimezone()
    few = history.size if 1 < history.size <= NAMED else 0
    return replace(
        part_of(key, _pictures(history, facts)),
        individuals=tuple((f"{facts.individual} {row}", colour) for row, colour in enumerate(colours(few))),
        facts=facts,
        sentence=sentence_of(history, facts),
        until=changed.isoformat(sep=" ", timespec="minutes"),
        tiles=tuple(tiles_of(history, facts)),
        remarks=tuple(remarks_of(history, facts)),
        environment=tuple(environment_rows(facts)),
    )


def _pictures(history: History, facts: RunFacts) -> list[Picture | LeftOut]:
    time = timeline_of(history, facts)
    drawn = (
        loss_picture(history, facts, time),
        distance_picture(history, facts, time),
        family_picture(history, facts, time),
        switching_picture(history, facts, time),
        sources_picture(history, facts),
        credit_picture(history, facts, time),
        spending_picture(history, facts, time),
        ledger_picture(history, facts),
        _sample(facts),
    )
    return [each for each in drawn if each is not None]


def _sample(facts: RunFacts) -> Picture | LeftOut:
    if facts.sample is None:
        return LeftOut("a text sample", "the run has kept none")
    return Picture("sample", f"What its best {facts.individual} writes", "", text=facts.sample, is_wide=False)


def part_of(key: str, drawn: Sequence[Picture | LeftOut]) -> Part:
    """Pictures that are drawn in one go, without words."""
    pictures = _without_gap([each for each in drawn if isinstance(each, Picture)])
    left_out = tuple(each for each in drawn if isinstance(each, LeftOut))
    return Part(key, pictures, left_out, _drawing(key, pictures))


def _without_gap(pictures: Sequence[Picture]) -> tuple[Picture, ...]:
    """The pictures, the last narrow one widened if nothing would stand beside it."""
    narrow = [picture for picture in pictures if not picture.is_wide]
    alone = narrow[-1] if len(narrow) % 2 else None
    return tuple(replace(picture, is_wide=True) if picture is alone else picture for picture in pictures)


def _drawing(key: str, pictures: Sequence[Picture]) -> Markup:
    """All figures of a part as JSON: one document, so that they share their x axis."""
    document, places = Document(), {}
    with document.models.freeze():  # else all figures are searched anew for each
        for picture in pictures:
            for index, figure in enumerate(picture.figures):
                document.add_root(figure)
                places[figure.id] = f"{key}-{picture.key}-{index}"
    return Markup(_json({"document": document.to_json(deferred=False), "places": places}))


def _json(value: object) -> str:
    """JSON that can stand in a script element: nothing in it ends the element or begins a comment."""
    return (
        json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c").replace("\u2028", "\\u2028")
    )
