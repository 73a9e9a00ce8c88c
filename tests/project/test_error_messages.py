"""Every message for people is read by a test: words of it that no other message has stand in one.

A message is the text of a raised error, a complaint about a configuration, a warning, what is written to stderr, and a reason:
the text that a function returns, or that stands in a field of a record such as ``reason``. What is passed to a function that puts
it into one of these is a message too, and so is what a variable holds that stands in one. What is interpolated differs each time;
of the rest, three words that follow one another and occur in no other message (all words where there are fewer) must stand in a
string of a test. Without such words, as where two files say the same, any three do. A message without two words of its own, such
as `{where}: {error}`, is only a frame of another. The errors of Python's protocols and `Ended`, by which the stateful test's
reference ends a story, are no messages for people. Assertions are some only in the conformance kit, whose rules are assertions.
Texts that functions return and that are no messages stand in `ELSEWHERE`.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from messages import messages as messages_of

ROOT = Path(__file__).parents[2]
SOURCES = [path for part in ("src", "plugins", "kernels") for path in sorted((ROOT / part).rglob("*.py"))]
TESTS = [path for part in ("tests", "examples") for path in sorted((ROOT / part).rglob("*.py"))]
WORDS = 3
ELSEWHERE = {
    "src/evoweights/report/": "titles and captions of the report",
    "kernels/evoweights_kernels/cpu_": "code that is generated",
    "kernels/evoweights_kernels/cuda_": "code that is generated",
    "kernels/evoweights_kernels/triton_": "code that is generated",
    "kernels/evoweights_kernels/weighted_noise/": "code that is generated",
    "plugins/evoweights_eoe/controls.py": "settings that a control changes",
}
"""Files, by how their names begin, whose functions return other texts than reasons, and what those are."""
KIT = "src/evoweights/testing/"
"""Where assertions are for people: the authors of what breaks a rule."""
WORDLESS = {
    "src/evoweights/testing/stateful/machine.py": "a list of the invariants that are broken, each in its own words",
    "src/evoweights/testing/stateful/place.py": "of the machine itself, which calls in this order",
}
"""Files of the kit with an assertion without words of its own, and what it says instead."""

Phrases = frozenset[tuple[str, ...]]


def _phrases(texts: Iterable[str], size: int) -> Phrases:
    """All sequences of ``size`` words."""
    runs = [re.findall(r"\w+", text) for text in texts]
    return frozenset(tuple(run[start : start + size]) for run in runs for start in range(len(run) - size + 1))


def _read(trees: Iterable[ast.AST]) -> Phrases:
    """What stands in the strings of tests, their docstrings aside."""
    texts = []
    for tree in trees:
        documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        strings = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in documented)
        texts += [node.value for node in strings if isinstance(node.value, str)]
    return frozenset().union(*(_phrases(texts, size) for size in range(2, WORDS + 1)))


def unread(sources: dict[str, str], tests: Iterable[str], *, elsewhere: Iterable[str] = ()) -> list[str]:
    """The place of every message of ``sources``, texts by file, that none of ``tests`` reads, and words of it to look for."""
    known = _read(map(ast.parse, tests))
    places, owners = {}, defaultdict(set)
    trees = {file: ast.parse(text) for file, text in sources.items()}
    for place, texts in messages_of(trees, elsewhere=elsewhere, asserting=[KIT]):
        longest = max((len(re.findall(r"\w+", text)) for text in texts), default=0)
        if longest >= 2:
            places[place] = phrases = _phrases(texts, min(WORDS, longest))
            for each in phrases:
                owners[each].add(phrases)
    found = []
    for place, phrases in places.items():
        own = {each for each in phrases if len(owners[each]) == 1} or phrases
        if not own & known:
            found.append(f"{place}: {' '.join(min(own))}")
    return found


def _sources() -> dict[str, str]:
    return {str(path.relative_to(ROOT)): path.read_text() for path in SOURCES}


def test_every_message_is_read_by_a_test() -> None:
    tests = [path.read_text() for path in TESTS if path != Path(__file__)]
    assert unread(_sources(), tests, elsewhere=ELSEWHERE) == []


def test_what_is_no_reason_is_there() -> None:
    trees = {file: ast.parse(text) for file, text in _sources().items()}
    places, left = ({place for place, _ in messages_of(trees, elsewhere=hidden)} for hidden in ((), ELSEWHERE))
    for each in ELSEWHERE:
        assert any(place.startswith(each) for place in places - left), f"{each} hides nothing"


def _wordless(tree: ast.AST) -> Iterator[int]:
    """The lines of assertions and comparisons that do not say in at least two words of their own what is wrong."""
    for node in ast.walk(tree):
        match node:
            case ast.Assert(msg=said):
                pass
            case ast.Call(func=ast.Name(id="expect_same"), args=[_, _, said, *_]):
                pass
            case ast.Call(func=ast.Name(id="expect_same")):
                said = None
            case _:
                continue
        texts = [each.value for each in ast.walk(said or ast.Pass()) if isinstance(each, ast.Constant)]
        if not isinstance(said, ast.Name) and not _phrases(map(str, texts), 2):
            yield node.lineno


def test_an_assertion_without_words_is_named() -> None:
    wordless = [
        "assert x",
        'assert x, f"rate {x}"',
        "assert x, x.y",
        "expect_same(x, y)",
        'expect_same(x, y, "differs")',
    ]
    told = ['assert x, f"a rate of {x}"', 'expect_same(x, y, f"{x} is not the other")', "expect_same(x, y, said)"]
    assert [*_wordless(ast.parse("\n".join([*wordless, *told])))] == [*range(1, len(wordless) + 1)]


def test_every_assertion_of_the_kit_says_what_is_wrong() -> None:
    found = {file: [*_wordless(ast.parse(text))] for file, text in _sources().items() if file.startswith(KIT)}
    assert {file: lines for file, lines in found.items() if lines and file not in WORDLESS} == {}
    assert all(len(found[each]) == 1 for each in WORDLESS)


def test_a_message_that_no_test_reads_is_named() -> None:
    code = 'def f(x):\n    raise Odd(f"{x}: no such thing. Take another.")\n    raise Odd(f"{x}: no such place. Take another.")\n'
    both = ["a.py:2: no such thing", "a.py:3: no such place"]
    assert unread({"a.py": code}, ['found("Take another")', '"""No such thing: no such place."""']) == both
    assert unread({"a.py": code}, ['found(match=r"x: no such thing\\.")']) == both[1:]
    assert unread({"a.py": code}, ['found("no such place" in str(error), f"{x}: no such thing")']) == []


KINDS = {
    "an error": 'raise Odd("nobody reads this")',
    "an error with advice": 'raise Odd(what, advice="nobody reads this")',
    "a complaint": 'source.complain("seed", "nobody reads this")',
    "a warning": '_LOG.warning("nobody reads this: %s", x)',
    "a line on stderr": 'sys.stderr.write("nobody reads this")',
    "bytes on stderr": 'os.write(2, "nobody reads this".encode())',
    "a line by Typer": 'typer.echo("nobody reads this", err=True)',
    "what may be on stderr": 'say("nobody reads this", err=json)',
    "a reason that is returned": 'def why(x) -> str:\n    return "" if x else "nobody reads this"',
    "reasons that are given one by one": 'def why(x) -> Iterator[str]:\n    yield f"nobody reads this {x}"',
    "a reason in a record": 'class R:\n    reason: str\nR(False, "nobody reads this")',
    "what is handed on": 'def fail(what: str):\n    raise Odd(f"{what}.")\nfail("nobody reads this")',
    "by another": 'def a(b: str):\n    raise Odd(b)\ndef c(d: int, e: str):\n    a(e)\nc(1, e="nobody reads this")',
    "a variable": 'def f():\n    text = "nobody reads this"\n    raise Odd(f"{text}.")',
    "a list": 'def f():\n    lines = []\n    lines.append("nobody reads this")\n    raise Odd("; ".join(lines))',
    "one of two": 'raise Odd("a b c d" if x else "nobody reads this")',
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_message_is_seen(kind: str) -> None:
    found = unread({"a.py": KINDS[kind]}, [])
    assert len(found) == 1 and found[0].startswith("a.py:"), found
    assert unread({"a.py": KINDS[kind]}, ['assert "nobody reads this" in text']) == []


@pytest.mark.parametrize("code", [
    'assert x, "nobody reads this"', 'raise AssertionError("nobody reads this")', "def expect_same(x, said: str):\n    "
    'if x:\n        raise AssertionError(f"{said}: {x}")\nexpect_same(1, "nobody reads this")',
])  # fmt: skip
def test_assertions_are_messages_in_the_kit_alone(code: str) -> None:
    found = unread({f"{KIT}a.py": code}, [])
    assert len(found) == 1 and found[0].startswith(f"{KIT}a.py:"), found
    assert unread({f"{KIT}a.py": code}, ['assert "nobody reads this" in text']) == []
    assert unread({"a.py": code}, []) == []


@pytest.mark.parametrize("code", [
    'raise AssertionError("nobody reads this")', 'say("nobody reads this", err=False)', '_LOG.info("nobody reads this")',
    'def doc(x) -> str:\n    """Nobody reads this."""\n    return x', 'def f():\n    text = "nobody reads this"\n    return text',
])  # fmt: skip
def test_what_is_no_message_need_not_be_read(code: str) -> None:
    assert unread({"a.py": code}, []) == []
