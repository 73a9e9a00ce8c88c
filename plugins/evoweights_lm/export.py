"""A trained model as a Hugging Face folder, opened again and compared before anyone relies on it."""

import copy
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from evoweights.errors import CheckpointError
from evoweights_lm.huggingface import ATTENTION, quiet_transformers
from evoweights_lm.staging import staged_folder
from evoweights_lm.vocabulary import Vocabulary

if TYPE_CHECKING:
    from transformers import GenerationConfig, PretrainedConfig, PreTrainedModel

    from evoweights_lm.task import LanguageTask

_PROBE = "Exported: 1 + 1 = 2, naïve café.\n"


def export_model(module: "PreTrainedModel", folder: Path, *, task: "LanguageTask") -> str:
    """Write ``module`` and the task's tokenizer to ``folder`` and say in a line what was written.

    Everything is written beside ``folder``, opened again from there and compared; only then it takes the folder's name.
    Parameters may be views into one buffer: they are copied out one by one.

    Raises:
        CheckpointError: logits or tokens differ from those of the live model, or the files cannot be opened.
        UsageError: the folder holds something that is no saved model.
    """
    from safetensors.torch import save_file

    quiet_transformers()
    config = _export_config(module, task.vocabulary)
    weights = _weights(module)
    with staged_folder(folder, replaces="config.json") as staging:
        config.save_pretrained(staging)
        _generation_config(module, task.vocabulary).save_pretrained(staging)
        save_file(weights, staging / "model.safetensors", metadata={"format": "pt"})
        # safetensors makes files that only their owner may read.
        (staging / "model.safetensors").chmod((staging / "config.json").stat().st_mode)
        if task.vocabulary.tokenizer is not None:
            _save_tokenizer(task.vocabulary, staging, context=task.settings.context)
        (staging / "README.md").write_text(_card(config, weights, task), encoding="utf-8")
        _verify(module, staging, task)
    parameters = sum(weight.numel() for weight in weights.values())
    tokenizer = (
        f"tokenizer of {task.vocabulary.size} tokens" if task.tokenizer else "no tokenizer (only its size is known)"
    )
    return (
        f"{folder}: {config.model_type}, {parameters:,} parameters, {tokenizer}; opened again, logits equal bit for bit"
    )


def _weights(module: nn.Module) -> dict[str, Tensor]:
    """Every parameter and persistent buffer, copied to the CPU; of tied ones only the first name."""
    seen: set[int] = set()
    weights = {}
    for name, value in module.state_dict(keep_vars=True).items():
        if id(value) not in seen:
            seen.add(id(value))
            weights[name] = value.detach().to("cpu", copy=True).contiguous()
    return weights


def _export_config(module: "PreTrainedModel", vocabulary: Vocabulary) -> "PretrainedConfig":
    config = copy.deepcopy(module.config)
    config.architectures = [type(module).__name__]
    config.dtype = next(module.parameters()).dtype
    config.use_cache = True
    _fix_ids_(config, vocabulary)
    return config


def _generation_config(module: "PreTrainedModel", vocabulary: Vocabulary) -> "GenerationConfig":
    generation = copy.deepcopy(module.generation_config)
    generation.use_cache = True
    _fix_ids_(generation, vocabulary)
    return generation


def _fix_ids_(config: "PretrainedConfig | GenerationConfig", vocabulary: Vocabulary) -> None:
    """Let special tokens that are missing or outside the vocabulary be its end of text."""
    for key in ("bos_token_id", "eos_token_id"):
        present = config.to_dict().get(key)
        ids = present if isinstance(present, list) else [present]
        if not all(isinstance(each, int) and each < vocabulary.size for each in ids):
            setattr(config, key, vocabulary.end_of_text)


def _save_tokenizer(vocabulary: Vocabulary, folder: Path, *, context: int) -> None:
    from transformers import PreTrainedTokenizerFast

    assert vocabulary.tokenizer is not None
    end = None if vocabulary.end_of_text is None else vocabulary.tokenizer.id_to_token(vocabulary.end_of_text)
    PreTrainedTokenizerFast(
        tokenizer_object=copy.deepcopy(vocabulary.tokenizer),
        bos_token=end,
        eos_token=end,
        unk_token=None,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)


def _verify(module: "PreTrainedModel", folder: Path, task: "LanguageTask") -> None:
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        again = AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            attn_implementation=ATTENTION,
            dtype=next(module.parameters()).dtype,
        )
        tokenizer = None
        if task.tokenizer:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"export: what was written cannot be opened again ({error}). Nothing was kept."
        ) from error
    _same_weights(module, again)
    inputs = next(task.validation_batches()).inputs[:1]
    cast(nn.Module, again).to(task.place.device).eval()
    with torch.no_grad():
        live, saved = (model(input_ids=inputs, use_cache=False).logits for model in (module, again))
    if not torch.equal(live, saved) and not (live.isnan().any() and torch.equal(live.isnan(), saved.isnan())):
        gap = float((live.float() - saved.float()).abs().max())
        raise CheckpointError(f"export: the opened model's logits differ by up to {gap:g}. Nothing was kept.")
    if tokenizer and tokenizer(_PROBE, add_special_tokens=False).input_ids != task.vocabulary.encode(_PROBE):
        raise CheckpointError("export: the opened tokenizer gives other tokens than the run's. Nothing was kept.")


def _same_weights(module: nn.Module, again: nn.Module) -> None:
    saved = again.state_dict()
    for name, value in module.state_dict().items():
        if name not in saved or not torch.equal(_bits(value), _bits(saved[name])):
            raise CheckpointError(f"export: {name!r} differs after it was written and opened again. Nothing was kept.")


def _bits(value: Tensor) -> Tensor:
    """A tensor's bytes on the CPU, so that NaN equals itself."""
    return value.detach().cpu().contiguous().view(torch.uint8)


def _card(config: "PretrainedConfig", weights: dict[str, Tensor], task: "LanguageTask") -> str:
    parameters = sum(weight.numel() for weight in weights.values())
    return f"""---
library_name: transformers
pipeline_tag: text-generation
tags: [evoweights]
---

# {config.model_type} trained with evoweights

One individual of a population whose weights were evolved and trained with gradients.

| | |
|---|---|
| model | {task.origin.label}, {config.num_hidden_layers} layers, width {config.hidden_size} |
| parameters | {parameters:,} |
| data | {task.corpus.label} |
| tokenizer | {task.vocabulary.label}, {task.vocabulary.size} tokens |
| context | {task.settings.context} tokens |
| weights | {task.settings.dtype} |

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("this folder")
tokenizer = AutoTokenizer.from_pretrained("this folder")
```
"""
