"""Finds in the text of modules what they tell people: errors, complaints, warnings, lines on stderr, reasons."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

NOT_FOR_PEOPLE = {"AssertionError", "AttributeError", "NotImplementedError", "TypeError", "Ended"}
COLLECTED = ("complain", "problems.append")
WARNED = ("_LOG.warning", "_LOG.error", "logger.warning", "warnings.warn", "sys.stderr.write", "os.write", "left_out")
REASONS = {"reason", "note", "notes", "problem", "problems", "unchecked", "clashes"}
"""Fields of records, and lists, that say why."""

Trees = Mapping[str, ast.Module]
Message = tuple[str, list[str]]
"""Where it stands, as ``file:line``, and what of it is the same whenever it is shown."""

Telling = ast.Call | ast.Assert
"""What may tell people something."""


def messages(trees: Trees, *, elsewhere: Iterable[str] = (), asserting: Iterable[str] = ()) -> Iterator[Message]:
    """Every message of modules by their file.

    Files that begin with ``elsewhere`` have no reasons, but all the rest; in those that begin with ``asserting``, assertions are
    for people.
    """
    tells = _Tellers(trees, tuple(asserting))
    for file, tree in trees.items():
        has_reasons = not file.startswith(tuple(elsewhere))
        told = {}
        for scope in (*_functions(tree), tree):
            found = [each for one in _tellings(scope) if (each := tells(file, one, has_reasons=has_reasons))]
            if isinstance(scope, ast.FunctionDef) and has_reasons:
                found += [[each] for each in _returned(scope)]
            for expressions in (*found, *([each] for each in _held(found, _bound(scope)))):
                told[expressions[0].lineno, expressions[0].col_offset] = [
                    text for each in expressions for text in _parts(each) if isinstance(text, str)
                ]
        yield from ((f"{file}:{line}", texts) for (line, _), texts in sorted(told.items()))


def _returned(function: ast.FunctionDef) -> Iterator[ast.expr]:
    """What a function returns, if that is text or several."""
    kind = "" if function.returns is None else ast.unparse(function.returns)
    if re.search(r"\bstr\b", kind) and not re.search(r"dict|Mapping|Callable|Context", kind):
        for node in ast.walk(function):
            if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom) and node.value is not None:
                yield node.value


def _parts(node: ast.AST) -> Iterator[str | ast.Name]:
    """The texts that a message is made of, and the variables that stand in it."""
    match node:
        case ast.Name():
            yield node
        case ast.Constant(value=str(text)):
            yield from re.split(r"%[-+0-9.]*[a-z]", text)
        case (
            ast.JoinedStr(values=parts)
            | ast.List(elts=parts)
            | ast.Tuple(elts=parts)
            | ast.BoolOp(values=parts)
            | ast.Call(func=ast.Attribute(attr="join"), args=parts)
        ):
            yield from (text for part in parts for text in _parts(part))
        case ast.BinOp(left=first, right=second) | ast.IfExp(body=first, orelse=second):
            yield from (*_parts(first), *_parts(second))
        case (
            ast.FormattedValue(value=inner)
            | ast.Starred(value=inner)
            | ast.ListComp(elt=inner)
            | ast.GeneratorExp(elt=inner)
            | ast.Call(func=ast.Attribute(value=inner, attr="encode" | "rstrip"))
        ):
            yield from _parts(inner)


def _bound(scope: ast.AST) -> Mapping[str, list[ast.expr]]:
    """What the variables of a function or a file hold; of lists, what is added to them."""
    found: dict[str, list[ast.expr]] = defaultdict(list)
    for node in ast.walk(scope):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found[name].append(value)
            case ast.AugAssign(target=ast.Name(id=name), value=value):
                found[name].append(value)
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=name), attr="append" | "insert" | "extend"), args=values
            ):
                found[name] += values
    return found


def _held(told: Iterable[list[ast.expr]], bound: Mapping[str, list[ast.expr]]) -> list[ast.expr]:
    """What the variables hold that stand in messages, and those that stand in these."""
    found: list[ast.expr] = []
    waiting = [part for expressions in told for each in expressions for part in _parts(each)]
    seen: set[str] = set()
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.Name) and part.id not in seen:
            seen.add(part.id)
            found += bound.get(part.id, [])
            waiting += [inner for value in bound.get(part.id, []) for inner in _parts(value)]
    return found


class _Tellers:
    """The calls that tell people something, those included that hand what they are given on to such a call."""

    def __init__(self, trees: Trees, asserting: tuple[str, ...]) -> None:
        self.asserting = asserting
        nodes = [node for tree in trees.values() for node in ast.walk(tree)]
        self.raised = {id(node.exc) for node in nodes if isinstance(node, ast.Raise)}
        classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
        self.errors = {each.name for each in classes if _is_error(each)}
        self.records = {each.name for each in classes if _is_record(each)}
        self.handed_on: dict[str, tuple[list[str], set[str]]] = {}
        functions = [(file, node, _texts(node)) for file, tree in trees.items() for node in _functions(tree)]
        functions = [(file, each, texts, _tellings(each)) for file, each, texts in functions if texts]
        known = -1
        while known != (known := sum(len(texts) for _, texts in self.handed_on.values())):
            for file, each, texts, tellings in functions:
                told = {part.id for one in tellings for part in self._told(file, one) if isinstance(part, ast.Name)}
                if texts & told:
                    order = [one.arg for one in each.args.args if one.arg not in ("self", "cls")]
                    self.handed_on.setdefault(_key(file, each.name), (order, set()))[1].update(texts & told)

    def __call__(self, file: str, telling: Telling, *, has_reasons: bool = False) -> list[ast.expr]:
        """What a call tells: all that it is given, or what a function hands on of it; nothing where it only works."""
        asserts = file.startswith(self.asserting)
        if isinstance(telling, ast.Assert):
            return [telling.msg] if asserts and telling.msg else []
        call, name = telling, ast.unparse(telling.func)
        last = name.rpartition(".")[2]
        options = {each.arg: each.value for each in call.keywords}
        if name in NOT_FOR_PEOPLE and not (asserts and name == "AssertionError"):
            return []
        if (
            id(call) in self.raised
            or last in self.errors
            or name in WARNED
            or name.endswith(COLLECTED)
            or ("err" in options and ast.unparse(options["err"]) != "False")
            or (has_reasons and (last in self.records or name.removesuffix(".append") in REASONS))
        ):
            return [*call.args, *options.values()]
        names, handed_on = self.handed_on.get(_key(file, last), ([], set[str]()))
        given = [*zip(names, call.args, strict=False), *options.items()]
        return [value for argument, value in given if argument in handed_on]

    def _told(self, file: str, telling: Telling) -> Iterator[str | ast.Name]:
        return (part for each in self(file, telling) for part in _parts(each))


def _key(file: str, name: str) -> str:
    """A function by its name, and a private one by its file as well."""
    return f"{file}:{name}" if name.startswith("_") else name


def _texts(function: ast.FunctionDef) -> set[str]:
    """The arguments of a function that are text."""
    given = (*function.args.args, *function.args.kwonlyargs)
    return {each.arg for each in given if each.annotation and ast.unparse(each.annotation) == "str"}


def _tellings(scope: ast.AST) -> list[Telling]:
    return [node for node in ast.walk(scope) if isinstance(node, Telling)]


def _functions(tree: ast.AST) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def _is_error(made: ast.ClassDef) -> bool:
    return any(ast.unparse(base).endswith("Error") for base in made.bases)


def _is_record(made: ast.ClassDef) -> bool:
    fields = {ast.unparse(each.target) for each in made.body if isinstance(each, ast.AnnAssign)}
    return bool(fields & REASONS)
