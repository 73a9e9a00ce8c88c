"""How thoroughly the kit looks."""

from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, settings

from evoweights.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Profile:
    """So many cases a rule, always the same ones: what is drawn depends on nothing but the rule."""

    name: str
    examples: int
    shrinks: bool = True
    """Whether the smallest case that breaks a rule is looked for, once one has been found."""

    def settings(self, most: int | None) -> settings:
        """For hypothesis: at most ``most`` cases where a rule says so, nothing kept, no time limit."""
        return settings(
            max_examples=self.examples if most is None else min(self.examples, most),
            derandomize=True,
            database=None,
            deadline=None,
            print_blob=False,
            report_multiple_bugs=False,
            phases=[Phase.generate, *([Phase.shrink] if self.shrinks else [])],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
        )


_ALL = (Profile("quick", 25, shrinks=False), Profile("default", 100), Profile("thorough", 2000))
PROFILES = {each.name: each for each in _ALL}
"""Profiles by name: about 1, 2 and 20 seconds of one core for an operator whose kernels have been compiled once."""


def profile_of(name: str) -> Profile:
    """The profile called ``name``.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in PROFILES:
        raise UsageError(f"profile: found {name!r}.{did_you_mean(name, PROFILES)}")
    return PROFILES[name]
