"""What comes out again: the same bytes for the same seed, from any thread, after saving; and nothing global touched."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from safetensors.torch import load as from_safetensors

from evoweights.catalog import Catalog
from evoweights.config.defaults import check_settings
from evoweights.errors import PluginError
from evoweights.operators import GeneOperator, PairOperator
from evoweights.storage.formats import from_json, tensor_chunks, to_json
from evoweights.testing.checks.instead import instead
from evoweights.testing.checks.world import draw_elsewhere, unchanged_world
from evoweights.testing.comparing import expect_same
from evoweights.testing.grounds import Draw, is_random, outcome, settled, varied, why_not_launched, with_settings
from evoweights.testing.parents import fewest_rows
from evoweights.testing.populations import contents, vary_
from evoweights.testing.rules import Level, always, condition, named, rule, traits_of


@rule("G04", always)
def repeatable(operator: PairOperator, backend: str, draw: Draw) -> None:
    """G04: the same parents and seed give the same bytes, whatever else was drawn before."""
    once = contents(outcome(operator, draw, backend))
    draw_elsewhere()
    again = contents(varied(operator, draw, backend))
    expect_same(again, once, "the second time made something else", counted=["individual"], layout=draw.layout)


@condition("gene kernels; stochastic, true or false")
def _knows_of_chance(operator: PairOperator) -> str:
    known = isinstance(operator, GeneOperator) or operator.traits.stochastic is not None
    return "" if known else "does not say whether it is stochastic"


@rule("G05", _knows_of_chance, most=3, level=Level.EXACT, on=instead((2**13,), dtype=torch.float32, share=0.0))
def seeded(operator: PairOperator, backend: str, draw: Draw) -> None:
    """G05: another seed gives another child if the operator is stochastic, and the same child if it is not."""
    told = operator.traits.stochastic
    assert told is None or told == is_random(operator), f"claims stochastic={told}; its kernel draws otherwise"
    halfway = {trait: 0.5 for trait in ("share", "rate") if getattr(operator.traits, trait)}
    there, made = with_settings(operator, **named(operator, **halfway)), []
    for seed in (1, 2):
        population = settled(there, draw)
        for name in (slot.name for slot in there.slots):
            population.row(1, name).add_(1.0)  # a memory at rest would hide a difference
        vary_(population, there, seed=seed, backend=backend)
        made.append(contents(population)[1])
    if is_random(operator):
        differ = made[0] != made[1]
        assert differ, "two seeds make the same"
    else:
        expect_same(made[1], made[0], "two seeds make something else", layout=draw.layout)


@rule("G06", always, most=10, level=Level.EXACT, on=instead(rows=fewest_rows))
def quiet(operator: PairOperator, backend: str, draw: Draw) -> None:
    """G06: no global generator is drawn from, and no setting of torch, numpy or the process changes."""
    outcome(operator, draw, backend)  # the first launch imports a compiler
    with unchanged_world():
        varied(operator, draw, backend)


@rule("G21", always, most=10)
def remembered(operator: PairOperator, backend: str, draw: Draw) -> None:
    """G21: settings through JSON and state through safetensors give the next result that would have been."""
    again = type(operator)(**from_json(to_json(dataclasses.asdict(operator))))
    alike = again == operator and repr(again) == repr(operator)
    assert alike, f"settings change on their way through JSON: {operator!r} becomes {again!r}"
    one = varied(operator, draw, backend)
    other = settled(operator, dataclasses.replace(draw, seed=draw.seed ^ 1))
    for row in range(draw.rows):
        saved = from_safetensors(b"".join(bytes(each) for each in tensor_chunks(one.tensors(row))))
        other.restore(row, saved)
    other.load_state(from_json(to_json(one.state())))
    counted = ["individual"]
    expect_same(contents(other), contents(one), "state changes on its way through safetensors", counted=counted)
    vary_(one, operator, seed=draw.seed, backend=backend, generation=4)
    vary_(other, again, seed=draw.seed, backend=backend, generation=4)
    said = "what was saved is not all that the next result depends on"
    expect_same(contents(other), contents(one), said, counted=counted, layout=draw.layout)
    expect_same(other.state(), one.state(), said)


def registrable(kind: str, component: Any) -> None:
    """Raise unless a component of a kind can be registered, equals its like, and cannot be changed; or if it claims what it
    has no setting for."""
    catalog = Catalog()
    registrar = catalog.registrar("conformance")
    for each in dataclasses.fields(component):
        if each.metadata.get("kind", kind) not in catalog.kinds:  # a kind of parts that some plugin opens
            registrar.kind(each.metadata["kind"], "parts of the component that is checked")
    registrar.add(kind, type(component))
    check_settings(kind, type(component))
    again = dataclasses.replace(component)
    assert again == component and repr(again) == repr(component), "two with the same settings differ"
    for each in dataclasses.fields(again):
        try:
            setattr(again, each.name, getattr(component, each.name))
        except dataclasses.FrozenInstanceError:
            continue
        raise AssertionError("its settings can be changed after it was made")
    known, traits = [each.name for each in dataclasses.fields(component)], traits_of(component)
    for each in dataclasses.fields(traits):
        told = getattr(traits, each.name)
        if isinstance(told, str) and each.name not in ("kind", "law"):
            assert told in known, f"traits.{each.name} names {told!r}, which is no setting: {', '.join(known)}"


@rule("G22", always, most=1, level=Level.EXACT)
def built(operator: PairOperator, backend: str, draw: Draw) -> None:
    """G22: it can be registered, allows its own defaults, equals its like, cannot be changed, and its traits name settings."""
    del backend, draw  # unused: nothing is computed
    registrable("operator", operator)
    if isinstance(operator, GeneOperator) and (why := why_not_launched(operator)):
        raise PluginError(why)


@rule("G23", always, most=3)
def threads(operator: PairOperator, backend: str, draw: Draw) -> None:
    """G23: one instance used by several threads on populations of their own does to each what it does alone."""
    each = [dataclasses.replace(draw, seed=draw.seed ^ number) for number in range(4)]
    alone = [contents(varied(operator, one, backend)) for one in each]
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda one: contents(varied(operator, one, backend)), each))
    said, counted = "beside another thread it does something else", ["population", "individual"]
    expect_same(made, alone, said, counted=counted, layout=draw.layout)
