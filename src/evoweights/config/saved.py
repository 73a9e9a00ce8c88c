"""The configuration that a run was started with, read without making its components."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evoweights.config.source import parse
from evoweights.errors import UsageError


def run_settings(text: str, file: Path) -> Mapping[str, Any]:
    """The settings in the text of a run's ``file``, as they stand there.

    Raises:
        UsageError: it is not the configuration of a run.
    """
    settings = parse(text, name=str(file)).values
    if "generations" not in settings:
        raise UsageError(f"{file} is no configuration of a run: it has no `generations`. Put back an intact copy.")
    return settings
