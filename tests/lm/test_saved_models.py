import json
import pickle
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from evoweights.errors import DataError, UsageError
from evoweights.seeds import Noise, seeded
from evoweights_lm.huggingface import quiet_transformers

LLAMA = {
    "vocab_size": 7, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2,
    "num_key_value_heads": 1, "max_position_embeddings": 32, "attention_dropout": 0.3,
}  # fmt: skip


@pytest.fixture
def llama_config(tmp_path):
    """The path of a config.json of a small Llama."""
    quiet_transformers().LlamaConfig(**LLAMA).save_pretrained(tmp_path / "llama")
    return tmp_path / "llama" / "config.json"


@pytest.fixture
def saved(open_text, tmp_path):
    """A model folder exported by the task, and the module that was exported."""
    task = open_text(folder="first", pad_vocabulary_to=1)
    with seeded(Noise(3, "model")):
        module = task.build(layers=2)
    task.export(module, tmp_path / "saved")
    return tmp_path / "saved", module


@pytest.mark.parametrize("whole_folder", [True, False])
def test_a_configuration_is_trained_afresh_with_the_tasks_vocabulary(open_text, llama_config, whole_folder):
    task = open_text(model=str(llama_config.parent if whole_folder else llama_config))
    assert task.pretrained is False
    assert task.config.vocab_size == 320
    assert (task.config.bos_token_id, task.config.eos_token_id) == (256, 256)
    assert task.config.attention_dropout == 0.0
    module = task.build()
    assert len(module.model.layers) == 3
    assert len(task.build(layers=1).model.layers) == 1
    assert task.loss(module, task.batch(0)).item() == pytest.approx(5.7, abs=0.5)


def test_a_saved_folder_brings_its_weights_and_its_tokenizer(open_text, saved):
    folder, module = saved
    task = open_text(model=str(folder), tokenizer="auto")
    assert task.pretrained
    assert task.vocabulary.size == task.config.vocab_size == 257
    assert task.vocabulary.encode("é") == list("é".encode())
    again = task.build()
    assert again.training
    for name, value in module.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert task.evaluate(again) == task.evaluate(module)
    assert len(task.build(layers=1).transformer.h) == 1


def test_saved_weights_can_be_opened_in_bfloat16(open_text, saved):
    task = open_text(model=str(saved[0]), tokenizer="auto", dtype="bfloat16")
    assert {parameter.dtype for parameter in task.build().parameters()} == {torch.bfloat16}


def test_a_model_with_weights_refuses_another_tokenizer(open_text, saved):
    with pytest.raises(UsageError, match=r"has weights that know the tokens of its own tokenizer, not those of 'bpe'"):
        open_text(model=str(saved[0]), tokenizer="bpe")
    (saved[0] / "tokenizer.json").rename(saved[0].parent / "tokenizer.json")
    (saved[0] / "tokenizer_config.json").unlink()
    with pytest.raises(DataError, match=r"saved' holds no tokenizer\. Name the one its weights were trained with"):
        open_text(model=str(saved[0]), tokenizer="auto")
    other = json.loads((saved[0].parent / "tokenizer.json").read_text())
    other["added_tokens"].append({**other["added_tokens"][0], "id": 900, "content": "<more>"})
    other["model"]["vocab"]["<more>"] = 900
    (saved[0].parent / "tokenizer.json").write_text(json.dumps(other))
    with pytest.raises(DataError, match=r"has 901 ids but .* only 257 rows of embeddings"):
        open_text(model=str(saved[0]), tokenizer=str(saved[0].parent / "tokenizer.json"))


def test_a_context_beyond_the_models_positions_is_refused(open_text, llama_config):
    with pytest.raises(UsageError, match=r"task\.context: 64 is more than the 32 positions of .*\. Use 32 or less"):
        open_text(model=str(llama_config), context=64)


