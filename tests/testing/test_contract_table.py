"""The table of the contract has every rule, and what it says of tests is so."""

import re
from pathlib import Path

import pytest

from evoweights.testing.contract import ABSENT, CHECKED, LETTERS, RULES, TESTED, contract
from evoweights.testing.rules import Level

ROOT = Path(__file__).parents[2]
CLAUSES = contract()
NUMBERS = {"G": 25, "X": 11, "P": 12, "M": 12, "S": 12, "A": 10, "L": 10, "K": 12, "W": 8, "R": 9, "T": 2, "D": 10}
"""How many rules there are under each letter."""


def test_no_id_is_there_twice_and_no_number_is_left_out():
    ids = [each.id for each in CLAUSES]
    assert len(set(ids)) == len(ids)
    for letter, count in NUMBERS.items():
        plain = sorted(each for each in ids if re.fullmatch(rf"{letter}\d\d", each))
        assert plain == [f"{letter}{number:02}" for number in range(1, count + 1)]
    assert set(NUMBERS) == set(LETTERS)


def test_a_part_of_a_rule_belongs_to_a_rule():
    ids = {each.id for each in CLAUSES}
    parts = [each for each in ids if not re.fullmatch(r"[A-Z]\d\d", each)]
    assert parts and all(re.fullmatch(r"[A-Z]\d\d-[a-z]+", each) and each.partition("-")[0] in ids for each in parts)


def test_every_rule_of_the_kit_is_in_it_as_it_describes_itself():
    clauses = {each.id: each for each in CLAUSES}
    for kind, rules in RULES.items():
        assert len({each.id for each in rules}) == len(rules)
        for each in rules:
            clause = clauses[each.id]
            assert clause.status == CHECKED and kind in clause.kinds
            assert each.applies.words in clause.condition
            assert each.text and each.text[-1] == "."


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda each: each.id)
def test_a_clause_says_who_holds_it(clause):
    assert bool(clause.why) or clause.status != ABSENT
    assert not clause.why or clause.status != CHECKED
    assert clause.level in [*Level] if clause.status != ABSENT else not clause.level
    assert clause.tests or clause.status != TESTED
    for each in clause.tests:
        file, _, function = each.partition("::")
        assert f"\ndef {function}(" in (ROOT / file).read_text(), each
