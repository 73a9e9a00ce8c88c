"""Members are scored with other weights, and the weights themselves stay as they are, bit for bit."""

import logging
import subprocess
import sys

import pytest
import torch
import transformers
from strategies_under_test import Told, Vector, genes, mounted_on, place
from torch import nn
from torch.nn import functional

from evoweights.errors import UsageError
from evoweights.seeds import Noise, seeded
from evoweights_es import windows
from evoweights_es.chunk import Chunk
from evoweights_es.gaussian import Gaussian
from evoweights_es.member import Member
from evoweights_es.subspace import Subspace
from evoweights_lm.loss import next_token_loss, sequence_losses

SIGMA = 0.05
MEMBERS = [Member(0, 1.0), Member(1, 1.0), Member(0, -1.0)]
_TINY = {
    "vocab_size": 61,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
_TINY |= {"intermediate_size": 48, "max_position_embeddings": 16, "bos_token_id": 0, "eos_token_id": 0}
CONFIGS = {
    "gpt2": transformers.GPT2Config(vocab_size=61, n_embd=32, n_layer=2, n_head=4, n_positions=16),
    "llama": transformers.LlamaConfig(**_TINY),
    "qwen3": transformers.Qwen3Config(**_TINY, head_dim=8, tie_word_embeddings=True),
    "opt": transformers.OPTConfig(**{**_TINY, "word_embed_proj_dim": 32, "ffn_dim": 48, "dropout": 0.0}),
}
TOKENS = torch.arange(24).mul(7).remainder(61).view(3, 8)


def language_model(name):
    with seeded(Noise(3, name)):
        return transformers.AutoModelForCausalLM.from_config(CONFIGS[name]).eval()


class Attention(nn.Module):
    """Torch's attention reads the weight of its output layer without calling it."""

    def __init__(self):
        super().__init__()
        with seeded(Noise(4, "attention")):
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.last = nn.Linear(8, 3)

    def forward(self):
        x = torch.linspace(-1, 1, 80, dtype=self.last.weight.dtype).view(2, 5, 8)
        return self.last(self.attention(x, x, x, need_weights=False)[0]).flatten()


class Tied(nn.Module):
    """A table whose weights are the head's as well, by a function and not by a layer."""

    def __init__(self):
        super().__init__()
        with seeded(Noise(5, "tied")):
            self.table = nn.Embedding(61, 8)

    def forward(self):
        return functional.linear(self.table(TOKENS), self.table.weight).flatten(0, 1)


def of_text(module):
    return sequence_losses(module, TOKENS[:, :-1], TOKENS[:, 1:])


def of_values(module):
    return module().float().square().mean()[None]


CASES = {name: (lambda name=name: language_model(name), of_text) for name in CONFIGS}
CASES |= {"attention": (Attention, of_values), "tied": (Tied, of_values), "vector": (lambda: Vector(2500), of_values)}


def explicit(make, losses, perturbation, member, *, dtype=torch.float32, shared=()):
    """The loss of a member whose weights are written out."""
    found = mounted_on(make(), dtype=dtype, shared=shared)
    with torch.no_grad():
        for label, part in (("own", found.own), ("shared", found.shared)):
            for segment in perturbation.segments(part):
                noise = torch.zeros(segment.count)
                coefficients = [0.0] * member.direction + [member.sign * SIGMA]
                perturbation.add_estimate_(
                    noise, Chunk(part, label, segment, 0, len(noise)), coefficients, place=place()
                )
                segment.view(part.weights).copy_(
                    (segment.view(part.weights).flatten().float() + noise).view(segment.shape)
                )
        return losses(found.module).double()


@pytest.mark.parametrize("piece", [windows.PIECE, 700])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "perturbation", [Gaussian(), Gaussian(layerwise="off"), Gaussian(density=0.3, bits=16), Subspace(size=5)]
)
@pytest.mark.parametrize("case", CASES)
def test_a_member_is_scored_as_if_its_weights_were_written_out_and_no_bit_changes(
    case, perturbation, dtype, piece, monkeypatch
):
    monkeypatch.setattr(windows, "PIECE", piece)
    make, losses = CASES[case]
    found = mounted_on(make(), dtype=dtype)
    before = genes(found)
    scores = perturbation.scores(found, Told(losses).draw(found), MEMBERS, sigma=SIGMA, place=place())
    assert genes(found) == before and scores.dtype == torch.float64
    tolerance = 1e-5 if dtype == torch.float32 else 0.02
    for member, score in zip(MEMBERS, scores, strict=True):
        torch.testing.assert_close(
            score, explicit(make, losses, perturbation, member, dtype=dtype), rtol=tolerance, atol=tolerance
        )
    assert not torch.equal(scores[0], scores[1]) and not torch.equal(scores[0], scores[2])


