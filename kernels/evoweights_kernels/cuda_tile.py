"""Text that goes through a thread's share of a tile: in 128-bit vectors where the tile is whole, else gene by gene."""

from evoweights_kernels import cuda_noise
from evoweights_kernels.constants import TILE, lanes_per_tile
from evoweights_kernels.cuda_noise import block, unrolled
from evoweights_kernels.fuse import BFLOAT16, FLOAT32, Fused, NoiseSource

UNROLLED_OPERATIONS = 1024
"""Programs of up to this many operations per thread are written out; in longer ones the planes of narrow noise loop."""

_VECTOR = {FLOAT32: "Floats", BFLOAT16: "BFloat16s"}
_EACH_LANE = "for (int j = 0; j < LANES; ++j)"
_EACH_QUARTER = "for (int w = 0; w < 4; ++w)"


def threads_per_tile(fused: Fused) -> int:
    """Threads that share a tile: the lanes of the narrowest noise, a 128-bit vector each."""
    return lanes_per_tile(_narrowest(fused)) // lanes_per_thread(fused)


def lanes_per_thread(fused: Fused) -> int:
    """Lanes of a thread: as many genes as 128 bits of the narrowest storage hold."""
    return 8 if BFLOAT16 in fused.slots else 4


def read_slots(fused: Fused) -> list[int]:
    """The slots the program reads."""
    return sorted({op.index for op in fused.ops if op.code == "load"})


def touched_slots(fused: Fused) -> list[int]:
    """The slots the program reads or writes."""
    return sorted({*read_slots(fused), *(slot for slot, _ in fused.stores)})


def noise_parameters(fused: Fused) -> list[tuple[str, str]]:
    """Type and name of the noise one gene is given."""
    parameters = []
    for number, noise in enumerate(fused.noises):
        parameters += [("Word", f"bits{number}")] * noise.as_bits + [("float", f"normal{number}")] * noise.as_normal
    return parameters


def whole(fused: Fused) -> list[str]:
    """Statements for a whole tile: narrow noise is drawn once and kept while the planes it serves are gone through."""
    narrowest = _narrowest(fused)
    genes = lanes_per_thread(fused) * TILE // lanes_per_tile(narrowest)
    loop = unrolled if genes * len(fused.ops) <= UNROLLED_OPERATIONS else _rolled
    upper = ["const int offset = lane16 + 128 * upper;" if narrowest < 32 else "const int offset = lane16;"]
    upper += _lanes_first(fused) if _is_lane_first(fused) else _quarters_first(fused)
    if narrowest < 32:
        upper = loop("for (int upper = 0; upper < 2; ++upper)", upper)
    lower = ["const int lane16 = lane + 64 * lower;" if narrowest < 16 else "const int lane16 = lane;"]
    lower += _drawn_for_all_lanes(fused, 16) + upper
    if narrowest < 16:
        lower = loop("for (int lower = 0; lower < 2; ++lower)", lower)
    return _drawn_for_all_lanes(fused, 8) + lower


def some(fused: Fused) -> list[str]:
    """Statements for the genes of a tile one by one, each with noise drawn for it alone: small code, seldom run."""
    body = ["const Wide i = first + r;"]
    for number, noise in enumerate(fused.noises):
        body += cuda_noise.draw_alone(number, noise, f"n.stream{number}")
    read = read_slots(fused)
    body += [f"float x{slot}{f' = value_of(t{slot}[i])' * (slot in read)};" for slot in touched_slots(fused)]
    body.append(_call(fused, [name for _, name in noise_parameters(fused)]))
    body += [f"assign(t{slot}[i], x{slot});" for slot, _ in fused.stores]
    return _rolled(f"for (Word r = start; r < count; r += {threads_per_tile(fused)}u)", body)


def _narrowest(fused: Fused) -> int:
    return min((noise.bits for noise in fused.noises), default=32)


def _rolled(loop: str, body: list[str]) -> list[str]:
    return block(["#pragma unroll 1", loop], body)


