"""What evolving subnetwork training must beat: its optimizer on the whole model, for as many tokens or FLOPs."""

import pytest
from test_est_runs import config_of

from evoweights.comparing.measured import read_run
from evoweights.runs.controls import Planned, carry_out, controls_called, controls_of, plan
from evoweights_est.controls import relative_cost


def planned(config, *names):
    return plan(config, controls_called(config, names), left_out=lambda line: None)


def test_both_say_something_about_runs_that_train_by_subnetworks_alone(tmp_path):
    names = {"full", "full_flops"}
    assert names <= {each.name for each in controls_of(config_of(tmp_path))}
    mixed = config_of(tmp_path, improve=[{"name": "est"}, {"name": "adamw"}])
    assert names & {each.name for each in controls_of(mixed)} == {"full"}
    assert not names & {each.name for each in controls_of(config_of(tmp_path, improve=[{"name": "adamw"}]))}


def test_the_whole_model_is_trained_by_the_same_optimizer_in_the_same_generations(tmp_path):
    config = config_of(tmp_path)
    (full,) = planned(config, "full")
    (entry,) = full.config.improve
    assert entry.component == config.improve[0].component.optimizer and entry.phase == config.improve[0].phase
    assert full.config.generations == config.generations


GROUPED = {
    "model_type": "llama", "num_hidden_layers": 4, "hidden_size": 32, "num_attention_heads": 8, "num_key_value_heads": 2,
    "intermediate_size": 48, "max_position_embeddings": 32,
}  # fmt: skip
"""Half of the query heads are two of every key-value head, so that keys and values stay whole."""


@pytest.mark.parametrize(
    ("population", "sizes"), [("individuals", None), ("experts", None), ("individuals", GROUPED)], ids=str
)
def test_the_cost_that_is_planned_with_is_that_of_the_ledger(tmp_path, population, sizes):
    config = config_of(tmp_path, population=population, sizes=sizes)
    (full,) = planned(config, "full")
    for each in (Planned("est", config), full):
        carry_out(each)
    spent = [read_run(folder).curves["flops"].last for folder in (config.output / config.name, full.folder)]
    assert spent[0] / spent[1] == pytest.approx(relative_cost(config), rel=1e-3)


def test_as_many_flops_are_fewer_generations(tmp_path):
    config = config_of(tmp_path, generations=20)
    (short,) = planned(config, "full_flops")
    assert short.config.generations == round(20 * relative_cost(config)) < 20
