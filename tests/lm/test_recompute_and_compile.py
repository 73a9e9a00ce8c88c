"""Blocks that are computed twice, and blocks that are compiled: the same numbers, and nothing compiled anew."""

import gc
import logging
import math

import pytest
import torch
import torch._dynamo.utils

from evoweights.errors import UsageError
from evoweights.founding import found
from evoweights.genome import layout_of
from evoweights.homes.part import mount_
from evoweights.progress import Progress
from evoweights.scoring import evaluate
from evoweights.seeds import Noise, seeded
from evoweights.training import Feed
from evoweights_classic import Individuals
from evoweights_eoe.experts import Experts
from evoweights_lm import blocks, compiling
from evoweights_lm.blocks import recompute_
from evoweights_toy.settings import Digits

DTYPES = ("float32", "bfloat16")


def loss_and_gradient(task):
    """The loss on the first batch and its gradient, of the same first weights each time."""
    with seeded(Noise(3, "model")):
        module = task.build()
    part = mount_(module, layout_of(module, [name for name, _ in module.named_parameters()]), device="cpu")
    loss = task.loss(module, task.batch(0))
    kept = saved_bytes(task, module, part)
    loss.backward()
    return loss.detach(), part.gradient.clone(), kept, task.evaluate(module)


def saved_bytes(task, module, part):
    """Bytes that a forward pass keeps for its backward, weights left out."""
    sizes = {part.weights.untyped_storage().data_ptr(): 0}

    def pack(tensor):
        storage = tensor.untyped_storage()
        sizes.setdefault(storage.data_ptr(), storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        keep = task.loss(module, task.batch(0))
    del keep
    return sum(sizes.values())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("what", ["mlp", "blocks"])
def test_recomputing_gives_the_same_bits_and_keeps_less(open_text, what, dtype):
    plain = loss_and_gradient(open_text(dtype=dtype))
    again = loss_and_gradient(open_text(dtype=dtype, recompute=what))
    assert torch.equal(plain[0], again[0])
    assert torch.equal(plain[1], again[1])
    assert plain[3] == again[3]
    assert again[2] < plain[2]


def test_whole_blocks_keep_less_than_their_mlp(open_text):
    kept = {what: loss_and_gradient(open_text(recompute=what, batch=8))[2] for what in ("none", "mlp", "blocks")}
    assert kept["blocks"] < kept["mlp"] < kept["none"]


def test_llama_can_recompute_too(open_text, tmp_path):
    from transformers import LlamaConfig

    LlamaConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=32
    ).save_pretrained(tmp_path / "llama")
    model = str(tmp_path / "llama" / "config.json")
    plain, *others = (loss_and_gradient(open_text(model=model, recompute=what)) for what in ("none", "mlp", "blocks"))
    for other in others:
        assert torch.equal(plain[0], other[0]) and torch.equal(plain[1], other[1])


def test_a_model_without_an_mlp_is_refused_by_name():
    from transformers import OPTConfig, OPTForCausalLM

    model = OPTForCausalLM(
        OPTConfig(
            hidden_size=16,
            ffn_dim=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            vocab_size=32,
            word_embed_proj_dim=16,
        )
    )
    with pytest.raises(UsageError, match=r"task\.recompute: a OPTDecoderLayer has no part called mlp"):
        recompute_(model, "mlp")


# Compiling