def test_every_tensor_is_perturbed():
    """Noise on one tensor alone changes the loss, for each of them."""
    found = mounted_on(language_model("gpt2"))
    subset = Told(of_text).draw(found)
    plain = subset.scores()
    for segment in found.own.layout.segments:
        perturbation = Gaussian(scope=segment.name)
        (score,) = perturbation.scores(found, subset, [Member(0, 1.0)], sigma=0.3, place=place())
        is_silent = segment.name.endswith("attn.c_attn.bias") and torch.allclose(score, plain)
        assert is_silent or not torch.equal(score, plain), segment.name


def test_shared_and_own_parts_are_both_perturbed_and_by_different_noise():
    def make():
        return nn.Sequential(nn.Linear(40, 40), nn.Linear(40, 40))

    class Run(nn.Module):
        def __init__(self):
            super().__init__()
            with seeded(Noise(6, "run")):
                self.layers = make()

        def forward(self):
            return self.layers(torch.ones(2, 40)).flatten()

    shared = ("layers.1.weight", "layers.1.bias")
    found = mounted_on(Run(), shared=shared)
    perturbation = Gaussian()
    (score,) = perturbation.scores(found, Told(of_values).draw(found), [Member(2, 1.0)], sigma=SIGMA, place=place())
    torch.testing.assert_close(score, explicit(Run, of_values, perturbation, Member(2, 1.0), shared=shared))
    noises = []
    for label, part in (("own", found.own), ("shared", found.shared)):
        noises.append(torch.zeros(1600))
        segment = part.layout.segments[0]
        perturbation.add_estimate_(noises[-1], Chunk(part, label, segment, 0, len(noises[-1])), [1.0], place=place())
    assert abs(float(torch.corrcoef(torch.stack(noises))[0, 1])) < 5 / 1600**0.5


def test_tensors_of_one_shape_get_noise_of_their_own():
    """Seeding anew for each tensor, as published code does, gives all blocks the same noise."""
    found = mounted_on(language_model("gpt2"))
    names = ["transformer.h.0.mlp.c_fc.weight", "transformer.h.1.mlp.c_fc.weight"]
    segments = [each for each in found.own.layout.segments if each.name in names]
    noises = [torch.zeros(each.count) for each in segments]
    for out, segment in zip(noises, segments, strict=True):
        Gaussian().add_estimate_(out, Chunk(found.own, "own", segment, 0, len(out)), [1.0], place=place())
    assert abs(float(torch.corrcoef(torch.stack(noises))[0, 1])) < 5 / len(noises[0]) ** 0.5


@pytest.mark.parametrize("case", ["attention", "tied"])
def test_what_a_layer_reads_behind_anothers_back_is_found(case, caplog):
    make, losses = CASES[case]
    found = mounted_on(make())
    subset = Told(losses).draw(found)
    name = {"attention": "attention.out_proj.weight", "tied": "table.weight"}[case]
    with pytest.raises(UsageError, match=f"layerwise is on, but {name}"):
        Gaussian(layerwise="on").scores(found, subset, MEMBERS, sigma=SIGMA, place=place())
    with caplog.at_level(logging.WARNING):
        perturbation = Gaussian()
        for _ in range(2):
            perturbation.scores(found, subset, MEMBERS, sigma=SIGMA, place=place())
    told = [each.message for each in caplog.records]
    reader = {"attention": "attention", "tied": "the model itself"}[case]
    assert sum(f"{name} is read by {reader}, not only by its own layer" in each for each in told) == 1


@pytest.mark.parametrize("layerwise", ["on", "off"])
def test_an_error_in_the_middle_leaves_every_bit_and_the_module_as_it_was(layerwise):
    found = mounted_on(language_model("gpt2"))
    before, forwards = genes(found), [each.__dict__.get("forward") for each in found.module.modules()]
    told = Told(of_text)
    subset = told.draw(found)
    perturbation = Gaussian(layerwise=layerwise)
    perturbation.scores(found, subset, MEMBERS[:1], sigma=SIGMA, place=place())

    def refuse(module):
        of_text(module)
        raise RuntimeError("broken")

    told.losses = refuse
    with pytest.raises(RuntimeError, match="broken"):
        perturbation.scores(found, subset, MEMBERS, sigma=SIGMA, place=place())
    assert genes(found) == before and [each.__dict__.get("forward") for each in found.module.modules()] == forwards
    assert all(
        p.data_ptr() != 0 and p.untyped_storage().data_ptr() == found.own.weights.untyped_storage().data_ptr()
        for p in found.module.parameters()
    )


