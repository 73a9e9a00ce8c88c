"""Where a model or a tokenizer comes from: a preset, a file or folder, or a name on the Hugging Face hub."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from evoweights.errors import DataError, EvoweightsError, UsageError, did_you_mean
from evoweights_lm.presets import PRESETS, Size
from evoweights_lm.settings import LanguageModel


@dataclass(frozen=True)
class Origin:
    """Where a model comes from: a preset's size, or a config, folder or hub name that ``transformers`` opens.

    ``pretrained`` says that it has weights.
    """

    label: str
    size: Size | None = None
    path: str = ""
    pretrained: bool = False
    hub: bool = False
    revision: str | None = None


def find_origin(settings: LanguageModel) -> Origin:
    """What ``settings.model`` stands for: a preset, an existing file or folder, or else a name on the hub.

    Raises:
        DataError: a folder that holds no model, or whose weights are not safetensors.
        UsageError: there is no such thing, or it would take the hub, which was not allowed.
    """
    name, path = settings.model, Path(settings.model)
    if name in PRESETS:
        return Origin(name, size=PRESETS[name])
    if os.path.isfile(path):  # unlike Path's, never an error, however long the name
        return Origin(name, path=name)
    if os.path.isdir(path):
        return _folder_origin(path)
    if settings.hub:
        return Origin(name, path=name, pretrained=True, hub=True, revision=settings.revision or None)
    raise UsageError(
        f"task.model: {name!r} is no preset, and no file or folder of that name exists.{did_you_mean(name, PRESETS)} "
        "A name on the Hugging Face hub needs task.hub: true."
    )


def _folder_origin(path: Path) -> Origin:
    if not (path / "config.json").is_file():
        raise DataError(f"task.model: {path} has no config.json, so it is no saved model. Give the folder of one.")
    weights = bool(list(path.glob("*.safetensors")))
    pickled = sorted(file.name for pattern in ("*.bin", "*.pt", "*.pth") for file in path.glob(pattern))
    if pickled and not weights:
        raise DataError(
            f"task.model: the weights in {path} ({', '.join(pickled)}) are pickled, and pickles can run code, so they "
            "are never opened. Convert the model to safetensors, or give its config.json to train it afresh."
        )
    return Origin(str(path), path=str(path), pretrained=weights)


@contextmanager
def explained(origin: Origin, what: str) -> Iterator[None]:
    """Turn what ``transformers`` and the libraries below it raise, which may be anything, into one clear message."""
    try:
        yield
    except (EvoweightsError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        first = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
        source = "on the hub" if origin.hub else "on this machine"
        raise DataError(f"task.model: the {what} of {origin.label!r} ({source}) cannot be used: {first}") from error


def config_file(origin: Origin) -> Path:
    """The config.json that a config, folder or hub name stands for; of a hub name, the file in the local cache.

    Raises:
        DataError: the hub does not give it.
    """
    path = Path(origin.path)
    if not origin.hub:
        return path / "config.json" if path.is_dir() else path
    from huggingface_hub import hf_hub_download

    with explained(origin, "configuration"):
        return Path(hf_hub_download(origin.path, "config.json", revision=origin.revision or "main"))


def tokenizer_origin(settings: LanguageModel, model: Origin) -> Origin:
    """Where a tokenizer that is no file comes from: the model's own for ``auto``, else a folder or a hub name."""
    if settings.tokenizer == "auto":
        return model
    return Origin(settings.tokenizer, path=settings.tokenizer, hub=settings.hub)
