"""A task that judges what a language model writes: its texts, its batches, and runs on rewards of anyone."""

import copy
import dataclasses
import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from low_rank_cases import PLACE, explicit_scores, members, mounted

from engine_runs import config_in
from evoweights.errors import EvoweightsError, PluginError, UsageError
from evoweights.ledger.counting import flops_of
from evoweights.runs import session
from evoweights.runs.planning import estimate
from evoweights.seeds import Noise, seeded
from evoweights.task import TaskPlace
from evoweights.training import TaskSubset
from evoweights_es.gaussian import Gaussian
from evoweights_es.low_rank import LowRank
from evoweights_es.rewards import LetterShare, Reward
from evoweights_es.text_reward import TextReward

CONTEXT = 24
PROMPTS = ["a", "the run", "individual", "x" * (CONTEXT - 3), "Gene ", "evolve"]
KINDS = {
    "gpt2": {"n_layer": 1, "n_embd": 16, "n_head": 2, "n_positions": CONTEXT},
    "gpt_bigcode": {
        "n_layer": 1,
        "n_embd": 16,
        "n_head": 2,
        "n_positions": CONTEXT,
    },  # its head is called by the model only
}
NEW = 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A text to learn a vocabulary from, and tiny models."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "corpus.txt").write_text("the gene of an individual of a population\n" * 40)
    for kind, shape in KINDS.items():
        (folder / f"{kind}.json").write_text(json.dumps({"model_type": kind} | shape))
    return folder


@pytest.fixture(scope="module")
def open_task(folder):
    """Opens a small task; settings may be changed."""

    def open_(*, kind="gpt2", seed=0, **changed):
        defaults = {
            "model": str(folder / f"{kind}.json"), "data": "text", "files": [str(folder / "corpus.txt")],
            "tokenizer": "bytes", "context": CONTEXT, "batch": 4, "prompts": PROMPTS, "new_tokens": NEW,
        }  # fmt: skip
        place = TaskPlace(folder / "task", Noise(seed, "task"), torch.device("cpu"))
        task = TextReward(**{**defaults, **changed}).open(place)
        # Of all bytes only the letters and signs of ASCII, so that what is written can be read again.
        task.vocabulary = dataclasses.replace(task.vocabulary, size=128)
        return task

    return open_


def sharp(task, seed=1):
    """A model with opinions: no two tokens are nearly as likely."""
    with seeded(Noise(seed, "model")), torch.no_grad():
        module = task.build()
        for parameter in module.parameters():
            parameter.normal_(std=0.5)
    return module


@pytest.fixture(scope="module")
def task(open_task):
    return open_task()


@pytest.fixture(scope="module")
def module(task):
    return sharp(task)


def alone(task, module, prompt):
    """What one prompt is continued with, token by token, up to the end of the context."""
    room = min(task.new_tokens, CONTEXT - len(prompt))
    text = task.generate(module, prompt, tokens=room, temperature=0.0)[len(prompt) :]
    return text.removesuffix(task.vocabulary.decode([task.vocabulary.end_of_text]))


def prompts_of(task, texts):
    return type(task.prompts)(texts, [task.vocabulary.encode(each) for each in texts])


@settings(max_examples=15)
@given(texts=st.lists(st.text(alphabet="abc xyz", min_size=1, max_size=CONTEXT - 1), min_size=1, max_size=5))
def test_texts_equal_greedy_decoding_of_each_prompt_alone(task, module, texts) -> None:
    assert task.write(module, prompts_of(task, texts)) == [alone(task, module, each) for each in texts]


@pytest.mark.parametrize("kind", KINDS)
def test_texts_of_models_of_any_kind_equal_greedy_decoding(open_task, kind) -> None:
    task = open_task(kind=kind)
    module = sharp(task)
    written = task.write(module, task.prompts)
    assert written == [alone(task, module, each) for each in PROMPTS]
    assert len(set(written)) > 1  # or there would be nothing to see


def ending_with(task, letter):
    """The task with another end of a text."""
    other = copy.copy(task)
    other.vocabulary = dataclasses.replace(task.vocabulary, end_of_text=ord(letter))
    return other


