"""The best expert of a run, exported: a plain model of b blocks that transformers opens offline, with the same logits."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_koifish_preset import small_config
from transformers import AutoModelForCausalLM, AutoTokenizer

from evoweights.runs import session
from evoweights.runs.individuals import open_individual
from evoweights.testing.faults import flip_bit


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    session.run(small_config(folder))
    return folder / "runs" / "koifish"


def _evoweights(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "evoweights", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("expert", ["best", "1"])
def test_the_exported_expert_gives_bitwise_the_same_logits(run: Path, expert: str) -> None:
    done = _evoweights("export", str(run), "--expert", expert)
    assert done.returncode == 0, done.stderr
    model = AutoModelForCausalLM.from_pretrained(run / "export" / expert, local_files_only=True)
    assert model.config.num_hidden_layers == 2
    opened = open_individual(run, expert)
    tokens = torch.arange(16).view(2, 8)
    with torch.no_grad():
        assert torch.equal(model.eval()(tokens).logits, opened.module.eval()(tokens).logits)
    tokenizer = AutoTokenizer.from_pretrained(run / "export" / expert, local_files_only=True)
    assert tokenizer.decode(tokenizer.encode("to be or not to be")) == "to be or not to be"


def test_generate_prints_a_text_that_begins_with_the_prompt_and_is_the_same_again(run: Path) -> None:
    texts = [_evoweights("generate", str(run), "-p", "to be", "--tokens", "12", "--seed", "3") for _ in range(2)]
    assert texts[0].returncode == 0, texts[0].stderr
    assert texts[0].stdout.startswith("to be")
    assert texts[0].stdout == texts[1].stdout


def test_the_score_table_of_all_experts_is_saved_with_the_best(run: Path) -> None:
    meta = json.loads((run / "best" / "meta.json").read_text())
    assert len(meta["scores"]) == 2
    assert meta["fitness"] == min(meta["scores"])


def test_a_flipped_bit_in_best_is_refused_by_export_and_verify(run: Path, tmp_path: Path) -> None:
    file = run / "best" / "genome.safetensors"
    flip_bit(file, -8)
    try:
        for command in (["export", str(run), "--to", str(tmp_path / "out")], ["verify", str(run)]):
            done = _evoweights(*command)
            assert done.returncode == 4, (command, done.stderr)
            assert "genome.safetensors" in done.stderr + done.stdout
        assert not (tmp_path / "out").exists()
    finally:
        flip_bit(file, -8)
