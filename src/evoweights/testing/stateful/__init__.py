"""A stateful test of the engine: a random story of generations, saves, crashes and damage beside a plain reference.

The whole test of an author whose components must survive whatever happens to a run::

    from evoweights.testing import check_engine

    def test_runs_with_my_operator():
        check_engine({"vary": [MyOperator(rate=0.5)]})
"""

from evoweights.testing.stateful.checking import EVENTFUL, check_engine, engine_machine
from evoweights.testing.stateful.machine import EngineMachine

__all__ = ["EVENTFUL", "EngineMachine", "check_engine", "engine_machine"]
