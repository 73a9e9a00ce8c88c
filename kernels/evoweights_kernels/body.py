"""Gene kernels: one small Python function of one gene, its arguments marked by role."""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any, final

from evoweights_kernels.errors import KernelError
from evoweights_kernels.roles import ROLES, Chance, Gene, Noise, State, check_bits
from evoweights_kernels.trace import Program, Value, place, trace

ROUNDING = "rounding"
"""Name of the optional stream that rounds a bfloat16 target stochastically; no argument may bear it."""


@final
@dataclass(frozen=True)
class Argument:
    """One argument of a body; `bits` is the width of a noise argument, else 0."""

    name: str
    role: type[Value]
    bits: int = 0

    @property
    def is_noise(self) -> bool:
        """Whether the argument is made from random words and needs a stream."""
        return issubclass(self.role, Noise)


@final
@dataclass(frozen=True, eq=False)
class GeneKernel:
    """An operator that acts gene by gene; calling it runs the original function, on torch tensors too."""

    function: Callable[..., Any] = field(repr=False)
    name: str
    arguments: tuple[Argument, ...]

    def __call__(self, *arguments: Any) -> Any:
        """Run the original function."""
        return self.function(*arguments)

    @property
    def doc(self) -> str:
        """The function's docstring."""
        return inspect.getdoc(self.function) or ""

    @cached_property
    def target(self) -> str:
        """Name of the argument that is written: the first Gene."""
        return next(a.name for a in self.arguments if a.role is Gene)

    @cached_property
    def written(self) -> tuple[str, ...]:
        """Names of what the function returns, in order: the target, then every State."""
        return (self.target, *(a.name for a in self.arguments if a.role is State))

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the arguments and of the arithmetic: equal fingerprints give equal bits."""
        arguments = [(a.name, a.role.__name__, a.bits) for a in self.arguments]
        return hashlib.blake2b(repr((arguments, self.trace())).encode(), digest_size=16).hexdigest()

    def trace(self) -> Program:
        """The body as a straight-line program, written down at the first call.

        Raises:
            KernelError: the body does what no target can do, or returns a wrong number of values.
        """
        return self._program

    @cached_property
    def _program(self) -> Program:
        return trace(self.function, tuple(a.role is Chance for a in self.arguments), len(self.written))

    def with_bits(self, bits: Mapping[str, int], *, name: str) -> "GeneKernel":
        """The same operator under another name, with other widths for some noise arguments.

        Raises:
            KernelError: a name is no noise argument, or the role does not offer that width.
        """
        return _with_bits(self, tuple(bits.items()), name)


@cache
def _with_bits(kernel: GeneKernel, bits: tuple[tuple[str, int], ...], name: str) -> GeneKernel:
    """Cached, because what is compiled for a kernel is found by its identity."""
    noise = [a.name for a in kernel.arguments if a.is_noise]
    for argument, _ in bits:
        if argument not in noise:
            raise KernelError(f"gene kernel {kernel.name!r} has no noise argument {argument!r}; it has {noise}")
    arguments = tuple(replace(a, bits=dict(bits).get(a.name, a.bits)) for a in kernel.arguments)
    for argument in arguments:
        if issubclass(argument.role, Noise):
            check_bits(argument.role, argument.bits)
    return replace(kernel, name=name, arguments=arguments)


def gene_kernel(function: Callable[..., Any]) -> GeneKernel:
    """Make a gene kernel from a function whose parameters are annotated with roles.

    The body is traced when it is first needed, so it may call functions written below it.

    Raises:
        KernelError: a parameter without a role, or no Gene.
    """
    arguments = tuple(_argument(function, parameter) for parameter in _parameters(function))
    if not any(argument.role is Gene for argument in arguments):
        raise KernelError(f"{place(function)}: no parameter is a Gene; annotate the target, e.g. `x: Gene`")
    return GeneKernel(function, function.__name__, arguments)


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function, eval_str=True).parameters.values())
    except (NameError, KernelError) as error:
        raise KernelError(f"{place(function)}: an annotation cannot be read: {error}") from error


def _argument(function: Callable[..., Any], parameter: inspect.Parameter) -> Argument:
    names = ", ".join(role.__name__ for role in ROLES)
    where = f"{place(function)}: parameter {parameter.name!r}"
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.KEYWORD_ONLY):
        raise KernelError(f"{where} is starred or keyword-only; list plain parameters, one role each")
    if parameter.default is not parameter.empty:
        raise KernelError(f"{where} has a default; gene kernels have none, pass it as a Scalar of the call")
    if parameter.name == ROUNDING:
        raise KernelError(f"{where} bears the name of the rounding stream; choose another")
    annotation = parameter.annotation
    role = next((r for r in ROLES if isinstance(annotation, type) and issubclass(annotation, r)), None)
    if role is None:
        found = "no annotation" if annotation is parameter.empty else f"the annotation {annotation!r}"
        raise KernelError(f"{where} has {found}; allowed are {names}")
    return Argument(parameter.name, role, annotation.bits if issubclass(annotation, Noise) else 0)
