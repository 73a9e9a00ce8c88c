import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evoweights.catalog import Catalog
from evoweights.config.loading import config_from_text
from evoweights.errors import UsageError
from evoweights.genome import layout_of
from evoweights.homes.part import mount_
from evoweights.seeds import Noise, seeded
from evoweights_lm import LanguageModel, register


def built(task, seed=0, layers=1):
    with seeded(Noise(seed, "model")):
        return task.build(layers=layers)


def test_registering_and_validating_imports_nothing_heavy():
    code = (
        "import sys; from evoweights_lm import LanguageModel; LanguageModel(context=64);"
        "print([name for name in ('torch', 'transformers', 'tokenizers', 'datasets') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"


def test_the_catalog_accepts_the_task_and_every_setting_is_described():
    catalog = Catalog()
    register(catalog.registrar("evoweights_lm"))
    entry = catalog.find("task", "language_model", where="task")
    assert entry.component is LanguageModel
    assert all(field.metadata["doc"] for field in entry.settings)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"data": "text"}, r"task\.files: data: text needs files to read"),
        ({"data": "token_shards"}, r"task\.files: data: token_shards needs files to read"),
        ({"files": ["x"]}, r"task\.files: data: python_docs reads no files, but files were given"),
        ({"data": "hub", "dataset": "x"}, r"`dataset: NAME` and `hub: true`; found dataset: 'x', hub: false"),
        ({"data": "hub", "hub": True}, r"a hub dataset needs `dataset: NAME`"),
        ({"data": "token_shards", "files": ["x"], "tokenizer": "bpe"}, r"token_shards already hold token ids"),
    ],
)  # fmt: skip
def test_settings_that_contradict_each_other_are_refused_before_anything_is_opened(settings, message):
    with pytest.raises(UsageError, match=message):
        LanguageModel(**settings)


def test_a_batch_is_a_function_of_seed_and_index_alone(open_text):
    first, second, other = open_text(), open_text(), open_text(seed=1)
    wanted = [first.batch(index) for index in range(40)]
    for index in (39, 0, 17, 17, 3):
        for left, right in zip(second.batch(index)[:2], wanted[index][:2], strict=True):
            assert torch.equal(left, right)
    assert not torch.equal(other.batch(0).inputs, wanted[0].inputs)


def test_targets_are_the_next_tokens_and_batches_have_the_announced_size(open_text):
    task = open_text()
    batch = task.batch(5)
    assert batch.inputs.shape == batch.targets.shape == (4, 16)
    assert batch.inputs.dtype == torch.int64
    assert torch.equal(batch.inputs[:, 1:], batch.targets[:, :-1])
    assert task.tokens_per_batch == 64


def test_an_epoch_of_batches_holds_every_window_once(open_text):
    task = open_text(batch=1, context=80)
    count = task.train_windows.count
    for epoch in range(2):
        seen = {task.batch(epoch * count + index).inputs.numpy().tobytes() for index in range(count)}
        assert len(seen) == count


def test_no_validation_line_is_trained_on(open_text):
    task = open_text()
    train, validation = (task.vocabulary.decode(part[0]) for part in (task.corpus.train, task.corpus.validation))
    assert set(train.splitlines()) & set(validation.splitlines()) == {"<|endoftext|>"}
    assert train.endswith("<|endoftext|>")
    assert len(validation) / (len(train) + len(validation)) == pytest.approx(0.1, abs=0.01)


@given(seed=st.integers(0, 2**32))
def test_the_validation_subset_does_not_depend_on_the_seed(open_text_of_seed, seed):
    first, other = (
        torch.cat([batch.targets.flatten() for batch in task.validation_batches()])
        for task in (open_text_of_seed(0), open_text_of_seed(seed))
    )
    assert torch.equal(first, other)
    assert len(first) == 256


@pytest.fixture(scope="module")
def open_text_of_seed(tmp_path_factory):
    from evoweights.task import TaskPlace

    folder = tmp_path_factory.mktemp("seeds")
    (folder / "a.txt").write_text("".join(f"line {number} of many\n" for number in range(400)))
    settings = LanguageModel(
        data="text", files=[str(folder / "a.txt")], tokenizer="bytes", context=16, batch=4, validation_tokens=256
    )
    return lambda seed: settings.open(TaskPlace(folder, Noise(seed, "task"), torch.device("cpu")))


