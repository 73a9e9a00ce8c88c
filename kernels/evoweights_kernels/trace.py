"""Tracing: calling a body with symbolic values writes down its arithmetic as a straight-line program.

Every target prints one line per operation of that program, so targets cannot differ in what they compute.
"""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from math import isnan
from types import TracebackType
from typing import Any, NoReturn, final

from evoweights_kernels.errors import KernelError
from evoweights_kernels.scalars import float32_bits, to_float32

COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
BOOLEAN_CODES = frozenset((*COMPARISONS, "and", "or", "not", "chance"))
_SUPPORTED = "+ - * /, unary -, comparisons, & | ~ on conditions, where, minimum, maximum, absolute, sqrt"


@final
@dataclass(frozen=True)
class Op:
    """One operation: its operands are the numbers of earlier operations of the same program.

    `value` is the float32 of a `constant`; `index` the argument, slot, scalar, table or threshold it reads;
    `noise` the noise source it reads.
    """

    code: str
    operands: tuple[int, ...] = ()
    value: float = 0.0
    index: int = -1
    noise: int = -1


@final
@dataclass(frozen=True)
class Program:
    """A traced body: operations in order, and which of them are returned (target first, then the states)."""

    ops: tuple[Op, ...]
    outputs: tuple[int, ...]


class UnsupportedError(Exception):
    """A body did something that cannot be traced; `trace` turns it into a KernelError with the place."""


