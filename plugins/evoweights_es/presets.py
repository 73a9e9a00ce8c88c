"""Published evolution strategies as settings of one component."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evoweights.catalog import Registrar

ONE = {"name": "individuals", "size": 1}


@dataclass(frozen=True)
class Published:
    """A method by name: what it sets, and where that is written."""

    name: str
    settings: Mapping[str, Any]
    doc: str
    source: str


ALL = (
    Published(
        "ea4llm",
        {
            "members": 30,
            "sigma": 1.0e-3,
            "learning_rate": 5.0e-4,
            "perturbation": {"name": "gaussian"},
            "shaping": {"name": "z_score"},
            "estimator": {"name": "one_sided"},
            "update": {"name": "plain"},
        },
        "EA4LLM as published: 30 members without pairs, z-scored fitness, no division by sigma, no decay.",
        "EA4LLM, arXiv 2510.10603",
    ),
    Published(
        "es_at_scale",
        {
            "members": 30,
            "sigma": 1.0e-3,
            "learning_rate": 5.0e-4,
            "perturbation": {"name": "gaussian"},
            "shaping": {"name": "z_score"},
            "estimator": {"name": "one_sided"},
            "update": {"name": "plain"},
        },
        "Evolution Strategies at Scale as published, for fine-tuning on a reward; its rule is that of EA4LLM.",
        "Qiu et al. 2025, arXiv 2509.24372",
    ),
    Published(
        "mezo",
        {
            "members": 2,
            "sigma": 1.0e-3,
            "learning_rate": 1.0e-6,
            "by_sigma": True,
            "perturbation": {"name": "gaussian"},
            "shaping": {"name": "raw"},
            "estimator": {"name": "antithetic"},
            "update": {"name": "plain"},
        },
        "MeZO as published for OPT: one pair a step, the slope along its direction, constant learning rate 1e-6.",
        "Malladi et al. 2023, arXiv 2305.17333",
    ),
    Published(
        "openai_es",
        {
            "members": 256,
            "sigma": 0.02,
            "learning_rate": 0.01,
            "by_sigma": True,
            "weight_decay": 0.005,
            "perturbation": {"name": "gaussian"},
            "shaping": {"name": "centred_rank", "bound": 0.5},
            "estimator": {"name": "antithetic"},
            "update": {"name": "adam"},
        },
        "OpenAI ES: pairs, centred ranks, Adam with 0.01, noise of 0.02, weight decay 0.005 (here decoupled).",
        "Salimans et al. 2017, arXiv 1703.03864, and its published code",
    ),
    Published(
        "eggroll",
        {
            "members": 256,
            "sigma": 1.0e-3,
            "learning_rate": 1.0e-3,
            "perturbation": {"name": "low_rank", "rank": 1, "vectors": "frozen"},
            "shaping": {"name": "z_score"},
            "estimator": {"name": "antithetic"},
            "update": {"name": "plain"},
        },
        "EGGROLL's composition for language models: pairs of rank 1 computed together, vectors frozen. Its published code "
        "scales the step by further factors, so the rate is to be tuned.",
        "Sarkar et al. 2025, arXiv 2511.16652",
    ),
    Published(
        "es_recommended",
        {
            "members": 64,
            "sigma": 3.0e-3,
            "learning_rate": 1.0e-2,
            "perturbation": {"name": "low_rank", "rank": 1},
            "shaping": {"name": "leave_one_out"},
            "estimator": {"name": "one_sided"},
            "update": {"name": "adam", "beta1": 0.6, "beta2": 0.99},
        },
        "What we recommend: members of rank 1 computed together, leave-one-out baseline, Adam.",
        "evoweights; its parts are of arXiv 2511.16652, arXiv 2609.10980 and arXiv 1412.6980",
    ),
)


def add_presets(catalog: Registrar) -> None:
    """Offer all of them."""
    for each in ALL:
        values = {"population": dict(ONE), "improve": [{"name": "es", **each.settings}]}
        catalog.preset(each.name, values, doc=each.doc, source=each.source)
