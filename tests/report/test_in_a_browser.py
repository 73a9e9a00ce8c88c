"""A real browser opens the page without a complaint, and everything is drawn."""

from pathlib import Path

import pytest
from browser import CHROMIUM, Tab, opened
from recorded_runs import record_run

from evoweights.report.page import write_report

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium")

# How much of the canvas of each figure is not empty, with its height, by its name.
INK = """
(() => {
  const canvases = (root) => [...root.querySelectorAll("*")].flatMap((each) =>
    [...(each.matches("canvas") ? [each] : []), ...(each.shadowRoot ? canvases(each.shadowRoot) : [])]);
  const inked = (canvas) => {
    if (!canvas.width || !canvas.height) return 0;
    const small = Object.assign(document.createElement("canvas"), { width: 96, height: 96 });
    const context = small.getContext("2d", { willReadFrequently: true });
    context.drawImage(canvas, 0, 0, 96, 96);
    const opacity = context.getImageData(0, 0, 96, 96).data.filter((_, index) => index % 4 === 3);
    return opacity.reduce((sum, each) => sum + each, 0) / (255 * opacity.length);
  };
  return Object.fromEntries([...document.querySelectorAll(".figure")].map((figure) =>
    [figure.id, [Math.max(0, ...canvases(figure).map(inked)), figure.offsetHeight]]));
})()
"""
DRAWN = "[...document.querySelectorAll('.part')].every((part) => part.dataset.drawn !== undefined)"


def figures(tab: Tab) -> dict[str, tuple[float, int]]:
    """Ink and height of all figures, once each has some."""
    tab.wait_for(DRAWN)
    tab.wait_for(f"Object.values({INK}).every(([ink]) => ink > 0.001)")
    return tab.evaluate(INK)


def complaints(tab: Tab) -> list[str]:
    """What the browser said, but for the library's word on how much it says."""
    return [each for each in tab.complaints if "setting log level" not in each]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run that recorded everything."""
    return write_report([record_run(tmp_path_factory.mktemp("runs") / "full", size=4, sample="A text.")])


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (400, True)])
def test_the_page_opens_without_a_complaint_and_every_picture_is_drawn(page: Path, width: int, dark: bool) -> None:
    with opened(page, width=width, dark=dark) as tab:
        found = figures(tab)
        assert len(found) == 10 and all(height >= 60 for _, height in found.values())
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        assert len(tab.picture()) > 50_000
        assert complaints(tab) == []


def test_colours_are_those_of_the_scheme(page: Path) -> None:
    inks = []
    for dark in (False, True):
        with opened(page, dark=dark) as tab:
            figures(tab)
            inks.append(tab.evaluate("[...Bokeh.documents[0].roots()][0].xaxis[0].major_label_text_color.value"))
            assert inks[-1] == tab.evaluate("getComputedStyle(document.body).getPropertyValue('--soft').trim()")
    assert inks[0] != inks[1]


def test_an_individual_can_be_hidden_and_shown_in_all_pictures(page: Path) -> None:
    with opened(page) as tab:
        before = figures(tab)
        for pressed, sign in (("false", "<"), ("true", "===")):
            tab.evaluate("document.querySelector('.chips button').click()")
            for name in ("run-0-loss-0", "run-0-jumps-0"):
                tab.wait_for(f"({INK})['{name}'][0] {sign} {before[name][0]}")
            assert tab.evaluate("document.querySelector('.chips button').getAttribute('aria-pressed')") == pressed
        assert complaints(tab) == []


def test_every_run_of_a_comparison_is_drawn_when_it_is_opened(tmp_path: Path) -> None:
    runs = [record_run(tmp_path / "runs" / f"run-s{seed}", settings={"seed": seed}) for seed in (1, 2)]
    runs.append(record_run(tmp_path / "runs" / "long", generations=3_000))
    with opened(write_report(runs)) as tab:
        tab.wait_for("document.querySelector('.part').dataset.drawn === '3'")
        assert tab.evaluate("document.querySelectorAll('.part[data-drawn]').length") == 1
        tab.evaluate("document.querySelectorAll('details.part').forEach((each) => { each.open = true; })")
        assert len(figures(tab)) == 3 + 3 * 10
        assert complaints(tab) == []


def test_a_script_in_a_name_is_not_run(tmp_path: Path) -> None:
    hostile = "</script><script>console.log('run')</script><img src=x onerror=console.log('run')> $$x$$"
    info = {"individual": hostile, "unit": hostile, "references": {hostile: 5.0}}
    with opened(write_report([record_run(tmp_path / "runs" / "x", info=info, sample=hostile)])) as tab:
        assert len(figures(tab)) == 10
        assert complaints(tab) == []


def test_nothing_can_be_asked_of_any_other_place(page: Path) -> None:
    with opened(page) as tab:
        figures(tab)
        assert tab.evaluate("fetch('https://example.org').then(() => 'answered', () => 'refused')") == "refused"
        assert any("Content Security Policy" in each for each in tab.complaints)
