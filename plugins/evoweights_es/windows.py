"""Perturbed layer by layer: while a module runs it has other weights, and the weights themselves are never written.

A module that owns parameters is shown a workspace in their place for the time of its forward; large products and tables are
carried out in pieces of rows. So a member needs a piece of a segment, or a small segment, more memory than the model. What
is read elsewhere than in the module that owns it is found out by an evaluation that is watched, and shown for as long as it
is needed: while the module runs that reads it, or all the time.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from evoweights.errors import UsageError
from evoweights.homes.part import Part
from evoweights.ledger.eager import eagerly
from evoweights_es.layers import Layer, Owned
from evoweights_es.pieces import InPieces
from evoweights_es.reads import Reads
from evoweights_kernels import TILE

PIECE, SHARE = 1 << 20, 32
"""Genes of a piece: a SHARE-th of all that are perturbed, and not fewer than PIECE."""
Elsewhere = dict[str | None, set[str]]
"""Names of parameters by the path of a module that reads them without owning them; by None, what is read where none runs."""
Result = TypeVar("Result")


class Write(Protocol):
    """Writes perturbed weights."""

    def __call__(self, out: Tensor, part: Part, label: str, first: int, live: Tensor | None) -> None:
        """Fill ``out`` with the part's genes from ``first``, a multiple of the tile, on; ``live`` as kernels take it."""
        ...


