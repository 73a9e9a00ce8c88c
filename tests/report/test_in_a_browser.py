"""A real browser opens the page without a complaint, and everything is drawn."""

import signal
import time
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, Tab, opened
from drawn import DRAWN, INK, figures
from PIL import Image
from recorded_runs import record_run

from evoweights.report.page import write_report

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium")

PLACES = """[...document.querySelectorAll(".figure")].map((figure) => {
  const { left, top, right, bottom } = figure.getBoundingClientRect();
  return [left, top, right, bottom].map((each, index) => Math.round(each + (index % 2 ? scrollY : scrollX)));
})"""


def complaints(tab: Tab) -> list[str]:
    """What the browser said, but for the library's word on how much it says."""
    return [each for each in tab.complaints if "setting log level" not in each]


def pixels(file: Path) -> np.ndarray:
    """A picture in grey, 0 to 255: its lines from above, each from the left."""
    return np.asarray(Image.open(file).convert("L"))


def painted(picture: np.ndarray) -> float:
    """The share of a picture that is not of its most frequent grey."""
    return float(1 - np.bincount(picture.ravel()).max() / picture.size)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run that recorded everything."""
    return write_report([record_run(tmp_path_factory.mktemp("runs") / "full", size=4, sample="A text.")])


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (400, True)])
def test_the_page_opens_without_a_complaint_and_every_picture_is_seen(
    page: Path, tmp_path: Path, width: int, dark: bool
) -> None:
    with opened(page, width=width, dark=dark) as tab:
        found = figures(tab)
        assert len(found) == 10 and all(height >= 60 for _, height in found.values())
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        picture = pixels(tab.picture(tmp_path / "page.png"))
        for left, top, right, bottom in tab.evaluate(PLACES):
            assert right <= picture.shape[1] == width and bottom <= picture.shape[0]
            assert painted(picture[top:bottom, left:right]) > 0.01
        assert complaints(tab) == []
        assert tab.requests == [page.as_uri()]


def test_the_page_of_ten_thousand_generations_is_drawn(long_page: Path) -> None:
    with opened(long_page) as tab:
        # Far more than it takes, so that only what hangs is found; benchmarks/report_page.py has the figure.
        assert tab.wait_for(DRAWN) < 20
        assert len(figures(tab)) == 10
        assert complaints(tab) == []
        assert tab.requests == [long_page.as_uri()]


def test_colours_are_those_of_the_scheme(page: Path, tmp_path: Path) -> None:
    inks = []
    for dark in (False, True):
        with opened(page, dark=dark) as tab:
            figures(tab)
            inks.append(tab.evaluate("Bokeh.documents[0].roots()[0].below[0].major_label_text_color"))
            assert inks[-1] == tab.evaluate("getComputedStyle(document.body).getPropertyValue('--soft').trim()")
            assert (pixels(tab.picture(tmp_path / "page.png")).mean() < 100) == dark
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
    runs.append(record_run(tmp_path / "runs" / "other", generations=300))
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


def test_a_page_that_asks_and_errs_and_is_empty_would_be_found_out(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<img src='http://127.0.0.1:9/x.png' hidden><script>console.error('a'); nothing();</script>")
    with opened(page) as tab:
        assert "http://127.0.0.1:9/x.png" in tab.requests
        for word in ('"error"', "ReferenceError", "ERR_"):
            assert any(word in each for each in tab.complaints), word
        assert painted(pixels(tab.picture(tmp_path / "page.png"))) == 0


def test_a_browser_that_hangs_is_given_up_and_killed(page: Path) -> None:
    with opened(page) as tab:
        tab.deadline = time.monotonic() + 0.5
        with pytest.raises(AssertionError, match=r"Chromium did not answer in time: .*for \(;;\)"):
            tab.evaluate("for (;;);")
    assert tab.browser.returncode == -signal.SIGKILL


def test_a_browser_that_ends_is_told(page: Path) -> None:
    with opened(page) as tab:
        tab.browser.kill()
        with pytest.raises(AssertionError, match="Chromium ended"):
            tab.evaluate("new Promise(() => {})")