def test_evaluation_is_the_mean_over_tokens_even_with_a_smaller_last_batch(open_text):
    task = open_text(batch=3, validation_tokens=16 * 7)
    module = built(task)
    batches = list(task.validation_batches())
    assert [len(batch.inputs) for batch in batches] == [3, 3, 1]
    losses = [
        torch.nn.functional.cross_entropy(
            module(input_ids=batch.inputs).logits.flatten(0, 1).double(), batch.targets.flatten(), reduction="none"
        )
        for batch in batches
    ]
    assert task.evaluate(module) == pytest.approx(torch.cat(losses).mean().item(), rel=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_evaluating_and_sampling_leave_the_module_as_it_was(open_text, training):
    task = open_text()
    module = built(task).train(training)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    assert task.evaluate(module) == task.evaluate(module)
    task.sample(module)
    assert module.training is training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())


def test_training_lowers_the_loss_below_the_unigram_entropy(open_text):
    task = open_text(batch=8)
    module = built(task)
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3)
    for index in range(40):
        optimizer.zero_grad()
        task.loss(module, task.batch(index)).backward()
        optimizer.step()
    assert task.evaluate(module) < task.references()["unigram entropy"] - 0.5


def test_a_model_mounted_on_a_genome_has_the_same_loss_and_fills_its_gradient(open_text):
    task = open_text()
    module, plain = built(task), built(task)
    layout = layout_of(module, [name for name, _ in module.named_parameters()])
    part = mount_(module, layout, device="cpu")
    loss = task.loss(module, task.batch(0))
    assert loss.item() == task.loss(plain, task.batch(0)).item()
    loss.backward()
    assert float(part.gradient.abs().max()) > 0
    assert task.evaluate(module) == task.evaluate(plain)


def test_references_are_what_counting_by_hand_gives(open_text):
    task = open_text()
    counts = Counter(task.corpus.train[0].tolist())
    total = sum(counts.values()) + 257
    targets = [token for batch in task.validation_batches() for token in batch.targets.flatten().tolist()]
    by_hand = -sum(math.log((counts[token] + 1) / total) for token in targets) / len(targets)
    assert task.references() == {"unigram entropy": pytest.approx(by_hand, rel=1e-12), "uniform": math.log(257)}


def test_fresh_models_are_a_function_of_the_seed_and_have_no_dropout(open_text):
    task = open_text()
    one, same, other = built(task, 1), built(task, 1), built(task, 2)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(next(one.parameters()), next(other.parameters()))
    assert one.training
    assert task.loss(one, task.batch(0)).item() == task.loss(one, task.batch(0)).item()
    assert one.config.use_cache is False


def test_layers_and_dtype_are_as_asked_and_presets_have_the_published_shapes(open_text):
    task = open_text(dtype="bfloat16")
    assert task.config.num_hidden_layers == 4
    assert len(built(task, layers=3).transformer.h) == 3
    assert {parameter.dtype for parameter in task.build().parameters()} == {torch.bfloat16}
    assert math.isfinite(task.evaluate(task.build()))
    big = open_text(model="gpt2-1558m").config
    assert (big.n_layer, big.n_embd, big.n_head, big.n_positions) == (48, 1600, 25, 1024)
    assert open_text(model="gpt2-124m", context=1500, folder="long").config.n_positions == 1500


def test_text_is_a_function_of_weights_prompt_and_seed(open_text):
    task = open_text()
    module = built(task)
    assert task.sample(module) == task.sample(module)
    assert task.sample(module).startswith("The ")
    texts = {task.generate(module, "ab", tokens=12, seed=seed) for seed in range(4)}
    assert len(texts) > 1
    greedy = {task.generate(module, "ab", tokens=12, temperature=0.0, seed=seed) for seed in range(4)}
    assert len(greedy) == 1
    assert task.generate(module, "", tokens=5)


def test_generated_tokens_are_inside_the_vocabulary_and_stop_at_its_end(open_text):
    from evoweights_lm.generate import generate_tokens

    task = open_text(pad_vocabulary_to=512)
    module = built(task)
    options = dict(vocabulary=task.vocabulary, context=16, temperature=50.0, top_k=0, noise=Noise(0, "x"))
    ids = generate_tokens(module, [1], tokens=300, **options)
    assert max(ids) < 257
    assert 256 not in ids[:-1]
    with torch.no_grad():
        module.transformer.wte.weight.fill_(torch.nan)
    assert len(generate_tokens(module, [1], tokens=3, **options)) >= 2


@pytest.mark.parametrize(("spelt", "meant"), [("off", "off"), ("on", "on"), ("auto", "auto"), ("'off'", "off")])
def test_on_and_off_are_taken_as_they_are_written_where_they_are_choices(spelt, meant):
    """YAML takes a plain on or off for a boolean."""
    config = config_from_text(
        f"name: x\ngenerations: 1\ntask: {{name: language_model, compile: {spelt}}}\npopulation: {{name: individuals}}\n",
        where="test",
        folder=Path(),
    )
    assert config.task.compile == meant
