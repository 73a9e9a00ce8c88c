"""Dense noise: which genes get it, that estimates and members have the same, and what layers of every kind read."""

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from strategies_under_test import Told, Vector, genes, mounted_on, place
from torch import nn
from torch.nn import functional

from evoweights.errors import UsageError
from evoweights.seeds import Noise, seeded
from evoweights_es import windows
from evoweights_es.chunk import Chunk
from evoweights_es.gaussian import Gaussian
from evoweights_es.member import Member
from evoweights_kernels import TILE, normals

SIGMA = 0.03
TOKENS = torch.arange(30).mul(17).remainder(90).view(3, 10)


class Model(nn.Module):
    """A module whose parameters are drawn from its own place, and a forward made of them."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.run = forward
        for name, layer in layers.items():
            setattr(self, name, layer)
        with seeded(Noise(7, "model")), torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_()

    def forward(self):
        return self.run(self)


def texts(**heads):
    """A table and a head, which are large beside what a piece holds in these tests."""
    return Model(lambda model: model.head(torch.tanh(model.table(TOKENS))), table=nn.Embedding(90, 12), **heads)


def squares(module):
    """Mean square of every row of what the module gives."""
    return module().float().square().flatten(1).mean(1)


def weights_of(model):
    return {name: each.detach().clone() for name, each in model.named_parameters()}


def noise_of(perturbation, part, label, segment, member, *, at=None):
    out = torch.zeros(segment.count)
    coefficients = [0.0] * member.direction + [member.sign]
    perturbation.add_estimate_(out, Chunk(part, label, segment, 0, len(out)), coefficients, place=at or place())
    return out


def written(make, perturbation, member, *, dtype=torch.float32):
    """The individual with a member's weights: rounded to nearest from the sum in float32."""
    found = mounted_on(make(), dtype=dtype)
    for segment in perturbation.segments(found.own):
        view = segment.view(found.own.weights)
        noise = noise_of(perturbation, found.own, "own", segment, member)
        weight = torch.tensor(SIGMA * member.sign)
        view.copy_((view.flatten().float() + noise * member.sign * weight).view(segment.shape))
    return found


def score(perturbation, found, members, *, losses=squares):
    return perturbation.scores(found, Told(losses).draw(found), members, sigma=SIGMA, place=place())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layerwise", ["on", "off"])
def test_a_member_has_the_very_bits_of_weights_that_are_written_out(layerwise, dtype) -> None:
    perturbation, members = Gaussian(layerwise=layerwise), [Member(3, 1.0), Member(3, -1.0), Member(0, 1.0)]
    make = lambda: texts(head=nn.Linear(12, 90))  # noqa: E731 - made anew for each member
    found = score(perturbation, mounted_on(make(), dtype=dtype), members)
    for member, losses in zip(members, found, strict=True):
        assert torch.equal(losses, squares(written(make, perturbation, member, dtype=dtype).module).double())


