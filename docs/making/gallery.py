"""The gallery: pictures of the report, drawn of two small runs that the build itself makes."""

import dataclasses
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bokeh.resources import Resources

from evoweights.config.loading import config_from_text
from evoweights.report.page import Part, part_of, run_part
from evoweights.report.picture import LeftOut, Picture, Swatch, Table
from evoweights.report.style import STAND_INS
from evoweights.report.versus import versus_pictures
from evoweights.runs import session
from making.text import code, escaped, table

SWARM = """\
name: swarm
seed: 3
generations: 24
task: {name: digits, hidden: [24], batch: 32, train_images: 512, validation_images: 256}
population: {name: individuals, size: 4}
improve:
  - {name: adamw, steps: 10, learning_rate: 3.0e-3}
vary:
  - {name: pso, social: 1.0, direction: best_to_current, start: 4}
  - {name: crossover, rate: 0.3, direction: best_to_current, start: 4}
  - {name: mutation, rate: 0.01, direction: current_to_others, start: 4, every: 3}
"""
WORDS = {
    "loss": ("Loss", "Who gets better, and who leads"),
    "distance": ("Distance", "Whether the individuals are still different from each other"),
    "family": ("Family tree", "Who descends from whom"),
    "jumps": ("Jumps", "What it costs to go on with another individual"),
    "sources": ("Sources", "Who was written from whom, and how often"),
    "credit": ("Operators", "What each operator did to the loss at once"),
    "spending": ("Seconds", "Where the time went"),
    "ledger": ("Ledger", "What the run has cost"),
    "versus-tokens": ("Two runs, equal examples", "Whether a method pays, at equal examples seen"),
    "versus-flops": ("Two runs, equal FLOPs", "Whether it pays at equal arithmetic"),
    "versus-seconds": ("Two runs, equal seconds", "Whether it pays at equal time"),
}
"""A heading for each picture by its key, and what it answers."""

_INTRO = """# Gallery

The pictures of `evoweights report`, drawn when this site was built, of a run that the build made: four small networks that tell
drawn digits apart, improved by AdamW and varied by PSO, crossover and mutation. It is there to be looked at and says nothing
about methods; [what we found](findings.md) does. [The report](report.md) says how to read each picture.

```yaml title="swarm.yaml"
{config}```

A report is one HTML file, here [as it looks](images/report.png) for EOE on a small GPT-2, taken from a real run of
`configs/eoe_gpt2.yaml`.
"""


def gallery_files() -> dict[str, str]:
    """The page, and the scripts that draw its pictures, by their place on the site."""
    with tempfile.TemporaryDirectory() as folder:
        swarm, alone = _run(Path(folder), "swarm", []), _run(Path(folder), "alone", ["vary=[]"])
        versus, remarks = versus_pictures([swarm, alone])
        parts = [run_part("run", swarm), dataclasses.replace(part_of("versus", versus), remarks=tuple(remarks))]
    page = [_INTRO.format(config=SWARM), *map(_part, parts), _scripts()]
    drawings = ",".join(f"{json.dumps(each.key)}:{each.drawing}" for each in parts)
    return {
        "gallery.md": "\n".join(page),
        "assets/gallery_drawings.js": f"const STAND_INS = {json.dumps(STAND_INS)};\nconst DRAWINGS = {{{drawings}}};\n",
        "assets/bokeh.js": "\n".join(Resources(mode="inline", components=["bokeh"], log_level="error").js_raw),
    }


def _run(folder: Path, name: str, overrides: Sequence[str]) -> Path:
    """The folder of a run of the gallery, that was made just now and said nothing."""
    config = config_from_text(SWARM, [f"name={name}", "observers=[]", *overrides], where="the gallery", folder=folder)
    return session.run(dataclasses.replace(config, output=folder)).folder


def _part(part: Part) -> str:
    shown = [_picture(part.key, each) for each in part.pictures if each.key in WORDS]
    return "\n".join(
        [*shown, *(_left_out(each) for each in part.left_out), *(f"{escaped(each)}\n" for each in part.remarks)]
    )


def _picture(key: str, picture: Picture) -> str:
    heading, question = WORDS[picture.key]
    places = [
        f'<div class="ew-figure" id="{key}-{picture.key}-{index}"></div>\n' for index in range(len(picture.figures))
    ]
    parts = [f"## {heading}\n", f"{question}. **{escaped(picture.title)}.**\n", _swatches(picture.swatches), *places]
    parts += [_table(each) for each in picture.tables if each.rows]
    return "\n".join([*parts, f"{escaped(picture.hint)}\n"])


def _swatches(swatches: Sequence[Swatch]) -> str:
    marks = [f'<span><i style="background: {each.css}"></i>{escaped(each.text)}</span>' for each in swatches]
    return f'<p class="ew-swatches">{"".join(marks)}</p>\n' if marks else ""


def _table(of: Table) -> str:
    width = max(len(row) for row in of.rows)
    return table(of.headings or [""] * width, [[code(row[0]), *map(escaped, row[1:])] for row in of.rows])


def _left_out(each: LeftOut) -> str:
    return f"Not shown: {escaped(each.what)}, because {escaped(each.why)}.\n"


def _scripts() -> str:
    names = ("bokeh", "gallery_drawings", "gallery")
    return "\n".join(f'<script src="assets/{name}.js"></script>' for name in names) + "\n"
