"""Presets hold the numbers that were published, and say where."""

import pytest

from engine_runs import config_in
from evoweights.plugins.loading import load_plugins
from evoweights_es.presets import ALL

PUBLISHED = {
    "ea4llm": {
        **{"members": 30, "sigma": 1e-3, "learning_rate": 5e-4, "by_sigma": False, "sigma_decay": 1.0},
        **{"learning_rate_decay": 1.0, "weight_decay": 0.0, "anchor": 0.0},
        **{"perturbation": "gaussian", "shaping": "z_score", "estimator": "one_sided", "update": "plain"},
    },
    "es_at_scale": {
        **{"members": 30, "sigma": 1e-3, "learning_rate": 5e-4, "by_sigma": False, "weight_decay": 0.0},
        **{"perturbation": "gaussian", "shaping": "z_score", "estimator": "one_sided", "update": "plain"},
    },
    "mezo": {
        **{"members": 2, "sigma": 1e-3, "learning_rate": 1e-6, "by_sigma": True, "learning_rate_decay": 1.0},
        **{"perturbation": "gaussian", "shaping": "raw", "estimator": "antithetic", "update": "plain"},
    },
    "openai_es": {
        **{"sigma": 0.02, "learning_rate": 0.01, "weight_decay": 0.005},
        **{"perturbation": "gaussian", "shaping": "centred_rank", "estimator": "antithetic", "update": "adam"},
    },
    "eggroll": {
        **{"sigma": 1e-3, "by_sigma": False},
        **{"perturbation": "low_rank", "shaping": "z_score", "estimator": "antithetic", "update": "plain"},
    },
    "es_recommended": {
        **{"perturbation": "low_rank", "shaping": "leave_one_out", "estimator": "one_sided", "update": "adam"},
    },
}


def component_of(folder, preset):
    """The strategy that a configuration gets which names the preset and nothing else of it."""
    values = {"preset": preset, "improve": [{"name": "es"}], "vary": []}
    return config_in(folder, values).improve[0].component


@pytest.mark.parametrize("preset", PUBLISHED)
def test_presets_have_the_published_numbers(tmp_path, preset):
    component = component_of(tmp_path, preset)
    found = {name: getattr(component, name) for name in PUBLISHED[preset]}
    assert {name: getattr(each, "name", each) for name, each in found.items()} == PUBLISHED[preset]


def test_every_preset_is_held_to_what_was_published():
    assert {each.name for each in ALL} == set(PUBLISHED)


@pytest.mark.parametrize(
    ("preset", "part", "settings"),
    [
        ("openai_es", "shaping", {"bound": 0.5}),
        ("openai_es", "update", {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}),
        ("eggroll", "perturbation", {"rank": 1, "vectors": "frozen"}),
        ("es_recommended", "perturbation", {"rank": 1}),
        ("es_recommended", "update", {"beta1": 0.6, "beta2": 0.99}),
        ("ea4llm", "perturbation", {"density": 1.0, "scope": "all"}),
    ],
)
def test_parts_have_the_published_numbers(tmp_path, preset, part, settings):
    chosen = getattr(component_of(tmp_path, preset), part)
    assert {name: getattr(chosen, name) for name in settings} == settings


@pytest.mark.parametrize("preset", ALL, ids=lambda each: each.name)
def test_presets_are_one_individual_and_name_their_source(tmp_path, preset):
    values = load_plugins(folder=tmp_path).catalog.find_preset(preset.name)
    assert values.values["population"] == {"name": "individuals", "size": 1}
    assert "arXiv" in values.source and values.doc.endswith(".")
