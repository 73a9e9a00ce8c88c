"""The code of a plugin, and the type of the fixture that installs one."""

from collections.abc import Callable

Install = Callable[..., None]

GOOD = '''
from dataclasses import dataclass
from typing import ClassVar
from evoweights import hookimpl, setting

@dataclass(frozen=True)
class Thing:
    """Does a thing."""
    name: ClassVar[str] = "thing"
    source: ClassVar[str] = "nobody 2020"
    size: int = setting(1, "how much", minimum=1)

@hookimpl
def register(catalog):
    catalog.add("operator", Thing)
'''
"""A plugin with one operator, called thing."""
