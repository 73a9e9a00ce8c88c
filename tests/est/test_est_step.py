"""Steps of an optimizer on a subnetwork: what is outside is not touched, and with everything in it is the optimizer."""

import dataclasses
import logging
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from est_cases import MODELS, Tokens, inside, mounted_model, steps_
from torch import nn

from evoweights.errors import PluginError, UsageError
from evoweights.improvers import Moment, NonFiniteStep
from evoweights.progress import Progress
from evoweights.seeds import Noise
from evoweights.testing.populations import bits
from evoweights.training import Feed
from evoweights_classic.adamw import SECOND, STEPS, AdamW
from evoweights_es.es import EvolutionStrategy
from evoweights_est.est import Shares, SubnetworkTraining
from evoweights_est.families import blocks_of
from evoweights_est.presets import ALL
from evoweights_est.subnetwork import Subnetwork

ADAMW = AdamW(learning_rate=1e-2)
HALVES = SubnetworkTraining(optimizer=ADAMW)
ALWAYS = dataclasses.replace(HALVES, layers_until=1.0, widths_until=1.0)
DTYPES = {
    "float32": {},
    "bfloat16": {"dtype": torch.bfloat16},
    "mixed": {"compute": torch.bfloat16},
}


def state(mounted):
    """The bytes of weights and slots, and the counters."""
    return [
        (bits(part.weights), {name: bits(each) for name, each in part.slots.items()}, dict(part.counters))
        for part in mounted.parts
    ]


def vectors(mounted):
    """Copies of weights and slots of the individual's own part, by name."""
    return {"weights": mounted.own.weights.clone()} | {name: each.clone() for name, each in mounted.own.slots.items()}


def drawn_at(improver, mounted, step, *, total=100, seed=3):
    """The subnetwork of a step of :func:`steps_`, found by running it with an optimizer that only looks."""
    seen = []

    @dataclass(frozen=True)
    class Looks:
        name: ClassVar[str] = "looks"
        source: ClassVar[str] = "a test"
        steps: ClassVar[int] = 1
        slots: ClassVar[tuple[()]] = ()

        def step(self, mounted, feed, moment):
            seen.append(mounted)
            return 0.0

    looking = dataclasses.replace(improver, optimizer=Looks())
    moment = Moment(step, total, Noise(seed), "cpu", Noise(seed).at("individual", 0))
    looking.step(mounted, Feed(Tokens(None), Progress()), moment)
    return seen[0]


@pytest.mark.parametrize("sampling", ["random", "window"])
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *((name, "float32") for name in MODELS),
        *((name, dtype) for name in ("gpt2", "qwen3") for dtype in ("bfloat16", "mixed")),
    ],
)
def test_weights_and_moments_outside_are_untouched_and_those_inside_move(name, sampling, dtype):
    improver = dataclasses.replace(ALWAYS, sampling=sampling, resample_every=1000)
    task, mounted = mounted_model(name, improver=improver, **DTYPES[dtype])
    steps_(dataclasses.replace(improver, layers=1.0, heads=1.0, neurons=1.0), task, mounted, 1)  # moments are not zero
    before = vectors(mounted)
    looked = drawn_at(improver, mounted, 2)
    steps_(improver, task, mounted, 2, first=2)
    is_in = {each.name: each.count for part in looked.parts for each in part.layout.segments}
    for segment in mounted.own.layout.segments:
        for vector, old in before.items():
            new = mounted.own.weights if vector == "weights" else mounted.own.slots[vector]
            changed = int((segment.view(new) != segment.view(old)).sum())
            assert changed <= is_in.get(segment.name, 0), (segment.name, vector)
            if vector == SECOND and segment.name in is_in:
                assert changed > 0, segment.name


