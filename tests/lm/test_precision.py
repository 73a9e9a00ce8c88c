"""What weights are kept in, computed in and optimised with: float32, bfloat16, and float32 with a bfloat16 copy."""

import dataclasses
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from evoweights.config.loading import config_from_text
from evoweights.config.run_config import RunConfig
from evoweights.errors import PluginError, RunStopped, UsageError
from evoweights.founding import found
from evoweights.improvers import Moment
from evoweights.population import WEIGHTS
from evoweights.progress import Progress
from evoweights.runs import session
from evoweights.runs.individuals import open_individual
from evoweights.seeds import Noise
from evoweights.storage.checkpoints import CheckpointStore
from evoweights.training import Feed
from evoweights_classic import AdamW
from evoweights_classic.adamw import FIRST, SECOND
from evoweights_eoe.experts import Experts

CPU = torch.device("cpu")
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "mixed": torch.float32}


def opened(task, folder, *, moments="float32"):
    """Two experts of the task's model, founded as a run founds them, and their feed."""
    improver = AdamW(learning_rate=3e-3, moments=moments)
    population, mounted = found(
        Experts(blocks_per_expert=2).blueprint(task, Noise(1)),
        improvers=[improver],
        operators=[],
        noise=Noise(1),
        device=CPU,
        folder=folder,
        compute=task.compute_dtype,
    )
    mounted.load(population, 0)
    return improver, population, mounted, Feed(task, Progress())


def steps_(improver, mounted, feed, count):
    """The losses of some steps."""
    return [
        improver.step(mounted, feed, Moment(step, count, Noise(5, f"step {step}"), "auto", Noise(5)))
        for step in range(1, count + 1)
    ]


@pytest.mark.parametrize("dtype", TYPES)
def test_genomes_are_of_the_weights_type_and_the_module_computes_in_its_own(open_text, tmp_path, dtype):
    _, population, mounted, _ = opened(open_text(dtype=dtype), tmp_path)
    computed = torch.float32 if dtype == "float32" else torch.bfloat16
    assert population.row(0).dtype == mounted.own.weights.dtype == TYPES[dtype]
    assert {each.dtype for each in mounted.module.parameters()} == {computed}
    assert {part.gradient.dtype for part in mounted.parts} == {computed}
    assert {slot.dtype for part in mounted.parts for slot in part.slots.values()} == {torch.float32}


def test_masters_keep_the_first_weights_of_float32_to_the_bit(open_text, tmp_path):
    plain = opened(open_text(), tmp_path)[1]
    mixed = opened(open_text(dtype="mixed"), tmp_path)[1]
    for row in range(2):
        assert torch.equal(plain.row(row), mixed.row(row))


@pytest.mark.parametrize("moments", ["float32", "bfloat16"])
@pytest.mark.parametrize("dtype", TYPES)
def test_every_precision_learns_about_as_well_as_float32(open_text, tmp_path, dtype, moments):
    """Twenty-five steps on a text that repeats itself: within 10 % of the loss of float32, and far below the first."""
    reference = steps_(*_three(open_text(batch=8), tmp_path / "reference"), 25)
    losses = steps_(*_three(open_text(batch=8, dtype=dtype), tmp_path / "other", moments=moments), 25)
    assert losses[0] == pytest.approx(reference[0], rel=5e-3)
    assert sum(losses[-5:]) == pytest.approx(sum(reference[-5:]), rel=0.1)
    assert losses[-1] < losses[0] - 0.5


def _three(task, folder, **settings):
    improver, _, mounted, feed = opened(task, folder, **settings)
    return improver, mounted, feed


def test_the_copy_is_the_rounded_genome_whenever_a_loss_is_taken(open_text, tmp_path):
    improver, population, mounted, feed = opened(open_text(dtype="mixed"), tmp_path)

    def is_rounded():
        return all(torch.equal(part.compute, part.weights.bfloat16()) for part in mounted.parts)

    assert is_rounded()
    steps_(improver, mounted, feed, 2)
    assert not is_rounded()  # the last step wrote the genome alone
    feed.next_loss(mounted)
    assert is_rounded()
    before = population.row(1).clone()
    mounted.store(population)
    mounted.load(population, 1)
    assert is_rounded()
    assert torch.equal(mounted.own.weights, before)


def test_steps_below_the_resolution_of_bfloat16_add_up_in_masters(open_text, tmp_path):
    """Learning rate 1e-6: single steps do not show in most bfloat16 copies, but every master moves."""
    task = open_text(dtype="mixed")
    improver, _, mounted, feed = opened(task, tmp_path)
    slow = dataclasses.replace(improver, learning_rate=1e-6)
    before, copied = mounted.own.weights.clone(), mounted.own.compute.clone()
    steps_(slow, mounted, feed, 3)
    mounted.refresh_()
    matrices = mounted.own.layout.scope("matrices")
    moved = torch.cat([(each.view(before) != each.view(mounted.own.weights)).flatten() for each in matrices])
    shown = torch.cat([(each.view(copied) != each.view(mounted.own.compute)).flatten() for each in matrices])
    assert float(moved.float().mean()) > 0.9 > 0.3 > float(shown.float().mean())


