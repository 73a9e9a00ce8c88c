"""Takes the pictures of the documentation with a headless Chromium: ``python docs/make_pictures.py runs/eoe_gpt2``."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from evoweights.report.page import write_report

IMAGES = Path(__file__).parent / "images"
PICTURES = {
    "report.png": ["--window-size=1180,2820"],
    "report_dark.png": ["--window-size=1180,900", "--blink-settings=preferredColorScheme=0"],
}


def main() -> None:
    """Make the report of the run that is named, and take pictures of it: whole, and the upper part in dark."""
    browser = shutil.which("chromium")
    if browser is None or len(sys.argv) != 2:
        sys.exit("usage: python docs/make_pictures.py RUN, with chromium installed (apt-get install chromium)")
    with tempfile.TemporaryDirectory() as folder:
        page = write_report([Path(sys.argv[1])], to=Path(folder) / "report.html")
        for name, options in PICTURES.items():
            common = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=10000"]
            target = [f"--screenshot={IMAGES / name}", page.as_uri()]
            subprocess.run([browser, *common, *options, *target], check=True, capture_output=True)


if __name__ == "__main__":
    main()
