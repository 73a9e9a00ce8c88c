"""Founding a population: the live module mounted on its buffers, and every individual's first weights."""

import gc
from collections.abc import Sequence
from pathlib import Path

import torch

from evoweights.contract import calling
from evoweights.errors import PluginError, UsageError
from evoweights.genome import Layout, layout_of
from evoweights.homes.part import mount_
from evoweights.homes.swaps import CudaSide, SideSwaps
from evoweights.improvers import Checking, Improver, uses_gradient
from evoweights.mounted import Blueprint, Mounted
from evoweights.operators import GeneOperator, PairOperator
from evoweights.population import WEIGHTS, Population, Slot
from evoweights.seeds import Noise, seeded
from evoweights_kernels import KernelError

MOST_PILED = 2**20
"""Genes of models that were built and are no longer needed, before their memory is collected: a collection takes long."""


def collect_slots(components: Sequence[Improver | PairOperator]) -> tuple[Slot, ...]:
    """The slots that components declare, each once.

    Raises:
        UsageError: two components want one name in different roles or types.
    """
    slots: dict[str, tuple[Slot, str]] = {}
    for component in components:
        with calling(f"{component.name}: slots"):
            declared = [(slot, slot.name) for slot in component.slots]
        for slot, name in declared:
            old, owner = slots.setdefault(name, (slot, component.name))
            if old != slot:
                raise UsageError(
                    f"Slot {name!r} is declared twice, and not alike: as {old.role} in {old.dtype} by {owner} and as "
                    f"{slot.role} in {slot.dtype} by {component.name}. An individual keeps it once: give two entries of one "
                    "component the same settings for it, or rename the slot in one of two plugins."
                )
    return tuple(slot for slot, _ in slots.values())


def found(
    blueprint: Blueprint,
    *,
    improvers: Sequence[Improver],
    operators: Sequence[PairOperator],
    noise: Noise,
    device: torch.device,
    folder: Path,
    compute: torch.dtype | None = None,
) -> tuple[Population, Mounted]:
    """Mount the blueprint's module and give every individual its first weights.

    Individual i is initialised from ``noise`` at "individual i", so that none depends on how many there are. ``compute`` is
    the dtype that forward and backward use afterwards; None is that of the weights.
    """
    mounted = mount_blueprint(blueprint, device, improvers=improvers)
    for operator in operators:
        _check_operator(operator, mounted.own.layout)
    population = Population(
        mounted.own.layout,
        blueprint.size,
        home=blueprint.home,
        device=device,
        folder=folder,
        slots=collect_slots([*improvers, *operators]),
        mounted={WEIGHTS: mounted.own.weights, **mounted.own.slots},
    )
    _first_weights(blueprint, mounted, population, noise)
    mounted.compute_in_(compute or mounted.own.layout.dtype)
    if device.type == "cuda" and population.home == "host":
        mounted.swaps = SideSwaps(CudaSide(device), mounted.own.weights, mounted.own.slots)
    return population, mounted


def _first_weights(blueprint: Blueprint, mounted: Mounted, population: Population, noise: Noise) -> None:
    """Initialise every individual, one after the other, in the live module; what all share is as the first one has it."""
    shared, piled = None, 0
    for row in range(blueprint.size):
        with seeded(noise.at("individual", row)), torch.no_grad():
            blueprint.initialise(row)
        # A model that was built only to be copied is a cycle of modules; without this they pile up, one for each row.
        piled += mounted.own.layout.size
        if piled > MOST_PILED:
            gc.collect()
            piled = 0
        if shared is None:
            shared = mounted.shared.weights.clone()
        mounted.shared.weights.copy_(shared)
        mounted.row = row
        mounted.store(population)
        for slot in population.slots:
            if slot.role == "personal_best":
                population.row(row, slot.name).copy_(mounted.own.weights)


def _check_operator(operator: PairOperator, layout: Layout) -> None:
    """See that an operator can act on genomes of ``layout``."""
    if isinstance(operator, GeneOperator):
        check_kernel(operator)
    if not layout.scope(operator.scope, where=f"operator {operator.name}: scope"):
        raise UsageError(
            f"operator {operator.name}: scope {operator.scope!r} holds no gene that an individual owns. Its own segments "
            f"are {', '.join(sorted({each.role for each in layout.segments}))}; the rest is shared or frozen."
        )


def check_kernel(operator: GeneOperator) -> None:
    """See that a gene operator's body can be compiled and has what it takes, before any work is done.

    Raises:
        PluginError: the body is not arithmetic on genes, or takes a setting that is not there.
    """
    with calling(f"operator {operator.name}: kernel and scalars"):
        try:
            operator.kernel.trace()
        except KernelError as error:
            raise PluginError(f"operator {operator.name}: {error}") from error
        dict(operator.scalars())


def mount_blueprint(blueprint: Blueprint, device: torch.device, *, improvers: Sequence[Improver] = ()) -> Mounted:
    """The blueprint's module, mounted: one buffer for what an individual owns, one for what all share.

    Raises:
        UsageError: nothing is left to evolve, or the weights are of several or unsupported dtypes.
        EvoweightsError: an improver cannot work on it.
    """
    names = [name for name, _ in blueprint.module.named_parameters()]
    frozen = {name for name, each in blueprint.module.named_parameters() if not each.requires_grad}
    shared = [name for name in names if blueprint.is_shared(name) or name in frozen]
    everything = layout_of(blueprint.module, names)  # one dtype for both parts, or one clear error
    if any(each.device != device for each in [*blueprint.module.parameters(), *blueprint.module.buffers()]):
        blueprint.module.to(device)
    own_layout = layout_of(blueprint.module, [name for name in names if name not in shared], dtype=everything.dtype)
    if not own_layout.count:
        raise UsageError("The population shares every weight of the model: there is nothing left to evolve.")
    shared_layout, gradient = (
        layout_of(blueprint.module, shared, dtype=everything.dtype),
        any(map(uses_gradient, improvers)),
    )
    own = mount_(blueprint.module, own_layout, device=device, gradient=gradient)
    shared_part = mount_(blueprint.module, shared_layout, device=device, gradient=gradient)
    mounted = Mounted(blueprint.module, own, shared_part, depth=blueprint.depth)
    for slot in collect_slots(improvers):
        for part in mounted.parts:
            dtype = slot.dtype_for(part.layout)
            part.slots[slot.name] = torch.zeros(part.layout.size, dtype=dtype, device=device)
    for improver in improvers:
        if isinstance(improver, Checking):
            improver.check(mounted)
    return mounted
