"""Text of the CPU kernel's noise: branch-free loops over the lanes of a tile, everything written out inline."""

from evoweights_kernels import constants as k
from evoweights_kernels.fuse import NoiseSource

_BITS_TYPE = {32: "uint32", 16: "uint16", 8: "uint8"}


def scratch(number: int, source: NoiseSource) -> list[str]:
    """Statements that allocate one source's scratch for a tile: its words, and what is made from them."""
    lines = [f"words{number} = np.empty({4 * k.lanes_per_tile(source.bits)}, np.uint32)"]
    if source.as_bits and source.bits == 32:
        lines.append(f"bits{number} = words{number}")
    elif source.as_bits:
        lines.append(f"bits{number} = np.empty({k.TILE}, np.{_BITS_TYPE[source.bits]})")
    if source.as_normal:
        lines.append(f"normal{number} = np.empty({k.TILE}, np.float32)")
    return lines


def stream_keys(number: int, stream: str) -> list[str]:
    """Statements that split one source's stream, an expression, into its two counter words."""
    return [
        f"stream_low{number} = uint32({stream} & uint64({k.MASK32:#x}))",
        f"stream_high{number} = uint32({stream} >> uint64(32))",
    ]


def round_keys() -> list[str]:
    """Statements that make the ten pairs of round keys from the seed."""
    lines = [f"key_a0 = uint32(seed & uint64({k.MASK32:#x}))", "key_b0 = uint32(seed >> uint64(32))"]
    for i in range(1, k.ROUNDS):
        lines.append(f"key_a{i} = uint32(key_a{i - 1} + uint32({k.KEY_STEP_0:#x}))")
        lines.append(f"key_b{i} = uint32(key_b{i - 1} + uint32({k.KEY_STEP_1:#x}))")
    return lines


def fill(number: int, source: NoiseSource) -> list[str]:
    """Statements that fill one source's scratch for the tile `tile_number` (uint64).

    One loop per step: LLVM chooses the width of its vectors loop by loop, and the rounds' 64-bit products, the
    narrow integers and the floats of the normals each have another best one.
    """
    lanes = k.lanes_per_tile(source.bits)
    body = _philox(number) + [f"words{number}[{word * lanes} + lane] = c{word}" for word in range(4)]
    lines = [
        f"first_lane = tile_number * uint64({lanes})",
        f"lane_low = uint32(first_lane & uint64({k.MASK32:#x}))",
        "lane_high = uint32(first_lane >> uint64(32))",
        *_loop(lanes, body),
    ]
    if source.as_bits and source.bits < 32:
        lines += _unpack(number, source.bits, lanes)
    if source.as_normal:
        lines += _normals32(number) if source.bits == 32 else _normals16(number)
    return lines


def _loop(lanes: int, body: list[str]) -> list[str]:
    return [f"for lane in range({lanes}):", *("    " + line for line in body)]


def _philox(number: int) -> list[str]:
    """Ten rounds; a tile's first lane is a multiple of the lane count, so adding `lane` never carries."""
    lines = [
        "c0 = uint32(lane_low + uint32(lane))",
        "c1 = lane_high",
        f"c2 = stream_low{number}",
        f"c3 = stream_high{number}",
    ]
    for i in range(k.ROUNDS):
        lines += [
            f"a = uint64(c0) * uint64({k.MULTIPLIER_A:#x})",
            f"b = uint64(c2) * uint64({k.MULTIPLIER_B:#x})",
            f"c0 = uint32(uint32(b >> uint64(32)) ^ c1 ^ key_a{i})",
            "c1 = uint32(b)",
            f"c2 = uint32(uint32(a >> uint64(32)) ^ c3 ^ key_b{i})",
            "c3 = uint32(a)",
        ]
    return lines


def _unpack(number: int, bits: int, lanes: int) -> list[str]:
    kind, lines = _BITS_TYPE[bits], []
    for word in range(4):
        body = [f"drawn = words{number}[{word * lanes} + lane]"]
        for field in range(32 // bits):
            plane = word * 32 // bits + field
            body.append(f"bits{number}[{plane * lanes} + lane] = {kind}(drawn >> uint32({bits * field}))")
        lines += _loop(lanes, body)
    return lines


def _normals32(number: int) -> list[str]:
    lines = []
    for first in (0, 512):
        length, direction = f"words{number}[{first} + lane] >> uint32(8)", f"words{number}[{first + 256} + lane]"
        body = [
            *_box_muller(length, 24, direction),
            f"normal{number}[{first} + lane] = radius * cosine",
            f"normal{number}[{first + 256} + lane] = radius * sine",
        ]
        lines += _loop(256, body)
    return lines


def _normals16(number: int) -> list[str]:
    lines = []
    for word in range(4):
        body = [
            f"drawn = words{number}[{word * 128} + lane]",
            *_box_muller("drawn >> uint32(16)", 16, "uint32(drawn << uint32(16))"),
            f"normal{number}[{word * 256} + lane] = radius * cosine",
            f"normal{number}[{word * 256 + 128} + lane] = radius * sine",
        ]
        lines += _loop(128, body)
    return lines


def _box_muller(length: str, bits: int, direction: str) -> list[str]:
    """Statements that set `radius`, `cosine` and `sine` from an integer and a whole word."""
    return [
        f"pattern = int32(bits_of(float32(int32(uint32({length}) + uint32(1)))))",
        f"exponent = int32(int32(pattern - int32({k.SQRT_HALF_BITS:#x})) >> int32(23))",
        "f = number_of(uint32(pattern - int32(exponent << int32(23)))) - float32(1.0)",
        *_horner("p", k.LOG_POLYNOMIAL, "f"),
        "g = f * f",
        "log = (g * f) * p - g * float32(0.5)",
        "log = log + f",
        f"log = log + float32(int32(exponent - int32({bits}))) * float32({k.LN2!r})",
        "radius = math.sqrt(log * float32(-2.0))",
        f"direction = {direction}",
        "quadrant = uint32(direction >> uint32(30))",
        "t = float32(int32(int32(uint32(direction << uint32(2))) >> int32(8))) * float32(2.0**-24)",
        "y = t * t",
        *_horner("s", k.SINE_POLYNOMIAL, "y"),
        "s = s * t",
        *_horner("d", k.COSINE_POLYNOMIAL, "y"),
        "odd = uint32(quadrant & uint32(1)) == uint32(1)",
        "turn = uint32(uint32(quadrant ^ uint32(quadrant >> uint32(1))) << uint32(31))",
        "cosine = number_of(uint32(bits_of(select(odd, s, d)) ^ turn))",
        "turn = uint32(uint32(quadrant >> uint32(1)) << uint32(31))",
        "sine = number_of(uint32(bits_of(select(odd, d, s)) ^ turn))",
    ]


def _horner(name: str, coefficients: tuple[float, ...], variable: str) -> list[str]:
    first, *rest = (f"float32({c!r})" for c in coefficients)
    return [f"{name} = {first}", *(f"{name} = {name} * {variable} + {c}" for c in rest)]
