"""Text of the Triton kernel's noise: helpers, and the value each plane of a tile takes from its words."""

from evoweights_kernels import constants as k
from evoweights_kernels.fuse import NoiseSource


def _horner(name: str, coefficients: tuple[float, ...], variable: str) -> str:
    first, *rest = (repr(c) for c in coefficients)
    return "\n    ".join([f"{name} = {first}", *(f"{name} = {name} * {variable} + {c}" for c in rest)])


HELPERS = f'''
@triton.jit
def bits_of(x):
    return x.to(tl.uint32, bitcast=True)


@triton.jit
def number_of(pattern):
    return pattern.to(tl.float32, bitcast=True)


@triton.jit
def word_of(argument):
    """An int32 argument as the 32 bits it was made from."""
    return argument.to(tl.int32).to(tl.uint32, bitcast=True)


@triton.jit
def constant(pattern: tl.constexpr):
    return tl.full((), pattern, tl.uint32).to(tl.float32, bitcast=True)


@triton.jit
def philox(tile, LANES: tl.constexpr, stream_low, stream_high, seed_low, seed_high):
    """The four words of every lane of the tiles [TILES, 1]; a tile's first lane is a multiple of LANES: no carry."""
    first = tile * LANES
    lane = tl.arange(0, LANES)[None, :].to(tl.uint32)
    c0 = (first & {k.MASK32:#x}).to(tl.uint32) + lane
    c1 = (first >> 32).to(tl.uint32)
    c2 = stream_low
    c3 = stream_high
    key_a = seed_low
    key_b = seed_high
    for _ in tl.static_range({k.ROUNDS}):
        high_b = tl.umulhi(c2, {k.MULTIPLIER_B:#x})
        low_b = c2 * {k.MULTIPLIER_B:#x}
        high_a = tl.umulhi(c0, {k.MULTIPLIER_A:#x})
        low_a = c0 * {k.MULTIPLIER_A:#x}
        c0 = high_b ^ c1 ^ key_a
        c1 = low_b
        c2 = high_a ^ c3 ^ key_b
        c3 = low_a
        key_a = key_a + {k.KEY_STEP_0:#x}
        key_b = key_b + {k.KEY_STEP_1:#x}
    return c0, c1, c2, c3


@triton.jit
def radius(v, BITS: tl.constexpr):
    pattern = (v + 1).to(tl.int32).to(tl.float32).to(tl.int32, bitcast=True)
    exponent = (pattern - {k.SQRT_HALF_BITS:#x}) >> 23
    f = (pattern - (exponent << 23)).to(tl.float32, bitcast=True) - 1.0
    {_horner("p", k.LOG_POLYNOMIAL, "f")}
    g = f * f
    log = (g * f) * p - g * 0.5
    log = log + f
    log = log + (exponent - BITS).to(tl.float32) * {k.LN2!r}
    return tl.sqrt_rn(log * -2.0)


@triton.jit
def angle(word):
    quadrant = word >> 30
    t = ((word << 2).to(tl.int32, bitcast=True) >> 8).to(tl.float32) * {2.0**-24!r}
    y = t * t
    {_horner("s", k.SINE_POLYNOMIAL, "y")}
    s = s * t
    {_horner("d", k.COSINE_POLYNOMIAL, "y")}
    odd = (quadrant & 1) == 1
    cosine = number_of(bits_of(tl.where(odd, s, d)) ^ ((quadrant ^ (quadrant >> 1)) << 31))
    sine = number_of(bits_of(tl.where(odd, d, s)) ^ ((quadrant >> 1) << 31))
    return cosine, sine


@triton.jit
def normals32(length, direction):
    r = radius(length >> 8, 24)
    cosine, sine = angle(direction)
    return r * cosine, r * sine


@triton.jit
def normals16(word):
    r = radius(word >> 16, 16)
    cosine, sine = angle(word << 16)
    return r * cosine, r * sine


@triton.jit
def fields(word, BITS: tl.constexpr, FIRST: tl.constexpr, FIELDS: tl.constexpr):
    """FIELDS neighbouring fields of each word [TILES, lanes], one after another: [TILES, FIELDS * lanes]."""
    shift = ((tl.arange(0, FIELDS) + FIRST) * BITS).to(tl.uint32)[None, :, None]
    drawn = (word[:, None, :] >> shift) & ((1 << BITS) - 1)
    return tl.reshape(drawn, (word.shape[0], FIELDS * word.shape[1]))


@triton.jit
def side_by_side(a, b):
    """Two blocks [TILES, lanes] as one [TILES, 2 * lanes]."""
    is_first = (tl.arange(0, 2) == 0)[None, :, None]
    return tl.reshape(tl.where(is_first, a[:, None, :], b[:, None, :]), (a.shape[0], 2 * a.shape[1]))
'''


def draw(number: int, source: NoiseSource) -> list[str]:
    """Statements that draw one source's words, and its normals, for the tiles of the program."""
    words = ", ".join(f"n{number}_w{word}" for word in range(4))
    lines = [
        f"{words} = philox(tile, {k.lanes_per_tile(source.bits)}, word_of(stream_low{number}),"
        f" word_of(stream_high{number}), seed_a, seed_b)"
    ]
    if source.as_normal and source.bits == 32:
        for a, b in ((0, 1), (2, 3)):
            lines.append(f"n{number}_z{a}, n{number}_z{b} = normals32(n{number}_w{a}, n{number}_w{b})")
    elif source.as_normal:
        for word in range(4):
            lines.append(f"n{number}_z{2 * word}, n{number}_z{2 * word + 1} = normals16(n{number}_w{word})")
    return lines


def bits_of_plane(number: int, source: NoiseSource, plane: int, widest: int) -> str:
    """The bits of one source for the genes of a plane; planes are as wide as the widest source asks for."""
    word, first = divmod(plane, 32 // widest)
    name, ratio = f"n{number}_w{word}", widest // source.bits
    if ratio > 1:
        return f"fields({name}, {source.bits}, {ratio * first}, {ratio})"
    if source.bits == 32:
        return name
    return f"({name} >> {source.bits * first}) & {(1 << source.bits) - 1:#x}"


def normal_of_plane(number: int, source: NoiseSource, plane: int, widest: int) -> str:
    """The normals of one source for the genes of a plane."""
    if source.bits == widest:
        return f"n{number}_z{plane}"
    return f"side_by_side(n{number}_z{2 * plane}, n{number}_z{2 * plane + 1})"
