"""What holds for tasks: batches that are a function of their number, losses to train on, and a fitness that stays put."""

import math

import torch

from evoweights.errors import UsageError
from evoweights.genome import layout_of
from evoweights.task import TaskSettings
from evoweights.testing.checks.repeating import registrable
from evoweights.testing.checks.world import draw_elsewhere, unchanged_world
from evoweights.testing.comparing import expect_same
from evoweights.testing.rules import Level, always, rule
from evoweights.testing.task_ground import Opened, leaves, untouched


@rule("G22", always, most=1, level=Level.EXACT)
def built(settings: TaskSettings, opened: Opened, seed: int) -> None:
    """G22: it can be registered, allows its own defaults, is made from its settings, equals its like, and cannot be changed."""
    del opened, seed  # unused: nothing is computed
    registrable("task", settings)


@rule("D01", always, most=1)
def same_data(settings: TaskSettings, opened: Opened, seed: int) -> None:
    """D01: opened once more it has the same fingerprint, the same batches and the same fitness."""
    again, here = opened.again(), opened.task
    told = here.fingerprint()
    assert all(isinstance(name, str) and isinstance(each, str) for name, each in told.items()), (
        f"the fingerprint is not text by name: {told}"
    )
    expect_same(dict(again.fingerprint()), dict(told), "the fingerprint is another")
    expect_same(leaves(again.batch(0)), leaves(here.batch(0)), "the first batch is another")
    model = opened.model(seed)
    assert again.evaluate(model) == here.evaluate(model), "the fitness is another"


@rule("D02", always, most=10)
def pure_batches(settings: TaskSettings, opened: Opened, seed: int) -> None:
    """D02: a batch is a function of its number: the same in any order, whatever was drawn in between."""
    task, number = opened.task, seed % 1000
    once = leaves(task.batch(number))
    draw_elsewhere()
    task.batch(number + 1)
    task.batch(0)
    expect_same(leaves(task.batch(number)), once, f"batch {number} is another the second time")


@rule("G06", always, most=2, level=Level.EXACT)
def quiet(settings: TaskSettings, opened: Opened, seed: int) -> None:
    """G06: batches and evaluation draw from no global generator and change no setting of torch, numpy or the process."""
    model = opened.model(seed)
    opened.task.evaluate(model)
    opened.task.batch(0)
    with unchanged_world():
        opened.task.batch(1)
        opened.task.evaluate(model)


@rule("D03", always, most=3, level=Level.EXACT)
def models(settings: TaskSettings, opened: Opened, seed: int) -> None:
    """D03: models are drawn from torch's generator alone, share no memory, and have weights of one type to evolve."""
    one, two = opened.model(seed), opened.model(seed)
    expect_same(leaves(dict(one.state_dict())), leaves(dict(two.state_dict())), "one seed gives two models")
    own = {each.data_ptr() for each in one.parameters() if each.numel()}
    assert not own & {each.data_ptr() for each in two.parameters() if each.numel()}, "two models share weights"
    layout = layout_of(one, [name for name, _ in one.named_parameters()])
    assert any(each.role != "frozen" and each.count for each in layout.segments), "there is nothing to evolve"


@rule("D04", always, most=3, level=Level.EXACT)
def trainable(settings: TaskSettings, opened: Opened, seed: int) -> None:
    """D04: the loss of a batch is one finite number with gradients, and a small step against them lowers it."""
    task, model = opened.task, opened.model(seed)
    model.eval()  # or dropout would decide
    batch = task.batch(seed % 7)
    loss = task.loss(model, batch)
    assert loss.shape == () and bool(loss.isfinite()), f"the loss is not one finite number: {loss}"
    assert loss.requires_grad, "the loss has no gradient"
    before = float(loss.detach())
    loss.backward()
    pulled = [each for each in model.parameters() if each.grad is not None]
    square = float(
        sum((each.grad.double().square().sum() for each in pulled if each.grad is not None), torch.tensor(0.0))
    )
    assert pulled and math.isfinite(square), "no parameter has a finite gradient"
    if square == 0.0:
        return
    rate = 1e-3 * max(abs(before), 1e-6) / square  # lowers the loss by a thousandth, were it a plane
    with torch.no_grad():
        for each in pulled:
            if each.grad is not None:
                each.sub_(rate * each.grad)
    after = float(task.loss(model, batch).detach())
    assert after <= before + 1e-6 * abs(after), f"a step down its gradient leads from {before} to {after}"


