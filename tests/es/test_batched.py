"""Members that share a forward pass are those whose weights are written out, or the module is refused."""

import pytest
import torch
from low_rank_cases import (
    CONFIGS,
    PLACE,
    Perceptron,
    Points,
    Tokens,
    changes_of,
    explicit_scores,
    language_model,
    members,
    mounted,
    numbers,
)
from torch import nn

from evoweights.errors import UsageError
from evoweights.seeds import Noise, seeded
from evoweights.task import TaskPlace
from evoweights.testing.populations import bits
from evoweights.training import TaskSubset
from evoweights_es.batched import as_members
from evoweights_es.low_rank import LowRank
from evoweights_lm import LanguageModel, loss


def _compare(module, subset, *, tolerance=1e-5, count=4, sigma=0.03, **settings):
    individual, low_rank = mounted(module), LowRank(**settings)
    before = bits(individual.own.weights)
    found = low_rank.scores(individual, subset, members(count, mirrored=True), sigma=sigma, place=PLACE)
    assert bits(individual.own.weights) == before
    right = explicit_scores(low_rank, individual, subset, members(count, mirrored=True), sigma=sigma)
    plain = subset.scores()
    assert (right - plain).abs().max() > 100 * tolerance  # or there would be nothing to see
    torch.testing.assert_close(found, right, rtol=0, atol=tolerance)


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("name", CONFIGS)
def test_members_of_language_models_equal_explicit_weights(name: str, rank: int) -> None:
    """GPT-2 has Conv1D, a tied head and positions that are looked up once for all; the others have norms of their own kinds."""
    model = language_model(name)
    _compare(model, Tokens(model), rank=rank)


@pytest.mark.parametrize("scope", ["matrices", "vectors", "embeddings", "*bias", "*norm*weight"])
def test_members_that_differ_in_a_part_equal_explicit_weights(scope: str) -> None:
    model = language_model("qwen2")
    _compare(model, Tokens(model), scope=scope, sigma=0.3)


def test_frozen_vectors_keep_their_values() -> None:
    model = language_model("gpt2")
    _compare(model, Tokens(model), vectors="frozen")


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm, lambda width: nn.GroupNorm(2, width), nn.BatchNorm1d])
def test_norms_of_torch_equal_explicit_weights(norm) -> None:
    module = Perceptron(6, 8, 4, norm=norm).eval()
    _compare(module, Points(module, 6, 4))


class _Scaled(nn.Module):
    """A layer with a vector of its own and layers without any inside."""

    def __init__(self, width):
        super().__init__()
        self.scale, self.shift, self.inside = (
            nn.Parameter(torch.ones(width)),
            nn.Parameter(torch.tensor(0.5)),
            nn.Tanh(),
        )

    def forward(self, x, *, times=1.0):
        return self.inside(x * self.scale * times) + self.shift


def test_layers_of_any_kind_that_own_only_vectors_equal_explicit_weights() -> None:
    module = nn.Sequential(Perceptron(6, 5), _Scaled(5), Perceptron(5, 4))
    _compare(module, Points(module, 6, 4))


def test_a_layer_used_twice_and_a_tied_one_equal_explicit_weights() -> None:
    same, tied = nn.Linear(5, 5), nn.Linear(5, 5)
    tied.weight = same.weight
    module = nn.Sequential(same, nn.Tanh(), same, nn.Tanh(), tied)
    _compare(module, Points(module, 5, 5))


def test_inputs_of_other_shapes_equal_explicit_weights() -> None:
    """Views that are not contiguous, and more dimensions than a sequence has."""

    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 4), nn.Linear(2, 3)

        def forward(self, x):
            folded = x.view(len(x), 2, 3)
            return self.second(self.first(folded).transpose(1, 2)).flatten(1)

    module = Odd()
    _compare(module, Points(module, 6, 12))


def test_bfloat16_members_feel_noise_that_bfloat16_weights_cannot_hold() -> None:
    """Noise of 1/1000 of a weight is lost when it is added to the weight; here it is added to the results, in half steps."""
    module = Perceptron(6, 32, 4, norm=nn.LayerNorm).to(torch.bfloat16)
    individual, low_rank = mounted(module), LowRank()
    found = low_rank.scores(individual, Points(module, 6, 4), members(4), sigma=0.05, place=PLACE)
    plain = Points(module, 6, 4).scores()
    exact = mounted(module.float())
    right = explicit_scores(low_rank, exact, Points(module, 6, 4), members(4), sigma=0.05)
    assert (right - plain).abs().max() > 0.05
    torch.testing.assert_close(found, right, rtol=0.03, atol=0.03)


