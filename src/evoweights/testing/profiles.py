"""How thoroughly the kit looks."""

from dataclasses import dataclass

from hypothesis import HealthCheck, settings

from evoweights.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Profile:
    """So many cases a rule, always the same ones: what is drawn depends on nothing but the rule."""

    name: str
    examples: int

    def settings(self, most: int | None) -> settings:
        """For hypothesis: at most ``most`` cases where a rule says so, nothing kept, no time limit."""
        return settings(
            max_examples=self.examples if most is None else min(self.examples, most),
            derandomize=True,
            database=None,
            deadline=None,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
        )


PROFILES = {each.name: each for each in (Profile("quick", 25), Profile("default", 100), Profile("thorough", 2000))}
"""Profiles by name: about 1, 2 and 40 seconds an operator."""


def profile_of(name: str) -> Profile:
    """The profile called ``name``.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in PROFILES:
        raise UsageError(f"profile: found {name!r}.{did_you_mean(name, PROFILES)}")
    return PROFILES[name]
