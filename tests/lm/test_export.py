import json
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from evoweights.errors import CheckpointError, UsageError
from evoweights.genome import layout_of
from evoweights.homes.part import mount_
from evoweights.seeds import Noise, seeded
from evoweights_lm.huggingface import quiet_transformers

TEXTS = ["plain text\n\n", "naïve … café 你好 🙂", "a<|endoftext|>b", " lead  and trail \t"]


def mounted(task, layers=2):
    """A module that lives in one buffer, with weights that are not the initial ones."""
    with seeded(Noise(1, "model")):
        module = task.build(layers=layers)
    part = mount_(module, layout_of(module, [name for name, _ in module.named_parameters()]), device="cpu")
    part.weights.add_(torch.randn(part.weights.shape, generator=Noise(2, "x").generator()).to(part.weights) * 0.05)
    return module


def reopened(folder, dtype="auto"):
    model = quiet_transformers().AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=dtype)
    return model.eval()


def model_settings(kind, tmp_path):
    if kind == "gpt2":
        return {}
    quiet_transformers().LlamaConfig(
        vocab_size=7, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=32, tie_word_embeddings=kind == "tied llama",
    ).save_pretrained(tmp_path / "config")  # fmt: skip
    return {"model": str(tmp_path / "config")}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["gpt2", "llama", "tied llama"])
def test_an_exported_model_opens_offline_with_the_same_logits_bit_for_bit(open_text, tmp_path, kind, dtype):
    task = open_text(dtype=dtype, **model_settings(kind, tmp_path))
    module = mounted(task)
    line = task.export(module, tmp_path / "out")
    again = reopened(tmp_path / "out")
    batch = task.batch(0)
    with torch.no_grad():
        wanted, found = (each.eval()(input_ids=batch.inputs, use_cache=False).logits for each in (module, again))
    assert found.dtype == wanted.dtype == getattr(torch, dtype)
    assert torch.equal(found, wanted)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    assert f"{parameters:,} parameters, tokenizer of 257 tokens; opened again, logits equal bit for bit" in line
    assert again.num_parameters() == parameters


@pytest.mark.parametrize("tokenizer", ["bytes", "bpe"])
def test_the_exported_tokenizer_gives_the_same_tokens_and_loses_nothing(open_text, tmp_path, tokenizer):
    task = open_text(tokenizer=tokenizer, vocabulary_size=300)
    task.export(mounted(task, layers=1), tmp_path / "out")
    again = quiet_transformers().AutoTokenizer.from_pretrained(tmp_path / "out", local_files_only=True)
    assert len(again) == task.vocabulary.size
    assert again.eos_token_id == task.vocabulary.end_of_text
    for text in TEXTS:
        ids = again(text).input_ids
        assert again.decode(ids) == text
        if "<|" not in text:
            assert ids == task.vocabulary.encode(text)


def test_the_folder_has_what_its_users_expect(open_text, tmp_path):
    task = open_text()
    module = mounted(task, layers=1)
    task.export(module, tmp_path / "deep" / "out")
    folder = tmp_path / "deep" / "out"
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "README.md",
    }  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["GPT2LMHeadModel"]
    assert (config["bos_token_id"], config["eos_token_id"], config["n_layer"]) == (256, 256, 1)
    generation = json.loads((folder / "generation_config.json").read_text())
    assert generation["eos_token_id"] == 256
    assert "use_cache" not in config or config["use_cache"] is True
    assert module.config.use_cache is False
    card = (folder / "README.md").read_text()
    assert "| tokenizer | bytes, 257 tokens |" in card
    assert len({(folder / name).stat().st_mode for name in ("config.json", "model.safetensors")}) == 1
    assert [path.name for path in folder.parent.iterdir()] == ["out"]


def test_the_exported_model_generates_text(open_text, tmp_path):
    task = open_text()
    task.export(mounted(task), tmp_path / "out")
    tokenizer = quiet_transformers().AutoTokenizer.from_pretrained(tmp_path / "out", local_files_only=True)
    inputs = tokenizer("The ", return_tensors="pt")
    ids = reopened(tmp_path / "out").generate(**inputs, max_new_tokens=8, do_sample=False)
    assert tokenizer.decode(ids[0]).startswith("The ")


