"""Datasets of the Hugging Face hub; needs the extra ``evoweights[hub]`` and ``hub: true``."""

import itertools
from types import ModuleType

from evoweights.errors import DataError, UsageError
from evoweights_lm.documents import Split, TextSource, split_tail
from evoweights_lm.settings import LanguageModel


def hub_source(settings: LanguageModel) -> TextSource:
    """The first ``documents`` texts of a hub dataset, streamed; the last ``validation_share`` for validation."""
    name = "/".join(each for each in (settings.dataset, settings.dataset_config, settings.dataset_split) if each)
    return TextSource(
        label=f"{settings.documents} documents of the dataset {name}",
        fingerprint=f"hub {name} {settings.dataset_revision}",
        read=lambda: _read(settings, _datasets()),
    )


def _datasets() -> ModuleType:
    try:
        import datasets  # pyright: ignore[reportMissingImports] - an extra
    except ImportError as error:
        raise UsageError(
            f"task.data: a hub dataset needs the package datasets ({error}). "
            "Install it with: pip install 'evoweights[hub]'."
        ) from error
    return datasets


def _read(settings: LanguageModel, datasets: ModuleType) -> Split:
    try:
        rows = datasets.load_dataset(
            settings.dataset,
            settings.dataset_config or None,
            split=settings.dataset_split,
            revision=settings.dataset_revision or None,
            streaming=True,
        )
        first = list(itertools.islice(rows, settings.documents))
    except (OSError, ValueError) as error:
        raise DataError(
            f"task.dataset: {settings.dataset!r} cannot be read from the hub: {error}. Check its name and the network."
        ) from error
    texts = []
    for number, row in enumerate(first):
        text = row.get(settings.text_field)
        if not isinstance(text, str):
            raise DataError(
                f"task.text_field: row {number} of {settings.dataset!r} has no text in field {settings.text_field!r}. "
                f"Its fields are {', '.join(sorted(row))}."
            )
        texts.append(text)
    if sum(map(len, texts)) < 2:
        raise DataError(
            f"task.dataset: {settings.dataset!r} holds no text in its first {settings.documents} rows. Take another."
        )
    return split_tail(texts, settings.validation_share)
