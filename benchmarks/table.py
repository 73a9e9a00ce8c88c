"""The rows of the operator benchmark: what stands against what, and the ratios that are asked for."""

from functools import partial

import cases
import evotorch_rivals
import torch
from cases import Case, Contestant, Gate, Tensors

TORCH, FOREACH, COMPILED, FUSED = "torch", "torch._foreach", "torch.compile", "torch AdamW(fused=True)"
SEPARATE = "ours, one launch each"
EVOTORCH = "evotorch"
"""A gate against this name is one against each of EvoTorch's operators in the row."""


def table() -> list[Case]:
    """All rows, in the order they are shown."""
    crossovers = [_crossover(bits, against) for bits, against in ((8, 25.0), (16, 0.0), (32, 10.0))]
    return [*crossovers, *_swarms(), *_mutations(), *_events(), *_gradient_steps()]


def _swarms() -> list[Case]:
    return [
        Case(
            "PSO with velocity",
            cases.swarm,
            24,
            _swarm_rivals,
            (Gate("cpu", TORCH, 20.0), Gate("cuda", TORCH, 4.5)),
            copy_share=0.9,
        ),
        Case("PSO towards a leader", cases.towards, 12, _towards_rivals),
    ]


def _mutations() -> list[Case]:
    return [
        Case(
            "Gaussian mutation, every gene",
            lambda t: cases.mutation(1.0, t),
            8,
            partial(_mutation_rivals, some=False),
            (Gate("cpu", TORCH, 6.0), Gate("cpu", EVOTORCH, 15.0), Gate("cuda", EVOTORCH, 10.0)),
            copy_share=0.85,
        ),
        Case(
            "Gaussian mutation, 1 in 10 genes",
            lambda t: cases.mutation(cases.RATE, t),
            8,
            lambda t: {TORCH: lambda: cases.torch_mutation(t["x"])},
            (Gate("cpu", TORCH, 6.0),),
        ),
        Case(
            "Gaussian mutation, 1 in 10 genes, 16 bits",
            lambda t: cases.mutation(cases.RATE, t, bits=16),
            8,
            partial(_mutation_rivals, some=True),
            (Gate("cpu", TORCH, 6.0), Gate("cpu", EVOTORCH, 15.0), Gate("cuda", EVOTORCH, 10.0)),
        ),
    ]


def _events() -> list[Case]:
    return [
        Case(
            "EOE event in one launch",
            cases.event,
            12,
            _event_rivals,
            (Gate("cpu", TORCH, 20.0), Gate("cuda", TORCH, 10.0), Gate("cuda", SEPARATE, 2.0)),
        ),
        Case(
            "EOE event in one launch",
            cases.event,
            6,
            _event_rivals,
            (Gate("cpu", TORCH, 15.0), Gate("cuda", TORCH, 10.0)),
            copy_share=0.6,
            dtype=torch.bfloat16,
        ),
    ]


def _gradient_steps() -> list[Case]:
    return [
        Case(
            "AdamW",
            cases.adamw,
            28,
            _adamw_rivals,
            (Gate("cpu", FUSED, 0.95), Gate("cuda", FUSED, 0.98)),
            copy_share=0.9,
        ),
        Case(
            "AdamW, stochastic rounding",
            cases.adamw,
            22,
            _adamw_in_float32,
            (Gate("cuda", FUSED, 1.25),),
            dtype=torch.bfloat16,
        ),
    ]


def _crossover(bits: int, against_torch: float) -> Case:
    gates = (Gate("cpu", TORCH, against_torch),) if against_torch else ()
    return Case(
        f"crossover, {bits}-bit masks",
        partial(cases.crossover, bits),
        12,
        _crossover_rivals if bits == 8 else _plain_crossover,
        (*gates, *((Gate("cpu", EVOTORCH, 15.0), Gate("cuda", EVOTORCH, 10.0)) if bits == 8 else ())),
        copy_share=0.9,
    )


def _plain_crossover(t: Tensors) -> dict[str, Contestant]:
    return {TORCH: lambda: cases.torch_crossover(t["x"], t["leader"])}


def _crossover_rivals(t: Tensors) -> dict[str, Contestant]:
    x, leader = cases.segments(t["x"]), cases.segments(t["leader"])
    compiled = torch.compile(cases.torch_crossover, dynamic=False)
    return {
        **_plain_crossover(t),
        FOREACH: lambda: cases.foreach_crossover(x, leader),
        COMPILED: lambda: compiled(t["x"], t["leader"]),
        **evotorch_rivals.crossovers(t["x"], t["leader"]),
    }


def _swarm_rivals(t: Tensors) -> dict[str, Contestant]:
    names = ("x", "best", "leader", "velocity")
    whole, lists = [t[name] for name in names], [cases.segments(t[name]) for name in names]
    compiled = torch.compile(cases.torch_swarm, dynamic=False)
    return {
        TORCH: lambda: cases.torch_swarm(*whole),
        FOREACH: lambda: cases.foreach_swarm(*lists),
        COMPILED: lambda: compiled(*whole),
    }


def _towards_rivals(t: Tensors) -> dict[str, Contestant]:
    return {TORCH: lambda: cases.torch_towards(t["x"], t["leader"])}


def _mutation_rivals(t: Tensors, *, some: bool) -> dict[str, Contestant]:
    plain = cases.torch_mutation if some else cases.torch_mutation_of_all
    compiled = torch.compile(plain, dynamic=False)
    views = cases.segments(t["x"])
    return {
        TORCH: lambda: plain(t["x"]),
        **({} if some else {FOREACH: lambda: cases.foreach_mutation(views)}),
        COMPILED: lambda: compiled(t["x"]),
        **evotorch_rivals.mutations(t["x"], some=some),
    }


def _event_rivals(t: Tensors) -> dict[str, Contestant]:
    compiled = torch.compile(cases.torch_event, dynamic=False)
    return {
        TORCH: lambda: cases.torch_event(t["x"], t["leader"]),
        COMPILED: lambda: compiled(t["x"], t["leader"]),
    }


def _adamw_rivals(t: Tensors) -> dict[str, Contestant]:
    return {
        FUSED: cases.optimizer(t, fused=True),
        "torch AdamW(foreach=True)": cases.optimizer(t, foreach=True),
    }


def _adamw_in_float32(t: Tensors) -> dict[str, Contestant]:
    wide = {name: t[name].float() for name in ("x", "gradient")}
    return {FUSED: cases.optimizer(wide, fused=True)}