def test_scores_do_not_depend_on_who_else_is_scored() -> None:
    members = [Member(each // 2, (-1.0) ** each) for each in range(6)]
    together = score(Gaussian(), mounted_on(texts(head=nn.Linear(12, 90))), members)
    assert len(set(together.mean(1).tolist())) == len(members)
    for chosen in ([5], [4, 0], [1, 1, 3]):
        alone = score(Gaussian(), mounted_on(texts(head=nn.Linear(12, 90))), [members[each] for each in chosen])
        assert torch.equal(alone, together[chosen])


def test_mirrored_members_lie_on_both_sides() -> None:
    found = mounted_on(Vector(4000))
    plus, minus = score(Gaussian(), found, [Member(1, 1.0), Member(1, -1.0)], losses=lambda module: module())
    centre = found.module().double()
    torch.testing.assert_close((plus + minus) / 2, centre, rtol=0, atol=1e-6)
    assert float((plus - minus).std()) == pytest.approx(2 * SIGMA, rel=0.05)


@pytest.mark.parametrize("bits", [32, 16])
def test_noise_is_that_of_the_kernels_at_the_place_of_a_gene(bits) -> None:
    found = mounted_on(nn.Sequential(nn.Linear(30, 40), nn.Linear(40, 50)))
    stream = place().noise.stream("own/direction 2")
    for segment in found.own.layout.segments:
        expected = normals(place().noise.seed, stream, segment.count, bits=bits, first_gene=segment.start)
        noise = noise_of(Gaussian(bits=bits), found.own, "own", segment, Member(2, 1.0))
        assert torch.equal(noise, expected)


def test_an_estimate_in_chunks_is_the_estimate() -> None:
    found = mounted_on(nn.Linear(100, 60))
    segment, coefficients = found.own.layout.segments[0], [0.5, 0.0, -2.0]
    whole = torch.zeros(segment.count)
    Gaussian().add_estimate_(whole, Chunk(found.own, "own", segment, 0, len(whole)), coefficients, place=place())
    for first in (TILE, 3 * TILE):
        chunk = torch.zeros(min(2000, segment.count - first))
        Gaussian().add_estimate_(
            chunk, Chunk(found.own, "own", segment, first, len(chunk)), coefficients, place=place()
        )
        assert torch.equal(chunk, whole[first : first + len(chunk)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("settings", [{}, {"density": 0.2}, {"scope": "vectors"}, {"scope": "1.*", "bits": 16}])
def test_the_update_in_one_pass_is_that_by_estimates(settings, dtype) -> None:
    make = lambda: nn.Sequential(nn.Linear(40, 30), nn.Linear(30, 20))  # noqa: E731 - made anew to compare
    with seeded(Noise(8, "update")):
        first = mounted_on(make(), dtype=dtype)
    second = mounted_on(nn.Sequential(nn.Linear(40, 30), nn.Linear(30, 20)), dtype=dtype)
    second.own.weights.copy_(first.own.weights)
    perturbation, coefficients = Gaussian(**settings), [0.01, -0.02, 0.0, 0.005]
    before = first.own.weights.clone()
    perturbation.update_plain_(first.own, "own", coefficients, place=place(), rounding=None)
    for segment in perturbation.segments(second.own):
        estimate = torch.zeros(segment.count)
        perturbation.add_estimate_(
            estimate, Chunk(second.own, "own", segment, 0, len(estimate)), coefficients, place=place()
        )
        view = segment.view(second.own.weights)
        view.copy_((view.flatten().float() + estimate).view(segment.shape))
    assert torch.equal(first.own.weights, second.own.weights)
    assert not torch.equal(first.own.weights, before)


@given(density=st.sampled_from([0.02, 0.3, 0.9]), seed=st.integers(0, 2**32))
def test_a_share_of_the_genes_is_perturbed_and_always_the_same(density, seed) -> None:
    found, perturbation = mounted_on(Vector(30_000)), Gaussian(density=density)
    segment = found.own.layout.segments[0]
    early, late, other = (
        noise_of(perturbation, found.own, "own", segment, Member(direction, 1.0), at=place(step, run))
        for step, run, direction in ((1, seed, 0), (9, seed, 4), (1, seed + 1, 0))
    )
    assert torch.equal(early != 0, late != 0) and not torch.equal(early, late)
    assert not torch.equal(early != 0, other != 0)
    deviation = (density * (1 - density) / 30_000) ** 0.5
    assert abs(float((early != 0).double().mean()) - density) < 5 * deviation + 1 / 65536
    assert abs(float(early[early != 0].square().mean()) - 1) < 5 * (2 / (30_000 * density)) ** 0.5
    assert perturbation.dimension(found) == round(density * 30_000)


def test_what_is_frozen_or_out_of_scope_stays() -> None:
    model = nn.Sequential(nn.Linear(20, 20), nn.Linear(20, 20))
    model[0].weight.requires_grad_(False)
    found, before = mounted_on(model), weights_of(model)
    seen = {}

    def look(module):
        seen.update(weights_of(module))  # while nothing runs, what is perturbed shows nothing
        return module(torch.ones(2, 20)).sum(1)

    score(Gaussian(scope="1.*"), found, [Member(0, 1.0)], losses=look)
    assert torch.equal(seen["0.weight"], before["0.weight"]) and torch.equal(seen["0.bias"], before["0.bias"])
    assert [each.name for each in Gaussian().segments(found.own)] == ["1.weight", "0.bias", "1.bias"]
    assert all(torch.equal(each, before[name]) for name, each in weights_of(model).items())


class Scaled(nn.Embedding):
    """A table with a forward of its own, as Gemma has it."""

    def forward(self, input):
        return super().forward(input) * 3.0


def _tied():
    model = texts(head=nn.Linear(12, 90, bias=False))
    model.head.weight = model.table.weight
    return model


LARGE = {
    "linear": lambda: texts(head=nn.Linear(12, 90)),
    "no bias": lambda: texts(head=nn.Linear(12, 90, bias=False)),
    "tied": _tied,
    "scaled table": lambda: Model(lambda model: model.table(TOKENS), table=Scaled(90, 12)),
    "narrow rows": lambda: Model(lambda model: model.table(TOKENS), table=nn.Embedding(2100, 1)),
    "wide rows": lambda: Model(lambda model: model.table(TOKENS % 5), table=nn.Embedding(5, 2500)),
    "max norm": lambda: Model(lambda model: model.table(TOKENS), table=nn.Embedding(90, 12, max_norm=1.0)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", LARGE)
def test_large_layers_in_pieces_give_what_they_give_as_a_whole(kind, dtype, monkeypatch) -> None:
    asked = []
    write = Gaussian.add_
    monkeypatch.setattr(
        Gaussian, "add_", lambda self, out, *rest, **how: asked.append(len(out)) or write(self, out, *rest, **how)
    )
    monkeypatch.setattr(windows, "SHARE", 1 << 30)
    monkeypatch.setattr(windows, "PIECE", 100)
    found = mounted_on(LARGE[kind](), dtype=dtype)
    before = genes(found)
    pieces = score(Gaussian(layerwise="on"), found, [Member(0, 1.0), Member(1, -1.0)])
    largest = max(each.count for each in found.own.layout.segments)
    assert (max(asked) < largest) == (kind != "max norm")
    whole = score(Gaussian(layerwise="off"), found, [Member(0, 1.0), Member(1, -1.0)])
    tolerance = 1e-6 if dtype == torch.float32 else 1e-2
    torch.testing.assert_close(pieces, whole, rtol=tolerance, atol=tolerance)
    assert genes(found) == before


def test_of_a_table_only_what_is_looked_up_is_made(monkeypatch) -> None:
    """The noise of rows that no item has would be most of the work of a member of a small batch."""
    made = []
    write = Gaussian.add_

    def counted(self, out, *rest, live=None, **how):
        made.append(len(out) if live is None else int(live.clamp(max=TILE).sum()))
        return write(self, out, *rest, live=live, **how)

    monkeypatch.setattr(Gaussian, "add_", counted)
    table = nn.Embedding(300_000, 8)
    found = mounted_on(Model(lambda model: model.table(TOKENS * 1000), table=table))
    score(Gaussian(), found, [Member(0, 1.0)])
    assert sum(made) <= TILE * TOKENS.numel()


def test_a_member_makes_the_noise_of_every_gene_once(monkeypatch) -> None:
    made = []
    write = Gaussian.add_
    monkeypatch.setattr(
        Gaussian, "add_", lambda self, out, *rest, **how: made.append(len(out)) or write(self, out, *rest, **how)
    )
    layers = {"first": nn.Linear(64, 64), "second": nn.Linear(64, 32), "unused": nn.Linear(64, 64)}
    found = mounted_on(Model(lambda model: model.second(model.first(torch.ones(2, 64))), **layers))
    score(Gaussian(layerwise="on"), found, [Member(0, 1.0)])
    assert sum(made) == 64 * 64 + 64 + 64 * 32 + 32


@pytest.mark.parametrize("density", [1.0, 0.5])
def test_own_and_shared_genes_have_nothing_in_common(density) -> None:
    found = mounted_on(nn.Sequential(nn.Linear(100, 60), nn.Linear(100, 60)), shared=["1.weight", "1.bias"])
    own, shared = (
        noise_of(Gaussian(density=density), part, label, part.layout.segments[0], Member(0, 1.0))
        for label, part in (("own", found.own), ("shared", found.shared))
    )
    for first, second in ((own, shared), (own != 0, shared != 0)):
        if first.double().std() > 0:
            assert abs(float(torch.corrcoef(torch.stack([first.double(), second.double()]))[0, 1])) < 5 / 6000**0.5


def test_recurrent_layers_are_perturbed() -> None:
    """They keep a list of their parameters beside the parameters."""
    make = lambda: Model(lambda model: model.lstm(torch.ones(2, 3, 5))[0], lstm=nn.LSTM(5, 6))  # noqa: E731
    (found,) = score(Gaussian(layerwise="on"), mounted_on(make()), [Member(0, 1.0)])
    assert torch.equal(found, squares(written(make, Gaussian(), Member(0, 1.0)).module).double())


def test_a_layer_within_a_layer_with_parameters_has_both_perturbed() -> None:
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale, self.inner = nn.Parameter(torch.empty(5)), nn.Linear(5, 5)

        def forward(self, x):
            return self.inner(x * self.scale) * self.scale

    make = lambda: Model(lambda model: model.outer(torch.ones(2, 5)), outer=Outer())  # noqa: E731
    (found,) = score(Gaussian(layerwise="on"), mounted_on(make()), [Member(0, 1.0)])
    assert torch.equal(found, squares(written(make, Gaussian(), Member(0, 1.0)).module).double())


def test_what_is_read_in_later_batches_only_is_perturbed_too() -> None:
    """The first evaluation shows who reads what; a way that it did not take must not be taken with plain weights."""

    class Branch(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.is_late = nn.Linear(6, 6), False

        def forward(self):
            x = torch.ones(2, 6)
            return functional.linear(x, self.layer.weight, self.layer.bias) if self.is_late else self.layer(x)

    with seeded(Noise(9, "branch")):
        found = mounted_on(Branch())
    perturbation = Gaussian()
    early = score(perturbation, found, [Member(0, 1.0)])
    found.module.is_late = True
    assert torch.equal(score(perturbation, found, [Member(0, 1.0)]), early)


def test_a_view_that_is_kept_is_refused() -> None:
    class Keeping(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 6)

        def forward(self):
            return torch.ones(2, 6) @ self.kept

    found = mounted_on(Keeping())
    found.module.kept = found.module.layer.weight.detach().t()
    before = genes(found)
    with pytest.raises(UsageError, match=r"layer\.weight: the model reads it through a tensor that it keeps"):
        score(Gaussian(), found, [Member(0, 1.0)])
    assert genes(found) == before


def test_a_scope_of_frozen_weights_only_is_refused_with_what_to_do() -> None:
    found = mounted_on(texts(head=nn.Linear(12, 90).requires_grad_(False)))
    with pytest.raises(
        UsageError, match=r"scope 'embeddings' holds no gene that is not frozen\. Use a wider one, such as all"
    ):
        Gaussian(scope="embeddings").check(mounted_on(nn.Linear(3, 3)))
    Gaussian().check(found)


def test_a_loss_that_is_not_a_number_is_reported_as_it_is() -> None:
    found = mounted_on(Vector(100))
    perturbation = Gaussian()
    told = Told(lambda module: module().sum()[None] * torch.nan)
    for _ in range(2):
        assert perturbation.scores(found, told.draw(found), [Member(0, 1.0)], sigma=SIGMA, place=place()).isnan().all()


def test_compiled_layers_run_as_they_are_written(monkeypatch) -> None:
    asked = []
    stance = torch.compiler.set_stance
    monkeypatch.setattr(torch.compiler, "set_stance", lambda name: asked.append(name) or stance(name))
    model = texts(head=nn.Linear(12, 90))
    plain = score(Gaussian(), mounted_on(model), [Member(0, 1.0)])
    assert not asked
    model.head.compile(backend="eager")
    found = mounted_on(texts(head=model.head))
    assert torch.equal(score(Gaussian(), found, [Member(0, 1.0)]), plain) and asked == ["force_eager"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_reference_makes_the_same_members(dtype) -> None:
    found = mounted_on(texts(head=nn.Linear(12, 90)), dtype=dtype)
    subset, member = Told(squares).draw(found), [Member(1, 1.0)]
    cpu, reference = (
        Gaussian().scores(found, subset, member, sigma=SIGMA, place=place(backend=backend))
        for backend in ("cpu", "reference")
    )
    assert torch.equal(cpu, reference)


def test_transformers_scaled_tables_and_heads_are_perturbed_in_pieces(monkeypatch) -> None:
    monkeypatch.setattr(windows, "PIECE", 200)
    shape = {"vocab_size": 61, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 8}
    config = transformers.Gemma3TextConfig(**shape, num_key_value_heads=1, intermediate_size=24)
    with seeded(Noise(10, "gemma")):
        model = transformers.Gemma3ForCausalLM(config).eval()
    found = mounted_on(model)
    ids = TOKENS % 61
    losses = lambda module: module(input_ids=ids, use_cache=False).logits.square().flatten(1).mean(1)  # noqa: E731
    pieces = score(Gaussian(layerwise="on"), found, [Member(0, 1.0)], losses=losses)
    whole = score(Gaussian(layerwise="off"), found, [Member(0, 1.0)], losses=losses)
    torch.testing.assert_close(pieces, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bits", [0, 8, 64])
def test_widths_that_do_not_exist_are_refused(bits) -> None:
    with pytest.raises(ValueError, match="allowed are 16 and 32"):
        Gaussian(bits=bits)
