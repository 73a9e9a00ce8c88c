"""Every message for people is read by a test: words of it that no other message has stand in one.

A message is the text of a raised error, a complaint about a configuration, or a warning. What is interpolated differs each time;
of the rest, three words that follow one another and occur in no other message (all words where there are fewer) must stand in a
string of a test. Without such words, as where two files say the same, any three do. A message without two words of its own, such
as `{where}: {error}`, is only a frame of another. Assertions, the errors of Python's protocols and `Ended`, by which the stateful
test's reference ends a story, are no messages for people.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = [path for part in ("src", "plugins", "kernels") for path in sorted((ROOT / part).rglob("*.py"))]
TESTS = [path for part in ("tests", "examples") for path in sorted((ROOT / part).rglob("*.py"))]
NOT_FOR_PEOPLE = {"AssertionError", "AttributeError", "NotImplementedError", "TypeError", "Ended"}
COLLECTED = {"complain", "problems.append"}
WARNED = {"_LOG.warning", "_LOG.error", "warnings.warn"}
WORDS = 3

Phrases = frozenset[tuple[str, ...]]


def _fixed(node: ast.AST) -> Iterator[str]:
    """The parts of a message that are the same whenever it is shown."""
    match node:
        case ast.Constant(value=str(text)):
            yield from re.split(r"%[-+0-9.]*[a-z]", text)
        case ast.JoinedStr(values=parts) | ast.List(elts=parts) | ast.Call(func=ast.Attribute(attr="join"), args=parts):
            yield from (text for part in parts for text in _fixed(part))
        case ast.BinOp(left=first, right=second) | ast.IfExp(body=first, orelse=second):
            yield from (*_fixed(first), *_fixed(second))


def _phrases(texts: Iterable[str], size: int) -> Phrases:
    """All sequences of ``size`` words."""
    runs = [re.findall(r"\w+", text) for text in texts]
    return frozenset(tuple(run[start : start + size]) for run in runs for start in range(len(run) - size + 1))


def _messages(tree: ast.AST, classes: set[str]) -> Iterator[tuple[int, list[str]]]:
    """The line and the fixed parts of every message; ``classes`` are errors that helpers make for others to raise."""
    raised = {id(node.exc) for node in ast.walk(tree) if isinstance(node, ast.Raise)}
    for node in (each for each in ast.walk(tree) if isinstance(each, ast.Call)):
        name = ast.unparse(node.func)
        is_made = id(node) in raised or name in classes or name in WARNED or name.endswith(tuple(COLLECTED))
        if is_made and name not in NOT_FOR_PEOPLE:
            yield node.lineno, [text for each in node.args for text in _fixed(each)]


def _error_classes(trees: Iterable[ast.AST]) -> set[str]:
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return {each.name for each in classes if any(ast.unparse(base).endswith("Error") for base in each.bases)}


def _read(trees: Iterable[ast.AST]) -> Phrases:
    """What stands in the strings of tests, their docstrings aside."""
    texts = []
    for tree in trees:
        documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        strings = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in documented)
        texts += [node.value for node in strings if isinstance(node.value, str)]
    return frozenset().union(*(_phrases(texts, size) for size in range(2, WORDS + 1)))


def unread(sources: dict[str, str], tests: Iterable[str]) -> list[str]:
    """The place of every message of ``sources``, texts by file, that none of ``tests`` reads, and words of it to look for."""
    trees = {file: ast.parse(text) for file, text in sources.items()}
    known, classes = _read(map(ast.parse, tests)), _error_classes(trees.values())
    places, owners = {}, defaultdict(set)
    for file, tree in trees.items():
        for line, texts in _messages(tree, classes):
            longest = max((len(re.findall(r"\w+", text)) for text in texts), default=0)
            if longest >= 2:
                places[f"{file}:{line}"] = phrases = _phrases(texts, min(WORDS, longest))
                for each in phrases:
                    owners[each].add(phrases)
    found = []
    for place, phrases in places.items():
        own = {each for each in phrases if len(owners[each]) == 1} or phrases
        if not own & known:
            found.append(f"{place}: {' '.join(min(own))}")
    return found


def test_every_message_is_read_by_a_test() -> None:
    sources = {str(path.relative_to(ROOT)): path.read_text() for path in SOURCES}
    assert unread(sources, [path.read_text() for path in TESTS if path != Path(__file__)]) == []


def test_a_message_that_no_test_reads_is_named() -> None:
    code = 'def f(x):\n    raise Odd(f"{x}: no such thing. Take another.")\n    raise Odd(f"{x}: no such place. Take another.")\n'
    both = ["a.py:2: no such thing", "a.py:3: no such place"]
    assert unread({"a.py": code}, ['found("Take another")', '"""No such thing: no such place."""']) == both
    assert unread({"a.py": code}, ['found(match=r"x: no such thing\\.")']) == both[1:]
    assert unread({"a.py": code}, ['found("no such place" in str(error), f"{x}: no such thing")']) == []