def test_a_text_ends_at_the_end_of_text_which_is_no_part_of_it(task, module) -> None:
    before = task.write(module, task.prompts)
    end = before[1][2]
    assert end not in before[1][:2] and not all(end in each for each in before)  # some end early, others do not
    other = ending_with(task, end)
    written = other.write(module, task.prompts)
    assert written == [alone(other, module, each) for each in PROMPTS]
    assert written == [each.split(end)[0] for each in before] and written[1] == before[1][:2]


def test_an_empty_text_is_one_that_ends_at_once(task, module) -> None:
    end = alone(task, module, "a")[0]
    assert ending_with(task, end).write(module, prompts_of(task, ["a"])) == [""]


def test_the_context_limits_what_is_written(task, module) -> None:
    full, room = "x" * (CONTEXT - 2), "y"
    written = task.write(module, prompts_of(task, [full, room]))
    assert written == [alone(task, module, full), alone(task, module, room)]
    assert [len(each) for each in written] == [2, NEW]


def test_texts_are_a_function_of_the_weights_alone(open_task, task, module) -> None:
    first = task.scores(module, task.batch(0))
    state = torch.get_rng_state()
    module.train()
    assert torch.equal(task.scores(module, task.batch(0)), first) and module.training
    assert torch.equal(torch.get_rng_state(), state)
    again = open_task(seed=5)  # another run
    assert again.write(module, task.prompts) == task.write(module, task.prompts)


def test_fewer_prompts_at_once_give_the_same_texts(open_task, task, module) -> None:
    seen = []
    handle = module.base_model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    assert task.write(module, task.prompts) == open_task(micro_batch=2).write(module, task.prompts)
    handle.remove()
    assert set(seen) == {2, 4}  # and what is left of the batch of 4 is 2


