"""``python -m evoweights`` is the command ``evoweights``."""

from evoweights.cli import main

main()
