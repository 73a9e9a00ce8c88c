"""What is asked of ``transformers``: configurations, models and tokenizers, without noise, network or foreign code.

Weights are read from safetensors only, and code that comes with a model is never run.
"""

import copy
import os
from types import ModuleType
from typing import TYPE_CHECKING

import torch

from evoweights.errors import DataError, UsageError
from evoweights_lm.origin import Origin, explained
from evoweights_lm.presets import Size
from evoweights_lm.settings import LanguageModel
from evoweights_lm.vocabulary import Vocabulary, from_tokenizer

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

ATTENTION = "sdpa"
_SIZES = (
    *("vocab_size", "hidden_size", "intermediate_size", "n_inner", "max_position_embeddings", "num_hidden_layers"),
    *("num_attention_heads", "num_key_value_heads", "head_dim"),
)
"""What must be positive in a configuration, by the names that ``transformers`` maps those of each model from."""


def quiet_transformers() -> ModuleType:
    """The module ``transformers``, told to send no telemetry, draw no bars and keep its advice to itself."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def open_config(origin: Origin, settings: LanguageModel, vocabulary: Vocabulary) -> "PretrainedConfig":
    """The configuration of the undivided model: without dropout or cache, its ids those of ``vocabulary``.

    Raises:
        DataError: it cannot be read, is no causal language model, or does not fit vocabulary or context.
    """
    transformers = quiet_transformers()
    rows = -(-vocabulary.size // settings.pad_vocabulary_to) * settings.pad_vocabulary_to
    if origin.size:
        config = _gpt2_config(origin.size, settings.context, rows, vocabulary)
    else:
        with explained(origin, "configuration"):
            config = transformers.AutoConfig.from_pretrained(
                origin.path,
                revision=origin.revision or "main",
                local_files_only=not origin.hub,
                trust_remote_code=False,
            )
        _check_sizes(config, origin)
        _fit_vocabulary(config, origin, rows, vocabulary)
    if type(config) not in transformers.MODEL_FOR_CAUSAL_LM_MAPPING:
        raise DataError(
            f"task.model: {origin.label!r} is a {config.model_type}, which is no causal language model. Use one, "
            "such as GPT-2, Llama or Qwen."
        )
    positions = config.to_dict().get("n_positions") or config.to_dict().get("max_position_embeddings")
    if positions and settings.context > positions:
        raise UsageError(
            f"task.context: {settings.context} is more than the {positions} positions of {origin.label!r}. "
            f"Use {positions} or less."
        )
    # A loss must be a function of weights and batch alone, or a continued run would differ from an uninterrupted one.
    for key, value in config.to_dict().items():
        if "drop" in key and isinstance(value, float) and value:
            setattr(config, key, 0.0)
    config.use_cache = False
    return config


def _gpt2_config(size: Size, context: int, rows: int, vocabulary: Vocabulary) -> "PretrainedConfig":
    from transformers import GPT2Config

    return GPT2Config(
        vocab_size=rows,
        n_positions=max(size.positions, context),
        n_embd=size.width,
        n_layer=size.layers,
        n_head=size.heads,
        activation_function=size.activation,
        bos_token_id=vocabulary.end_of_text,
        eos_token_id=vocabulary.end_of_text,
    )


def _check_sizes(config: "PretrainedConfig", origin: Origin) -> None:
    """Raise UsageError for a size below 1; ``transformers`` would build a model without blocks from it, or none."""
    facts = config.to_dict()
    for name in (config.attribute_map.get(size, size) for size in _SIZES):
        if isinstance(value := facts.get(name), int) and value < 1:
            raise UsageError(
                f"task.model: {origin.label!r} sets {name} to {value}, but a size must be 1 or more. Correct its config.json."
            )


def _fit_vocabulary(config: "PretrainedConfig", origin: Origin, rows: int, vocabulary: Vocabulary) -> None:
    if not origin.pretrained:
        config.vocab_size = rows
        config.bos_token_id = config.eos_token_id = vocabulary.end_of_text
        config.pad_token_id = None
    elif vocabulary.size > config.vocab_size:
        raise DataError(
            f"task.tokenizer: {vocabulary.label!r} has {vocabulary.size} ids but {origin.label!r} only "
            f"{config.vocab_size} rows of embeddings. A model with weights needs the tokenizer it was trained with."
        )


def with_layers(config: "PretrainedConfig", layers: int | None) -> "PretrainedConfig":
    """A copy of a configuration with its first ``layers`` layers (None: all of them)."""
    config = copy.deepcopy(config)
    if layers is not None:
        if kinds := config.to_dict().get("layer_types"):
            config.layer_types = kinds[:layers]
        config.num_hidden_layers = layers
    return config


def build_model(
    origin: Origin, config: "PretrainedConfig", *, layers: int | None, dtype: torch.dtype
) -> "PreTrainedModel":
    """A model on the CPU, in training mode: with its saved weights if it has them and ``layers`` is None, else fresh.

    Fresh weights are drawn in float32 from torch's global generator, then rounded to ``dtype``.

    Raises:
        DataError: the saved weights cannot be read.
    """
    is_saved = origin.pretrained and layers is None
    model = _saved(origin, config, dtype) if is_saved else _fresh(origin, config, layers, dtype)
    return model.train()


def _saved(origin: Origin, config: "PretrainedConfig", dtype: torch.dtype) -> "PreTrainedModel":
    transformers = quiet_transformers()
    with explained(origin, "weights"):
        model, report = transformers.AutoModelForCausalLM.from_pretrained(
            origin.path,
            config=copy.deepcopy(config),
            revision=origin.revision or "main",
            local_files_only=not origin.hub,
            trust_remote_code=False,
            use_safetensors=True,
            attn_implementation=ATTENTION,
            dtype=dtype,
            output_loading_info=True,
        )
    # transformers fills missing tensors with random numbers and would only log it.
    if missing := sorted(report["missing_keys"]):
        raise DataError(
            f"task.model: the weights of {origin.label!r} lack {len(missing)} tensors of the model, such as "
            f"{missing[0]}. Fetch or save the folder again."
        )
    return model


def _fresh(origin: Origin, config: "PretrainedConfig", layers: int | None, dtype: torch.dtype) -> "PreTrainedModel":
    transformers = quiet_transformers()
    with explained(origin, "architecture"):
        model = transformers.AutoModelForCausalLM.from_config(
            with_layers(config, layers),
            attn_implementation=ATTENTION,
            trust_remote_code=False,
            dtype=torch.float32,
        )
    # Buffers such as rotary frequencies stay in float32, as they do in a model that is loaded.
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    return model


def open_tokenizer(origin: Origin) -> Vocabulary:
    """The tokenizer that comes with a saved model or stands on the hub.

    Raises:
        DataError: there is none that can be read.
    """
    transformers = quiet_transformers()
    with explained(origin, "tokenizer"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            origin.path,
            revision=origin.revision or "main",
            local_files_only=not origin.hub,
            trust_remote_code=False,
            use_fast=True,
        )
    if not tokenizer.is_fast:
        raise DataError(f"task.tokenizer: {origin.label!r} has no fast tokenizer (tokenizer.json). Convert it first.")
    return from_tokenizer(copy.deepcopy(tokenizer.backend_tokenizer), origin.label, tokenizer.eos_token)
