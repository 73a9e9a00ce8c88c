"""Every message for people is read by a test: words of it that no other message has stand in one.

A message is the text of a raised error, a complaint about a configuration, a warning, what is written to stderr, and a reason: the
text that a function returns, or that stands in a field of a record such as ``reason``. What is passed to a function that puts it
into one of these is a message too, and so is what a variable holds that stands in one. What is interpolated differs each time;
of the rest, three words that follow one another and occur in no other message (all words where there are fewer) must stand in a
string of a test. Without such words, as where two files say the same, any three do. A message without two words of its own, such
as `{where}: {error}`, is only a frame of another. Assertions, the errors of Python's protocols and `Ended`, by which the stateful
test's reference ends a story, are no messages for people; texts that functions return and that are none stand in `ELSEWHERE`.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from messages import messages

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
    for place, texts in messages({file: ast.parse(text) for file, text in sources.items()}, elsewhere=elsewhere):
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


def test_every_message_is_read_by_a_test() -> None:
    sources = {str(path.relative_to(ROOT)): path.read_text() for path in SOURCES}
    tests = [path.read_text() for path in TESTS if path != Path(__file__)]
    assert unread(sources, tests, elsewhere=ELSEWHERE) == []