def test_the_module_is_itself_again_even_after_an_exception() -> None:
    module = language_model("gpt2")
    changes = changes_of(module)
    before = [bits(parameter) for parameter in module.parameters()]
    with pytest.raises(ZeroDivisionError), as_members(module, changes):
        assert any("forward" in each.__dict__ for each in module.modules())
        raise ZeroDivisionError
    assert not any("forward" in each.__dict__ for each in module.modules())
    assert [bits(parameter) for parameter in module.parameters()] == before


class _Block(nn.Module):
    def __init__(self, inside):
        super().__init__()
        self.inside = inside

    def forward(self, x):
        return self.inside(x)


def test_compiled_blocks_run_as_written_for_members_and_compile_nothing_anew() -> None:
    module, graphs = nn.Sequential(_Block(nn.Linear(6, 5)), _Block(nn.Linear(5, 4))), []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph

    for block in module:
        block.compile(backend=backend, dynamic=False)
    Points(module, 6, 4).scores()
    compiled = len(graphs)
    assert compiled > 0
    _compare(module, Points(module, 6, 4))
    assert len(graphs) == compiled


class _Container(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain, self.inside = nn.Parameter(torch.ones(4)), nn.Linear(6, 4)

    def forward(self, x):
        return self.inside(x) * self.gain


def _weight_normed():
    return nn.Sequential(torch.nn.utils.parametrizations.weight_norm(nn.Linear(6, 4)))


def _replaced():
    module = nn.Sequential(nn.Linear(6, 4))
    module[0].forward = lambda x: x[:, :4]
    return module


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (
            _Block(nn.Conv1d(6, 4, 1)),
            r"inside \(Conv1d\): found the parameter 'weight' \[4, 6, 1\], but members of low.*perturbation: gaussian.*scope",
        ),
        (_Block(nn.MultiheadAttention(4, 2)), r"inside \(MultiheadAttention\).*in_proj_weight"),
        (_Block(nn.Bilinear(2, 2, 2)), r"inside \(Bilinear\)"),
        (
            _Container(),
            r"_Container.*it owns 'gain' itself and contains inside \(Linear\), so its members cannot be computed together",
        ),
        (_weight_normed(), r"ParametrizationList"),
        (_replaced(), r"0 \(Linear\).*forward was replaced"),
        (_Block(nn.Embedding(6, 4, max_norm=1.0)), r"rewrites its weights \(max_norm\), so members cannot share it"),
        (
            nn.Sequential(nn.BatchNorm1d(6)),
            r"0 \(BatchNorm1d\).*'running_mean' while it trains, which members cannot share. Score in evaluation mode",
        ),
    ],
)
def test_layers_that_cannot_be_shared_are_refused_by_name(module: nn.Module, says: str) -> None:
    changes = changes_of(module)
    with pytest.raises(UsageError, match=says), as_members(module, changes):
        pass
    assert "replaced" in says or not any("forward" in each.__dict__ for each in module.modules())


class _LookedUp(nn.Module):
    """Positions 0, 1, 2, ... asked for without a batch; and what is added to a sequence then."""

    def __init__(self):
        super().__init__()
        self.positions, self.last = nn.Embedding(6, 1), nn.Linear(6, 4)

    def forward(self, x):
        return self.last(x + self.positions(torch.arange(6))[:, 0])


class _SequenceFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(1, 1), nn.Linear(6, 4)

    def forward(self, x):
        return self.last(self.first(x.T[..., None])[..., 0].T)


class _Mixing(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 6), nn.Linear(6, 4)

    def forward(self, x):
        x = self.first(x)
        return self.last(x - x.mean(0))


class _Statistics(nn.BatchNorm1d):
    """Without vectors of its own, so that no rule about them keeps it from mixing the batch."""

    def __init__(self, width):
        super().__init__(width, affine=False)


