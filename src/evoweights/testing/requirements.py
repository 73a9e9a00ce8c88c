"""What the kit needs that evoweights itself does not."""

import importlib.util

from evoweights.errors import UsageError


def need_hypothesis() -> None:
    """See that hypothesis is installed, without importing it.

    Raises:
        UsageError: it is not.
    """
    if importlib.util.find_spec("hypothesis") is None:
        raise UsageError(
            "The conformance kit needs hypothesis, which is not installed. Install it with "
            "`pip install 'evoweights[testing]'`."
        )


def need_assertions() -> None:
    """See that assertions are carried out: without them every check passes.

    Raises:
        UsageError: they are not.
    """
    if not __debug__:
        raise UsageError("The checks are assertions, which python -O leaves out. Run without -O.")
