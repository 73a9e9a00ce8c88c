"""Scores of single sequences: the task's loss in parts, whatever is held at once."""

import pytest
import torch
import transformers

from evoweights.seeds import Noise, seeded
from evoweights_lm import loss
from evoweights_lm.loss import next_token_loss, sequence_losses

SMALL = {
    "vocab_size": 61,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
SMALL |= {"intermediate_size": 48, "max_position_embeddings": 32, "bos_token_id": 0, "eos_token_id": 0}
CONFIGS = {
    "gpt2": transformers.GPT2Config(vocab_size=61, n_embd=32, n_layer=2, n_head=4, n_positions=32),
    "llama": transformers.LlamaConfig(**SMALL),
    "gemma, whose logits are bent": transformers.Gemma2Config(**SMALL, head_dim=8, final_logit_softcapping=5.0),
}


def model_of(name):
    with seeded(Noise(0, name)):
        return transformers.AutoModelForCausalLM.from_config(CONFIGS[name]).eval()


def tokens(rows, columns):
    return torch.arange(rows * columns).mul(13).remainder(59).view(rows, columns)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "mixed"])
@pytest.mark.parametrize("micro_batch", [0, 1, 2])
def test_their_mean_is_the_loss(open_text, dtype, micro_batch) -> None:
    task = open_text(dtype=dtype, micro_batch=micro_batch)
    model, batch = task.build().eval(), task.batch(3)
    scores = task.scores(model, batch)
    assert scores.shape == (4,) and scores.dtype == torch.float32 and not scores.requires_grad
    torch.testing.assert_close(scores.mean(), task.loss(model, batch).detach(), rtol=0, atol=1e-5)
    alone = [task.scores(model, type(batch)(batch.inputs[[row]], batch.targets[[row]])) for row in range(4)]
    torch.testing.assert_close(scores, torch.cat(alone), rtol=0, atol=1e-5 if dtype != "bfloat16" else 2e-2)


@pytest.mark.parametrize("micro_batch", [0, 2])
def test_a_repeated_batch_goes_through_the_model_at_once_and_repeats_the_scores(open_text, micro_batch) -> None:
    task = open_text(micro_batch=micro_batch)
    model, batch, seen = task.build(), task.batch(0), []
    model.base_model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    repeated = task.scores(model, task.repeated(batch, 3))
    assert seen == [12]
    torch.testing.assert_close(repeated.view(3, 4), task.scores(model, batch).expand(3, 4), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("at_once", [1, 61 * 3 * 4, 1 << 24])
def test_logits_are_made_in_parts_of_the_time_by_calling_the_head(name, at_once, monkeypatch) -> None:
    monkeypatch.setattr(loss, "LOGITS_AT_ONCE", at_once)
    model, ids, seen = model_of(name), tokens(3, 11), []
    model.get_output_embeddings().register_forward_hook(lambda module, args, made: seen.append(tuple(made.shape[:2])))
    with torch.no_grad():
        scores = sequence_losses(model, ids[:, :-1], ids[:, 1:])
        called = list(seen)
        mean = next_token_loss(model, ids[:, :-1], ids[:, 1:])
    torch.testing.assert_close(scores.mean(), mean, rtol=0, atol=1e-5)
    parts = {1: [(3, 1)] * 10, 61 * 3 * 4: [(3, 4), (3, 4), (3, 2)], 1 << 24: [(3, 10)]}
    assert called == ([(3, 10)] if name.startswith("gemma") else parts[at_once])


def test_scoring_is_without_dropout_and_leaves_the_mode(open_text) -> None:
    task = open_text()
    model, batch = task.build().train(), task.batch(0)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    assert torch.equal(task.scores(model, batch), task.scores(model, batch)) and model.training
    model.eval()
    assert torch.equal(task.scores(model, batch), task.scores(model, batch)) and not model.training
