"""Several members in one forward pass: a module computes another individual for every copy of its batch.

A batch of ``copies`` times the same items, the first copy first, goes through the module once, while layers that own
perturbed parameters compute with those of the members; see :mod:`evoweights_es.member_layers`. Weights are never touched.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn

from evoweights.errors import UsageError
from evoweights.ledger.eager import eagerly
from evoweights_es.changes import WAY_OUT, Changes, Owner, Rows
from evoweights_es.member_layers import by_vectors, forward_for


def owners(module: nn.Module, names: Collection[str]) -> list[Owner]:
    """The modules that own the parameters of these names; of a tied parameter every one.

    Raises:
        UsageError: one of them cannot compute several members at once.
    """
    wanted = {id(parameter): name for name, parameter in module.named_parameters() if name in names}
    found = []
    for path, each in module.named_modules():
        held = {attribute: wanted.get(id(own)) for attribute, own in each.named_parameters(recurse=False)}
        if perturbed := {attribute: name for attribute, name in held.items() if name is not None}:
            found.append(Owner(path, each, perturbed))
    for owner in found:
        _refuse_unless_known(owner, found)
    return found


def _refuse_unless_known(owner: Owner, everyone: list[Owner]) -> None:
    if "forward" in owner.module.__dict__:
        raise UsageError(
            f"{owner.label}: its forward was replaced by something else (by accelerate's hooks, perhaps), so it cannot "
            f"compute several members. {WAY_OUT}"
        )
    if forward_for(owner.module) is not by_vectors and set(owner.names) <= {"weight", "bias"}:
        return
    for attribute in owner.names:
        shape = list(owner.module.get_parameter(attribute).shape)
        if len(shape) > 1:
            raise UsageError(
                f"{owner.label}: found the parameter {attribute!r} {shape}, but members of low rank share only Linear, Conv1D "
                f"of transformers, Embedding and layers that own nothing but vectors. {WAY_OUT}"
            )
    if owner.module.training and (buffers := [name for name, _ in owner.module.named_buffers()]):
        raise UsageError(
            f"{owner.label}: it may change {buffers[0]!r} while it trains, which members cannot share. Score in evaluation "
            f"mode. {WAY_OUT}"
        )
    inside = set(map(id, owner.module.modules())) - {id(owner.module)}
    if within := [each.label for each in everyone if id(each.module) in inside]:
        raise UsageError(
            f"{owner.label}: it owns {', '.join(map(repr, owner.names))} itself and contains {within[0]}, so its members "
            f"cannot be computed together. {WAY_OUT}"
        )


@contextmanager
def as_members(
    module: nn.Module, changes: Changes, *, watch: Callable[[str, Tensor], None] | None = None
) -> Iterator[None]:
    """Let the module compute the members of ``changes``, each on its copy of the batch, while the context lasts.

    Raises:
        UsageError: the module has a layer that cannot.
    """
    rows = Rows(changes.copies, watch)
    with ExitStack() as stack:
        if any(each._compiled_call_impl is not None for each in module.modules()):
            # What is compiled holds the layers as they were, and would be compiled anew for every group of members.
            stack.enter_context(eagerly())
        for owner in owners(module, {*changes.matrices, *changes.vectors}):
            forward = forward_for(owner.module)(owner, changes, rows)
            stack.callback(owner.module.__dict__.pop, "forward", None)
            owner.module.__dict__["forward"] = forward
        yield
