"""The ledger counts what a subnetwork really computes: the formula beside torch's counter, by stage and over a run."""

import dataclasses
import json
from itertools import pairwise

import pytest
import torch
from est_cases import MODELS, subnetwork_of

from evoweights.founding import mount_blueprint
from evoweights.improvers import Moment
from evoweights.ledger.counting import flops_of
from evoweights.progress import Progress
from evoweights.seeds import Noise, seeded
from evoweights.task import TaskPlace
from evoweights.training import Feed
from evoweights_classic.adamw import AdamW
from evoweights_classic.individuals import Individuals
from evoweights_est.est import SubnetworkTraining
from evoweights_lm import LanguageModel

SAMPLINGS = ("random", "window")


def opened(folder, name, **changed):
    """A language task on a model of the cases, and the individual mounted for it."""
    with seeded(Noise(1)):
        config = MODELS[name]().config
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    (folder / "text.txt").write_text("".join(f"{i}: the {i * 7 % 12}th gene of a genome\n" for i in range(400)))
    settings = LanguageModel(
        model=str(folder / "config.json"), data="text", files=[str(folder / "text.txt")], tokenizer="bytes",
        context=24, batch=2, validation_tokens=64, **changed,
    )  # fmt: skip
    task = settings.open(TaskPlace(folder / "run", Noise(1), torch.device("cpu")))
    blueprint = Individuals(size=1).blueprint(task, Noise(1))
    return task, mount_blueprint(blueprint, torch.device("cpu"), improvers=[AdamW()])


@pytest.mark.parametrize("layers", [1.0, 0.5])
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("name", MODELS)
def test_the_formula_says_what_torch_counts(tmp_path, name, sampling, layers):
    task, mounted = opened(tmp_path, name)
    subnetwork = subnetwork_of(mounted, heads=0.5, neurons=0.3, layers=layers, sampling=sampling)
    with subnetwork.in_place():
        counted = flops_of(lambda: task.scores(mounted.module, task.batch(0)))
        formula = task.flops(mounted.module, subnetwork.mounted.share)
    assert formula == pytest.approx(counted, rel=0.02)
    assert formula < 0.9 * task.flops(mounted.module)


@pytest.mark.parametrize("recompute", ["none", "mlp"])
def test_a_run_has_computed_a_quarter_a_half_and_all_and_in_all_0_7333_of_the_layers(tmp_path, recompute):
    """Boundaries at 20/150 and 70/150 of 30 steps; what the head takes is left out."""
    task, mounted = opened(tmp_path, "gpt2", recompute=recompute)
    improver = SubnetworkTraining(optimizer=dataclasses.replace(AdamW(), learning_rate=0.0))
    progress, seen = Progress(), [0]
    feed = Feed(task, progress)
    for step in range(1, 31):
        noise = Noise(1)
        improver.step(mounted, feed, Moment(step, 30, noise.at(step), "cpu", noise))
        seen.append(progress.flops)
    costs = [after - before for before, after in pairwise(seen)]
    head = task.gradient_flops(mounted.module, lambda name: 0.0 if ".h." in name else 1.0)
    full = costs[-1] - head
    assert costs[-1] == task.gradient_flops(mounted.module)
    shares = [(cost - head) / full for cost in costs]
    assert shares == pytest.approx([0.25] * 4 + [0.5] * 10 + [1.0] * 16)
    assert sum(shares) / 30 == pytest.approx(0.7333, abs=1e-4)
