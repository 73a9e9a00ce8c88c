import json
from pathlib import Path

import pytest
from command_line import CommandLine


def test_a_run_keeps_what_a_report_tells_of_it(evoweights: CommandLine) -> None:
    assert evoweights("run", "small.yaml").code == 0
    info, result = (json.loads(Path(f"runs/small/{name}.json").read_text()) for name in ("info", "result"))
    assert info == {**info, "individual": "individual", "unit": "evaluations", "genes": 4, "shared_genes": 0}
    assert result["sample"] is None and len(result["table"]) == 2
    assert not any(str(Path.cwd()) in Path(f"runs/small/{name}.json").read_text() for name in ("info", "result"))


def test_report_says_where_the_page_is(evoweights: CommandLine) -> None:
    evoweights("run", "small.yaml")
    evoweights("run", "small.yaml", "seed=8", "name=other")
    assert evoweights("report", "runs/small").out == "runs/small/report.html\n"
    assert "4 of 4 generations" in Path("runs/small/report.html").read_text()
    both = evoweights("report", "runs/small", "runs/other", "--to", "pages/both.html")
    assert (both.code, both.out) == (0, "pages/both.html\n")
    assert "2 runs side by side" in Path("pages/both.html").read_text()


def test_a_run_goes_on_beside_its_report(evoweights: CommandLine) -> None:
    evoweights("run", "small.yaml")
    evoweights("report", "runs/small")
    assert evoweights("verify", "runs/small").code == 0
    assert "is finished" in evoweights("run", "small.yaml").err


@pytest.mark.parametrize(("words", "code", "what"), [
    (["runs/smal"], 2, "'small'"),
    (["runs/small", "--to", "runs"], 2, "is a folder"),
    (["runs/small", "--to", "runs/small/config.yaml"], 2, "does not end in .html"),
    (["runs/small", "--to", "small.yaml/page.html"], 7, "could not be written"),
])  # fmt: skip
def test_what_cannot_be_reported_is_one_error(evoweights: CommandLine, words: list[str], code: int, what: str) -> None:
    evoweights("run", "small.yaml")
    outcome = evoweights("report", *words)
    assert outcome.code == code and outcome.err.startswith("error: ") and what in outcome.err, outcome.err


@pytest.mark.parametrize("name", ["info.json", "result.json"])
def test_a_damaged_note_is_named_and_the_run_goes_on_without_it(evoweights: CommandLine, name: str) -> None:
    evoweights("run", "small.yaml")
    (Path("runs/small") / name).write_text("[1, 2]")
    for command in ("report", "verify"):
        outcome = evoweights(command, "runs/small")
        assert outcome.code == 4 and f"{name} is JSON, but no mapping" in outcome.err + outcome.out
    (Path("runs/small") / name).unlink()
    assert evoweights("report", "runs/small").code == 0
