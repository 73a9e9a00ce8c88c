"""What was left of our attempts to make EOE pay; docs/findings.md has the measurements."""

from typing import Any

from evoweights.catalog import Registrar

TO_OTHERS = {"direction": "current_to_others"}

FROM_START: dict[str, Any] = {
    "optimizer_state": "copy",
    "population": {"name": "experts"},
    "turn": {"name": "round_robin"},
    "vary": [{"name": "pso", "social": 2.0, **TO_OTHERS}, {"name": "crossover", "rate": 0.6, **TO_OTHERS}],
}

AVERAGE: dict[str, Any] = {
    "population": {"name": "experts", "experts": 2},
    "turn": {"name": "leader"},
    "vary": [{"name": "arithmetic_crossover", "weight": 0.3, "scope": "all", **TO_OTHERS}],
}


def add_presets(catalog: Registrar) -> None:
    """Offer both."""
    catalog.preset(
        "eoe_from_start",
        FROM_START,
        doc="EOE's operators from the first turn on, with the moments that belong to the weights: nothing that was trained is "
        "lost. As good as the model of one expert alone, not better.",
        source="evoweights; the operators: Chen 2025, arXiv 2509.24436",
    )
    catalog.preset(
        "eoe_average",
        AVERAGE,
        doc="One expert trains; the other is a running average of its weights by arithmetic crossover, and mostly the better "
        "one. Give it short turns, of some 25 steps.",
        source="evoweights; averages of one run: Polyak and Juditsky 1992; Izmailov et al. 2018, arXiv 1803.05407",
    )
