"""FLOPs by the formula: torch's counter says the same of models of every kind that it holds for."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from evoweights.ledger.counting import flops_of
from evoweights.runs.memory import without_content
from evoweights_lm.flops import KnownMatrices, Matrices, Reading, matrices_of
from evoweights_lm.loss import PLAIN_HEADS

KINDS = ("gpt2", "llama", "mistral", "qwen2", "qwen3", "gpt_neox", "olmo2", "smollm3")
COUNTED = "bfloat16"
"""In float32 the loss is one operation that torch's counter does not look into."""


def config_of(kind, *, layers=2, heads=4, groups=2, head_width=4, mlp=24, context=16):
    """A small configuration: ``groups`` query heads for each key-value head, where the kind has that."""
    from transformers import CONFIG_MAPPING

    sizes = {
        "hidden_size": heads * head_width, "intermediate_size": mlp, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": heads // groups, "max_position_embeddings": context,
    }  # fmt: skip
    if kind == "gpt2":
        sizes = {
            "n_embd": heads * head_width,
            "n_layer": layers,
            "n_head": heads,
            "n_inner": mlp,
            "n_positions": context,
        }
    ids = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}
    return CONFIG_MAPPING[kind](**sizes, **ids, vocab_size=64, use_cache=False)


def model_of(kind, **shape):
    from transformers import AutoModelForCausalLM

    with without_content():
        return AutoModelForCausalLM.from_config(config_of(kind, **shape), attn_implementation="sdpa")


def counted(model, batch, context, *, backward=False):
    """What torch's own table counts, attention computed by products of matrices."""
    with without_content(), FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        logits = model(torch.zeros(batch, context, dtype=torch.int64), use_cache=False).logits
        if backward:
            logits.sum().backward()
    return counter.get_total_flops()


def test_every_kind_that_has_the_formula_is_tested():
    assert set(KINDS) == PLAIN_HEADS


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=4, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    layers=st.integers(1, 3), heads=st.sampled_from([2, 4, 6]), groups=st.sampled_from([1, 2]),
    head_width=st.sampled_from([2, 4, 8]), mlp=st.integers(1, 30), batch=st.integers(1, 3), context=st.integers(2, 16),
)  # fmt: skip
def test_the_formula_is_what_torch_counts(kind, layers, heads, groups, head_width, mlp, batch, context):
    model = model_of(kind, layers=layers, heads=heads, groups=groups, head_width=head_width, mlp=mlp)
    assert matrices_of(model).forward(Reading.of(batch, context)) == counted(model, batch, context)


@pytest.mark.parametrize("kind", KINDS)
def test_a_backward_pass_takes_twice_as_many_as_its_forward_pass(kind):
    model = model_of(kind)
    assert counted(model, 2, 8, backward=True) == 3 * matrices_of(model).forward(Reading.of(2, 8))


@pytest.mark.parametrize("recompute", ["none", "mlp", "blocks"])
@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_what_is_computed_again_is_counted_again(open_text, tmp_path, kind, recompute):
    config_of(kind).save_pretrained(tmp_path / kind)
    task = open_text(model=str(tmp_path / kind / "config.json"), recompute=recompute, micro_batch=2, dtype=COUNTED)
    module = task.build()

    def gradients():
        for piece, share in task.pieces(task.batch(0)):
            (task.loss(module, piece) * share).backward()

    with sdpa_kernel(SDPBackend.MATH):
        assert task.gradient_flops(module) == pytest.approx(flops_of(gradients), rel=0.02)
    without = task.gradient_flops(module) - 3 * task.flops(module)
    assert (without > 0) == (recompute != "none")


def test_measuring_costs_the_validation_subset(open_text):
    task = open_text(validation_tokens=200, dtype=COUNTED)
    module = task.build()
    assert task.evaluation_flops(module) == pytest.approx(flops_of(lambda: task.evaluate(module)), rel=0.02)


def test_a_model_of_another_kind_is_counted_by_torch(open_text, tmp_path):
    from transformers import OPTConfig

    OPTConfig(
        hidden_size=16, ffn_dim=24, num_hidden_layers=1, num_attention_heads=2, word_embed_proj_dim=16,
        max_position_embeddings=32,
    ).save_pretrained(tmp_path / "opt")  # fmt: skip
    task = open_text(model=str(tmp_path / "opt" / "config.json"), recompute="blocks")
    module = task.build()
    assert module.config.model_type not in PLAIN_HEADS
    forward = flops_of(lambda: task.loss(module, task.batch(0)))
    assert task.flops(module) == forward and task.gradient_flops(module) == 4 * forward


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.tuples(st.integers(1, 99), st.integers(0, 8))))
def test_a_share_leaves_that_much_of_each_matrix_out(matrices):
    """Shares are whole eighths of numbers divisible by 8, so that nothing is rounded."""
    sizes, shares = (
        {name: 8 * size for name, (size, _) in matrices.items()},
        {n: e / 8 for n, (_, e) in matrices.items()},
    )
    kept = {name: round(size * shares[name]) for name, size in sizes.items()}
    reading = Reading(tokens=3, pairs=12, predictions=2)
    whole, part = Matrices(sizes, {"head": 5}, sizes), Matrices(kept, {"head": 5}, kept)
    share = {**shares, "head": 1.0}.__getitem__
    assert whole.forward(reading, share) == part.forward(reading)
    assert whole.again("blocks", reading, share) == part.again("blocks", reading)


def test_a_model_is_known_as_it_was_when_it_was_built(open_text):
    """An improver may let its matrices be smaller for a while."""
    task = open_text()
    module = task.build()
    whole = task.flops(module)
    layer = module.transformer.h[0].mlp.c_fc
    weight, layer.weight = layer.weight, torch.nn.Parameter(layer.weight[:, :8].detach())
    assert task.flops(module) == whole
    layer.weight = weight
    fresh = KnownMatrices()
    assert fresh.of(module) == task.matrices.of(module)
