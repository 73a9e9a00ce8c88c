"""Numbers that no step can be done with, and logs that were changed: each is said in one sentence, and nothing is lost."""

import json
import math

import pytest
import torch
from strategies_under_test import Told, Vector, genes, moment, mounted_on

from engine_runs import config_in
from evoweights.errors import CheckpointError, UsageError
from evoweights.improvers import NonFiniteStep
from evoweights.runs import session
from evoweights.runs.replay import replay
from evoweights_es.es import EvolutionStrategy
from evoweights_es.estimators import Antithetic
from evoweights_es.shaping import CentredRank, LeaveOneOut, Raw, ZScore

STEP = {"name": "es", "steps": 2, "members": 4, "check_every": 0}


def one_step(scale, **settings):
    """The report of one step on losses of this scale, and whether the weights have changed."""
    strategy = EvolutionStrategy(members=4, check_every=1, **settings)
    found, reports = mounted_on(Vector(50)), []
    before = genes(found)
    try:
        strategy.step(
            found, Told(lambda module: scale * module().double().square().sum()[None]), moment(reports=reports)
        )
    except NonFiniteStep:
        return None, genes(found) != before
    return reports[0], genes(found) != before


@pytest.mark.parametrize("decay", [0.0, 1e-300, 0.5])
@pytest.mark.parametrize("by_sigma", [False, True])
def test_sigma_decays_to_the_smallest_that_can_be_set_and_no_further(decay, by_sigma):
    strategy = EvolutionStrategy(members=4, sigma_decay=decay, by_sigma=by_sigma, check_every=1)
    found, reports = mounted_on(Vector(50)), []
    for step in range(1, 60):
        strategy.step(found, Told(lambda module: module().square().sum()[None]), moment(step, reports=reports))
    assert reports[0]["sigma"] == 1e-3 and reports[-1]["sigma"] == 1e-12
    assert bool(torch.isfinite(found.own.weights).all())


@pytest.mark.parametrize("shaping", [ZScore(), CentredRank(), LeaveOneOut(), Raw()], ids=lambda each: each.name)
@pytest.mark.parametrize("scale", [1e30, 1e150, 1e300])
def test_a_loss_beyond_float32_is_a_failed_member_and_no_overflow(shaping, scale):
    report, has_changed = one_step(scale, shaping=shaping, estimator=Antithetic(), learning_rate=1e-30)
    if report is None:
        assert scale > 1e38 and not has_changed
    else:
        assert report["failed_members"] == (4 if scale > 1e38 else 0) and math.isfinite(report["spread"])


def test_a_step_that_float32_cannot_hold_is_not_taken():
    report, has_changed = one_step(1e30, shaping=Raw(), estimator=Antithetic(), by_sigma=True, learning_rate=1e12)
    assert report is None and not has_changed


@pytest.mark.parametrize("name", ["sigma", "learning_rate"])
def test_settings_beyond_float32_are_refused(name, tmp_path):
    with pytest.raises(UsageError, match=rf"improve\.0\.{name}: found 1e\+300"):
        config_in(tmp_path, improve=[{**STEP, name: 1e300}], vary=[])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of four steps."""
    folder = tmp_path_factory.mktemp("log")
    individuals = {"name": "individuals", "size": 1}
    session.run(config_in(folder, improve=[STEP], vary=[], generations=2, population=individuals))
    return folder / "runs" / "digits"


CHANGES = {
    "another row": {"row": 5},
    "a row below": {"row": -1},
    "no row": {"row": None},
    "a row in words": {"row": "first"},
    "another entry": {"entry": "0-adamw"},
    "an entry that is a list": {"entry": ["0-es"]},
    "no generation": {"generation": None},
    "a generation in words": {"generation": "one"},
    "a step in words": {"step": "2"},
    "no weights": {"weights": None},
    "too few weights": {"weights": [1.0, 2.0]},
    "too many weights": {"weights": [1.0] * 5},
    "weights in words": {"weights": ["a"] * 4},
    "weights that are no numbers": {"weights": ["nan"] * 4},
    "huge weights": {"weights": [1e300, 0.0, 0.0, 0.0]},
    "other weights": {"weights": [1.0, -1.0, 0.0, 0.0]},
}


FOUND = "|".join(
    [
        r"has (no weights of 4 members|weights that make a step too large for float32 .*) for a step of es: it or",
        r"step 2 is of generation .* and the entries .*The log or config\.yaml was changed",
        "step 2 of 4 is missing",
        r"The replay differs from .*the log or config\.yaml was changed",
    ]
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda each: each.replace(" ", "_"))
@pytest.mark.parametrize("is_dropped", [False, True], ids=["changed", "dropped"])
def test_a_line_that_was_changed_is_found_and_named(run, change, is_dropped):
    log = run / "steps.jsonl"
    kept = log.read_text()
    lines = [json.loads(line) for line in kept.splitlines()]
    lines[1].update(CHANGES[change])
    if is_dropped:
        lines[1] = {key: value for key, value in lines[1].items() if key not in CHANGES[change]}
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    try:
        with pytest.raises(
            CheckpointError,
            match=FOUND,
        ):
            replay(run)
    finally:
        log.write_text(kept)
    assert replay(run).steps == 4


@pytest.mark.parametrize(
    ("old", "new"), [("members: 4", "members: 6"), ("seed: ", "seed: 1"), ("one_sided", "antithetic")]
)
def test_a_configuration_that_was_changed_is_found(run, old, new):
    file = run / "config.yaml"
    kept = file.read_text()
    assert old in kept
    file.write_text(kept.replace(old, new))
    try:
        with pytest.raises(CheckpointError, match=r"config\.yaml was changed"):
            replay(run)
    finally:
        file.write_text(kept)