def test_bfloat16_moments_are_half_as_large_everywhere(open_text, tmp_path):
    _, population, mounted, _ = opened(open_text(dtype="bfloat16"), tmp_path, moments="bfloat16")
    for name in (FIRST, SECOND):
        assert population.row(0, name).dtype == mounted.own.slots[name].dtype == torch.bfloat16
        assert mounted.shared.slots[name].dtype == torch.bfloat16
    assert population.nbytes == 2 * population.layout.size * 6


def test_clipping_limits_bfloat16_gradients_of_each_tensor(open_text, tmp_path):
    """Per tensor at 1/L, as published: norms after clipping are at most the limit and one rounding of bfloat16."""
    task = open_text(dtype="bfloat16")
    improver, _, mounted, feed = opened(task, tmp_path)
    clipping = dataclasses.replace(improver, clip_norm=0.01, clip_by="tensor_by_depth")
    steps_(clipping, mounted, feed, 1)
    norms = [
        float(segment.view(part.gradient).float().norm()) for part in mounted.parts for segment in part.layout.segments
    ]
    limit = 0.01 / task.config.num_hidden_layers
    assert max(norms) <= limit * (1 + 2**-7)
    assert max(norms) >= limit * (1 - 2**-7)


# Accumulation


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("micro_batch", [1, 2, 4, 8])
def test_parts_of_a_batch_add_up_to_its_loss_and_gradient(open_text, tmp_path, dtype, micro_batch):
    """float32: rounding of sums in another order. bfloat16: each addition rounds to 2^-9 of the sum."""
    made = []
    for rows in (0, micro_batch):
        _, _, mounted, feed = opened(open_text(batch=8, micro_batch=rows, dtype=dtype), tmp_path)
        loss = feed.add_gradient_(mounted)
        made.append((loss, torch.cat([part.gradient.double() for part in mounted.parts])))
    (loss, gradient), (other_loss, other) = made
    assert float(other_loss) == pytest.approx(float(loss), rel=1e-6 if dtype == "float32" else 2e-3)
    gap = float((gradient - other).norm() / gradient.norm())
    assert gap <= (1e-5 if dtype == "float32" else 2e-2)


@pytest.mark.parametrize("dtype", ["bfloat16", "mixed"])
def test_bfloat16_gradients_of_parts_are_added_in_float32_and_rounded_once(open_text, tmp_path, dtype):
    task = open_text(batch=32, micro_batch=1, dtype=dtype)
    _, _, mounted, feed = opened(task, tmp_path)
    wanted = [torch.zeros(part.layout.size) for part in mounted.parts]
    for piece, share in task.pieces(task.batch(0)):
        (task.loss(mounted.module, piece) * share).backward()
        for total, part in zip(wanted, mounted.parts, strict=True):
            total += part.gradient
            part.gradient.zero_()
    for times in (1, 2):  # it adds to what is there
        feed.progress.batches = 0
        feed.add_gradient_(mounted)
        for total, part in zip(wanted, mounted.parts, strict=True):
            assert part.gradient.dtype == torch.bfloat16
            if times == 1:
                assert torch.equal(part.gradient, total.bfloat16())
            assert float((part.gradient - times * total).norm()) <= 2**-8 * times * float(total.norm())


def test_parts_are_taken_from_the_same_stream_of_batches(open_text):
    whole, parted = open_text(batch=8), open_text(batch=8, micro_batch=2)
    for index in range(5):
        pieces = list(parted.pieces(parted.batch(index)))
        assert [share for _, share in pieces] == [0.25] * 4
        assert torch.equal(torch.cat([piece.inputs for piece, _ in pieces]), whole.batch(index).inputs)
        assert torch.equal(torch.cat([piece.targets for piece, _ in pieces]), whole.batch(index).targets)
    assert whole.tokens_per_batch == parted.tokens_per_batch


def test_a_micro_batch_that_does_not_divide_the_batch_is_refused(open_text):
    with pytest.raises(
        UsageError, match=r"task\.micro_batch: 3 does not divide the batch of 8. Allowed are 0, 1, 2, 4, 8"
    ):
        open_text(batch=8, micro_batch=3)


# Improvers that write to the copies


@dataclasses.dataclass(frozen=True)
class Torch:
    """An optimizer of torch on the module's own parameters: every ``every``-th step, and by ``.data`` if asked to."""

    name = "torch_sgd"
    source = "test"
    steps = 3
    slots = ()
    every: int = 1
    by_data: bool = False
    writes_genome: bool = False

    def step(self, mounted, feed, moment):
        parameters = list(mounted.module.parameters())
        for each in parameters:
            each.grad.zero_()
        loss = feed.add_gradient_(mounted)
        if self.writes_genome:
            for part in mounted.parts:
                part.weights.sub_(part.gradient, alpha=0.1)
        if moment.step % self.every == 0:
            if self.by_data:
                for each in parameters:
                    each.data.sub_(each.grad, alpha=0.1)
            else:
                torch.optim.SGD(parameters, lr=0.1).step()
        return float(loss)


