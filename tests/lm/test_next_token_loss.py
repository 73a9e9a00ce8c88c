import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from evoweights.seeds import Noise, seeded
from evoweights_lm import loss as losses
from evoweights_lm.huggingface import quiet_transformers
from evoweights_lm.loss import PLAIN_HEADS, chunked_loss, head_loss, next_token_loss

# float32: sums of a few thousand terms in another order. bfloat16: logits of up to 8 are rounded to 2^-6.
TOLERANCE = {torch.float32: 3e-6, torch.bfloat16: 2e-2}


def problem(rows, width, words, dtype, seed=0):
    noise = Noise(seed, "loss").generator()
    hidden = torch.randn(rows, width, generator=noise).to(dtype).requires_grad_()
    head = (torch.randn(words, width, generator=noise) * 0.3).to(dtype).requires_grad_()
    return hidden, head, torch.randint(0, words, (rows,), generator=noise)


def value_and_gradients(function, hidden, head, targets):
    value = function(hidden, head, targets)
    return value, *torch.autograd.grad(value * 1.5, (hidden, head))


def exact(hidden, head, targets):
    return F.cross_entropy(hidden.double() @ head.double().T, targets)


def relative(found, wanted):
    return ((found.double() - wanted.double()).norm() / wanted.double().norm().clamp_min(1e-12)).item()


def gradient_sizes(hidden, head, targets):
    """The exact gradients if nothing in their sums cancelled: what rounding errors are measured against."""
    hidden, head = hidden.detach().double(), head.detach().double()
    wrong = (torch.softmax(hidden @ head.T, dim=1) - F.one_hot(targets, len(head))).abs() * 1.5 / len(hidden)
    return wrong @ head.abs(), wrong.T @ hidden.abs()


@given(
    rows=st.integers(1, 1300),
    width=st.integers(1, 20),
    words=st.integers(2, 90),
    dtype=st.sampled_from(sorted(TOLERANCE, key=str)),
    chunked=st.booleans(),
)
def test_every_way_agrees_with_exact_arithmetic_in_value_and_gradient(rows, width, words, dtype, chunked):
    inputs = problem(rows, width, words, dtype)
    value, *gradients = value_and_gradients(chunked_loss if chunked else head_loss, *inputs)
    wanted, *exact_gradients = value_and_gradients(exact, *inputs)
    assert value.dtype == torch.float32
    assert abs(value.item() - wanted.item()) <= TOLERANCE[dtype] * max(1.0, wanted.item())
    for found, want, size in zip(gradients, exact_gradients, gradient_sizes(*inputs), strict=True):
        assert found.dtype == dtype
        assert float((found.double() - want.double()).norm()) <= TOLERANCE[dtype] * float(size.norm())


def test_large_bfloat16_logits_are_computed_in_chunks(monkeypatch):
    inputs = problem(1100, 8, 64, torch.bfloat16)
    plain = head_loss(*inputs)
    monkeypatch.setattr(losses, "PLAIN_LOGITS", 1000)
    called = []
    monkeypatch.setattr(losses, "chunked_loss", lambda *each: called.append(1) or chunked_loss(*each))
    assert head_loss(*inputs).item() == pytest.approx(plain.item(), rel=1e-6)
    assert called


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("held", [1, 64 * 7, 64 * 500])
def test_chunks_of_every_size_add_up(monkeypatch, dtype, held):
    """A row at a time, seven, and a last chunk that is smaller; an outer derivative that is not 1."""
    inputs = problem(1100, 8, 64, dtype)
    monkeypatch.setattr(losses, "CHUNK_LOGITS", held)
    value, *gradients = value_and_gradients(chunked_loss, *inputs)
    wanted, *exact_gradients = value_and_gradients(exact, *inputs)
    assert abs(value.item() - wanted.item()) <= TOLERANCE[dtype] * wanted.item()
    for found, want, size in zip(gradients, exact_gradients, gradient_sizes(*inputs), strict=True):
        assert float((found.double() - want.double()).norm()) <= TOLERANCE[dtype] * float(size.norm())
    with torch.no_grad():
        assert chunked_loss(*inputs).item() == value.item()


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("function", [head_loss, chunked_loss])
def test_rows_that_pad_the_vocabulary_count_as_tokens_that_never_come(function, dtype):
    """Logits over all 64 rows of the head, targets in 60 of them: a step down the gradient makes the rest less likely."""
    hidden, head, targets = problem(300, 8, 64, dtype)
    targets = targets % 60
    value, _, by_head = value_and_gradients(function, hidden, head, targets)
    assert value.item() == pytest.approx(exact(hidden, head, targets).item(), rel=TOLERANCE[dtype])

    def padding(table):
        return torch.softmax(hidden.detach().double() @ table.detach().double().T, dim=1)[:, 60:].sum().item()

    assert padding(head - by_head) < padding(head)


def test_float32_without_torchs_own_function_gives_the_same(monkeypatch):
    inputs = problem(700, 8, 64, torch.float32)
    own = value_and_gradients(head_loss, *inputs)
    monkeypatch.setattr(losses, "_torch_options", lambda: None)
    other = value_and_gradients(head_loss, *inputs)
    for found, wanted in zip(own, other, strict=True):
        assert relative(found, wanted) < 3e-6


def tiny(model_type):
    transformers = quiet_transformers()
    sizes = dict(vocab_size=96, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=16)
    if model_type != "gpt2":
        sizes |= dict(intermediate_size=32)
    if model_type not in ("gpt2", "gpt_neox"):
        sizes |= dict(num_key_value_heads=1, pad_token_id=None)
    if model_type in ("qwen3", "mistral"):
        sizes |= dict(head_dim=8)
    config = transformers.AutoConfig.for_model(model_type, bos_token_id=0, eos_token_id=0, use_cache=False, **sizes)
    with seeded(Noise(1, model_type)):
        return transformers.AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()


@pytest.mark.parametrize("model_type", [*sorted(PLAIN_HEADS), "cohere", "phi"])
def test_the_loss_is_that_of_the_models_own_logits(model_type):
    module = tiny(model_type)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=Noise(2, model_type).generator()) * 0.2)
    tokens = torch.randint(0, 96, (3, 17), generator=Noise(0, "tokens").generator())
    inputs, targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
    assert (model_type in PLAIN_HEADS) == (model_type not in ("cohere", "phi"))
    own = F.cross_entropy(module(input_ids=inputs).logits.flatten(0, 1).double(), targets.flatten())
    assert next_token_loss(module, inputs, targets).item() == pytest.approx(own.item(), rel=1e-5)
