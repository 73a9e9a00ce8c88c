"""A real browser opens the page without a complaint, and everything is drawn."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from recorded_runs import record_run

from evoweights.report.page import write_report

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed: apt-get install chromium")

# Opens every part, waits until it is drawn, and writes into the page what is seen: for each figure the share of its
# canvas that is not empty, and its height. Then it hides the first individual, and waits until there is less to be seen.
LOOK = """
<script>
(async () => {
  const wait = (done) => new Promise((go) => { const look = () => done() ? go() : setTimeout(look, 20); look(); });
  const canvases = (root) => [...root.querySelectorAll("*")].flatMap((each) =>
    [...(each.matches("canvas") ? [each] : []), ...(each.shadowRoot ? canvases(each.shadowRoot) : [])]);
  const inked = (canvas) => {
    const { width, height } = canvas;
    if (!width || !height) return 0;
    const copy = Object.assign(document.createElement("canvas"), { width, height });
    const context = copy.getContext("2d", { willReadFrequently: true });
    context.drawImage(canvas, 0, 0);
    const data = context.getImageData(0, 0, width, height).data;
    return data.filter((value, index) => index % 4 === 3 && value > 0).length / (width * height);
  };
  const seen = {};
  for (const part of document.querySelectorAll(".part")) {
    if (part.matches("details")) part.open = true;
    await wait(() => part.dataset.drawn !== undefined);
    await wait(() => [...part.querySelectorAll(".figure")].every((each) => Math.max(0, ...canvases(each).map(inked)) > 0));
    for (const figure of part.querySelectorAll(".figure")) {
      seen[figure.id] = [Math.max(...canvases(figure).map(inked)), figure.offsetHeight];
    }
  }
  const chip = document.querySelector(".chips button");
  const loss = document.querySelector(".chips ~ .pictures .figure");
  if (chip && loss.offsetHeight) {
    chip.click();
    await wait(() => Math.max(...canvases(loss).map(inked)) < seen[loss.id][0]);
    seen.chip = chip.getAttribute("aria-pressed");
  }
  seen.wide = document.documentElement.scrollWidth > innerWidth;
  document.documentElement.dataset.seen = JSON.stringify(seen);
})();
</script>
"""


@dataclass(frozen=True)
class View:
    """What a browser saw: facts by name, its complaints, and a picture of the page."""

    seen: dict[str, Any]
    complaints: list[str]
    picture: bytes

    @property
    def figures(self) -> dict[str, list[float]]:
        """Share of ink and height of each figure."""
        return {name: value for name, value in self.seen.items() if isinstance(value, list)}


def look_at(page: Path, *options: str, width: int = 1280) -> View:
    """Open a copy of a page that reports what is seen."""
    copy, picture = page.with_name("looked-at.html"), page.with_name("picture.png")
    copy.write_text(page.read_text().replace("</body>", f"{LOOK}</body>"))
    common = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr", "--v=0"]
    common += [f"--window-size={width},2400", "--virtual-time-budget=20000", f"--user-data-dir={page.parent}/profile"]
    shown = _browser(*common, *options, "--dump-dom", copy.as_uri())
    drawn = _browser(*common, *options, f"--screenshot={picture}", page.as_uri())
    found = re.search(r'data-seen="([^"]*)"', shown.stdout)
    assert found, shown.stderr
    lines = (shown.stderr + drawn.stderr).splitlines()
    said = [line for line in lines if "CONSOLE" in line and "setting log level" not in line]
    return View(json.loads(unescape(found[1])), said, picture.read_bytes())


def _browser(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert BROWSER is not None
    return subprocess.run([BROWSER, *arguments], capture_output=True, text=True, check=True, timeout=150)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run that recorded everything."""
    return write_report([record_run(tmp_path_factory.mktemp("runs") / "full", size=4, sample="A text.")])


def test_the_page_opens_without_a_complaint_and_every_picture_is_drawn(page: Path) -> None:
    view = look_at(page)
    assert view.complaints == []
    assert len(view.figures) == 10
    for name, (ink, height) in view.figures.items():
        assert ink > 0.002 and height >= 60, name
    assert view.seen["chip"] == "false"
    assert view.picture.startswith(b"\x89PNG") and len(view.picture) > 50_000


def test_dark_and_narrow_screens_see_everything_too(page: Path) -> None:
    view = look_at(page, "--blink-settings=preferredColorScheme=0", width=480)
    assert view.complaints == [] and len(view.figures) == 10 and not view.seen["wide"]


def test_every_part_of_a_comparison_is_drawn_when_it_is_opened(tmp_path: Path) -> None:
    runs = [record_run(tmp_path / "runs" / f"run-s{seed}", settings={"seed": seed}) for seed in (1, 2)]
    runs.append(record_run(tmp_path / "runs" / "long", generations=3_000))
    view = look_at(write_report(runs))
    assert view.complaints == [] and len(view.figures) == 3 + 3 * 10


def test_a_script_in_a_name_is_not_run(tmp_path: Path) -> None:
    hostile = "</script><script>console.log('run')</script><img src=x onerror=console.log('run')> $$x$$"
    info = {"individual": hostile, "unit": hostile, "references": {hostile: 5.0}}
    view = look_at(write_report([record_run(tmp_path / "runs" / "x", info=info, sample=hostile)]))
    assert view.complaints == [] and len(view.figures) == 10
