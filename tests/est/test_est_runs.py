"""Runs with subnetworks: stopped in the middle of a stage, inside EOE, from presets and from the command line's words."""

import json
import re
import signal

import pytest

from engine_runs import StopAt, config_in, observe
from evoweights.errors import EvoweightsError, RunStopped
from evoweights.runs import session
from evoweights.testing import population_digest
from evoweights_est.est import SubnetworkTraining
from evoweights_est.presets import ALL

SIZES = {"model_type": "gpt2", "n_layer": 4, "n_embd": 16, "n_head": 4, "n_positions": 64}
POPULATIONS = {
    "individuals": {"name": "individuals", "size": 2},
    "experts": {"name": "experts", "blocks_per_expert": 2},
}


def config_of(folder, *, population="individuals", sizes=None, task=None, est=None, **top):
    """Twelve steps of two individuals: four in the first stage, four in the second, four in the third."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(sizes or SIZES))
    (folder / "text.txt").write_text("".join(f"{i}: the {i * 7 % 12}th gene of a genome\n" for i in range(400)))
    values = {
        "name": "est",
        "generations": 4,
        "task": {
            "name": "language_model", "model": str(folder / "config.json"), "data": "text", "tokenizer": "bytes",
            "files": [str(folder / "text.txt")], "context": 16, "batch": 2, "validation_tokens": 64, "sample_tokens": 4,
            **(task or {}),
        },
        "population": POPULATIONS[population],
        "improve": [
            {
                "name": "est", "layers_until": 1 / 3, "widths_until": 2 / 3, **(est or {}),
                "optimizer": {"steps": 3, "learning_rate": 1e-2},
            }
        ],
    }  # fmt: skip
    return config_in(folder, values | top)


@pytest.mark.parametrize("population", POPULATIONS)
@pytest.mark.parametrize("sampling", ["random", "window"])
def test_a_run_stopped_in_the_middle_of_a_stage_ends_with_the_same_bits(tmp_path, population, sampling):
    """Once in the first stage and once in the second."""
    est = {"sampling": sampling, "resample_every": 2}
    digests = {}
    for name in ("whole", "stopped"):
        for step in (2, 5) if name == "stopped" else ():
            config = config_of(tmp_path / name, population=population, est=est)
            observe(config, StopAt(step, signal.SIGTERM))
            with pytest.raises(RunStopped):
                session.run(config)
        session.run(config_of(tmp_path / name, population=population, est=est))
        digests[name] = population_digest(tmp_path / name / "runs" / "est")
    assert digests["stopped"] == digests["whole"]


@pytest.mark.parametrize("dtype", ["bfloat16", "mixed"])
def test_a_run_in_another_type_ends_finite(tmp_path, dtype):
    result = session.run(config_of(tmp_path, task={"dtype": dtype, "micro_batch": 1}))
    assert 0 < result.best_fitness < 6


def test_a_run_with_all_shares_at_one_has_the_weights_of_plain_adamw(tmp_path):
    whole = dict.fromkeys(("heads", "neurons", "layers"), 1.0)
    plain = [{"name": "adamw", "steps": 3, "learning_rate": 1e-2}]
    found = []
    for name, changed in (("est", {"est": whole}), ("adamw", {"improve": plain})):
        session.run(config_of(tmp_path / name, **changed))
        found.append((tmp_path / name / "runs" / "est" / "best" / "genome.safetensors").read_bytes())
    assert found[0] == found[1]


def test_experts_train_on_subnetworks_and_evolve(tmp_path):
    vary = [{"name": "crossover", "rate": 0.5, "direction": "current_to_others", "start": 1}]
    result = session.run(config_of(tmp_path, population="experts", vary=vary, generations=6))
    lines = [json.loads(line) for line in (tmp_path / "runs" / "est" / "metrics.jsonl").read_text().splitlines()]
    assert any(line["varied"] for line in lines)
    assert result.best_fitness < result.table[0].start - 0.05


def test_a_subnetwork_of_compiled_blocks_is_not_compiled_anew_at_every_step(tmp_path, monkeypatch):
    import torch._dynamo

    from evoweights_lm import compiling

    monkeypatch.setattr(compiling, "BACKEND", "eager")
    torch._dynamo.reset()
    try:
        plain = session.run(config_of(tmp_path / "plain"))
        with torch._dynamo.config.patch(recompile_limit=4, fail_on_recompile_limit_hit=True):
            compiled = session.run(config_of(tmp_path / "compiled", task={"compile": "on"}))
    finally:
        torch._dynamo.reset()
    assert compiled.best_fitness == pytest.approx(plain.best_fitness, rel=1e-4)


PUBLISHED = [each for each in ALL if "published" in each.doc]


@pytest.mark.parametrize("preset", PUBLISHED, ids=lambda each: each.name)
def test_presets_are_one_individual_with_the_published_schedule(tmp_path, preset):
    config = config_in(tmp_path, {"preset": preset.name, "improve": [{"name": "est"}], "vary": [], "task": _task()})
    improver, until = config.improve[0].component, {"est_gpt2": (20 / 150, 70 / 150), "est_tinyllama": (1 / 6, 5 / 12)}
    assert (improver.heads, improver.neurons, improver.layers) == (0.5, 0.5, 0.5)
    assert (improver.layers_until, improver.widths_until) == until[preset.name]
    assert (improver.scale_heads, improver.scale_neurons, improver.scale_layers) == (True, True, False)
    assert (improver.sampling, improver.resample_every, improver.optimizer.name) == ("random", 1, "adamw")
    assert "arXiv 2406.06962" in preset.source and preset.doc.endswith(".")


def _task():
    return {"name": "language_model", "model": "gpt2-nano", "data": "python_docs"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"est": {"heads": 1.5}}, r"heads.*1\.5.*from 0\.0 to 1\.0"),
        ({"est": {"sampling": "windows"}}, "sampling.*windows.*random, window"),
        ({"est": {"resample_every": 0}}, "resample_every.*at least 1"),
        ({"est": {"neuron": 0.5}}, "neuron.*Did you mean 'neurons'"),
        ({"improve": [{"name": "est", "optimizer": "es"}]}, "optimizer: es cannot take steps on a subnetwork"),
        ({"improve": [{"name": "est", "optimizer": {"name": "sgd"}}]}, "no improve is called 'sgd'"),
        (
            {"task": {"name": "digits", "train_images": 64}},
            "improve est: it draws heads and neurons of models built like GPT-2 or like Llama .*, but found ",
        ),
    ],
    ids=["share", "sampling", "resample", "name", "es", "unknown", "no heads"],
)
def test_what_cannot_be_is_refused_in_words(tmp_path, changed, message):
    task = changed.get("task")
    with pytest.raises(EvoweightsError) as caught:
        if task and "name" in task:
            values = {"improve": [{"name": "est"}], "vary": [], "task": task}
            session.run(config_in(tmp_path, values))
        else:
            config_of(tmp_path, **changed)
    assert re.search(message, str(caught.value)), caught.value
    assert not list(tmp_path.glob("runs/*/checkpoints/*"))


def test_its_steps_and_slots_are_those_of_the_optimizer(tmp_path):
    improver = config_of(tmp_path).improve[0].component
    assert isinstance(improver, SubnetworkTraining)
    assert improver.steps == improver.optimizer.steps == 3
    assert improver.slots == improver.optimizer.slots
