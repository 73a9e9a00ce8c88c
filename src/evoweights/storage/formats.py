"""The two formats of all that is saved: JSON for facts, safetensors for tensors; neither can run code."""

import json
import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Bytes = bytes | memoryview

_FLOAT = "$float"
_DTYPES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "uint16": "U16",
    "int16": "I16",
    "float16": "F16",
    "bfloat16": "BF16",
    "uint32": "U32",
    "int32": "I32",
    "float32": "F32",
    "uint64": "U64",
    "int64": "I64",
    "float64": "F64",
    "complex64": "C64",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
}


def tensor_chunks(tensors: "Mapping[str, torch.Tensor]") -> Iterator[Bytes]:
    """The bytes of a safetensors file, one tensor at a time; contiguous ones on the host are not copied.

    Written here and not by the safetensors library, which neither fsyncs nor tells the digest of what it got.
    Source: the safetensors format (length of the header as uint64, header as JSON, the tensors without gaps).
    """
    import torch

    assert "__metadata__" not in tensors
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header, offset = {}, 0
    for name in order:
        tensor = tensors[name]
        end = offset + tensor.numel() * tensor.element_size()
        dtype = _DTYPES[str(tensor.dtype).removeprefix("torch.")]
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield struct.pack("<Q", len(text)) + text
    for name in order:
        flat = tensors[name].detach().to("cpu").contiguous().reshape(-1)
        if flat.numel():
            yield flat.view(torch.uint8).numpy().data


def read_tensors(path: Path) -> "dict[str, torch.Tensor]":
    """The tensors of a safetensors file, on the host; writing to them does not change the file.

    Raises:
        ValueError: it is no well-formed safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def to_json(value: object, *, indent: int | None = None) -> str:
    """Strict JSON of dicts with text keys, lists, tuples (become lists), text, numbers, booleans and None.

    NaN and infinities survive: ``{"$float": "nan"}``; :func:`from_json` reads them back.

    Raises:
        TypeError: anything else is in ``value``; says where.
    """
    return json.dumps(_encode(value, "$"), indent=indent, allow_nan=False)


def from_json(text: str | bytes) -> Any:
    """Read what :func:`to_json` wrote.

    Raises:
        ValueError: it is no JSON, or malformed.
    """
    try:
        return json.loads(text, object_hook=_decode)
    except (RecursionError, TypeError) as error:
        raise ValueError(f"malformed ({type(error).__name__})") from error


def _encode(value: object, where: str) -> object:
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or key == _FLOAT:
                raise TypeError(f"{where}: the key {key!r} would not come back as it is; use another text.")
        return {key: _encode(each, f"{where}.{key}") for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(each, f"{where}[{index}]") for index, each in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        return {_FLOAT: str(float(value))}
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"{where}: {type(value).__name__} is no JSON value; give text, a number, a list or a dict.")


def _decode(value: dict[str, Any]) -> Any:
    return float(value[_FLOAT]) if value.keys() == {_FLOAT} else value