@pytest.fixture
def eager_backend(monkeypatch):
    """Dynamo without code generation: what is compiled, and how often, is the same."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    monkeypatch.setattr(compiling, "BACKEND", "eager")
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("recompute", ["none", "mlp", "blocks"])
def test_compiled_blocks_compute_the_same(open_text, eager_backend, recompute):
    plain = loss_and_gradient(open_text())
    compiled = loss_and_gradient(open_text(compile="on", recompute=recompute))
    assert torch.equal(plain[0], compiled[0])
    torch.testing.assert_close(compiled[1], plain[1], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("dtype", "recompute"), [("float32", "none"), ("mixed", "none"), ("bfloat16", "mlp"), ("mixed", "blocks")]
)
def test_switching_experts_compiles_nothing_anew(open_text, eager_backend, tmp_path, dtype, recompute):
    task = open_text(compile="on", dtype=dtype, recompute=recompute)
    population, mounted = found(
        Experts(blocks_per_expert=2).blueprint(task, Noise(1)),
        improvers=[], operators=[], noise=Noise(1), device=torch.device("cpu"), folder=tmp_path,
        compute=task.compute_dtype,
    )  # fmt: skip
    feed = Feed(task, Progress())

    def turn(row):
        mounted.load(population, row)
        losses = [float(feed.add_gradient_(mounted)) for _ in range(2)]
        task.evaluate(mounted.module)
        mounted.store(population)
        return losses

    turn(0)
    counted = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert counted == 2  # all blocks together: one with and one without gradients
    with torch._dynamo.config.patch(error_on_recompile=True):
        assert all(math.isfinite(loss) for row in (1, 0, 1) for loss in turn(row))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == counted


@pytest.mark.parametrize("whole", [True, False], ids=["the model", "its parts"])
def test_evaluations_that_can_be_interrupted_compile_nothing_anew(place_at, eager_backend, tmp_path, whole):
    task = Digits(hidden=[12], train_images=64, validation_images=32).open(place_at())
    population, mounted = found(
        Individuals(size=2).blueprint(task, Noise(1)),
        improvers=[], operators=[], noise=Noise(1), device=torch.device("cpu"), folder=tmp_path,
    )  # fmt: skip
    for each in [mounted.module] if whole else mounted.module.children():
        each.compile(backend="eager", dynamic=False)
    asked = []

    def stop():
        asked.append(1)
        return 0

    def measure():
        population.mark_changed(range(population.size))
        assert evaluate(population, mounted, task, stop=stop)
        return torch._dynamo.utils.counters["stats"]["unique_graphs"]

    first = measure()
    assert first >= 1
    with torch._dynamo.config.patch(error_on_recompile=True):
        assert [measure(), measure()] == [first, first]
    assert len(asked) >= 6


def test_the_classes_of_recomputed_parts_go_with_their_models(open_text):
    def count():
        gc.collect()
        return sum(type(each) is type and each.__module__ == blocks.__name__ for each in gc.get_objects())

    before = count()
    models = [open_text(recompute="mlp").build() for _ in range(2)]
    assert count() == before + 2  # one a model, for all of its blocks
    del models
    assert count() == before


def test_texts_of_growing_length_compile_nothing(open_text, eager_backend):
    task = open_text(compile="on")
    module = task.build()
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    task.generate(module, "abc", tokens=12)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == before


def broken(graph, inputs):
    """A backend that cannot."""
    raise NotImplementedError("no code for this machine")


def test_auto_falls_back_once_and_says_so(open_text, monkeypatch, caplog):
    torch._dynamo.reset()
    monkeypatch.setattr(compiling, "BACKEND", broken)
    task = open_text()
    task.compiling = compiling.Compiling("auto", torch.device("cuda"))
    module = task.build()
    with caplog.at_level(logging.WARNING, logger="evoweights"):
        losses = [task.loss(module, task.batch(0)).item() for _ in range(3)]
    plain = open_text()
    plain_module = plain.build()
    plain_module.load_state_dict(module.state_dict())
    assert losses == [plain.loss(plain_module, plain.batch(0)).item()] * 3
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 1 and messages[0].startswith("torch.compile is not used: ")
    assert "no code for this machine" in messages[0]


def test_on_never_falls_back(open_text, monkeypatch):
    torch._dynamo.reset()
    monkeypatch.setattr(compiling, "BACKEND", broken)
    task = open_text(compile="on")
    with pytest.raises(UsageError, match=r"task\.compile: on, but .*no code for this machine"):
        task.loss(task.build(), task.batch(0))


def test_auto_is_off_on_a_cpu(open_text):
    assert not open_text().compiling.is_active
    assert not compiling.Compiling("off", torch.device("cuda")).is_active
    assert compiling.Compiling("auto", torch.device("cuda")).is_active