class Recorder:
    """The operations written down so far."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.constants: dict[int, Value] = {}

    def add(self, op: Op) -> "Value":
        """Write one operation down and give the value that stands for its result."""
        self.ops.append(op)
        return Value(self, len(self.ops) - 1, is_condition=op.code in BOOLEAN_CODES)

    def number(self, operand: Any) -> "Value":
        """`operand` as a traced number; Python numbers become float32 constants."""
        if isinstance(operand, Value):
            self._check(operand, is_condition=False)
            return operand
        if isinstance(operand, bool) or not isinstance(operand, (int, float)):
            raise UnsupportedError(
                f"{type(operand).__name__} {operand!r} is no number a gene kernel can use. It computes with its arguments and "
                "Python's numbers; what is random is an argument annotated Uniform, Normal or Chance"
            )
        value = to_float32(operand)
        if isnan(value) or abs(value) == float("inf"):
            raise UnsupportedError(f"the literal {operand!r} is not finite in float32")
        bits = float32_bits(value)  # tells -0.0 from 0.0
        if bits not in self.constants:
            self.constants[bits] = self.add(Op("constant", value=value))
        return self.constants[bits]

    def condition(self, operand: Any) -> "Value":
        """`operand` as a traced condition."""
        if not isinstance(operand, Value):
            raise UnsupportedError(f"expected a condition such as `x > 0`, found {operand!r}")
        self._check(operand, is_condition=True)
        return operand

    def _check(self, value: "Value", *, is_condition: bool) -> None:
        if value.recorder is not self:
            raise UnsupportedError("a value of another gene kernel leaked in; use only this body's arguments")
        if value.is_condition != is_condition:
            found, wanted = ("condition", "number") if value.is_condition else ("number", "condition")
            raise UnsupportedError(f"a {found} stands where a {wanted} is needed; use where(condition, a, b)")


def _refuse(what: str, remedy: str) -> Callable[..., NoReturn]:
    def refused(*operands: Any) -> NoReturn:
        del operands  # the refusal does not depend on them
        raise UnsupportedError(f"{what} is not supported on a traced value; {remedy}")

    return refused


def _binary(code: str, *, swapped: bool = False) -> Callable[["Value", Any], Any]:
    def operate(self: "Value", other: Any) -> "Value":
        left, right = self.recorder.number(self), self.recorder.number(other)
        operands = (right.number, left.number) if swapped else (left.number, right.number)
        return self.recorder.add(Op(code, operands))

    return operate


def _logical(code: str) -> Callable[["Value", Any], Any]:
    def operate(self: "Value", other: Any) -> "Value":
        left, right = self.recorder.condition(self), self.recorder.condition(other)
        return self.recorder.add(Op(code, (left.number, right.number)))

    return operate


def _unary(code: str) -> Callable[["Value"], Any]:
    def operate(self: "Value") -> "Value":
        return self.recorder.add(Op(code, (self.recorder.number(self).number,)))

    return operate


_USE_WHERE = "use where(condition, a, b), minimum or maximum"


class Value:
    """A number or condition of a body while it is traced; operators write operations down."""

    __array_ufunc__ = None  # NumPy must refuse these, not wrap them in object arrays

    def __init__(self, recorder: Recorder, number: int, *, is_condition: bool) -> None:
        self.recorder = recorder
        self.number = number
        self.is_condition = is_condition

    __add__, __sub__, __mul__, __truediv__ = (_binary(code) for code in ("add", "sub", "mul", "div"))
    __radd__, __rsub__, __rmul__, __rtruediv__ = (_binary(code, swapped=True) for code in ("add", "sub", "mul", "div"))
    __lt__, __le__, __gt__, __ge__ = (_binary(code) for code in COMPARISONS[:4])
    __eq__ = _binary("eq")  # type: ignore[assignment]
    __ne__ = _binary("ne")  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]
    __neg__, __abs__ = _unary("neg"), _unary("abs")
    __and__, __or__ = _logical("and"), _logical("or")

    def __invert__(self) -> Any:
        return self.recorder.add(Op("not", (self.recorder.condition(self).number,)))

    __bool__ = _refuse("a decision (`if`, `and`, `or`, `not`, min(), max())", _USE_WHERE)
    __float__ = __int__ = __index__ = _refuse(
        "conversion to a Python number (math.*, float(), int())", f"allowed are {_SUPPORTED}"
    )
    __pow__ = __rpow__ = _refuse("`**`", "write x * x, or sqrt(x)")
    __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = _refuse("`%` or `//`", f"allowed are {_SUPPORTED}")
    __matmul__ = __rmatmul__ = _refuse("`@`", "a gene kernel sees one gene; write plain torch code instead")
    __xor__ = __rxor__ = __lshift__ = __rshift__ = _refuse("a bit operation", f"allowed are {_SUPPORTED}")
    __getitem__ = _refuse("indexing", "a gene kernel sees one gene; write plain torch code instead")
    __iter__ = _refuse("iteration", "a gene kernel sees one gene; write plain torch code instead")


def select(condition: Any, a: Any, b: Any) -> Value:
    """Write `a if condition else b` down; at least one of the three is a traced value."""
    recorder = next(v.recorder for v in (condition, a, b) if isinstance(v, Value))
    chosen = recorder.condition(condition)
    operands = (chosen.number, recorder.number(a).number, recorder.number(b).number)
    return recorder.add(Op("where", operands))


def square_root(a: Value) -> Value:
    """Write the square root down."""
    return a.recorder.add(Op("sqrt", (a.recorder.number(a).number,)))


def trace(function: Callable[..., Any], conditions: tuple[bool, ...], outputs: int) -> Program:
    """Call `function` with one symbolic value per argument (True: a condition) and write down what it does.

    Raises:
        KernelError: the body cannot be traced or does not return `outputs` values.
    """
    recorder = Recorder()
    arguments = [
        recorder.add(Op("chance" if is_condition else "argument", index=index))
        for index, is_condition in enumerate(conditions)
    ]
    try:
        returned = function(*arguments)
        if returned is None:
            raise UnsupportedError("it returns nothing; end it with `return` and the new value of the gene")
        values = returned if isinstance(returned, tuple) else (returned,)
        if len(values) != outputs:
            expected = "the new target" + (f" and {outputs - 1} state(s), in order" if outputs > 1 else "")
            raise UnsupportedError(f"it returns {len(values)} value(s); expected are {outputs}: {expected}")
        numbers = tuple(recorder.number(value).number for value in values)
    except UnsupportedError as error:
        raise KernelError(f"{place(function, error.__traceback__)}: {error}") from error
    except (TypeError, AttributeError, ArithmeticError, NameError) as error:
        raise KernelError(f"{place(function, error.__traceback__)}: {error}; allowed are {_SUPPORTED}") from error
    return Program(tuple(recorder.ops), numbers)


def place(function: Callable[..., Any], frames: TracebackType | None = None) -> str:
    """`gene kernel 'name' (file:line)`; the line is the innermost one of the function's own file."""
    code = function.__code__
    lines = [f.lineno for f in traceback.extract_tb(frames) if f.filename == code.co_filename]
    return f"gene kernel {function.__name__!r} ({code.co_filename}:{(lines or [code.co_firstlineno])[-1]})"
