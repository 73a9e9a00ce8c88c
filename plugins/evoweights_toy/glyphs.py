"""Images of digits, rendered from a 5 x 7 dot matrix with random shifts, brightness and noise."""

import torch
from torch import Tensor

from evoweights.seeds import Noise

SIDE = 8
HEIGHT, WIDTH = 7, 5
GLYPHS = (
    ".###. #...# #...# #...# #...# #...# .###.",
    "..#.. .##.. ..#.. ..#.. ..#.. ..#.. .###.",
    ".###. #...# ....# ...#. ..#.. .#... #####",
    ".###. #...# ....# ..##. ....# #...# .###.",
    "...#. ..##. .#.#. #..#. ##### ...#. ...#.",
    "##### #.... ####. ....# ....# #...# .###.",
    ".###. #.... #.... ####. #...# #...# .###.",
    "##### ....# ...#. ...#. ..#.. ..#.. ..#..",
    ".###. #...# #...# .###. #...# #...# .###.",
    ".###. #...# #...# .#### ....# ....# .###.",
)


def stencils() -> Tensor:
    """Every digit at every place in the frame: float32 ``[10, places, 64]``, 1 where there is a stroke."""
    digits = torch.tensor([[[dot == "#" for dot in line] for line in glyph.split()] for glyph in GLYPHS]).float()
    places = [(top, left) for top in range(SIDE - HEIGHT + 1) for left in range(SIDE - WIDTH + 1)]
    frames = torch.zeros(len(GLYPHS), len(places), SIDE, SIDE)
    for number, (top, left) in enumerate(places):
        frames[:, number, top : top + HEIGHT, left : left + WIDTH] = digits
    return frames.flatten(2)


def render(count: int, sigma: float, noise: Noise) -> tuple[Tensor, Tensor]:
    """Images and what they show: float32 ``[count, 64]`` and int64 ``[count]``, the digits in turn.

    A stroke has a brightness of 0.6 to 1, the ground is 0; every pixel has normal noise of deviation
    ``sigma``.
    """
    table, generator = stencils(), noise.generator()
    labels = torch.arange(count) % len(GLYPHS)
    places = torch.randint(table.shape[1], (count,), generator=generator)
    brightness = 0.6 + 0.4 * torch.rand(count, 1, generator=generator)
    grain = sigma * torch.randn(count, SIDE * SIDE, generator=generator)
    return table[labels, places] * brightness + grain, labels
