"""The page shows what a run has, leaves out with a word what it has not, and needs nothing from elsewhere."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from recorded_runs import record_run

from evoweights.errors import CheckpointError, UsageError
from evoweights.report.page import render, write_report

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

EVERY = ["loss", "distance", "family", "jumps", "sources", "credit", "spending", "ledger", "sample"]


class Page(HTMLParser):
    """What is in a page: ids, visible words, scripts, and what its elements refer to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words = ""
        self.scripts: list[str] = []
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._inside.append(tag)
        self.ids += [value for key, value in attrs if key == "id" and value]
        self.links += [value for key, value in attrs if key in ("src", "href", "action", "data") and value]

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._inside and self._inside[-1] == "script":
            self.scripts.append(data)
        elif "style" not in self._inside:
            self.words += data


def pictures(page: Page, part: str = "run-0") -> list[str]:
    sections = [each.removeprefix(f"{part}-") for each in page.ids if each.startswith(f"{part}-")]
    return [each for each in sections if not re.search(r"-\d+$", each)]


def drawings(page: Page) -> list[Any]:
    return [json.loads(each) for each in page.scripts if each.startswith('{"document"')]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that recorded everything."""
    return record_run(tmp_path_factory.mktemp("runs") / "full", sample="The function returns\na list.")


def test_a_full_run_has_every_picture(full: Path) -> None:
    page = Page(render([full]))
    assert sorted(pictures(page)) == sorted(EVERY)
    assert "Not shown" not in page.words and "The function returns\na list." in page.words
    assert "unigram entropy 6.3300" in json.dumps(drawings(page))


def test_every_figure_has_its_place(full: Path) -> None:
    page = Page(render([full]))
    (drawing,) = drawings(page)
    assert {root["id"] for root in drawing["document"]["roots"]} == set(drawing["places"])
    assert len(drawing["places"]) >= 9 and set(drawing["places"].values()) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_nothing_is_asked_of_any_other_place(full: Path) -> None:
    text = render([full])
    page = Page(text)
    assert page.links == [] and "link" not in page.tags and "iframe" not in page.tags
    assert "default-src 'none'" in text and "unsafe-eval" not in text
    assert not re.search(r"@import|url\((?!\"?data:)", text.partition("</style>")[0])


def test_titles_say_what_is_seen(full: Path) -> None:
    words = Page(render([full])).words
    assert re.search(r"Validation loss went from \d\.\d{4} to \d\.\d{4}; lowest: \d\.\d{4}, expert \d", words)
    assert re.search(r"Distance between experts went from [\d.]+ to [\d.]+", words)
    assert "58 rewritings; 3 of 3 first experts have descendants, all of one blend" in words


def test_titles_say_no_more_than_is_known(tmp_path: Path) -> None:
    def alike(record: dict[str, Any]) -> None:
        record["distance"] = 1e-300
        for each in record["varied"]:
            each["losses"] = [5.0, 5.0 - 3e-5, 5.0]

    page = Page(render([record_run(tmp_path / "short", generations=12, change=alike)]))
    assert re.search(r"Switching moved the training loss by [+-][\d.]+ \(median\)", page.words)
    assert "went from under 1e-09 to under 1e-09: they are near-copies" in page.words
    assert "pso (-3e-05) helps; crossover (+3e-05) hurts" in page.words


def test_of_few_changes_none_lies_outside_the_picture(tmp_path: Path) -> None:
    def one_far_away(record: dict[str, Any]) -> None:
        for each in record["varied"]:
            each["losses"] = [5.0, 5.0 - (4.0 if record["generation"] == 3 else 0.01), 5.0]

    page = Page(render([record_run(tmp_path / "run", generations=20, change=one_far_away)]))
    (drawing,) = drawings(page)
    roots = {drawing["places"][root["id"]]: root for root in drawing["document"]["roots"]}
    assert roots["run-0-credit-0"]["attributes"]["x_range"]["attributes"]["start"] < -4.0


# What runs of earlier versions do not have, and what is then said.
LACKING = {
    "distances": "no distances of single pairs",
    "ledger": "not recorded",
    "losses": "gain per operator, because losses before and after operators were not recorded",
}


@pytest.mark.parametrize("key", LACKING)
def test_a_run_from_before_something_was_recorded_is_shown_without_it(tmp_path: Path, key: str) -> None:
    def older(record: dict[str, Any]) -> None:
        for place in (record, *record["varied"]):
            place.pop(key, None)

    folder = record_run(tmp_path / "older", change=older)
    for name in ("info.json", "result.json", "environment.json"):
        (folder / name).unlink()
    page = Page(render([folder]))
    assert LACKING[key] in page.words and "individual 0" in page.words
    assert {"loss", "distance", "family"} <= set(pictures(page))


def test_a_run_of_one_individual_that_nothing_rewrites_is_shown(tmp_path: Path) -> None:
    page = Page(render([record_run(tmp_path / "one", size=1)]))
    assert pictures(page) == ["loss", "spending", "ledger"]
    assert "family tree, because there is only one expert" in page.words


def test_a_run_that_was_never_measured_is_shown(tmp_path: Path) -> None:
    def unknown(record: dict[str, Any]) -> None:
        record.update(fitness=[None] * 3, best_row=None, best_fitness=None, distance=None, distances=None)

    page = Page(render([record_run(tmp_path / "blind", change=unknown)]))
    assert "no expert has been measured yet" in page.words and "jumps" in pictures(page)


def test_a_run_in_progress_says_how_far_it_is(tmp_path: Path) -> None:
    folder = record_run(tmp_path / "half", generations=7, settings={"generations": 20})
    (folder / "DONE").unlink()
    (folder / "FAILED").write_text("out of disk\n")
    words = Page(render([folder])).words
    assert "7 of 20 generations" in words and "The run is failed: out of disk" in words


def test_generations_that_are_from_the_environment_are_not_known(tmp_path):
    folder = record_run(tmp_path / "run", generations=7, settings={"generations": "${oc.env:GENERATIONS}"})
    assert "7 generations, " in Page(render([folder])).words


def test_an_individual_that_failed_is_named(tmp_path: Path) -> None:
    def fails(record: dict[str, Any]) -> None:
        if record["generation"] >= 4:
            record["failed"], record["fitness"][2] = [2], None

    assert "Expert 2 had failed in generation 4" in Page(render([record_run(tmp_path / "run", change=fails)])).words


HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \"'{{ 7 * 7 }}<!-- $$x$$"


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    def spoil(record: dict[str, Any]) -> None:
        record["seconds"][HOSTILE] = 1.0
        for each in record["varied"]:
            each["operators"] = [f"0-{HOSTILE}", "1-crossover"]

    hostile = {"individual": HOSTILE, "unit": HOSTILE, "references": {HOSTILE: 5.0}}
    settings = {"task": {"name": HOSTILE, "model": HOSTILE}, "improve": [{"name": HOSTILE}]}
    folder = record_run(tmp_path / "x", sample=HOSTILE, info=hostile, settings=settings, change=spoil)
    (folder / "overrides.txt").write_text(f"name={HOSTILE}\n")
    (folder / "environment.json").write_text(json.dumps({"device": HOSTILE, "plugins": {HOSTILE: HOSTILE}}))
    plain, spoiled = Page(render([record_run(tmp_path / "y", sample="text")])), Page(render([folder]))
    assert spoiled.tags.count("script") == plain.tags.count("script") and "img" not in spoiled.tags
    assert HOSTILE in spoiled.words and "49" not in spoiled.words.partition("Configuration")[0].partition("alert")[0]
    assert len(drawings(spoiled)) == 1


# Numbers up to the largest of float32, in which losses are computed.
CURIOUS = st.one_of(
    st.none(), st.sampled_from(["nan", "inf", "-inf"]), st.floats(0, 3e38), st.integers(-(10**30), 10**30)
)


@settings(
    max_examples=15, suppress_health_check=[HealthCheck.too_slow], phases=[Phase.generate]
)  # shrinking takes minutes
@given(data=st.data())
def test_no_number_breaks_the_page(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 4))

    def curious(record: dict[str, Any]) -> None:
        record["fitness"] = data.draw(st.lists(CURIOUS, min_size=size, max_size=size))
        record["best_fitness"], record["distance"] = data.draw(CURIOUS), data.draw(CURIOUS)
        record["tokens"] = data.draw(CURIOUS)
        record["ledger"] = {key: data.draw(CURIOUS) for key in ("flops", "joules", "bytes_moved")}
        record["seconds"] = {"improve": data.draw(CURIOUS)}
        for each in record["improved"]:
            each["mean_loss"], each["jump"] = data.draw(CURIOUS), data.draw(CURIOUS)
        for each in record["varied"]:
            each["losses"] = data.draw(st.lists(CURIOUS, min_size=3, max_size=3))

    folder = record_run(tmp_path_factory.mktemp("runs") / "run", generations=3, size=size, change=curious)
    page = Page(render([folder]))
    assert "ledger" in pictures(page) and len(drawings(page)) == 1


@pytest.mark.parametrize("size", [2, 11, 70])
def test_populations_of_any_size_are_shown(tmp_path: Path, size: int) -> None:
    page = Page(render([record_run(tmp_path / "run", generations=15, size=size)]))
    assert {"loss", "distance", "family", "jumps", "credit"} <= set(pictures(page))


def test_ten_thousand_generations_take_at_most_five_megabytes(long_page: Path) -> None:
    page = long_page.read_text("utf-8")
    assert long_page.stat().st_size <= 5_000_000
    assert "10,000 of 10,000 generations" in page and "the first, last, lowest and highest of each stretch" in page


def test_several_runs_are_compared_and_each_is_shown(tmp_path: Path) -> None:
    def worse(record: dict[str, Any]) -> None:
        record["best_fitness"] += 0.5

    folders = [record_run(tmp_path / f"a-s{seed}", settings={"seed": seed}) for seed in (1, 2)]
    folders += [
        record_run(tmp_path / f"b-s{seed}", settings={"seed": seed, "vary": []}, change=worse) for seed in (1, 2)
    ]
    page = Page(render(folders))
    assert pictures(page, "versus") == ["versus-tokens", "versus-flops", "versus-seconds"]
    assert re.search(r"At equal tokens: b is higher by 0\.\d+ \(95 % interval .*, 2 seeds\)", page.words)
    assert "b differs from a in vary.0: pso -> none" in page.words
    assert [pictures(page, f"run-{index}") != [] for index in range(4)] == [True] * 4 and len(drawings(page)) == 5


def test_runs_that_cannot_be_compared_are_shown_all_the_same(tmp_path: Path) -> None:
    folders = [record_run(tmp_path / name, settings={"task": {"name": name}}) for name in ("digits", "function")]
    page = Page(render(folders))
    assert "comparison, because" in page.words and "task" in page.words and "loss" in pictures(page, "run-1")


def test_the_page_is_written_where_it_is_looked_for(tmp_path: Path) -> None:
    folders = [record_run(tmp_path / "runs" / name, settings={"seed": seed}) for seed, name in enumerate("ab")]
    assert write_report(folders[:1]) == folders[0] / "report.html"
    assert write_report(folders) == tmp_path / "runs" / "report.html"
    assert write_report(folders[:1], to=tmp_path / "new" / "page.html").read_text().startswith("<!DOCTYPE html>")
    with pytest.raises(UsageError, match=r"--to: .* is a folder\. Give the name of a file"):
        write_report(folders[:1], to=tmp_path / "runs")


def test_what_is_no_run_is_one_clear_error(tmp_path: Path, full: Path) -> None:
    with pytest.raises(UsageError, match="is no run"):
        render([tmp_path / "none"])
    with pytest.raises(UsageError, match="no generation is over yet, so there is nothing to look at"):
        new = record_run(tmp_path / "new", generations=0, settings={"generations": 5})
        (new / "DONE").unlink()
        render([new])
    damaged = record_run(tmp_path / "damaged")
    (damaged / "info.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"info\.json is not JSON"):
        render([damaged])
