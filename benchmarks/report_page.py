"""How soon a browser shows the report of a long run: ``python benchmarks/report_page.py``, with Chromium installed."""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from evoweights.report.page import write_report

TESTS = Path(__file__).parents[1] / "tests" / "report"
WITHIN_SECONDS, WITHIN_BYTES = 2.0, 5_000_000


def measure(generations: int, size: int, repeats: int) -> dict[str, object]:
    """A made-up run's page: seconds to make it, its bytes, and seconds from asking for it until all pictures have ink."""
    sys.path.insert(0, str(TESTS))
    from browser import CHROMIUM, opened
    from drawn import DRAWN
    from recorded_runs import record_run

    if CHROMIUM is None:
        sys.exit("no Chromium is installed: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        run = record_run(Path(folder) / "run", generations=generations, size=size)
        started = time.perf_counter()
        page = write_report([run])
        made, drawn = time.perf_counter() - started, []
        for _ in range(repeats):  # each in a browser of its own, which has nothing cached
            with opened(page) as tab:
                drawn.append(tab.wait_for(DRAWN))
                version = tab.call("Browser.getVersion")["product"]
        return {
            "browser": version,
            "generations": generations,
            "individuals": size,
            "page_bytes": page.stat().st_size,
            "page_bytes_at_most": WITHIN_BYTES,
            "making_the_page_seconds": made,
            "drawn_seconds": {"min": min(drawn), "median": statistics.median(drawn), "max": max(drawn)},
            "drawn_seconds_at_most": WITHIN_SECONDS,
            "met": statistics.median(drawn) < WITHIN_SECONDS and page.stat().st_size <= WITHIN_BYTES,
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--generations", type=int, default=10_000)
    parser.add_argument("--individuals", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    text = json.dumps(measure(arguments.generations, arguments.individuals, arguments.repeats), indent=2)
    sys.stdout.write(text + "\n")
    if arguments.json:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