@pytest.mark.parametrize("batch", [1, 2, 4, 6, 9])
def test_every_prompt_comes_once_in_every_round(open_task, batch) -> None:
    task, again = open_task(batch=batch, seed=3), open_task(batch=batch, seed=3)
    assert task.tokens_per_batch == min(batch, len(PROMPTS))
    wanted = 3 * len(PROMPTS)
    batches = [task.batch(index) for index in range(math.ceil(wanted / task.tokens_per_batch))]
    assert batches[1] == again.batch(1)
    visited = [text for each in batches for text in each.texts][:wanted]
    rounds = [visited[first : first + len(PROMPTS)] for first in range(0, wanted, len(PROMPTS))]
    assert all(sorted(each) == sorted(PROMPTS) for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1  # each in an order of its own
    for each in batches:
        assert [task.vocabulary.encode(text) for text in each.texts] == list(each.ids)


def test_a_repeated_batch_goes_through_the_model_at_once_first_copy_first(task, module) -> None:
    batch, seen = task.batch(0), []
    repeated = task.repeated(batch, 3)
    assert repeated.texts == [*batch.texts] * 3 and repeated.ids == [*batch.ids] * 3
    handle = module.base_model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    found = task.scores(module, repeated)
    handle.remove()
    assert set(seen) == {12}
    assert torch.equal(found.view(3, -1), task.scores(module, batch).expand(3, -1))


@dataclasses.dataclass(frozen=True)
class Codes(Reward):
    """A reward that tells every text from every other one."""

    name, source = "codes", "a test"

    def score(self, prompt, text):
        return sum(ord(each) / 7**place for place, each in enumerate(text))


@pytest.mark.parametrize("perturbation", [LowRank(), LowRank(members_at_once=3), Gaussian(), Gaussian(layerwise="off")])
def test_members_are_judged_as_if_their_weights_were_written_out(open_task, perturbation) -> None:
    task = open_task(reward=Codes())
    individual = mounted(sharp(task))
    subset, who = TaskSubset(task, individual, task.batch(0)), members(8, mirrored=True)
    found = perturbation.scores(individual, subset, who, sigma=0.2, place=PLACE)
    right = explicit_scores(perturbation, individual, subset, who, sigma=0.2)
    assert torch.equal(found, right) and len(set(right.flatten().tolist())) > 8


@dataclasses.dataclass(frozen=True)
class Given(Reward):
    """A reward by prompt."""

    name, source = "given", "a test"
    by_prompt: dict

    def score(self, prompt, text):
        return self.by_prompt[prompt]


def test_scores_are_minus_the_rewards_and_nan_where_one_is_no_number(open_task, module) -> None:
    rewards = {"a": 2, "b": math.nan, "c": math.inf, "d": -math.inf, "e": -0.25, "f": True}
    task = open_task(prompts=list(rewards), reward=Given(rewards))
    found = task.scores(module, task.prompts)
    assert found.dtype == torch.float64
    torch.testing.assert_close(
        found, torch.tensor([-2, math.nan, math.nan, math.nan, 0.25, -1]).double(), equal_nan=True
    )
    assert math.isnan(task.evaluate(module))
    sound = open_task(prompts=["a", "b"], validation_prompts=["a", "e"], reward=Given(rewards))
    assert sound.evaluate(module) == -(2 - 0.25) / 2


@pytest.mark.parametrize("damage", [math.nan, math.inf])
def test_a_broken_model_writes_nothing_that_could_be_judged(open_task, damage) -> None:
    """Whatever it wrote, a reward such as that of a length could like it."""
    task = open_task(reward=LetterShare())
    module = sharp(task)
    with torch.no_grad():
        module.base_model.h[0].mlp.c_fc.weight.fill_(damage)
    assert task.write(module, task.prompts) == [None] * len(PROMPTS)
    assert task.scores(module, task.batch(0)).isnan().all() and math.isnan(task.evaluate(module))


def test_the_sample_is_what_the_reward_sees(task, module) -> None:
    assert task.sample(module) == task.sample(module)
    assert task.sample(module) == task.generate(module, "The ", tokens=64, temperature=0.0)


BAD = {
    "no prompt": ({"prompts": []}, r"task\.prompts: found no prompt; give at least one"),
    "an empty one": ({"prompts": ["a", ""]}, r"task\.prompts: '' has 0 tokens; allowed are 1 to 23"),
    "a long one": ({"prompts": ["x" * CONTEXT]}, r"task\.prompts: 'x+' has 24 tokens; allowed are 1 to 23"),
    "a long one to validate on": ({"validation_prompts": ["x" * 99]}, r"task\.validation_prompts: 'x+' has 99 tokens"),
}


@pytest.mark.parametrize("case", BAD)
def test_prompts_that_cannot_be_continued_are_refused(open_task, case) -> None:
    changed, message = BAD[case]
    with pytest.raises(UsageError, match=message):
        open_task(**changed)


def test_data_without_a_tokenizer_are_refused(open_task, folder) -> None:
    header = torch.zeros(256, dtype=torch.int32)
    header[:3] = torch.tensor([20240520, 1, 2000])
    ids = (torch.arange(2000) % 50).to(torch.int16)
    (folder / "shard.bin").write_bytes(header.numpy().tobytes() + ids.numpy().tobytes())
    with pytest.raises(
        UsageError, match=r"task\.tokenizer: of 'gpt2' only the size is known, so task\.prompts cannot be read"
    ):
        open_task(data="token_shards", files=[str(folder / "shard.bin")], tokenizer="auto")


PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar

from evoweights import hookimpl
from evoweights.catalog import setting
from evoweights_es.rewards import Reward


@dataclass(frozen=True)
class Early(Reward):
    \"\"\"Texts whose first character comes early.\"\"\"

    name: ClassVar[str] = "early"
    source: ClassVar[str] = "a test"
    scale: float = setting(256.0, "what is divided by")

    def score(self, prompt, text):
        return -ord(text[0]) / self.scale if text else 0.0


@hookimpl
def register(catalog):
    catalog.add("reward", Early)
"""


def configured(tmp_path, folder, *, code=PLUGIN, reward="early", prompts=("a", "be", "the gene"), **changed):
    """A small run in ``tmp_path`` on the reward of a plugin that lies beside it."""
    (tmp_path / "rewarding.py").write_text(code)
    task = {
        "name": "text_reward", "model": str(folder / "gpt2.json"), "data": "text", "files": [str(folder / "corpus.txt")],
        "tokenizer": "bytes", "context": CONTEXT, "prompts": list(prompts), "batch": 3, "new_tokens": 4, "reward": reward,
    }  # fmt: skip
    es = {"name": "es", "steps": 3, "members": 8, "sigma": 0.05, "learning_rate": 0.05, "perturbation": "low_rank"}
    values = {
        "plugins": ["./rewarding.py"], "task": task, "population": {"name": "individuals", "size": 1}, "improve": [es],
        "vary": [], "generations": 2, "checkpoint": {"every_generations": 1},
    }  # fmt: skip
    return config_in(tmp_path, {**values, **changed})


def steps_of(tmp_path):
    return [json.loads(line) for line in (tmp_path / "runs" / "digits" / "steps.jsonl").read_text().splitlines()]


def test_a_run_makes_the_reward_larger(tmp_path, folder) -> None:
    """A strategy finds letters that its model did not write at the start; the members get better with it."""
    es = {"name": "es", "steps": 5, "members": 16, "sigma": 0.03, "learning_rate": 0.03, "perturbation": "low_rank"}
    reward = {"name": "letter_share", "letters": "aeiou"}
    result = session.run(configured(tmp_path, folder, reward=reward, improve=[es], generations=6))
    means = [sum(each["fitness"]) / 16 for each in steps_of(tmp_path)]
    assert result.table[0].start > -0.4 and result.table[0].end < -0.9
    assert sum(means[-5:]) > sum(means[:5]) + 2.5


def test_settings_of_a_reward_count(tmp_path, folder) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    plain = session.run(configured(tmp_path / "a", folder, reward={"name": "early", "scale": 64.0}))
    scaled = session.run(configured(tmp_path / "b", folder, reward={"name": "early", "scale": 128.0}))
    assert scaled.best_fitness == plain.best_fitness / 2 > 0


def test_rewards_that_are_no_number_are_counted_and_never_best(tmp_path, folder) -> None:
    values = "{0: float('nan'), 1: float('inf')}.get(ord((text or 'x')[-1]) % 6, 1.0)"
    code = PLUGIN.replace("-ord(text[0]) / self.scale if text else 0.0", values)
    size = {"name": "individuals", "size": 3}
    result = session.run(
        configured(tmp_path, folder, code=code, prompts=["a"], population=size, seed=15, generations=3)
    )
    assert result.best_fitness == -1.0
    steps = steps_of(tmp_path)
    assert 0 < sum(each["failed_members"] for each in steps) < 8 * len(steps)
    for each in steps:
        assert sum(not math.isfinite(float(value)) for value in each["fitness"]) == each["failed_members"]
        assert all(map(math.isfinite, each["weights"]))


def test_a_reward_that_raises_ends_the_run_with_its_name(tmp_path, folder) -> None:
    code = PLUGIN.replace("return -ord(text[0])", "return {}[text] -ord(text[0])")
    with pytest.raises(PluginError, match=r"reward early: score raised KeyError: .*rewarding\.py, line \d+"):
        session.run(configured(tmp_path, folder, code=code))


def test_a_reward_that_gives_nothing_is_named(tmp_path, folder) -> None:
    code = PLUGIN.replace("return -ord(text[0]) / self.scale if text else 0.0", "return None")
    with pytest.raises(PluginError, match=r"reward early: score gave None; it must give a number"):
        session.run(configured(tmp_path, folder, code=code))


@pytest.mark.parametrize("call", [session.run, estimate])
def test_gradient_steps_are_refused_with_the_way_out(tmp_path, folder, call) -> None:
    config = configured(tmp_path, folder, improve=[{"name": "adamw", "steps": 1}])
    with pytest.raises(EvoweightsError, match=r"a text_reward has no gradient\. Use .*name: es") as caught:
        call(config)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("new_tokens", [1, 5, 999])
def test_what_is_written_is_what_its_flops_are_of(open_task, new_tokens):
    """All prompts are of one length, and no text ends before its time."""
    task = open_task(prompts=["a gene", "b gene", "c gene"], new_tokens=new_tokens, batch=2)
    module = sharp(task)
    assert task.flops(module) == flops_of(lambda: task.scores(module, task.batch(0)))
    assert task.evaluation_flops(module) == flops_of(lambda: task.evaluate(module))
