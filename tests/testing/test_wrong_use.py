"""Wrong use of the conformance kit is one message that says what is allowed."""

import subprocess
import sys

import pytest

from evoweights.errors import UsageError
from evoweights.testing import check_operator
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


def test_without_assertions_nothing_would_be_checked_and_that_is_said() -> None:
    code = "from evoweights.testing import check_operator\nfrom evoweights_classic import Crossover\n"
    code += "check_operator(Crossover(), profile='quick')"
    done = subprocess.run([sys.executable, "-O", "-c", code], capture_output=True, text=True, check=False)
    assert "The checks are assertions, which python -O leaves out. Run without -O." in done.stderr
