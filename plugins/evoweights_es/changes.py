"""How the members that are computed together differ from the module, and how its batch is divided among them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from evoweights.errors import UsageError

WAY_OUT = "Use `perturbation: gaussian`, which perturbs any module, or leave it out with `scope`."


@dataclass(frozen=True)
class Outer:
    """What the members add to one matrix, as it is stored, ``[rows, columns]``: member j adds ``left[j]^T right[j]``.

    ``left`` is ``[copies, rank, rows]``, ``right`` is ``[copies, rank, columns]``, both contiguous.
    """

    left: Tensor
    right: Tensor


@dataclass(frozen=True)
class Changes:
    """How ``copies`` members differ from the module, by the names of its parameters.

    ``vectors`` are the members' own values, float32 ``[copies, genes]``.
    """

    copies: int
    matrices: Mapping[str, Outer]
    vectors: Mapping[str, Tensor]


@dataclass
class Rows:
    """Divides what a layer is given among the members.

    ``items`` are the sequences of one member, known from the first layer that is given them; ``watch`` sees what each layer is
    given, ``[copies, ...]``.
    """

    copies: int
    watch: Callable[[str, Tensor], None] | None = None
    items: int | None = None

    def of(self, layer: str, given: Tensor) -> Tensor:
        """``[copies, ...]``, contiguous. What has one row only, such as positions, is for everybody.

        Raises:
            UsageError: it cannot be divided.
        """
        if self.copies > 1 and (given.ndim == 0 or given.shape[0] % self.copies):
            given = self._for_everybody(layer, given)
        elif self.items is None and given.ndim:
            self.items = given.shape[0] // self.copies
        rows = given[None] if self.copies == 1 else given.reshape(self.copies, -1, *given.shape[1:])
        if self.watch is not None:
            self.watch(layer, rows)
        return rows.contiguous()

    def joined(self, rows: Tensor) -> Tensor:
        """What was ``[copies, ...]`` in the shape that the layer was given."""
        return rows[0] if self.copies == 1 else rows.flatten(0, 1)

    def _for_everybody(self, layer: str, given: Tensor) -> Tensor:
        if given.ndim == 0 or given.shape[0] != 1 or self.items is None:
            raise UsageError(
                f"{layer or 'the model'}: found an input of shape {list(given.shape)}, which cannot be divided among "
                f"{self.copies} members: the first dimension must be that of the batch. Set `members_at_once: 1`, or use "
                "`perturbation: gaussian`."
            )
        return given.expand(self.copies * self.items, *given.shape[1:])


@dataclass(frozen=True)
class Owner:
    """A module with parameters of its own that are perturbed: ``names`` by attribute."""

    path: str
    module: nn.Module
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What messages call it."""
        return f"{self.path or 'the model'} ({type(self.module).__name__})"