def test_mixed_precision_perturbs_the_float32_weights():
    """The module computes with a bfloat16 copy; the noise is added before it is rounded, so nothing of it is lost first."""
    found = mounted_on(language_model("gpt2"))
    found.compute_in_(torch.bfloat16)
    found.refresh_()
    before, subset = genes(found), Told(of_text).draw(found)
    plain = subset.scores()
    (score,) = Gaussian().scores(found, subset, [Member(0, 1.0)], sigma=SIGMA, place=place())
    (small,) = Gaussian().scores(found, subset, [Member(0, 1.0)], sigma=1e-12, place=place())
    expected = explicit(lambda: language_model("gpt2"), of_text, Gaussian(), Member(0, 1.0))
    torch.testing.assert_close(score, expected, rtol=0.02, atol=0.02)
    assert genes(found) == before and torch.equal(small, plain) and torch.equal(subset.scores(), plain)


def test_o4_nothing_drifts_where_adding_and_subtracting_in_bfloat16_does():
    """1,000 cycles at sigma 1e-3 on weights of 0.02: about 1 % by subtraction, nothing here."""
    weights = torch.randn(20_000, generator=torch.Generator().manual_seed(0)).mul(0.02).bfloat16()
    drifting, generator = weights.clone(), torch.Generator().manual_seed(1)
    for _ in range(1000):
        noise = (1e-3 * torch.randn(20_000, generator=generator)).bfloat16()
        drifting.add_(noise).sub_(noise)
    relative = float((drifting.float() - weights.float()).norm() / weights.float().norm())
    assert relative == pytest.approx(0.0109, rel=0.3)
    found = mounted_on(Vector(20_000), dtype=torch.bfloat16)
    found.own.weights[:20_000] = weights
    before = genes(found)
    Gaussian().scores(
        found, Told(of_values).draw(found), [Member(i, 1.0) for i in range(1000)], sigma=1e-3, place=place()
    )
    assert genes(found) == before


@pytest.mark.parametrize("name", CONFIGS)
def test_losses_of_sequences_are_those_of_the_task(name):
    model = language_model(name)
    with torch.no_grad():
        mean = next_token_loss(model, TOKENS[:, :-1], TOKENS[:, 1:])
        torch.testing.assert_close(of_text(model).mean(), mean, rtol=1e-5, atol=1e-5)


MEMORY = """
import gc, ctypes, sys, torch, transformers
from pathlib import Path
from strategies_under_test import Told, mounted_on, place
from evoweights_es.gaussian import Gaussian
from evoweights_es.member import Member
from evoweights_lm.loss import sequence_losses

dtype = getattr(torch, sys.argv[1])
config = transformers.GPT2Config(n_layer=2, vocab_size=50304)  # all of GPT-2 but ten of its blocks
model = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype).eval()
found = mounted_on(model, dtype=dtype)
ids = torch.arange(33).remainder(50000)[None]
subset = Told(lambda module: sequence_losses(module, ids[:, :-1], ids[:, 1:])).draw(found)

def peak(run):
    return min(once(run) for _ in range(3))  # what else the process does may add to one

def once(run):
    run()
    gc.collect(); ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    run()
    return next(int(l.split()[1]) for l in Path("/proc/self/status").read_text().splitlines() if l.startswith("VmHWM"))

gaussian, two = Gaussian(), [Member(0, 1.0), Member(1, 1.0)]
gaussian.scores(found, subset, two, sigma=1e-3, place=place())  # loads what compiles the kernel
alone = peak(lambda: subset.scores())
members = peak(lambda: gaussian.scores(found, subset, two, sigma=1e-3, place=place()))
print(alone, members, sum(each.numel() for each in model.parameters()) * found.own.weights.itemsize // 1024)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells the peak of a part of a process")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_members_take_hardly_more_memory_than_the_model_alone(dtype):
    variables = {"PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin"}
    done = subprocess.run([sys.executable, "-c", MEMORY, dtype], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    alone, members, weights = map(int, done.stdout.split()[-3:])
    assert members - alone <= 0.08 * weights, (alone, members, weights)