class Windows:
    """The layers of a module, while members of it are scored.

    ``modules`` are all of the module's by path; ``elsewhere`` is what is known to be read where it is not owned.
    """

    def __init__(
        self, layers: Sequence[Layer], write: Write, modules: Mapping[str, nn.Module], elsewhere: Elsewhere
    ) -> None:
        self.write, self.modules, self.elsewhere = write, modules, elsewhere
        self.layers = {layer.path: layer for layer in layers}
        self.owned = {each.segment.name: each for layer in layers for each in layer.owned}
        self.shown: set[str] = set()
        self.piece = max(PIECE, sum(each.segment.count for each in self.owned.values()) // SHARE)
        self._home = {name: each.parameter.data for name, each in self.owned.items()}
        self._hidden = self._home
        self._reads: Reads | None = None
        self._free: list[Tensor] = []
        self._rooms = 0

    def reads(self) -> Reads:
        """A watch over what is perturbed."""
        return Reads(self._home)

    def look(self, run: Callable[[], Result], found: Callable[[str | None, str], None]) -> Result:
        """What ``run`` gives with perturbed weights, when it is known what it reads elsewhere; ``found`` is told of each such
        reading: the path of the module that reads, and the parameter.

        Raises:
            UsageError: something is read that cannot be shown to the one who reads it.
        """
        while True:
            reads = self.reads()
            with self.open(reads):
                made = run()
            new = [(path, name) for path, names in reads.found.items() for name in names]
            if not new:
                return made
            for path, name in new:
                if name in self.elsewhere.setdefault(path, set()):
                    raise UsageError(
                        f"{name}: {path or 'the model'} reads it through a tensor that it keeps, so it cannot be perturbed. "
                        "Leave it out with `scope`."
                    )
                found(path, name)
                self.elsewhere[path].add(name)

    @contextmanager
    def open(self, reads: Reads | None = None) -> Iterator[None]:
        """Let the module compute with perturbed weights while the context lasts.

        Outside its time a parameter is NaN, so that a read that is not known of cannot go unnoticed; but with ``reads`` it is as
        it was, and such reads are noted.
        """
        self._reads = reads
        self._hidden = self._home if reads else {name: _nothing(home) for name, home in self._home.items()}
        with ExitStack() as stack:
            if any(each._compiled_call_impl is not None for each in self.modules.values()):
                stack.enter_context(eagerly())  # compiled code holds other weights
            stack.callback(self._put_back)
            self._hide(self.owned.values())
            for path, module in self.modules.items():
                if reads is not None or path in self.layers or path in self.elsewhere:
                    stack.callback(_put_back_forward, module, module.__dict__.get("forward"))
                    module.__dict__["forward"] = self._forward(path, module)
            stack.enter_context(self._showing([self.owned[name] for name in sorted(self.elsewhere.get(None, ()))]))
            with reads or nullcontext():
                yield

    @contextmanager
    def room(self, genes: int, like: Tensor) -> Iterator[Tensor]:
        """Memory for so many genes, of the type of ``like``, which is used again afterwards."""
        room = self._free.pop() if self._free else None
        if room is None or room.numel() < genes or room.dtype != like.dtype:
            del room  # before there is another
            usual = 0 if self._rooms else self._usual()  # so that it need not grow
            room = torch.empty(max(genes, usual), dtype=like.dtype, device=like.device)
        self._rooms += 1
        try:
            yield room
        finally:
            self._rooms -= 1
            self._free.append(room)

    def _usual(self) -> int:
        """Genes of the largest layer, or of a piece of it."""
        kinds = {id(each): layer.module for layer in self.layers.values() for each in layer.owned}
        return max(
            self.piece + each.segment.shape[-1] + TILE if self._goes_in_pieces(each, kinds[id(each)]) else each.room
            for each in self.owned.values()
        )

    def fill(self, out: Tensor, owned: Owned, first: int, live: Tensor | None = None) -> None:
        """Write perturbed genes of a segment, from ``first`` on, which may reach beyond its end."""
        with self._reads.looking_away() if self._reads else nullcontext():
            self.write(out, owned.part, owned.label, owned.segment.start + first, live)

    def _forward(self, path: str, module: nn.Module) -> Callable[..., Any]:
        """The forward of a module that sees perturbed weights."""
        own = self.layers[path].owned if path in self.layers else ()
        known = [self.owned[name] for name in sorted(self.elsewhere.get(path, ()))]
        large = {id(each.parameter): each for each in own if self._goes_in_pieces(each, module) and each not in known}
        whole = [*known, *(each for each in own if id(each.parameter) not in large and each not in known)]
        original = module.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            with (
                self._reads.inside(path) if self._reads else nullcontext(),
                self._showing(whole),
                InPieces(self, large) if large else nullcontext(),
            ):
                return original(*args, **kwargs)

        return forward

    def _goes_in_pieces(self, owned: Owned, module: nn.Module) -> bool:
        if isinstance(module, nn.Embedding) and module.max_norm is not None:
            return False  # it writes to its weights
        is_matrix = len(owned.segment.shape) == 2 and isinstance(module, nn.Linear | nn.Embedding)
        return is_matrix and owned.segment.count > self.piece

    @contextmanager
    def _showing(self, wanted: Sequence[Owned]) -> Iterator[None]:
        """Parameters with perturbed values, as far as they do not have them already."""
        fresh = [each for each in wanted if each.segment.name not in self.shown]
        with ExitStack() as stack:
            stack.callback(self._hide, fresh)
            for run in _neighbours(fresh):
                first, last = run[0], run[-1]
                start = first.segment.start
                genes = last.segment.start + last.segment.count - start
                out = stack.enter_context(self.room(genes, first.part.compute))[:genes]
                self.fill(out, first, 0)
                for each in run:
                    view = out[each.segment.start - start :][: each.segment.count].view(each.segment.shape)
                    each.parameter.data = view
                    self.shown.add(each.segment.name)
            yield

    def _hide(self, owned: Iterable[Owned]) -> None:
        for each in owned:
            self.shown.discard(each.segment.name)
            each.parameter.data = self._hidden[each.segment.name]

    def _put_back(self) -> None:
        for name, each in self.owned.items():
            each.parameter.data = self._home[name]
        self._free.clear()


def _nothing(home: Tensor) -> Tensor:
    """NaN in the shape of a tensor, of the size of one number."""
    return home.new_full((), torch.nan).expand(home.shape)


def _put_back_forward(module: nn.Module, forward: Any) -> None:
    if forward is None:
        module.__dict__.pop("forward", None)
    else:
        module.__dict__["forward"] = forward


def _neighbours(owned: Sequence[Owned]) -> list[list[Owned]]:
    """Parameters in groups that lie one after the other in one part, to be written in one launch."""
    groups: list[list[Owned]] = []
    for each in sorted(owned, key=lambda each: (each.label, each.segment.start)):
        before = groups[-1][-1] if groups else None
        if before and before.label == each.label and before.segment.start + before.room == each.segment.start:
            groups[-1].append(each)
        else:
            groups.append([each])
    return groups


def read_outside(layers: list[Layer], run: Callable[[], object]) -> str | None:
    """A perturbed parameter that ``run`` reads elsewhere than in the forward of a layer that owns it; None if there is none.

    What is read there would not be perturbed.
    """

    def write(out: Tensor, part: Part, label: str, first: int, live: Tensor | None) -> None:
        out.copy_(part.compute[first : first + len(out)])

    windows = Windows(layers, write, {layer.path: layer.module for layer in layers}, {})
    reads = windows.reads()
    with windows.open(reads):
        run()
    return next((f"{name} ({operation})" for here in reads.found.values() for name, operation in here.items()), None)
