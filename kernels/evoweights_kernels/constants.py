"""The numbers of the random-number scheme ewphilox v1, shared by every target.

Philox4x32-10: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3". Changing any number here makes
another scheme (v2), because every target, every stored run and every golden value depends on them.
"""

TILE = 1024
"""Genes per tile: the unit of the random numbers, of live tables and of tile scalars."""

NOISE_SCHEME = "ewphilox v1"

ROUNDS = 10
MULTIPLIER_A = 0xD2511F53
MULTIPLIER_B = 0xCD9E8D57
KEY_STEP_0 = 0x9E3779B9
KEY_STEP_1 = 0xBB67AE85
MASK32 = 0xFFFFFFFF
MASK64 = 0xFFFFFFFFFFFFFFFF

SQRT_HALF_BITS = 0x3F3504F3
LN2 = 0.6931471824645996
# ln(1+f) = f - f^2/2 + f^3 P(f) on [sqrt(1/2) - 1, sqrt(2) - 1); highest power first.
LOG_POLYNOMIAL = (
    0.08479166775941849,
    -0.14316709339618683,
    0.15020766854286194,
    -0.1657457947731018,
    0.19951415061950684,
    -0.25001293420791626,
    0.33334267139434814,
)
# sin(t pi/2) = t S(t^2) and cos(t pi/2) = D(t^2) on [-1/2, 1/2]; highest power first.
SINE_POLYNOMIAL = (-0.004602162633091211, 0.07968021929264069, -0.6459634900093079, 1.5707963705062866)
COSINE_POLYNOMIAL = (
    0.0009039754513651133,
    -0.02086026407778263,
    0.25366923213005066,
    -1.2337005138397217,
    1.0,
)


def lanes_per_tile(bits: int) -> int:
    """Philox calls that serve one tile when each gene takes `bits` bits (32, 16 or 8)."""
    return 8 * bits
