"""How a comparison is shown: nothing of a table is cut, however long the names of runs are."""

from pathlib import Path

import pytest
from run_folders import make_run

from evoweights.cli.comparison import say_comparison
from evoweights.comparing.comparison import compare
from evoweights.comparing.groups import by_configuration
from evoweights.comparing.measured import read_run


def test_a_long_name_is_shown_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "long" * 60
    runs = [make_run(tmp_path / "plain", [4.0, 3.0]), make_run(tmp_path / name, [4.0, 2.5], vary=[{"name": "mix"}])]
    say_comparison(compare(by_configuration([read_run(each) for each in runs])))
    shown = capsys.readouterr().out
    rows = [line.split() for line in shown.splitlines() if line.startswith(f"  {name} ") and " is " not in line]
    assert rows and all(row[-1] == "-" and {"3.0000", "2.5000", "-0.5000"} <= set(row) for row in rows)
    assert "\N{HORIZONTAL ELLIPSIS}" not in shown