@pytest.mark.parametrize("name", ["gpt2", "qwen3"])
def test_exactly_the_genes_of_the_draw_have_moved(name, monkeypatch):
    task, mounted = mounted_model(name, improver=ALWAYS)
    made, write_back_ = [], Subnetwork.write_back_
    monkeypatch.setattr(Subnetwork, "write_back_", lambda self: (made.append(self), write_back_(self)))
    before = vectors(mounted)
    steps_(ALWAYS, task, mounted, 1)
    cut = {name for block in made[0].blocks for name in block.cuts}
    marks = inside(made[0])
    for segment in mounted.own.layout.segments:
        mark = marks[segment.name]
        for vector, old in before.items():
            new = mounted.own.weights if vector == "weights" else mounted.own.slots[vector]
            moved = segment.view(new) != segment.view(old)
            assert not (moved & ~mark).any(), (segment.name, vector)
        if segment.name in cut and not segment.name.endswith(("k_proj.bias", "c_attn.bias")):
            # (Softmax cannot see the bias of keys.)
            assert torch.equal(segment.view(mounted.own.slots[SECOND]) > 0, mark), segment.name


def test_gradients_of_what_is_cut_are_never_written_in_the_individual():
    """Embeddings, which are always whole, are trained where they are."""
    task, mounted = mounted_model("gpt2", improver=ALWAYS)
    steps_(ALWAYS, task, mounted, 3)
    gradients = {each.name: each.view(mounted.own.gradient) for each in mounted.own.layout.segments}
    cut = [name for block in blocks_of(mounted.module) for name in block.cuts]
    assert len(cut) == 24 and not any(gradients[name].any() for name in cut)
    assert gradients["transformer.wte.weight"].any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "improver",
    [
        dataclasses.replace(ALWAYS, heads=1.0, neurons=1.0, layers=1.0),
        dataclasses.replace(HALVES, layers_until=0.0, widths_until=0.0),
        dataclasses.replace(ALWAYS, heads=0.9, neurons=0.999, layers=0.9),
    ],
    ids=["shares of one", "the last stage", "shares that round to all"],
)
def test_with_everything_in_it_is_the_optimizer_bit_for_bit(improver, dtype):
    found = []
    for each in (improver, ADAMW):
        task, mounted = mounted_model("gpt2", improver=each, **DTYPES[dtype])
        found.append((steps_(each, task, mounted, 4), state(mounted)))
    assert found[0] == found[1]


def test_the_optimizers_state_goes_on_from_stage_to_stage():
    task, mounted = mounted_model("gpt2", improver=HALVES)
    seen = []
    for step in range(1, 13):
        steps_(HALVES, task, mounted, 1, first=step, total=12)
        seen.append(vectors(mounted))
        assert mounted.own.counters == {STEPS: step}
    # stage 1: steps 1 and 2, stage 2: up to 6, stage 3: up to 12
    assert [HALVES.shares_at(step, 12) for step in (2, 3, 6, 7)] == [
        Shares(0.5, 0.5, 0.5), Shares(0.5, 0.5, 1.0), Shares(0.5, 0.5, 1.0), Shares(1.0, 1.0, 1.0),
    ]  # fmt: skip
    for before, after in ((1, 2), (5, 6)):
        assert (seen[before][SECOND] > 0).sum() <= (seen[after][SECOND] > 0).sum()
        shrunk = seen[after][SECOND] < ADAMW.beta2 * seen[before][SECOND] * (1 - 1e-5)
        assert not shrunk.any()  # a second moment that is lost would have to begin at zero


@pytest.mark.parametrize("total", [150, 900, 150_000])
def test_stages_cost_a_quarter_a_half_and_all_and_together_as_published(total):
    """Cost of a step relative to the full model: layers times width, whatever attention's part of a layer."""
    boundaries = {150: (20, 70), 900: (120, 420), 150_000: (20_000, 70_000)}[total]
    shares = [HALVES.shares_at(step, total) for step in (1, boundaries[0], boundaries[0] + 1, *boundaries[1:])]
    costs = [each.layers * each.heads for each in shares]
    assert costs == [0.25, 0.25, 0.5, 0.5]
    assert HALVES.shares_at(boundaries[1] + 1, total) == Shares(1.0, 1.0, 1.0)
    first, second = boundaries
    assert (0.25 * first + 0.5 * (second - first) + (total - second)) / total == pytest.approx(0.7333, abs=1e-4)