def test_exporting_again_replaces_the_folder_and_spares_who_has_it_mapped(open_text, tmp_path):
    task = open_text()
    first, second = mounted(task, layers=1), mounted(task, layers=2)
    task.export(first, tmp_path / "out")
    mapped = reopened(tmp_path / "out")
    before = {name: value.clone() for name, value in mapped.state_dict().items()}
    task.export(second, tmp_path / "out")
    assert reopened(tmp_path / "out").config.n_layer == 2
    assert all(torch.equal(value, before[name]) for name, value in mapped.state_dict().items())
    task.export(mapped, tmp_path / "out")
    assert all(torch.equal(value, before[name]) for name, value in reopened(tmp_path / "out").state_dict().items())


def test_a_folder_that_is_no_export_is_never_replaced(open_text, tmp_path):
    task = open_text()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match=r"mine exists and is not an earlier result \(it has no config\.json\)"):
        task.export(mounted(task, layers=1), tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def test_an_export_without_a_tokenizer_says_so(tmp_path, place_at):
    import numpy as np

    from evoweights_lm import LanguageModel

    np.arange(200, dtype="<u2").tofile(tmp_path / "a.bin")
    task = LanguageModel(data="token_shards", files=[str(tmp_path / "a.bin")], context=8).open(place_at())
    assert "no tokenizer (only its size is known)" in task.export(task.build(layers=1), tmp_path / "out")
    assert not (tmp_path / "out" / "tokenizer.json").exists()
    assert reopened(tmp_path / "out").config.eos_token_id == 50256


def test_a_weight_that_is_written_wrongly_is_found_and_nothing_is_kept(open_text, tmp_path, monkeypatch):
    import safetensors.torch

    task = open_text()
    module = mounted(task, layers=1)
    save_file = safetensors.torch.save_file

    def flip(tensors, *arguments, **options):
        tensors["transformer.ln_f.bias"][3] += 2**-20
        save_file(tensors, *arguments, **options)

    monkeypatch.setattr(safetensors.torch, "save_file", flip)
    with pytest.raises(
        CheckpointError, match=r"export: 'transformer\.ln_f\.bias' differs after it was written"
    ) as caught:
        task.export(module, tmp_path / "out")
    assert caught.value.exit_code == 4
    assert not (tmp_path / "out").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def _shifted(model):
    """The model, all of whose logits are larger by one."""

    def shift(module, inputs, output):
        output.logits = output.logits + 1
        return output

    model.register_forward_hook(shift)
    return model


def _refuse(path):
    raise OSError("the disk gave other bytes")


def _raised_by_one(path, *, make):
    return lambda text, **options: SimpleNamespace(input_ids=[each + 1 for each in make(path)(text).input_ids])


OPENED_AGAIN = {
    "AutoModelForCausalLM, which fails": (
        lambda make: _refuse,
        r"what was written cannot be opened again \(the disk gave",
    ),
    "AutoModelForCausalLM, shifted": (lambda make: lambda path: _shifted(make(path)), "logits differ by up to 1"),
    "AutoTokenizer, shifted": (
        lambda make: partial(_raised_by_one, make=make),
        "the opened tokenizer gives other tokens",
    ),
}


@pytest.mark.parametrize("what", OPENED_AGAIN)
def test_an_export_that_does_not_equal_the_individual_is_not_kept(open_text, tmp_path, monkeypatch, what):
    task = open_text()
    module = mounted(task, layers=1)
    change, message = OPENED_AGAIN[what]
    kind = getattr(quiet_transformers(), what.split(",")[0])
    true = kind.from_pretrained
    changed = change(lambda path: true(path, local_files_only=True))
    monkeypatch.setattr(kind, "from_pretrained", lambda path, **options: changed(path))
    with pytest.raises(CheckpointError, match=f"export: .*{message}.*Nothing was kept"):
        task.export(module, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_diverged_model_is_exported_as_it_is(open_text, tmp_path):
    task = open_text()
    module = mounted(task, layers=1)
    with torch.no_grad():
        module.transformer.ln_f.weight.fill_(torch.nan)
    task.export(module, tmp_path / "out")
    assert reopened(tmp_path / "out").transformer.ln_f.weight.isnan().all()
