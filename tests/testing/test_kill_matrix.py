"""The page of who notices whom is that of the broken components there are; that each is noticed, the zoo's own tests show."""

from kill_matrix import PAGE, known, page
from specimens import specimens

from evoweights.testing.contract import RULES

TEXT = PAGE.read_text()
CAUGHT = known(TEXT)


def test_the_page_is_up_to_date():
    """Else run ``python tests/testing/kill_matrix.py``, with the kinds that changed."""
    assert page(CAUGHT) == TEXT


def test_each_specimen_is_noticed_by_the_rules_that_are_named():
    for each in specimens():
        assert set(each.rules) <= set(CAUGHT[each.kind, each.name]), each.name


def test_every_rule_notices_something():
    for kind, rules in RULES.items():
        noticed = {rule for (one, _), caught in CAUGHT.items() if one == kind for rule in caught}
        assert noticed == {each.id for each in rules}


def test_there_are_at_least_forty_broken_operators_some_with_a_report_of_another_project():
    operators = [each for each in specimens() if each.kind == "operator"]
    assert len(operators) >= 40
    assert sum(bool(each.published) for each in specimens()) >= 30
    assert all(each.fault and "(" not in each.published for each in specimens())
