"""Whether a target can run here."""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class Availability:
    """`usable`, and if not, the reason in words."""

    usable: bool
    reason: str