@pytest.mark.parametrize(
    "improver",
    [Torch(), Torch(every=2), Torch(by_data=True), Torch(every=2, by_data=True, writes_genome=True)],
    ids=["always", "in the middle", "by data", "beside the genome"],
)
def test_an_improver_that_writes_to_the_copies_is_refused_by_name(tmp_path, text_file, improver):
    config = config_of(tmp_path, text_file, "mixed")
    scheduled = dataclasses.replace(config.improve[0], component=improver)
    with pytest.raises(PluginError, match=r"improve torch_sgd: .*bfloat16 copies.*part\.weights.*task\.dtype"):
        session.run(dataclasses.replace(config, improve=(scheduled,)))


@pytest.mark.parametrize("improver", [Torch(), Torch(by_data=True)])
def test_where_parameters_are_the_genome_an_improver_may_write_to_them(tmp_path, text_file, improver):
    config = config_of(tmp_path, text_file, "float32")
    scheduled = dataclasses.replace(config.improve[0], component=improver)
    session.run(dataclasses.replace(config, improve=(scheduled,)))


def test_an_improver_that_writes_to_the_genome_alone_is_not_refused(tmp_path, text_file):
    config = config_of(tmp_path, text_file, "mixed")
    scheduled = dataclasses.replace(config.improve[0], component=Torch(every=10**9, writes_genome=True))
    session.run(dataclasses.replace(config, improve=(scheduled,)))


# Whole runs


def config_of(folder: Path, text: Path, dtype: str, moments: str = "float32") -> RunConfig:
    """Four turns of two experts, with operators."""
    values = {
        "name": dtype,
        "preset": "koifish",
        "generations": 4,
        "task": {
            "name": "language_model",
            "data": "text",
            "files": [str(text)],
            "tokenizer": "bytes",
            "context": 16,
            "batch": 4,
            "micro_batch": 2,
            "validation_tokens": 256,
            "sample_tokens": 8,
            "dtype": dtype,
        },
        "turn": {"name": "koifish", "switch": 4},
        "improve": [{"name": "adamw", "warmup_steps": 2, "moments": moments, "clip_by": "tensor_by_depth"}],
        "checkpoint": {"every_generations": 1},
        "observers": [],
    }
    config = config_from_text(OmegaConf.to_yaml(OmegaConf.create(values)), where="test", folder=folder)
    return dataclasses.replace(config, output=folder / "runs")


def saved_rows(folder: Path, dtype: str) -> list[dict[str, torch.Tensor]]:
    """Every tensor of the newest checkpoint of a run."""
    checkpoint = CheckpointStore(folder / "runs" / dtype / "checkpoints").latest()
    assert checkpoint is not None
    return [dict(checkpoint.tensors(name)) for name in sorted(checkpoint.names)]


@pytest.mark.parametrize(
    ("dtype", "moments"), [("bfloat16", "bfloat16"), ("bfloat16", "float32"), ("mixed", "float32")]
)
def test_a_run_that_was_stopped_ends_with_the_bits_of_one_that_was_not(
    tmp_path, text_file, monkeypatch, dtype, moments
):
    made, step, seen = [], AdamW.step, []

    def interrupted(self, mounted, feed, moment):
        seen.append(moment.step)
        if len(seen) == 9:
            raise KeyboardInterrupt
        return step(self, mounted, feed, moment)

    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
        config = config_of(tmp_path / name, text_file, dtype, moments)
        if name == "stopped":
            with monkeypatch.context() as patched, pytest.raises(RunStopped):
                patched.setattr(AdamW, "step", interrupted)
                session.run(config)
        session.run(config)
        made.append(saved_rows(tmp_path / name, dtype))
    for whole, stopped in zip(*made, strict=True):
        assert whole.keys() == stopped.keys()
        assert all(torch.equal(whole[name], stopped[name]) for name in whole)
    assert made[0][1][WEIGHTS].dtype == TYPES[dtype]


def test_masters_are_exported_whole_and_measured_as_they_compute(tmp_path, text_file):
    result = session.run(config_of(tmp_path, text_file, "mixed"))
    opened_best = open_individual(tmp_path / "runs" / "mixed", "best")
    assert {each.dtype for each in opened_best.module.parameters()} == {torch.float32}
    assert opened_best.task.evaluate(opened_best.module) == pytest.approx(result.best_fitness, rel=2e-3)
    assert "logits equal bit for bit" in opened_best.task.export(opened_best.module, tmp_path / "out")
