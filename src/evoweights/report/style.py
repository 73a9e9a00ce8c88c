"""How pictures look: colours that tell individuals apart on light and on dark paper, and frames without clutter."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.models import BoxZoomTool, FixedTicker, HoverTool, Range, ResetTool, WheelZoomTool
from bokeh.plotting import figure

if TYPE_CHECKING:
    from numpy.typing import NDArray

INK, SOFT, GRID, PAPER = "#010101", "#020202", "#030303", "#040404"
"""Stand-ins that the page replaces by the colours of its light or its dark scheme, before anything is drawn."""
STAND_INS = {INK: "--ink", SOFT: "--soft", GRID: "--grid", PAPER: "--card"}
GOOD, BAD = "#2a9d6f", "#d1495b"
FONT = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
LEFT = 72
"""Pixels left of every frame, so that pictures one above the other have the same time at the same place."""
NAMED = 10
"""Individuals that have a colour of their own, to be told apart by it."""
CROWD = 200
"""Dots from which on a running median is drawn through them."""

_COLOURS = (
    *("#3f83e0", "#ee8434", "#2ba77d", "#c657a8", "#c9a227"),
    *("#7b68e0", "#d1495b", "#33aec4", "#8a9a3b", "#9c7458"),
)
_WHEEL = ("#4e62c9", "#3f83e0", "#33aec4", "#2ba77d", "#8a9a3b", "#c9a227", "#ee8434", "#d1495b", "#c657a8")


def colours(count: int) -> list[str]:
    """A colour for each of ``count`` individuals: unlike each other up to ``NAMED``, then a gradual sequence."""
    if count <= NAMED:
        return list(_COLOURS[:count])
    return gradient(_WHEEL, count)


def gradient(stops: Sequence[str], count: int) -> list[str]:
    """``count`` colours evenly along ``stops``."""
    found = []
    for index in range(count):
        place = index / max(1, count - 1) * (len(stops) - 1)
        left = min(int(place), len(stops) - 2)
        mixed = [a + (b - a) * (place - left) for a, b in zip(rgb(stops[left]), rgb(stops[left + 1]), strict=True)]
        found.append(hex_of(mixed))
    return found


def rgb(colour: str) -> tuple[float, float, float]:
    """Red, green and blue of ``#rrggbb``, 0 to 255."""
    return (float(int(colour[1:3], 16)), float(int(colour[3:5], 16)), float(int(colour[5:7], 16)))


def hex_of(colour: Sequence[float]) -> str:
    """``#rrggbb`` of red, green and blue."""
    return "#" + "".join(f"{min(255, max(0, round(each))):02x}" for each in colour)


def frame(*, height: int, x_range: Range | None = None, x_label: str = "", y_label: str = "", **options: Any) -> figure:
    """An empty picture; ``options`` are those of :func:`bokeh.plotting.figure`. Dragging over it zooms into a part of its x
    axis, and so into that of all that share it."""
    ranges = {} if x_range is None else {"x_range": x_range, "window_axis": "x"}
    made = figure(
        height=height,
        sizing_mode="stretch_width",
        min_border_left=LEFT,
        min_border_right=18,
        min_border_top=8,
        min_border_bottom=8,
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        output_backend="canvas",
        tools="",
        **ranges,
        **options,
    )
    zoom = BoxZoomTool(dimensions="width")
    made.add_tools(zoom, WheelZoomTool(dimensions="width"), ResetTool())
    made.toolbar.active_drag, made.toolbar.active_scroll = zoom, None
    made.toolbar.logo, made.toolbar.autohide = None, True
    made.xaxis.axis_label, made.yaxis.axis_label = x_label or None, y_label or None
    for axis in (*made.xaxis, *made.yaxis):
        _set_axis(axis)
    made.xgrid.grid_line_color = None
    made.ygrid.grid_line_color = GRID
    return made


def _set_axis(axis: Any) -> None:
    axis.axis_line_color = axis.major_tick_line_color = GRID
    axis.minor_tick_line_color = None
    axis.axis_label_text_color = axis.major_label_text_color = SOFT
    axis.axis_label_text_font = axis.major_label_text_font = FONT
    axis.axis_label_text_font_style = "normal"
    axis.axis_label_text_font_size = axis.major_label_text_font_size = "12px"
    axis.axis_label_standoff = 8


def without_y_axis(made: figure) -> None:
    """Take away what is at the left of a frame, but leave its place."""
    made.yaxis.axis_line_color = made.yaxis.major_tick_line_color = None
    made.ygrid.grid_line_color = None


def name_lanes(made: figure, names: Sequence[str], places: Sequence[float] | None = None) -> None:
    """Write names at the left of a frame, at 0, 1, ... if no ``places`` are given."""
    places = range(len(names)) if places is None else places
    for axis in made.yaxis:
        axis.ticker = FixedTicker(ticks=list(places))
        axis.major_label_overrides = dict(zip(places, names, strict=True))
        axis.major_label_text_color = INK


def hover(made: figure, renderers: Sequence[Any], tips: Sequence[tuple[str, str]], **options: Any) -> None:
    """Say what is under the pointer."""
    made.add_tools(HoverTool(renderers=list(renderers), tooltips=list(tips), **options))


def running_median(made: figure, x: "NDArray[np.float64]", y: "NDArray[np.float64]") -> None:
    """Draw a line through the middle of a crowd of dots that are in the order of ``x``."""
    parts = np.array_split(np.arange(len(y)), CROWD // 2)
    middle = [float(np.median(y[part])) for part in parts]
    made.line([float(x[part].mean()) for part in parts], middle, line_color=INK, line_width=2)
