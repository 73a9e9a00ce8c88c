"""A genome: every weight of one module in one contiguous buffer, and the layout that says which gene lies where.

A module is *mounted* on a genome: its parameters become views into the buffer. So an optimizer step, a crossover, a copy
or a hash is one pass over one tensor. Segments start at multiples of 1,024 genes, the tile of the random numbers, and are
ordered matrices first, then vectors, then embeddings, so that the usual scopes are contiguous.
"""

import fnmatch
import functools
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from evoweights.errors import UsageError, did_you_mean
from evoweights_kernels import TILE

ROLES = ("matrix", "vector", "embedding", "frozen")
SCOPES = {
    "all": ("matrix", "vector", "embedding"),
    "matrices": ("matrix",),
    "vectors": ("vector",),
    "embeddings": ("embedding",),
}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Segment:
    """One named tensor of a genome: ``count`` genes from ``start``, shown as ``shape``."""

    name: str
    shape: tuple[int, ...]
    role: str
    start: int

    @property
    def count(self) -> int:
        """Number of genes."""
        return math.prod(self.shape)

    def view(self, genes: Tensor) -> Tensor:
        """This segment of a flat vector of genes, in its shape."""
        return genes[self.start : self.start + self.count].view(self.shape)


@dataclass(frozen=True)
class Layout:
    """Which segment lies where in a flat vector of ``size`` genes; the gaps up to the next tile are padding."""

    segments: tuple[Segment, ...]
    dtype: torch.dtype

    @functools.cached_property
    def size(self) -> int:
        """Length of the flat vector, padding included: a multiple of the tile."""
        return max((_up_to_tile(segment.start + segment.count) for segment in self.segments), default=0)

    @functools.cached_property
    def count(self) -> int:
        """Number of genes without padding."""
        return sum(segment.count for segment in self.segments)

    @functools.cached_property
    def fingerprint(self) -> str:
        """16 hex digits that two layouts share only if every gene lies at the same place."""
        rows = [[segment.name, list(segment.shape), segment.role, segment.start] for segment in self.segments]
        text = json.dumps([str(self.dtype), TILE, rows])
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def scope(self, scope: str, *, where: str = "scope") -> tuple[Segment, ...]:
        """The segments of a scope: a name of ``SCOPES`` or a glob over segment names such as ``*.mlp.*``.

        Raises:
            UsageError: a glob that matches no segment, or an unknown word.
        """
        if scope in SCOPES:
            return tuple(segment for segment in self.segments if segment.role in SCOPES[scope])
        live = [segment for segment in self.segments if segment.role != "frozen"]
        found = tuple(segment for segment in live if fnmatch.fnmatchcase(segment.name, scope))
        if found or not live:
            return found
        names = ", ".join(segment.name for segment in live[:3])
        raise UsageError(
            f"{where}: {scope!r} is no scope and matches no segment (the first are {names})."
            f"{did_you_mean(scope, SCOPES)} Or give a glob such as '*.mlp.*'."
        )

    def live(self, segments: Iterable[Segment], *, device: torch.device | str = "cpu") -> Tensor:
        """Table for kernels: the number of genes of ``segments`` in each tile, ``int32 [size / TILE]``."""
        table = torch.zeros(self.size // TILE, dtype=torch.int32)
        for segment in segments:
            first, full = segment.start // TILE, segment.count // TILE
            table[first : first + full] = TILE
            if rest := segment.count % TILE:
                table[first + full] = rest
        return table.to(device)

    def check(self, fingerprint: str, *, where: str) -> None:
        """Refuse genomes of another layout.

        Raises:
            UsageError: the fingerprints differ; both are shown.
        """
        if fingerprint != self.fingerprint:
            raise UsageError(
                f"{where}: made for layout {fingerprint}, but this model has layout {self.fingerprint}. "
                "The model, its dtype or its division has changed; use the configuration the weights were made with."
            )


def _up_to_tile(genes: int) -> int:
    return -(-genes // TILE) * TILE


def _role(name: str, parameter: nn.Parameter, embeddings: frozenset[str]) -> str:
    if not parameter.requires_grad:
        return "frozen"
    if name in embeddings:
        return "embedding"
    return "matrix" if parameter.ndim >= 2 else "vector"


def layout_of(module: nn.Module, names: Iterable[str], *, dtype: torch.dtype | None = None) -> Layout:
    """The layout of the named parameters of ``module``; ``dtype`` None takes theirs. Tied weights are one segment.

    Raises:
        UsageError: a parameter is neither float32 nor bfloat16, or their dtypes differ and ``dtype`` is None.
    """
    parameters, wanted = dict(module.named_parameters()), list(names)
    tables = {id(table.weight) for table in module.modules() if isinstance(table, nn.Embedding)}
    embeddings = frozenset(name for name in wanted if id(parameters[name]) in tables)
    roles = {name: _role(name, parameters[name], embeddings) for name in wanted}
    dtype = dtype or _common_dtype({name: parameters[name].dtype for name in wanted})
    segments, start = [], 0
    for name in sorted(wanted, key=lambda name: ROLES.index(roles[name])):
        segments.append(Segment(name, tuple(parameters[name].shape), roles[name], start))
        start = _up_to_tile(start + parameters[name].numel())
    return Layout(tuple(segments), dtype)


def _common_dtype(dtypes: Mapping[str, torch.dtype]) -> torch.dtype:
    first_name, first = next(iter(dtypes.items()), ("", torch.float32))
    for name, dtype in dtypes.items():
        if dtype not in DTYPES.values():
            raise UsageError(
                f"Parameter {name!r} is {dtype}; a genome holds float32 or bfloat16. Convert the module first, "
                "for example with module.float()."
            )
        if dtype != first:
            raise UsageError(
                f"Parameter {first_name!r} is {first} but {name!r} is {dtype}; a genome has one dtype. "
                "Convert the module first, or set `population.dtype` to float32 or bfloat16."
            )
    return first