def test_presets_save_what_was_published():
    total, saved = 60_000, {}
    for each in ALL:
        improver = SubnetworkTraining(**each.settings)
        costs = [improver.shares_at(step, total) for step in range(1, total + 1)]
        saved[each.name] = 1 - sum(cost.layers * cost.heads for cost in costs) / total
    wanted = {"est_gpt2": 0.26667, "est_tinyllama": 0.25, "est_depth": 0.23333}
    assert saved == {name: pytest.approx(share, abs=1e-4) for name, share in wanted.items()}


def test_a_subnetwork_stays_for_as_many_steps_as_it_shall():
    improver = dataclasses.replace(ALWAYS, resample_every=3)
    _, mounted = mounted_model("gpt2", improver=improver)
    values = [bits(drawn_at(improver, mounted, step).own.weights) for step in range(1, 8)]
    assert [values[0] == each for each in values] == [True, True, True, False, False, False, False]
    assert values[3] == values[4] == values[5] != values[6]


def test_a_loss_that_is_not_finite_changes_nothing():
    task, mounted = mounted_model("gpt2", improver=ALWAYS)
    before, objects = state(mounted), [id(each) for each in mounted.module.parameters()]
    task.loss = lambda module, batch: Tokens.loss(task, module, batch) * float("nan")
    with pytest.raises(NonFiniteStep):
        steps_(ALWAYS, task, mounted, 1)
    assert state(mounted) == before
    assert [id(each) for each in mounted.module.parameters()] == objects


def test_shared_parts_are_whole_and_blocks_that_are_shared_or_frozen_are_cut():
    for shared in (lambda name: ".h." not in name, lambda name: ".h.0." in name):
        task, mounted = mounted_model("gpt2", improver=ALWAYS, shared=shared)
        before = state(mounted)
        steps_(ALWAYS, task, mounted, 3)
        assert mounted.own.counters == {STEPS: 3}
        assert all(old[0] != new[0] for old, new in zip(before, state(mounted), strict=True))
    task = Tokens(MODELS["gpt2"])

    def half_frozen():
        model = MODELS["gpt2"]()
        for block in model.transformer.h[:2]:
            block.requires_grad_(False)
        return model

    task, mounted = mounted_model(make=half_frozen, improver=ALWAYS)
    frozen = bits(mounted.shared.weights)
    losses = steps_(dataclasses.replace(ALWAYS, layers=1.0), task, mounted, 3)
    assert bits(mounted.shared.weights) == frozen and len(losses) == 3


@pytest.mark.parametrize("dtype", ["float32", "mixed"])
def test_an_optimizer_of_torch_on_the_modules_parameters_trains_or_is_refused(dtype):
    """It finds the subnetwork where it looks for the model; copies that are written to would lose its work."""

    @dataclass(frozen=True)
    class Plain:
        name: ClassVar[str] = "plain"
        source: ClassVar[str] = "a test"
        steps: ClassVar[int] = 1
        slots: ClassVar[tuple[()]] = ()

        def step(self, mounted, feed, moment):
            for part in mounted.parts:
                part.gradient.zero_()
            loss = feed.add_gradient_(mounted)
            torch.optim.SGD(mounted.module.parameters(), lr=0.1).step()
            return float(loss)

    improver = dataclasses.replace(ALWAYS, optimizer=Plain(), layers_until=0.0)
    task, mounted = mounted_model("gpt2", improver=improver, **DTYPES[dtype])
    if dtype == "mixed":
        with pytest.raises(PluginError, match="improve plain: the module's parameters were written to"):
            steps_(improver, task, mounted, 1)
        return
    task.batch = lambda index: Tokens.batch(task, 0)
    losses = steps_(improver, task, mounted, 30, total=30)
    assert sum(losses[-5:]) < sum(losses[:5]) - 0.5


def test_training_on_subnetworks_lowers_the_loss_of_the_whole_model():
    improver = dataclasses.replace(ALWAYS, optimizer=AdamW(learning_rate=3e-3))
    task, mounted = mounted_model("gpt2", improver=improver)
    task.batch = lambda index: Tokens.batch(task, 0)
    before = float(task.loss(mounted.module, task.batch(0)).detach())
    steps_(improver, task, mounted, 60)
    assert float(task.loss(mounted.module, task.batch(0)).detach()) < before - 0.3


