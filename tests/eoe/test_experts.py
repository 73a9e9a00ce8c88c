"""A language model divided into experts: what is shared, what is not, and that the whole is the sum of its parts."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import ByteLevelBPETokenizer
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from evoweights.errors import UsageError
from evoweights.founding import found
from evoweights.mounted import Mounted
from evoweights.population import Population
from evoweights.seeds import Noise, seeded
from evoweights.task import TaskPlace
from evoweights_eoe.blocks import find_blocks, undivided
from evoweights_eoe.experts import Experts
from evoweights_lm.settings import LanguageModel
from evoweights_lm.task import LanguageTask
from evoweights_toy.settings import Digits

NOISE = Noise(11)
TEXT = "the quick brown fox jumps over the lazy dog and runs away from it all. " * 60


def _gpt2() -> PreTrainedModel:
    return GPT2LMHeadModel(GPT2Config(n_layer=4, n_embd=24, n_head=2, n_positions=16, vocab_size=320))


def _llama() -> PreTrainedModel:
    return LlamaForCausalLM(
        LlamaConfig(
            num_hidden_layers=4,
            hidden_size=24,
            num_attention_heads=2,
            num_key_value_heads=1,
            intermediate_size=40,
            vocab_size=320,
            max_position_embeddings=16,
        )
    )


@pytest.fixture(params=[_gpt2, _llama], ids=["gpt2", "llama"], scope="module")
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model folder with random weights, and a text."""
    folder = tmp_path_factory.mktemp("saved")
    make: Callable[[], PreTrainedModel] = request.param
    with seeded(NOISE.at("saved")):
        make().save_pretrained(folder / "model")
    (folder / "text.txt").write_text(TEXT)
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator([TEXT], vocab_size=320, special_tokens=["<|endoftext|>"], show_progress=False)
    tokenizer.save(str(folder / "model" / "tokenizer.json"))
    return folder


def _task(saved: Path, folder: Path, *, fresh: bool = False) -> LanguageTask:
    model = saved / "model" / "config.json" if fresh else saved / "model"
    tokenizer = str(saved / "model" / "tokenizer.json")
    files = [str(saved / "text.txt")]
    settings = LanguageModel(model=str(model), data="text", files=files, tokenizer=tokenizer, context=8, batch=4)
    folder.mkdir(exist_ok=True)
    return settings.open(TaskPlace(folder, NOISE, torch.device("cpu")))


def _found(task: LanguageTask, folder: Path, **settings: object) -> tuple[Population, Mounted]:
    return found(
        Experts(**settings).blueprint(task, NOISE),
        improvers=[],
        operators=[],
        noise=NOISE,
        device=torch.device("cpu"),
        folder=folder,
    )


def _logits(model: nn.Module) -> torch.Tensor:
    tokens = torch.arange(32).view(4, 8)
    with torch.no_grad():
        return model.eval()(tokens).logits


@pytest.mark.parametrize("blocks", [1, 2, 4])
def test_all_experts_chained_give_the_logits_of_the_undivided_model(saved: Path, tmp_path: Path, blocks: int) -> None:
    task = _task(saved, tmp_path / "task")
    original = _logits(task.build())
    population, mounted = _found(task, tmp_path, blocks_per_expert=blocks)
    assert population.size == 4 // blocks
    assert torch.equal(_logits(undivided(task, population, mounted)), original)
    with torch.no_grad():
        population.row(population.size - 1).mul_(1.5)
    assert not torch.equal(_logits(undivided(task, population, mounted)), original)


def test_an_expert_is_the_model_of_its_blocks_alone(saved: Path, tmp_path: Path) -> None:
    """Chaining by hand: the second expert's blocks applied to what the first expert's blocks give."""
    task = _task(saved, tmp_path / "task")
    whole = task.build()
    population, mounted = _found(task, tmp_path, blocks_per_expert=2)
    mounted.load(population, 1)
    _, own = find_blocks(mounted.module)
    _, all_blocks = find_blocks(whole)
    for mine, original in zip(own, all_blocks[2:], strict=True):
        for name, value in mine.state_dict().items():
            assert torch.equal(value, original.state_dict()[name]), name
    assert mounted.module.config.num_hidden_layers == 2


