"""The table is divided fairly and nothing of the hidden part leaks; a genetic algorithm learns it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from evoweights_wine import Wine
from evoweights_wine.tables import wines

from evoweights import Noise, TaskPlace, seeded
from evoweights.errors import UsageError

CONFIG = Path(__file__).parents[1] / "wine.yaml"


def opened(seed=1, **settings):
    return Wine(**settings).open(TaskPlace(Path(), Noise(seed, "task"), torch.device("cpu")))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("fitness", "test"), [(0.6, 0.25), (0.15, 0.25), (0.05, 0.9), (0.9, 0.05)])
def test_every_row_is_in_one_part_and_every_part_has_all_kinds_alike(seed, fitness, test):
    task = opened(seed, fitness_share=fitness, test_share=test)
    rows = torch.cat([task.rows[part] for part in ("train", "fitness", "test")])
    assert sorted(rows.tolist()) == list(range(178))
    for part, share in (("fitness", fitness), ("test", test), ("train", 1 - fitness - test)):
        counts = torch.bincount(task.parts[part][1], minlength=3)
        assert (
            counts.tolist() == [pytest.approx(share * kind, abs=1) for kind in (59, 71, 48)] and int(counts.min()) > 0
        )


def test_what_nobody_sees_changes_nothing_that_is_seen(monkeypatch):
    from evoweights_wine import task as module

    plain, table = opened(), module.wines

    def other():
        measured, kinds = table()
        measured[plain.rows["test"]] += 100.0
        return measured, kinds

    monkeypatch.setattr(module, "wines", other)
    changed = opened()
    for part in ("train", "fitness"):
        assert torch.equal(changed.parts[part][0], plain.parts[part][0])
    assert not torch.equal(changed.parts["test"][0], plain.parts["test"][0])
    for index in range(5):
        assert torch.equal(changed.batch(index)[0], plain.batch(index)[0])


def test_what_is_seen_has_mean_0_and_deviation_1():
    task = opened()
    seen = torch.cat([task.parts["train"][0], task.parts["fitness"][0]])
    assert torch.allclose(seen.mean(0), torch.zeros(13), atol=1e-5)
    assert torch.allclose(seen.std(0), torch.ones(13), atol=1e-5)


def test_division_and_batches_follow_from_the_seed():
    first, again, other = opened(1), opened(1), opened(2)
    for part in ("train", "fitness", "test"):
        assert torch.equal(first.parts[part][0], again.parts[part][0])
    assert torch.equal(first.batch(3)[0], again.batch(3)[0]) and not torch.equal(first.batch(3)[0], first.batch(4)[0])
    assert not torch.equal(first.rows["train"], other.rows["train"])
    rows = {tuple(row) for row in first.parts["train"][0].tolist()}
    assert {tuple(row) for index in range(20) for row in first.batch(index)[0].tolist()} <= rows


def test_shares_that_leave_nothing_to_train_on_are_refused():
    with pytest.raises(UsageError, match=r"0\.7 and 0\.3 leave less than 0\.05 of the rows"):
        opened(fitness_share=0.7, test_share=0.3)


def test_the_table_is_that_of_the_repository():
    table, kinds = wines()
    assert table.shape == (178, 13) and torch.bincount(kinds).tolist() == [59, 71, 48]
    assert float(table[:, 0].double().mean()) == pytest.approx(13.0006, abs=1e-3)  # alcohol, in percent


def test_gradient_steps_learn_it_and_a_fresh_network_knows_nothing():
    task = opened(fitness_share=0.15)
    with seeded(Noise(2, "model")):
        module = task.build()
    start = task.evaluate(module)
    assert start > 0.6 * task.references()["uniform_guess"]
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    for index in range(200):
        optimizer.zero_grad()
        task.loss(module, task.batch(index)).backward()
        optimizer.step()
    assert task.evaluate(module) < 0.6 * start


def test_the_genetic_algorithm_learns_what_nobody_has_seen(tmp_path):
    words = [
        sys.executable,
        "-m",
        "evoweights",
        "run",
        str(CONFIG),
        "generations=60",
        "observers=[{name: console}]",
        "device=cpu",
    ]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    right, rows = map(int, re.search(r"(\d+) of (\d+) wines that nobody", done.stdout).groups())
    assert rows >= 40 and right / rows > 0.75  # one in three by chance