def test_the_beginning_of_a_stage_is_said_in_the_log(caplog):
    task, mounted = mounted_model("gpt2", improver=HALVES)
    with caplog.at_level(logging.INFO, logger="evoweights.est"):
        steps_(HALVES, task, mounted, 12, total=12)
    assert [each.getMessage().split(":")[0] for each in caplog.records] == ["step 3", "step 7"]


@pytest.mark.parametrize("optimizer", [EvolutionStrategy(), SubnetworkTraining()], ids=lambda each: each.name)
def test_optimizers_without_gradients_and_subnetworks_of_subnetworks_are_refused(optimizer):
    with pytest.raises(UsageError, match=f"optimizer: {optimizer.name} cannot take steps on a subnetwork"):
        SubnetworkTraining(optimizer=optimizer)


def _opt():
    from transformers import OPTConfig, OPTForCausalLM

    sizes = dict(hidden_size=16, ffn_dim=16, num_hidden_layers=2, num_attention_heads=2, vocab_size=48)
    return OPTForCausalLM(OPTConfig(**sizes, word_embed_proj_dim=16, dropout=0.0))


def _olmo2():
    from transformers import Olmo2Config, Olmo2ForCausalLM

    sizes = dict(hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, vocab_size=48)
    return Olmo2ForCausalLM(Olmo2Config(**sizes, pad_token_id=0))


def _mixtral():
    from transformers import MixtralConfig, MixtralForCausalLM

    sizes = dict(hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, vocab_size=48)
    return MixtralForCausalLM(MixtralConfig(**sizes, num_key_value_heads=2, num_local_experts=2))


def _tied_layers():
    model = MODELS["gpt2"]()
    model.transformer.h[1].mlp.c_fc.weight = model.transformer.h[0].mlp.c_fc.weight
    return model


def _changed(name, change):
    def make():
        model = MODELS[name]()
        change(getattr(model.transformer, "h", None) if name == "gpt2" else model.model.layers)
        return model

    return make


def _wide_mlp(blocks):
    conv = type(blocks[1].mlp.c_proj)
    blocks[1].mlp.c_proj = conv(32, 64)


def _wide_output(blocks):
    blocks[1].self_attn.o_proj = nn.Linear(48, 32)


def _wide_up(blocks):
    blocks[1].mlp.up_proj = nn.Linear(32, 48)


def _no_width(blocks):
    del blocks[0].self_attn.head_dim


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (_changed("gpt2", _wide_mlp), "GPT2Block, which has matrices of other shapes than GPT-2's"),
        (_changed("llama", _wide_output), "LlamaDecoderLayer, which has attention matrices of other shapes than"),
        (_changed("llama", _wide_up), "LlamaDecoderLayer, which has MLP matrices of other shapes than"),
        (_changed("llama", _no_width), r"LlamaAttention, which does not say how wide a head is \(head_dim\)"),
    ],
    ids=["mlp of gpt2", "attention of llama", "mlp of llama", "no width of heads"],
)
def test_models_that_only_look_like_a_known_one_are_refused(make, what):
    with pytest.raises(UsageError, match=f"but found {what}"):
        blocks_of(make())


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: nn.Sequential(nn.Linear(4, 4)), "Sequential, which has no attention heads"),
        (_opt, "OPTDecoderLayer, which consists of self_attn, "),
        (_olmo2, "Olmo2Attention, which has the parameter q_norm.weight"),
        (_mixtral, "MixtralSparseMoeBlock, which has the parameter gate.weight"),
        (_tied_layers, "GPT2Block, which shares parameters with other layers"),
    ],
    ids=["no transformer", "opt", "norms of all heads", "a mixture", "tied layers"],
)
def test_other_models_are_refused_by_name_before_a_run_starts(make, what):
    with pytest.raises(UsageError, match=f"improve est: it draws .* but found {what}"):
        mounted_model(make=make, improver=ALWAYS)
    mounted_model(make=make, improver=dataclasses.replace(ALWAYS, heads=1.0, neurons=1.0, layers=1.0))