@pytest.mark.parametrize("module", [_LookedUp(), _SequenceFirst(), _Mixing(), Perceptron(6, 6, 4, norm=_Statistics)])
def test_modules_that_mix_members_are_refused(module: nn.Module) -> None:
    subset = Points(module, 6, 4)
    found = r"depends on another member, so they cannot be computed|which cannot be divided among"
    with pytest.raises(UsageError, match=rf"({found}).*members_at_once: 1"):
        LowRank().scores(mounted(module), subset, members(4), sigma=0.01, place=PLACE)
    alone = LowRank(members_at_once=1)
    if not isinstance(module, Perceptron):  # running statistics change with every pass
        found = alone.scores(mounted(module), subset, members(4), sigma=0.1, place=PLACE)
        right = explicit_scores(alone, mounted(module), subset, members(4), sigma=0.1)
        torch.testing.assert_close(found, right, rtol=0, atol=1e-5)


class _Table(nn.Embedding):
    """Looks up, and uses its weights once more."""

    def forward(self, x):
        return super().forward(x) + self.weight.mean()


class _OddTable(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.last = _Table(6, 4), nn.Linear(4, 4)

    def forward(self, x):
        return self.last(self.table(x.argmax(-1)))


def test_a_table_that_is_used_for_more_than_looking_up_is_refused() -> None:
    module = _OddTable()
    with pytest.raises(UsageError, match=r"table \(_Table\): it uses its weights for more than looking up"):
        LowRank().scores(mounted(module), Points(module, 6, 4), members(4), sigma=0.01, place=PLACE)


def test_texts_whose_length_depends_on_all_members_are_no_reason_to_refuse() -> None:
    class Writing(Points):
        """Goes on as long as any member's score is odd enough, and hands everybody the wider batch then."""

        def scores(self, copies=1):
            first = super().scores(copies)
            more = self.items + int(first.max() > 2.0)
            return Points(self.module, self.inputs, self.outputs, more).scores(copies).view(copies, -1)[:, :5].flatten()

    module = Perceptron(6, 5, 4)
    found = LowRank().scores(mounted(module), Writing(module, 6, 4), members(3), sigma=0.01, place=PLACE)
    assert found.shape == (3, 5)


@pytest.mark.parametrize("pieces", [1, 1 << 12])
def test_members_of_the_language_task_equal_explicit_weights(tmp_path, monkeypatch, pieces: int) -> None:
    """The task's own scores: its head is a module like others and sees some tokens of all sequences at a time."""
    (tmp_path / "corpus.txt").write_text("".join(f"line {number * 7919 % 1000} of the text\n" for number in range(400)))
    language = LanguageModel(data="text", files=[str(tmp_path / "corpus.txt")], tokenizer="bytes", context=12, batch=3)
    task = language.open(TaskPlace(tmp_path, Noise(0, "task"), torch.device("cpu")))
    monkeypatch.setattr(loss, "LOGITS_AT_ONCE", pieces * task.vocabulary.size)
    with seeded(Noise(4)):
        module = task.build(layers=2)
    individual = mounted(module, is_shared=lambda name: "wte" in name)
    subset, low_rank = TaskSubset(task, individual, task.batch(0)), LowRank()
    found = low_rank.scores(individual, subset, members(6, mirrored=True), sigma=0.02, place=PLACE)
    right = explicit_scores(low_rank, individual, subset, members(6, mirrored=True), sigma=0.02)
    assert found.shape == (6, 3)
    torch.testing.assert_close(found, right, rtol=0, atol=1e-5)


def test_inputs_that_cannot_be_divided_are_refused() -> None:
    module = nn.Linear(6, 4)
    with (
        pytest.raises(UsageError, match=r"found an input of shape \[3, 6\], which cannot be divided among 2 members"),
        as_members(module, changes_of(module)),
    ):
        module(numbers(3, 6))


def test_weights_read_outside_their_layer_are_refused() -> None:
    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.head = nn.Linear(6, 5), nn.Linear(5, 4)

        def forward(self, x):
            return self.first(x) @ self.head.weight.T

    module = Reader()
    for at_once in (0, 1):
        low_rank = LowRank(members_at_once=at_once)
        with pytest.raises(UsageError, match=r"head\.weight .*is read outside"):
            low_rank.scores(mounted(module), Points(module, 6, 4), members(4), sigma=0.01, place=PLACE)
    scoped = LowRank(scope="first.*")
    scoped.scores(mounted(module), Points(module, 6, 4), members(4), sigma=0.01, place=PLACE)
