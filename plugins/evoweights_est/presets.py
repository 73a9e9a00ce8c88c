"""Schedules as settings of the improver: published ones, and the one that won in our comparison."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evoweights.catalog import Registrar

HALVES = {"heads": 0.5, "neurons": 0.5, "layers": 0.5}


@dataclass(frozen=True)
class Schedule:
    """A schedule by name: what it sets, and where that is written."""

    name: str
    settings: Mapping[str, Any]
    doc: str
    source: str


ALL = (
    Schedule(
        "est_gpt2",
        {**HALVES, "layers_until": 20 / 150, "widths_until": 70 / 150},
        "EST as published for GPT2-base: halves; 20,000, 50,000 and 80,000 steps of its three stages, of 150,000. Saves 26.7 %.",
        "Evolving Subnetwork Training, arXiv 2406.06962 (ICML 2024)",
    ),
    Schedule(
        "est_tinyllama",
        {**HALVES, "layers_until": 10 / 60, "widths_until": 25 / 60},
        "EST for TinyLlama-1.1B: halves, and stages of 10, 15 and 35 sixtieths of the run, which save the published 25.0 %; "
        "the saving is published, the boundaries are ours.",
        "Evolving Subnetwork Training, arXiv 2406.06962 (ICML 2024); boundaries: evoweights",
    ),
    Schedule(
        "est_depth",
        {
            "heads": 1.0,
            "neurons": 1.0,
            "layers": 0.5,
            "protect_ends": True,
            "layers_until": 70 / 150,
            "widths_until": 0.0,
        },
        "Only layers are left out, never the first and the last: half of them for 7/15 of the run. What won in our comparison "
        "(docs/findings.md).",
        "evoweights; layers with fixed ends: Progressive Subnetworks (RaPTr), arXiv 2402.05913",
    ),
)


def add_presets(catalog: Registrar) -> None:
    """Offer all of them."""
    for each in ALL:
        values = {
            "population": {"name": "individuals", "size": 1},
            "improve": [{"name": "est", **each.settings}],
        }
        catalog.preset(each.name, values, doc=each.doc, source=each.source)
