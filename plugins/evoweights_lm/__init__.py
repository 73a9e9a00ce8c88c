"""Language models: the task of predicting the next token, for any Hugging Face causal language model."""

from evoweights.catalog import Registrar
from evoweights.hookspecs import hookimpl
from evoweights_lm.settings import LanguageModel


@hookimpl
def register(catalog: Registrar) -> None:
    """Add the task ``language_model``."""
    catalog.add("task", LanguageModel)
