"""Tensors and facts are written in formats that others read too, and come back as they were."""

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from evoweights.storage.formats import from_json, read_tensors, tensor_chunks, to_json

DTYPES = [
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.uint16,
    torch.int16,
    torch.float16,
    torch.bfloat16,
    torch.uint32,
    torch.int32,
    torch.float32,
    torch.uint64,
    torch.int64,
    torch.float64,
    torch.complex64,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
]

numbers = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(
    numbers,
    lambda inner: st.lists(inner) | st.dictionaries(st.text().filter(lambda key: key != "$float"), inner),
    max_leaves=12,
)


def raw(tensor: torch.Tensor) -> list[int]:
    return tensor.contiguous().reshape(-1).view(torch.uint8).tolist()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 4)])
def test_every_dtype_and_shape_is_read_by_the_safetensors_library(dtype, shape):
    content = torch.arange(math.prod(shape) * dtype.itemsize, dtype=torch.uint8) % 2
    tensor = content.view(dtype).reshape(shape)
    loaded = load(b"".join(tensor_chunks({"tensor": tensor})))["tensor"]
    assert loaded.dtype == dtype and loaded.shape == tensor.shape and raw(loaded) == raw(tensor)


def test_tensors_of_one_dtype_give_the_bytes_of_the_safetensors_library():
    tensors = {name: torch.full((size,), float(size)) for size, name in enumerate(["z", "a", "m.1"], 1)}
    assert b"".join(tensor_chunks(tensors)) == save(tensors)


def test_mixed_dtypes_views_and_tied_tensors_come_back():
    table = torch.arange(24.0).reshape(4, 6)
    tensors = {"odd": torch.tensor([True]), "column": table[:, 1], "turned": table.t(), "tied": table, "again": table}
    loaded = load(b"".join(tensor_chunks(tensors)))
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())


def test_tensors_that_require_gradients_are_written():
    assert load(b"".join(tensor_chunks({"a": torch.ones(2, requires_grad=True)})))["a"].tolist() == [1, 1]


@pytest.mark.parametrize("content", [b"", b"\x08", b"\xff" * 8, b"\x02" + b"\0" * 7 + b"[]", b"not safetensors at all"])
def test_a_malformed_tensor_file_is_a_value_error(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError):
        read_tensors(tmp_path / "file")


@settings(max_examples=100, derandomize=True, deadline=None)
@given(values)
def test_json_gives_back_what_it_was_given_and_is_strict(value):
    text = to_json(value)

    def refuse(name: str) -> None:
        pytest.fail(f"{name} is no JSON")

    json.loads(text, parse_constant=refuse)
    assert repr(from_json(text)) == repr(value)


@pytest.mark.parametrize("value", [{1: 2}, {"a": {None: 1}}, {"$float": "nan"}, [object()], {"a": {2, 3}}, b"bytes"])
def test_what_json_would_change_is_refused(value):
    with pytest.raises(TypeError, match=r"^\$"):
        to_json(value)


@pytest.mark.parametrize("text", ["", "{", "[" * 200_000, '{"$float": "many"}', '{"$float": []}'])
def test_malformed_json_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"Expecting|malformed|could not convert"):
        from_json(text)
