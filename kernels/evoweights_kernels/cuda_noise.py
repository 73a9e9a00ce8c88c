"""Text of the CUDA kernel's noise: helpers, and the statements that draw one source for the lanes of a thread."""

from evoweights_kernels import constants as k
from evoweights_kernels.fuse import NoiseSource


def _horner(name: str, coefficients: tuple[float, ...], variable: str) -> str:
    first, *rest = (f"{c!r}f" for c in coefficients)
    return "\n    ".join([f"float {name} = {first};", *(f"{name} = add(mul({name}, {variable}), {c});" for c in rest)])


HELPERS = f"""
// The four words of one lane number: Philox4x32-10 keyed by the seed, the stream as upper half of the counter.
INLINE void philox(Word lane_low, Word lane_high, Wide stream, const Word (&keys)[{2 * k.ROUNDS}], Word (&words)[4])
{{
    Word c0 = lane_low, c1 = lane_high, c2 = (Word)stream, c3 = (Word)(stream >> 32);
#pragma unroll
    for (int i = 0; i < {k.ROUNDS}; ++i) {{
        const Wide b = (Wide)c2 * {k.MULTIPLIER_B:#x}u, a = (Wide)c0 * {k.MULTIPLIER_A:#x}u;
        c0 = (Word)(b >> 32) ^ c1 ^ keys[2 * i];
        c1 = (Word)b;
        c2 = (Word)(a >> 32) ^ c3 ^ keys[2 * i + 1];
        c3 = (Word)a;
    }}
    words[0] = c0;
    words[1] = c1;
    words[2] = c2;
    words[3] = c3;
}}

// sqrt(-2 ln((v+1) / 2^bits)) for an integer v of 24 or 16 bits.
INLINE float radius(Word v, int bits)
{{
    const int pattern = (int)bits_of((float)(int)(v + 1u));
    const int exponent = (pattern - {k.SQRT_HALF_BITS:#x}) >> 23;
    const float f = sub(number_of((Word)pattern - ((Word)exponent << 23)), 1.0f);
    {_horner("p", k.LOG_POLYNOMIAL, "f")}
    const float g = mul(f, f);
    float log = sub(mul(mul(g, f), p), mul(g, 0.5f));
    log = add(log, f);
    log = add(log, mul((float)(exponent - bits), {k.LN2!r}f));
    return root(mul(log, -2.0f));
}}

// Cosine and sine of the angle a whole word names: two bits of quadrant, then the position in it.
INLINE void angle(Word word, float& cosine, float& sine)
{{
    const float t = mul((float)((int)(word << 2) >> 8), {2.0**-24!r}f);
    const float y = mul(t, t);
    {_horner("s", k.SINE_POLYNOMIAL, "y")}
    s = mul(s, t);
    {_horner("d", k.COSINE_POLYNOMIAL, "y")}
    const bool odd = (word & 0x40000000u) != 0u;
    cosine = number_of(bits_of(odd ? s : d) ^ (word ^ word << 1) & 0x80000000u);
    sine = number_of(bits_of(odd ? d : s) ^ word & 0x80000000u);
}}

// Two normals from the bits of a length and a whole word of direction.
INLINE void box_muller(Word length, int bits, Word direction, float& first, float& second)
{{
    const float r = radius(length, bits);
    float cosine, sine;
    angle(direction, cosine, sine);
    first = mul(r, cosine);
    second = mul(r, sine);
}}

// The normals of the planes a lane's words serve: four from 32 bits each, eight from 16 bits each.
INLINE void normals(const Word (&words)[4], float (&z)[4])
{{
    box_muller(words[0] >> 8, 24, words[1], z[0], z[1]);
    box_muller(words[2] >> 8, 24, words[3], z[2], z[3]);
}}

INLINE void normals(const Word (&words)[4], float (&z)[8])
{{
#pragma unroll
    for (int i = 0; i < 4; ++i) {{
        box_muller(words[i] >> 16, 16, words[i] << 16, z[2 * i], z[2 * i + 1]);
    }}
}}
"""

LANE = {32: "offset", 16: "lane16", 8: "lane"}
"""Name of the first lane of a thread, by width."""


def declare(number: int, source: NoiseSource) -> list[str]:
    """Statements that make room for what one source gives the LANES lanes of a thread."""
    normals = [f"float z{number}[LANES][{4 if source.bits == 32 else 8}];"] * source.as_normal
    return [f"Word words{number}[LANES][4];", *normals]


def draw(number: int, source: NoiseSource, stream: str) -> list[str]:
    """Statements that draw one source's words, and its normals, for lane `j` of the thread; `stream` is an expression."""
    lanes = k.lanes_per_tile(source.bits)
    low = f"(Word)(tile * {lanes}u) + (Word){LANE[source.bits]} + j"
    lines = [f"philox({low}, (Word)(tile * {lanes}u >> 32), {stream}, n.keys, words{number}[j]);"]
    return [*lines, *[f"normals(words{number}[j], z{number}[j]);"] * source.as_normal]


def bits_in_quarter(number: int, source: NoiseSource) -> str:
    """One gene's bits: of lane `j`, in quarter `w` of the tile, after `lower` and `upper` of the narrower planes."""
    word = f"words{number}[j][w]"
    return {32: word, 16: f"{word} >> 16 * upper & 0xffffu", 8: f"{word} >> 8 * (lower + 2 * upper) & 0xffu"}[
        source.bits
    ]


def normal_in_quarter(number: int, source: NoiseSource) -> str:
    """One gene's normal, likewise."""
    if source.bits == 32:
        return f"z{number}[j][w]"
    return f"upper ? z{number}[j][2 * w + 1] : z{number}[j][2 * w]"


def draw_alone(number: int, source: NoiseSource, stream: str) -> list[str]:
    """Statements that make the bits and the normal of the single gene `r` of the tile."""
    lanes = k.lanes_per_tile(source.bits)
    lines = [
        f"Word words{number}[4];",
        f"philox((Word)(tile * {lanes}u) + (r & {lanes - 1}), (Word)(tile * {lanes}u >> 32), {stream}, n.keys,"
        f" words{number});",
    ]
    if source.as_bits and source.bits == 32:
        lines.append(f"const Word bits{number} = pick(words{number}, r >> 8);")
    elif source.as_bits:
        shift, mask = f"{source.bits} * ((r & 255) / {lanes})", (1 << source.bits) - 1
        lines.append(f"const Word bits{number} = pick(words{number}, r >> 8) >> {shift} & {mask:#x}u;")
    if source.as_normal and source.bits == 32:
        pair = f"r < 512 ? words{number}[{{0}}] : words{number}[{{1}}]"
        length, direction, second = f"({pair.format(0, 2)}) >> 8", pair.format(1, 3), "r & 256"
    else:
        length, direction, second = f"chosen{number} >> 16", f"chosen{number} << 16", "r & 128"
    if source.as_normal:
        lines += [
            *[f"const Word chosen{number} = pick(words{number}, r >> 8);"] * (source.bits == 16),
            f"float first{number}, second{number};",
            f"box_muller({length}, {min(source.bits, 24)}, {direction}, first{number}, second{number});",
            f"const float normal{number} = {second} ? second{number} : first{number};",
        ]
    return lines


def unrolled(loop: str, body: list[str]) -> list[str]:
    """A loop the compiler writes out."""
    return block(["#pragma unroll", loop], body)


def block(head: list[str], body: list[str]) -> list[str]:
    """Statements in braces behind a head."""
    return [*head[:-1], f"{head[-1]} {{", *("    " + line for line in body), "}"]
