"""Writing a body: what is traced, what is refused, and what the refusal says."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evoweights_kernels import (
    Chance,
    Gene,
    GeneKernel,
    KernelError,
    Normal,
    Scalar,
    State,
    Uniform,
    absolute,
    bodies,
    gene_kernel,
    maximum,
    minimum,
    sqrt,
    where,
)

LEAVES = st.sampled_from(("x", "y", "s", 0.0, -0.0, 0.5, -3, 1e-3, 7))
UNARY = {"neg": lambda a: -a, "abs": absolute, "sqrt": lambda a: sqrt(absolute(a))}
BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "min": minimum,
    "max": maximum,
    "pick": lambda a, b: where((a < b) | (a == 0.5) & ~(b >= a), a, b),
}
TREES = st.recursive(
    LEAVES,
    lambda below: st.one_of(
        st.tuples(st.sampled_from(sorted(UNARY)), below), st.tuples(st.sampled_from(sorted(BINARY)), below, below)
    ),
    max_leaves=12,
)


def grow(tree, named):
    """The value of an expression tree; at least its leaves named x, y and s are arrays or traced values."""
    if isinstance(tree, str):
        return named[tree]
    if not isinstance(tree, tuple):
        return named["x"] * 0.0 + tree
    operands = [grow(branch, named) for branch in tree[1:]]
    return (UNARY if len(operands) == 1 else BINARY)[tree[0]](*operands)


def interpret(program, arguments):
    """The traced program in NumPy float32, one operation after the other."""
    infix = {
        **{"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative},
        **{"abs": np.abs, "sqrt": np.sqrt, "where": np.where, "and": np.logical_and, "or": np.logical_or},
        **{"not": np.logical_not, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal},
        **{"eq": np.equal, "ne": np.not_equal},
    }
    done = []
    for op in program.ops:
        if op.code == "argument":
            done.append(arguments[op.index])
        elif op.code == "constant":
            done.append(np.float32(op.value))
        else:
            done.append(infix[op.code](*(done[i] for i in op.operands)))
    return [done[i] for i in program.outputs]


@given(TREES)
def test_the_traced_program_computes_what_the_function_computes_on_torch(tree):
    @gene_kernel
    def grown(x: Gene, y: Gene, s: Scalar) -> Gene:
        return grow(tree, {"x": x, "y": y, "s": s})

    rng = np.random.default_rng(0)
    edges = np.float32([0.0, -0.0, 1.0, -1.0, 3e38, -3e38, 1e-40, np.inf, np.nan, 0.5])
    x, y = np.repeat(edges, 10), np.tile(edges, 10) * np.float32(rng.uniform(-1.0, 1.0, 100))
    s = np.float32(0.7)
    expected = grown(torch.from_numpy(x), torch.from_numpy(y), torch.tensor(s))
    with np.errstate(all="ignore"):
        (found,) = interpret(grown.trace(), (x, y, s))
    found = np.broadcast_to(found, expected.shape)
    assert np.array_equal(found, expected.numpy(), equal_nan=True)
    zero = found == 0
    assert np.array_equal(np.signbit(found[zero]), np.signbit(expected.numpy()[zero]))


def test_a_kernel_describes_itself():
    kernel = bodies.pso
    assert isinstance(kernel, GeneKernel) and kernel.name == "pso" and "Kennedy" in kernel.doc
    assert [(a.name, a.role, a.bits) for a in kernel.arguments][-1] == ("r2", Uniform, 32)
    assert kernel.target == "x" and kernel.written == ("x", "velocity")
    assert kernel.trace() is kernel.trace()


@pytest.mark.parametrize("name", bodies.__all__)
def test_every_body_that_ships_names_its_source(name):
    assert "Source:" in getattr(bodies, name).doc


def test_fingerprints_tell_arithmetic_and_widths_apart_but_not_spelling():
    def double(x: Gene) -> Gene:
        return x + x

    def twice(x: Gene) -> Gene:
        y = x
        return y + x

    def tripled(x: Gene) -> Gene:
        return x + x + x

    first, same, other = (gene_kernel(f).fingerprint for f in (double, twice, tripled))
    assert first == same != other
    assert bodies.uniform_crossover.fingerprint != bodies.uniform_crossover_8.fingerprint


def test_a_body_may_use_functions_written_below_it_and_assign_in_place():
    @gene_kernel
    def late(x: Gene, s: Scalar) -> Gene:
        y = x
        y += helper(s)
        return y - x

    def helper(s):
        return s * 2.0

    assert interpret(late.trace(), (np.float32(1.0), np.float32(0.5))) == [np.float32(1.0)]


def decides(x: Gene) -> Gene:
    return x if x > 0 else -x


def powers(x: Gene) -> Gene:
    return x**2


def sines(x: Gene) -> Gene:
    return math.sin(x)


def uses_numpy(x: Gene) -> Gene:
    return np.exp(x)


def uses_torch(x: Gene) -> Gene:
    return torch.exp(x)


def calls_a_method(x: Gene) -> Gene:
    return x.clamp(0, 1)


def loops(x: Gene) -> Gene:
    return sum(x)


def returns_too_much(x: Gene) -> tuple[Gene, Gene]:
    return x, x


def forgets_the_state(x: Gene, v: State) -> Gene:
    return x + v


def adds_a_tensor(x: Gene) -> Gene:
    return x + torch.rand(1)


def returns_nothing(x: Gene) -> None:
    x + 1


def adds_a_condition(x: Gene, c: Chance) -> Gene:
    return x + c


def negates_a_number(x: Gene) -> Gene:
    return where(~x, x, x)


def decides_by_a_literal(x: Gene) -> Gene:
    return where(True, x, x)


def too_large(x: Gene) -> Gene:
    return x * 1e39


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (decides, r"a decision \(`if`, `and`, `or`, `not`, min\(\), max\(\)\).*use where"),
        (powers, r"`\*\*` is not supported.*write x \* x"),
        (sines, r"conversion to a Python number.*allowed are \+ - \* /"),
        (uses_numpy, "Value"),
        (uses_torch, r"Value; allowed are \+ - \* /"),
        (calls_a_method, "clamp"),
        (loops, "iteration is not supported"),
        (returns_too_much, r"returns 2 value\(s\); expected are 1: the new target"),
        (forgets_the_state, r"returns 1 value\(s\); expected are 2: the new target and 1 state"),
        (returns_nothing, "it returns nothing; end it with `return`"),
        (adds_a_tensor, r"is no number a gene kernel can use.*annotated Uniform, Normal or Chance"),
        (adds_a_condition, "a condition stands where a number is needed"),
        (negates_a_number, "a number stands where a condition is needed"),
        (decides_by_a_literal, "expected a condition such as `x > 0`, found True"),
        (too_large, "literal 1e[+]39 is not finite in float32"),
    ],
)
def test_what_no_target_can_do_is_refused_with_name_place_and_remedy(function, says):
    line = function.__code__.co_firstlineno + 1
    with pytest.raises(KernelError, match=says) as refused:
        gene_kernel(function).trace()
    assert f"{function.__name__!r}" in str(refused.value)
    assert (
        f"test_kernel_bodies.py:{line})" in str(refused.value)
        or "return" in function.__name__
        or "state" in function.__name__
    )


def no_gene(v: State, s: Scalar) -> State:
    return v


def no_role(x: Gene, rate) -> Gene:
    return x


def wrong_role(x: Gene, rate: float) -> Gene:
    return x


def has_default(x: Gene, rate: Scalar = 1.0) -> Gene:
    return x


def keyword_only(x: Gene, *, rate: Scalar) -> Gene:
    return x


def rounds(x: Gene, rounding: Scalar) -> Gene:
    return x


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (no_gene, "no parameter is a Gene; annotate the target"),
        (no_role, "'rate' has no annotation; allowed are Gene, State, Scalar"),
        (wrong_role, "'rate' has the annotation <class 'float'>; allowed are Gene"),
        (has_default, "'rate' has a default; gene kernels have none, pass it as a Scalar"),
        (keyword_only, "'rate' is starred or keyword-only; list plain parameters"),
        (rounds, "bears the name of the rounding stream; choose another"),
    ],
)
def test_signatures_without_roles_are_refused_when_decorated(function, says):
    with pytest.raises(KernelError, match=says):
        gene_kernel(function)


def unknown_role(x: Gene, rate: "Nowhere") -> Gene:  # noqa: F821 - the mistake
    return x


def test_an_annotation_that_names_nothing_is_refused():
    with pytest.raises(KernelError, match="an annotation cannot be read: name 'Nowhere' is not defined"):
        gene_kernel(unknown_role)


def test_widths_are_checked():
    with pytest.raises(KernelError, match=r"Normal\[8\] does not exist"):
        Normal[8]
    with pytest.raises(KernelError, match="no noise argument 'other'; it has \\['take'\\]"):
        bodies.uniform_crossover.with_bits({"other": 8}, name="wrong")
    with pytest.raises(KernelError, match=r"Chance\[12\] does not exist"):
        bodies.uniform_crossover.with_bits({"take": 12}, name="wrong")


def test_values_of_one_body_do_not_leak_into_another():
    kept = []

    @gene_kernel
    def leaks(x: Gene) -> Gene:
        kept.append(x)
        return x + kept[0]

    leaks.trace()
    with pytest.raises(KernelError, match="a value of another gene kernel leaked in"):
        leaks.with_bits({}, name="again").trace()