def _of_width(fused: Fused, bits: int) -> list[tuple[int, NoiseSource]]:
    return [(number, noise) for number, noise in enumerate(fused.noises) if noise.bits == bits]


def _declared(fused: Fused, bits: int) -> list[str]:
    return [line for number, noise in _of_width(fused, bits) for line in cuda_noise.declare(number, noise)]


def _drawn_for_lane(fused: Fused, bits: int) -> list[str]:
    return [
        line for number, noise in _of_width(fused, bits) for line in cuda_noise.draw(number, noise, f"n.stream{number}")
    ]


def _drawn_for_all_lanes(fused: Fused, bits: int) -> list[str]:
    drawn = _drawn_for_lane(fused, bits)
    return [*_declared(fused, bits), *unrolled(_EACH_LANE, drawn)] if drawn else []


def _is_lane_first(fused: Fused) -> bool:
    """Whether keeping all vectors in registers takes fewer than keeping the 32-bit noise of all lanes."""
    lanes = lanes_per_thread(fused)
    vectors = sum(lanes // (2 if fused.slots[slot] == BFLOAT16 else 1) for slot in touched_slots(fused))
    noise = sum(4 * (source.as_bits + source.as_normal) for _, source in _of_width(fused, 32))
    return 4 * vectors + noise < vectors + lanes * noise


def _quarters_first(fused: Fused) -> list[str]:
    """All noise, then quarter by quarter of the tile; word w of a lane serves genes of quarter w, whatever the width."""
    body = [
        *_vectors(fused, "", touched_slots(fused)),
        *(f"load({_address(slot)}, vector{slot});" for slot in read_slots(fused)),
        *unrolled(_EACH_LANE, _in_vectors(fused, "")),
        *(f"store({_address(slot)}, vector{slot});" for slot, _ in fused.stores),
    ]
    return _drawn_for_all_lanes(fused, 32) + unrolled(_EACH_QUARTER, body)


def _lanes_first(fused: Fused) -> list[str]:
    """All vectors, then lane by lane, the noise of one at a time."""
    per_lane = _drawn_for_lane(fused, 32) + unrolled(_EACH_QUARTER, _in_vectors(fused, "[w]"))
    return [
        *_vectors(fused, "[4]", touched_slots(fused)),
        *unrolled(_EACH_QUARTER, [f"load({_address(slot)}, vector{slot}[w]);" for slot in read_slots(fused)]),
        *_declared(fused, 32),
        *unrolled(_EACH_LANE, per_lane),
        *unrolled(_EACH_QUARTER, [f"store({_address(slot)}, vector{slot}[w]);" for slot, _ in fused.stores]),
    ]


def _vectors(fused: Fused, array: str, slots: list[int]) -> list[str]:
    return [f"{_VECTOR[fused.slots[slot]]} vector{slot}{array};" for slot in slots]


def _address(slot: int) -> str:
    return f"t{slot} + (first + 256 * w + offset)"


def _in_vectors(fused: Fused, quarter: str) -> list[str]:
    """The gene of lane `j` in quarter `w`."""
    noise_values = []
    for number, noise in enumerate(fused.noises):
        noise_values += [cuda_noise.bits_in_quarter(number, noise)] * noise.as_bits
        noise_values += [cuda_noise.normal_in_quarter(number, noise)] * noise.as_normal
    read = read_slots(fused)
    return [
        *(f"float x{slot}{f' = get(vector{slot}{quarter}, j)' * (slot in read)};" for slot in touched_slots(fused)),
        _call(fused, noise_values),
        *(f"set(vector{slot}{quarter}, j, x{slot});" for slot, _ in fused.stores),
    ]


def _call(fused: Fused, noise_values: list[str]) -> str:
    tables = [f"value{i}" for i in range(fused.tables)]
    return f"gene({', '.join(['n', *tables, *noise_values, *(f'x{slot}' for slot in touched_slots(fused))])});"
