"""The members of a launch as a table on its device, so that their number is not part of any generated code."""

import struct

import torch
from torch import Tensor

from evoweights_kernels.errors import KernelError
from evoweights_kernels.weighted_noise.request import Request

WORDS = 4
"""32-bit words of a member: both halves of its stream, its weight, and one that nobody reads."""


def members_of(request: Request) -> Tensor:
    """Stream and weight of every member, int32 [members, 4] beside x; on a GPU copied there without waiting.

    Raises:
        KernelError: a CUDA graph is being captured, which would read the host's table again at every replay.
    """
    device = request.x.device
    is_cuda = device.type == "cuda"
    if is_cuda and torch.cuda.is_current_stream_capturing():
        raise KernelError(
            "add_weighted_noise_: its members are copied to the device, which a CUDA graph cannot capture; launch it outside"
        )
    pairs = zip(request.streams, request.weights, strict=True)
    packed = b"".join(struct.pack("<QfI", stream, weight, 0) for stream, weight in pairs)
    table = torch.empty((len(request.streams), WORDS), dtype=torch.int32, pin_memory=is_cuda)
    if packed:
        table.copy_(torch.frombuffer(bytearray(packed), dtype=torch.int32).view(-1, WORDS))
    return table.to(device, non_blocking=True)
