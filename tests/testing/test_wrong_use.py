"""Wrong use of the conformance kit is one message that says what is allowed."""

import subprocess
import sys

import pytest

from evoweights.errors import UsageError
from evoweights.testing import check_operator, parametrize_operators
from evoweights_classic import Crossover

WRONG = {
    "profile": ({"profile": "quik"}, r"profile: found 'quik'\. Did you mean 'quick'\?"),
    "what is done": ({"on_fail": "exit"}, r"on_fail: found 'exit', allowed are 'raise', 'warn' and None"),
    "rule": ({"expected_failures": {"G99": "why"}}, r"expected_failures: no rule is called 'G99'\. Did you mean 'G"),
    "reason": ({"expected_failures": {"EW-G01": ""}}, r"expected_failures: EW-G01: say why it fails"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_arguments_are_refused_before_anything_is_checked(what: str) -> None:
    options, message = WRONG[what]
    with pytest.raises(UsageError, match=message):
        check_operator(Crossover(), **{"profile": "quick", **options})


def test_a_reason_for_a_component_that_is_not_checked_is_refused() -> None:
    message = r"expected_failures: no component is called 'crosover'\. Did you mean 'crossover'\?"
    with pytest.raises(UsageError, match=message):
        parametrize_operators([Crossover()], expected_failures={"crosover": {"EW-G01": "why"}})


USES = {
    "check_operator": "check_operator(Crossover(), profile='quick')",
    "a check": "next(operator_checks(Crossover(), profile='quick'))()",
    "engine_machine": "engine_machine()",
}


@pytest.mark.parametrize("use", USES)
def test_without_assertions_nothing_would_be_checked_and_that_is_said(use: str) -> None:
    code = "from evoweights.testing import check_operator, engine_machine\nfrom evoweights_classic import Crossover\n"
    code += f"from evoweights.testing.operator_kit import operator_checks\n{USES[use]}"
    done = subprocess.run([sys.executable, "-O", "-c", code], capture_output=True, text=True, check=False)
    assert "The checks are assertions, which python -O leaves out. Run without -O." in done.stderr