def test_forward_and_backward_touch_only_the_experts_own_blocks(saved: Path, tmp_path: Path) -> None:
    task = _task(saved, tmp_path / "task")
    _, mounted = _found(task, tmp_path, blocks_per_expert=2)
    called: list[int] = []
    _, blocks = find_blocks(mounted.module)
    for index, block in enumerate(blocks):
        block.register_forward_hook(lambda *_, index=index: called.append(index))
    task.loss(mounted.module, task.batch(0)).backward()
    assert called == [0, 1]
    assert len(list(mounted.module.parameters())) < len(list(task.build().parameters()))
    assert all(each.segments for each in (mounted.own.layout, mounted.shared.layout))
    matrices = mounted.own.layout.scope("matrices")
    assert all(mounted.module.get_parameter(segment.name).grad.any() for segment in matrices)


def test_embeddings_norm_and_head_are_shared_and_nothing_else(saved: Path, tmp_path: Path) -> None:
    task = _task(saved, tmp_path / "task")
    _, mounted = _found(task, tmp_path, blocks_per_expert=1)
    prefix = find_blocks(mounted.module)[0]
    assert all(segment.name.startswith(prefix) for segment in mounted.own.layout.segments)
    assert not any(segment.name.startswith(prefix) for segment in mounted.shared.layout.segments)
    named = {name for name, _ in mounted.module.named_parameters()}
    both = [*mounted.own.layout.segments, *mounted.shared.layout.segments]
    assert {segment.name for segment in both} == named


@pytest.mark.parametrize("initial", ["different", "same"])
def test_fresh_experts_start_different_or_the_same(saved: Path, tmp_path: Path, initial: str) -> None:
    task = _task(saved, tmp_path / "task", fresh=True)
    population, _ = _found(task, tmp_path, blocks_per_expert=1, initial=initial)
    rows = [population.row(row) for row in range(population.size)]
    assert all(torch.equal(rows[0], row) for row in rows[1:]) == (initial == "same")


def test_the_first_weights_of_an_expert_do_not_depend_on_how_many_there_are(saved: Path, tmp_path: Path) -> None:
    task = _task(saved, tmp_path / "task", fresh=True)
    four, _ = _found(task, tmp_path / "four", blocks_per_expert=1)
    again, _ = _found(task, tmp_path / "again", blocks_per_expert=1)
    assert all(torch.equal(four.row(row), again.row(row)) for row in range(4))


def test_without_residual_scale_every_matrix_has_the_published_spread(saved: Path, tmp_path: Path) -> None:
    task = _task(saved, tmp_path / "task", fresh=True)
    population, mounted = _found(task, tmp_path, blocks_per_expert=2, residual_scale=False)
    for row in range(population.size):
        for segment in mounted.own.layout.scope("matrices"):
            spread = float(segment.view(population.row(row)).std())
            assert spread == pytest.approx(0.02, rel=5 / (2 * segment.count) ** 0.5), segment.name


def test_blocks_that_do_not_divide_are_refused_with_what_is_allowed(saved: Path, tmp_path: Path) -> None:
    task = _task(saved, tmp_path / "task", fresh=True)
    with pytest.raises(UsageError, match=r"3 does not divide the model's 4 blocks\. Allowed are 1, 2, 4"):
        Experts(blocks_per_expert=3).blueprint(task, NOISE)


def test_a_model_of_which_blocks_are_in_no_expert_is_not_put_together(saved: Path, tmp_path: Path) -> None:
    task = _task(saved, tmp_path / "task", fresh=True)
    population, mounted = _found(task, tmp_path, blocks_per_expert=1, experts=2)
    with pytest.raises(
        UsageError, match=r"cannot be put together again: with population\.experts some blocks are in no"
    ):
        undivided(task, population, mounted)


def test_a_task_without_language_model_is_refused(tmp_path: Path) -> None:
    task = Digits().open(TaskPlace(tmp_path, NOISE, torch.device("cpu")))
    with pytest.raises(UsageError, match="experts divide a language model, but the task is DigitsTask"):
        Experts().blueprint(task, NOISE)


def test_a_model_without_a_list_of_blocks_is_refused() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    model.config = GPT2Config(n_layer=3)
    with pytest.raises(UsageError, match="expected one list of 3 decoder blocks in Sequential, found none"):
        find_blocks(model)


def test_shared_weights_are_one_storage_from_start_to_end(saved: Path, tmp_path: Path) -> None:
    task = _task(saved, tmp_path / "task")
    population, mounted = _found(task, tmp_path, blocks_per_expert=1)
    before = mounted.shared.weights.data_ptr()
    start = mounted.shared.weights.clone()
    for row in range(population.size):
        mounted.load(population, row)
        assert torch.equal(mounted.shared.weights, start)
        mounted.store(population)
    assert mounted.shared.weights.data_ptr() == before
