"""What the page is made of: pictures with what they show, and what had to be left out."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bokeh.plotting import figure

from evoweights.report.style import STAND_INS


@dataclass(frozen=True)
class Swatch:
    """A colour of a picture and what it stands for."""

    colour: str
    text: str
    is_thin: bool = False

    @property
    def css(self) -> str:
        """The colour as a style of the page has it."""
        return f"var({STAND_INS[self.colour]})" if self.colour in STAND_INS else self.colour


@dataclass(frozen=True)
class Table:
    """A small table; the first cell of a row is its heading. ``tones`` say of a row whether it is good or bad news."""

    headings: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    tones: Sequence[str] = ()


@dataclass(frozen=True)
class Picture:
    """A picture: ``title`` says what is seen, ``hint`` what to look for; ``key`` is its name in the page,
    ``text`` something to read in it."""

    key: str
    title: str
    hint: str
    figures: tuple[figure, ...] = ()
    swatches: tuple[Swatch, ...] = ()
    tables: tuple[Table, ...] = ()
    text: str = ""
    is_wide: bool = True
    notes: tuple[str, ...] = field(default_factory=tuple)


@dataclass(frozen=True)
class LeftOut:
    """A picture that this run does not allow, and why."""

    what: str
    why: str