def test_a_folder_without_configuration_is_refused(open_text, tmp_path):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match=r"nothing has no config\.json, so it is no saved model"):
        open_text(model=str(tmp_path / "nothing"))


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}', '{"model_type": "no_such_model"}'])
def test_a_damaged_or_unknown_configuration_is_named(open_text, tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(DataError, match=r"task\.model: the configuration of '.*config\.json' .* cannot be used: \S"):
        open_text(model=str(tmp_path / "config.json"))


def test_a_model_that_predicts_no_next_token_is_refused(open_text, tmp_path):
    quiet_transformers().ViTConfig().save_pretrained(tmp_path / "vit")
    with pytest.raises(DataError, match=r"is a vit, which is no causal language model"):
        open_text(model=str(tmp_path / "vit"))


def test_a_model_that_sees_later_tokens_is_refused_with_what_to_do(open_text, tmp_path):
    sizes = dict(vocab_size=257, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    quiet_transformers().BertConfig(**sizes, max_position_embeddings=32).save_pretrained(tmp_path / "bert")
    with pytest.raises(
        UsageError, match=r"sees later tokens, .*\. Use a causal language model; some need is_decoder: true"
    ):
        open_text(model=str(tmp_path / "bert")).build()


def test_a_tokenizer_without_a_fast_form_is_refused(open_text, saved, monkeypatch):
    slow = SimpleNamespace(is_fast=False)
    monkeypatch.setattr(quiet_transformers().AutoTokenizer, "from_pretrained", lambda *path, **options: slow)
    with pytest.raises(DataError, match=r"has no fast tokenizer \(tokenizer\.json\)\. Convert it first"):
        open_text(model=str(saved[0]), tokenizer="auto")


def test_an_architecture_that_cannot_be_built_is_named(open_text, tmp_path):
    quiet_transformers().Gemma2Config(num_hidden_layers=1, hidden_size=16).save_pretrained(tmp_path / "gemma2")
    task = open_text(model=str(tmp_path / "gemma2"))
    with pytest.raises(
        DataError, match=r"the architecture of '.*gemma2' \(on this machine\) cannot be used: .*scaled_dot"
    ):
        task.build()


class Canary:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_pickled_weights_are_refused_and_never_opened(open_text, llama_config, tmp_path):
    canary = tmp_path / "canary"
    (llama_config.parent / "pytorch_model.bin").write_bytes(pickle.dumps(Canary(canary)))
    with pytest.raises(DataError, match=r"\(pytorch_model\.bin\) are pickled, and pickles can run code"):
        open_text(model=str(llama_config.parent))
    assert not canary.exists()


def test_code_that_comes_with_a_model_is_never_run(open_text, llama_config, tmp_path):
    folder, canary = llama_config.parent, tmp_path / "canary"
    (folder / "evil.py").write_text(f"open({str(canary)!r}, 'w')\nclass Config: pass\nclass Model: pass\n")
    config = json.loads(llama_config.read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}}
    llama_config.write_text(json.dumps(config))
    with pytest.raises(DataError, match=r"task\.model: the configuration of .* cannot be used"):
        open_text(model=str(folder))
    llama_config.write_text(json.dumps({**config, "model_type": "llama"}))
    open_text(model=str(folder)).build()
    assert not canary.exists()


@pytest.mark.parametrize("damage", ["truncated", "huge header", "missing tensor", "other shape"])
def test_damaged_weights_are_named_and_never_filled_with_random_numbers(open_text, saved, damage):
    path = saved[0] / "model.safetensors"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "huge header":
        path.write_bytes((2**62).to_bytes(8, "little") + path.read_bytes()[8:])
    else:
        tensors = load_file(path)
        name = "transformer.h.1.mlp.c_fc.weight"
        tensors = {key: value.clone() for key, value in tensors.items()}
        if damage == "missing tensor":
            del tensors[name]
        else:
            tensors[name] = tensors[name][:, :5].clone()
        save_file(tensors, path, metadata={"format": "pt"})
    task = open_text(model=str(saved[0]), tokenizer="auto")
    with pytest.raises(DataError, match=r"task\.model: the weights of '.*saved'.*(cannot be used: \S|lack 1 tensors)"):
        task.build()