@rule("D05", always, most=3, level=Level.EXACT)
def fitness(settings: TaskSettings, opened: Opened, seed: int) -> None:
    """D05: the fitness is a finite number, the same every time, and measuring it leaves the model as it was."""
    task, model = opened.task, opened.model(seed)
    for training in (True, False):
        model.train(training)
        with untouched(model):
            once = task.evaluate(model)
        assert type(once) is float and math.isfinite(once), f"the fitness is no finite float: {once!r}"
        task.batch(seed % 5)
        draw_elsewhere()
        assert task.evaluate(model) == once, "the second time the fitness is another"


@rule("D06", always, most=3, level=Level.EXACT)
def item_scores(settings: TaskSettings, opened: Opened, seed: int) -> None:
    """D06: the scores of a batch are finite, one number an item, without gradients, and leave the model as it was."""
    task, model = opened.task, opened.model(seed)
    with untouched(model):
        scores = task.scores(model, task.batch(seed % 7))
    assert scores.ndim == 1 and len(scores) >= 1 and bool(scores.isfinite().all()), (
        f"the scores are not one finite number an item: {scores}"
    )
    assert not scores.requires_grad, "the scores have gradients"


@rule("D07", always, most=2, level=Level.ROUNDING)
def in_pieces(settings: TaskSettings, opened: Opened, seed: int) -> None:
    """D07: the shares of a batch's pieces add up to 1, and their losses to the loss of the batch."""
    task, model = opened.task, opened.model(seed)
    model.eval()
    batch = task.batch(seed % 7)
    pieces = list(task.pieces(batch))
    shares = sum(share for _, share in pieces)
    assert math.isclose(shares, 1.0, rel_tol=1e-6), f"the shares add up to {shares}, not to 1"
    with torch.no_grad():
        whole = float(task.loss(model, batch))
        parts = sum(share * float(task.loss(model, piece)) for piece, share in pieces)
    assert math.isclose(whole, parts, rel_tol=1e-4, abs_tol=1e-6), (
        f"the loss of the batch is {whole}, that of its pieces {parts}"
    )


@rule("D08", always, most=2, level=Level.ROUNDING)
def copies(settings: TaskSettings, opened: Opened, seed: int) -> None:
    """D08: a batch that is repeated has the scores of the batch, so many times over; a task that cannot says so."""
    task, model = opened.task, opened.model(seed)
    batch = task.batch(seed % 7)
    try:
        twice = task.repeated(batch, 2)
    except UsageError:
        return
    once, both = task.scores(model, batch), task.scores(model, twice)
    assert torch.allclose(both, torch.cat([once, once]), rtol=1e-4, atol=1e-6), "the copies have other scores"


@rule("D09", always, most=1, level=Level.EXACT)
def work(settings: TaskSettings, opened: Opened, seed: int) -> None:
    """D09: the work of a forward pass is a whole number, training takes more, and counting changes nothing."""
    task, model = opened.task, opened.model(seed)
    with untouched(model):
        forward, trained = task.flops(model), task.gradient_flops(model)
    assert type(forward) is int and forward >= 0, f"flops gave {forward!r}, no whole number from 0"
    assert trained >= forward, f"a gradient takes {trained} operations, a forward pass {forward}"
    assert type(task.tokens_per_batch) is int and task.tokens_per_batch >= 1, (
        f"tokens_per_batch is {task.tokens_per_batch!r}, no whole number from 1"
    )


@rule("D10", always, most=1, level=Level.EXACT)
def shown(settings: TaskSettings, opened: Opened, seed: int) -> None:
    """D10: samples are text or nothing and references finite numbers; what a task does not offer, it refuses."""
    task, model = opened.task, opened.model(seed)
    with untouched(model):
        sample = task.sample(model)
    assert sample is None or isinstance(sample, str), f"sample gave {type(sample).__name__}, neither text nor None"
    assert all(math.isfinite(each) for each in task.references().values()), (
        f"a reference is no finite number: {task.references()}"
    )
    if not task.generates:
        try:
            task.generate(model, "", tokens=1, temperature=0.0, seed=1)
        except UsageError:
            return
        raise AssertionError("generates is False, and it generates")


TASK_RULES = (
    built, quiet, same_data, pure_batches, models, trainable, fitness, item_scores, in_pieces, copies, work, shown,
)  # fmt: skip
"""What holds for tasks."""
