"""evoweights evolves the weights of neural networks: gradient steps and evolutionary operators, both plugins.

What is listed here is the public interface. Importing it imports no torch; a name is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from evoweights.version import __version__

if TYPE_CHECKING:
    from evoweights import errors
    from evoweights.catalog import part, setting
    from evoweights.config.loading import load_config
    from evoweights.engine import Engine
    from evoweights.genome import layout_of
    from evoweights.hookspecs import hookimpl
    from evoweights.improvers import Improver, NonFiniteStep
    from evoweights.mounted import Blueprint
    from evoweights.operators import GeneOperator, Pair, Scene, Selection, TensorOperator, Turn, TurnRule
    from evoweights.population import Slot
    from evoweights.seeds import Noise, seeded
    from evoweights.task import Task, TaskPlace
    from evoweights.traits import Traits
    from evoweights_kernels import (
        Chance,
        Gene,
        Normal,
        Scalar,
        State,
        TileScalar,
        Uniform,
        absolute,
        gene_kernel,
        maximum,
        minimum,
        sqrt,
        where,
    )

__all__ = [
    "Blueprint",
    "Chance",
    "Engine",
    "Gene",
    "GeneOperator",
    "Improver",
    "Noise",
    "NonFiniteStep",
    "Normal",
    "Pair",
    "Scalar",
    "Scene",
    "Selection",
    "Slot",
    "State",
    "Task",
    "TaskPlace",
    "TensorOperator",
    "TileScalar",
    "Traits",
    "Turn",
    "TurnRule",
    "Uniform",
    "__version__",
    "absolute",
    "errors",
    "gene_kernel",
    "hookimpl",
    "layout_of",
    "load_config",
    "maximum",
    "minimum",
    "part",
    "seeded",
    "setting",
    "sqrt",
    "where",
]

_HOMES = {
    "evoweights.catalog": ("part", "setting"),
    "evoweights.config.loading": ("load_config",),
    "evoweights.engine": ("Engine",),
    "evoweights.hookspecs": ("hookimpl",),
    "evoweights.mounted": ("Blueprint",),
    "evoweights.genome": ("layout_of",),
    "evoweights.improvers": ("Improver", "NonFiniteStep"),
    "evoweights.operators": ("GeneOperator", "Pair", "Scene", "Selection", "TensorOperator", "Turn", "TurnRule"),
    "evoweights.population": ("Slot",),
    "evoweights.seeds": ("Noise", "seeded"),
    "evoweights.task": ("Task", "TaskPlace"),
    "evoweights.traits": ("Traits",),
    "evoweights_kernels": (
        *("Chance", "Gene", "Normal", "Scalar", "State", "TileScalar", "Uniform"),
        *("absolute", "gene_kernel", "maximum", "minimum", "sqrt", "where"),
    ),
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("evoweights.errors")
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
