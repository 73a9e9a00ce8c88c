"""The settings of the language-model task. Nothing heavy is imported until the task is opened."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from evoweights.catalog import setting
from evoweights.errors import UsageError
from evoweights.task import TaskPlace

if TYPE_CHECKING:
    from evoweights_lm.task import LanguageTask


@dataclass(frozen=True)
class LanguageModel:
    """Predict the next token of a text; fitness is the mean validation loss in nats per token."""

    name: ClassVar[str] = "language_model"
    source: ClassVar[str] = "Radford et al. 2019, Language Models are Unsupervised Multitask Learners"

    model: str = setting(
        "gpt2-nano",
        "a preset (gpt2-nano, gpt2-124m, gpt2-350m, gpt2-774m, gpt2-1558m), a config.json, a saved model folder, "
        "or a name on the Hugging Face hub",
    )
    hub: bool = setting(False, "whether the Hugging Face hub may be asked; without it nothing touches the network")
    revision: str = setting("", "revision of the hub model (a commit or tag); empty is its main branch")
    data: str = setting(
        "python_docs",
        "the corpus: the documentation inside this Python, text files, files of token ids, or a hub dataset",
        choices=("python_docs", "text", "token_shards", "hub"),
    )
    files: list[str] = setting([], "files or globs to train on, for data: text or token_shards")
    validation_files: list[str] = setting(
        [], "files or globs to validate on; if empty, the last validation_share of the training files"
    )
    dataset: str = setting("", "name of the hub dataset, for data: hub")
    dataset_config: str = setting("", "configuration of the hub dataset, where it has several")
    dataset_split: str = setting("train", "split of the hub dataset")
    dataset_revision: str = setting("", "revision of the hub dataset; empty is its main branch")
    text_field: str = setting("text", "field of the hub dataset that holds the text")
    documents: int = setting(10_000, "documents read from the hub dataset", minimum=2)
    tokenizer: str = setting(
        "auto",
        "bpe (trained on the training text), bytes, a tokenizer.json, a known vocabulary (gpt2, llama-3) for "
        "token_shards, or a hub name; auto is the saved model's own, else gpt2 for token_shards, else bpe",
    )
    vocabulary_size: int = setting(2048, "tokens that bpe learns, the 256 bytes included", minimum=257, maximum=65536)
    pad_vocabulary_to: int = setting(
        64, "a new model's embedding has a multiple of this many rows", minimum=1, maximum=65536
    )
    context: int = setting(128, "length of a training sequence", unit="tokens", minimum=2)
    batch: int = setting(16, "sequences in a training batch", unit="sequences", minimum=1)
    micro_batch: int = setting(
        0,
        "sequences that go through the model at once, to save memory: the gradients of a batch's parts add up (in float32, "
        "which takes 4 bytes a gene where dtype is not float32); must divide batch; 0 is the whole batch",
        unit="sequences",
        minimum=0,
    )
    recompute: str = setting(
        "none",
        "what the backward pass computes again instead of keeping it: nothing, the MLP of every block (about half of the "
        "memory, a sixth more work), or whole blocks (the least memory, a third more work)",
        choices=("none", "mlp", "blocks"),
    )
    compile: str = setting(
        "auto",
        "torch.compile for the blocks: on, off, or auto: on CUDA devices, falling back with a warning where it fails",
        choices=("auto", "on", "off"),
    )
    validation_share: float = setting(0.1, "part of the text kept for validation", minimum=0.0001, maximum=0.9)
    validation_tokens: int = setting(
        32_768, "tokens of the fixed validation subset, spread evenly; 0 is all", unit="tokens", minimum=0
    )
    dtype: str = setting(
        "float32",
        "type of weights, gradients and activations; mixed: float32 weights, of which forward and backward use a bfloat16 "
        "copy that is rounded anew after every step",
        choices=("float32", "bfloat16", "mixed"),
    )
    sample_prompt: str = setting("The ", "how the text sample begins; empty is the start of a document")
    sample_tokens: int = setting(64, "length of the text sample", unit="tokens", minimum=1)

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other.

        Raises:
            UsageError: files are missing or have no use, or the hub is needed but not allowed.
        """
        if self.micro_batch and self.batch % self.micro_batch:
            allowed = ", ".join(str(each) for each in range(1, self.batch + 1) if self.batch % each == 0)
            raise UsageError(
                f"task.micro_batch: {self.micro_batch} does not divide the batch of {self.batch}. Allowed are 0, {allowed}."
            )
        from_files = self.data in ("text", "token_shards")
        if from_files and not self.files:
            raise UsageError(f"task.files: data: {self.data} needs files to read, such as files: [data/*.txt].")
        if not from_files and (self.files or self.validation_files):
            raise UsageError(
                f"task.files: data: {self.data} reads no files, but files were given. Remove them, or set data to text "
                "or token_shards."
            )
        if self.data == "hub" and not (self.dataset and self.hub):
            raise UsageError(
                f"task.data: a hub dataset needs `dataset: NAME` and `hub: true`; found dataset: {self.dataset!r}, "
                f"hub: {str(self.hub).lower()}."
            )
        if self.data == "token_shards" and self.tokenizer in ("bpe", "bytes"):
            raise UsageError(
                f"task.tokenizer: token_shards already hold token ids, so {self.tokenizer!r} has nothing to read. Name "
                "the tokenizer that made them: gpt2, llama-3 or a tokenizer.json."
            )

    def open(self, place: TaskPlace) -> "LanguageTask":
        """Read and check the data and the model's configuration.

        Raises:
            DataError: data, tokenizer or model that is missing, damaged or too short.
            UsageError: settings that do not fit the data or the model.
        """
        from evoweights_lm.task import LanguageTask

        return LanguageTask(self, place)
