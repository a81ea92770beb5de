"""Batched views of pictures as a careless crop of a photo shows them, for contrastive training.

A policy that looks at a scene crops badly: too loose, too tight, shifted, with a bit of the neighbour. So a *loose
view* is not a crop of the picture but a rendered crop of a scene that holds it: clutter, neighbours (other pictures of
the source), shapes behind and before, a perspective and a wave, shade, blur, noise and JPEG, seen through a box that
was grown and whose edges moved.

- Everything is a tensor operation over the whole batch, at 1.5 times the encoder's size and then reduced, so that the
  model and not the augmentation sets the pace.
- Clutter is procedural or comes from the batch itself, so no other data is needed.
- All randomness comes from the one generator passed in.
- Pictures are squashed to a square beforehand, as the encoder squashes them.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

GROUP = 16  # pictures that share a blur and a JPEG treatment; the other treatments are drawn per picture
RESOLUTIONS = (40, 48, 64, 80, 96, 96, 112, 128)  # pixels across the crop in the photo that it was cut from
QUANT = torch.tensor(  # the luminance table of the JPEG standard (ITU T.81, table K.1)
    [
        [16, 11, 10, 16, 24, 40, 51, 61], [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56], [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77], [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101], [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)  # fmt: skip


def _uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    return torch.rand(shape, generator=generator) * (high - low) + low


def _chance(generator: torch.Generator, p: float, *shape: int) -> Tensor:
    return torch.rand(shape, generator=generator) < p


def resize(pictures: Tensor, size: int) -> Tensor:
    """Float pictures (n, 3, h, w) at (n, 3, size, size): bicubic with antialiasing, as the encoder's preprocessing."""
    if pictures.shape[-2:] == (size, size):
        return pictures
    return F.interpolate(pictures, (size, size), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)


def restyle(pictures: Tensor, generator: torch.Generator, p: float) -> tuple[Tensor, Tensor]:
    """Makes new designs out of pictures: colour channels permuted, mirrored, turned upside down, inverted.

    It is applied before both views of a pair, so that the result is a picture of its own: cheap variety, and beside its
    original in a batch a negative that differs in colour or in arrangement only.

    Args:
        pictures: float (n, 3, s, s) in 0..1.
        p: probability that a picture is changed at all.

    Returns:
        The pictures and a bool (n,), true where one was left as it is (only there a caption still fits).
    """
    n = len(pictures)
    chosen = _chance(generator, p, n)
    order = torch.argsort(torch.rand((n, 3), generator=generator), dim=1)
    order = torch.where((chosen & _chance(generator, 0.7, n))[:, None], order, torch.arange(3))
    out = torch.gather(pictures, 1, order[:, :, None, None].expand_as(pictures))
    for axis, probability in ((3, 0.4), (2, 0.4)):
        flip = chosen & _chance(generator, probability, n)
        out = torch.where(flip[:, None, None, None], out.flip(axis), out)
    invert = (chosen & _chance(generator, 0.15, n))[:, None, None, None]
    out = torch.where(invert, 1 - out, out)
    same = (out - pictures).abs().flatten(1).amax(1) < 1e-6
    return out, same


def _crop_box(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Corners (n, 2), (n, 2) of the crop in units of the picture's own box.

    A third are careful crops, as small details need; the others grow up to 1.8 and move their edges up to 0.38.
    """
    careful = _chance(generator, 0.35, n)
    grow = torch.where(_chance(generator, 0.3, n), 1.0, _uniform(generator, 0.85, 1.8, n))
    grow = torch.where(careful, _uniform(generator, 0.97, 1.1, n), grow)
    amount = torch.where(careful, 0.04, _uniform(generator, 0.0, 0.38, n))
    low = 0.5 - grow[:, None] / 2 + amount[:, None] * _uniform(generator, -1, 1, n, 2)
    high = 0.5 + grow[:, None] / 2 + amount[:, None] * _uniform(generator, -1, 1, n, 2)
    return low, torch.maximum(high, low + 0.3)


def _warp(at: Tensor, generator: torch.Generator) -> Tensor:
    """Positions (n, s, s, 2) in a picture's bounding box → positions on the warped picture (tilted, waving)."""
    n = len(at)
    strength = torch.where(_chance(generator, 0.4, n), 0.15, _uniform(generator, 0.15, 1.0, n))
    angle, shear_x, shear_y, tilt_x, tilt_y = (strength * _uniform(generator, -1, 1, n) for _ in range(5))
    angle, shear_x, shear_y, tilt_x, tilt_y = angle * 0.14, shear_x * 0.12, shear_y * 0.12, tilt_x * 0.3, tilt_y * 0.3
    room = 1 + 0.5 * (angle.abs() + shear_x.abs() + shear_y.abs())  # the warped picture still fits its box, roughly
    x, y = at[..., 0] - 0.5, at[..., 1] - 0.5

    def per_picture(values: Tensor) -> Tensor:
        return values[:, None, None]

    scale = per_picture(room) / (1 + per_picture(tilt_x) * x + per_picture(tilt_y) * y)
    u = (x * per_picture(torch.cos(angle)) + y * per_picture(shear_x - torch.sin(angle))) * scale
    v = (y * per_picture(torch.cos(angle)) + x * per_picture(shear_y + torch.sin(angle))) * scale
    swing = strength * _uniform(generator, 0.0, 0.05, n) * _chance(generator, 0.5, n)
    phase, turns = _uniform(generator, 0, 2 * math.pi, n), _uniform(generator, 0.5, 2.0, n)
    v = v + per_picture(swing) * torch.sin(2 * math.pi * per_picture(turns) * u + per_picture(phase))
    return torch.stack((u, v), dim=-1) + 0.5


def _sample(pictures: Tensor, at: Tensor, padding: str = "border") -> Tensor:
    return F.grid_sample(pictures, at * 2 - 1, mode="bilinear", padding_mode=padding, align_corners=False)


def _inside(at: Tensor) -> Tensor:
    return ((at - 0.5).abs().amax(-1) <= 0.5)[:, None]


def _clutter(at: Tensor, pictures: Tensor, generator: torch.Generator) -> Tensor:
    """What lies behind: coloured noise of any grain, a plain or graded colour, or a stretch of another picture."""
    n = len(at)
    noise = torch.rand((n, 3, 32, 32), generator=generator)
    strength, base = _uniform(generator, 0.1, 1.0, n, 1, 1, 1), torch.rand((n, 3, 1, 1), generator=generator)
    noise = base + strength * (noise - base)
    grain = torch.exp(_uniform(generator, math.log(0.02), math.log(0.6), n))[:, None, None, None]
    out = _sample(noise, at * grain + _uniform(generator, 0, 1, n, 1, 1, 2), "reflection")
    borrowed = _chance(generator, 0.25, n)
    if borrowed.any():
        rows = torch.nonzero(borrowed)[:, 0]
        zoom = _uniform(generator, 0.15, 0.8, len(rows), 1, 1, 2)
        source = pictures[torch.randperm(n, generator=generator)[: len(rows)]]
        out[rows] = _sample(source, at[rows] * zoom + _uniform(generator, 0, 1, len(rows), 1, 1, 2), "reflection")
    return out


def _shape(
    canvas: Tensor, at: Tensor, centre: Tensor, radius: Tensor, shown: Tensor, generator: torch.Generator
) -> Tensor:
    """Lays a filled ellipse or rectangle of one colour on each canvas where `shown`."""
    n = len(canvas)
    away = ((at - centre[:, None, None]) / radius[:, None, None]).abs()
    round_ = _chance(generator, 0.5, n)[:, None, None]
    inside = torch.where(round_, away.square().sum(-1), away.amax(-1)) < 1
    colour = torch.rand((n, 3, 1, 1), generator=generator)
    return torch.where((inside & shown[:, None, None])[:, None], colour, canvas)


def _jpeg(pictures: Tensor, quality: Tensor) -> Tensor:
    """Quantises 8x8 blocks of the luminance, and of the halved colour planes, as JPEG does (rounding and all)."""
    k = torch.arange(8.0)
    basis = torch.cos((2 * k[None] + 1) * k[:, None] * math.pi / 16)
    basis = basis * torch.where(k == 0, math.sqrt(1 / 8), 0.5)[:, None]  # orthonormal
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality) / 100

    def quantise(plane: Tensor) -> Tensor:  # (n, c, h, w) in 0..255
        n, c, h, w = plane.shape
        blocks = plane.reshape(n, c, h // 8, 8, w // 8, 8).transpose(3, 4)
        step = (QUANT * scale[:, None, None]).clamp(1, 255)[:, None, None, None]
        coarse = (basis @ (blocks - 128) @ basis.T / step).round() * step
        return (basis.T @ coarse @ basis).transpose(3, 4).reshape(n, c, h, w) + 128

    red, green, blue = (pictures * 255).unbind(1)
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    colour = torch.stack(((blue - light) * 0.564, (red - light) * 0.713), dim=1) + 128
    size = pictures.shape[-1]
    light = quantise(light[:, None])[:, 0]
    if size % 16 == 0:
        colour = F.interpolate(quantise(F.avg_pool2d(colour, 2)), scale_factor=2, mode="bilinear", align_corners=False)
    else:
        colour = quantise(colour)
    cb, cr = (colour - 128).unbind(1)
    out = torch.stack((light + 1.402 * cr, light - 0.344 * cb - 0.714 * cr, light + 1.772 * cb), dim=1)
    return (out / 255).clamp(0, 1)


def _degrade(canvas: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Brings the canvas to the encoder's size through the resolution, the noise and the JPEG of a photo."""
    out = []
    for part in canvas.split(GROUP):
        across = RESOLUTIONS[int(torch.randint(len(RESOLUTIONS), (), generator=generator))]
        noise, quality = _uniform(generator, 0, 0.05, len(part), 1, 1, 1), _uniform(generator, 30, 95, len(part))
        noisy, compressed = _chance(generator, 0.4, len(part), 1, 1, 1), bool(_chance(generator, 0.6))
        part = resize(part, across)
        part = (part + noise * noisy * torch.randn(part.shape, generator=generator)).clamp(0, 1)
        out.append(resize(_jpeg(part, quality) if compressed else part, size))
    return torch.cat(out)


def loose_views(pictures: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Renders one careless crop of each picture; the others of the batch serve as its neighbours and clutter.

    Args:
        pictures: float (n, 3, s, s) in 0..1, squashed to a square.
        size: pixels of the encoder's square input.
        generator: the only source of randomness.

    Returns:
        float (n, 3, size, size) in 0..1.
    """
    n, side = len(pictures), size * 3 // 2
    low, high = _crop_box(n, generator)
    ticks = (torch.arange(side) + 0.5) / side
    at = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), dim=-1)[None]
    at = low[:, None, None] + at * (high - low)[:, None, None]  # positions in units of the picture's own box

    canvas = _clutter(at, pictures, generator)
    for _ in range(3):
        centre, radius = _uniform(generator, -0.5, 1.5, n, 2), _uniform(generator, 0.05, 0.35, n, 1).expand(n, 2)
        canvas = _shape(canvas, at, centre, radius, _chance(generator, 0.6, n), generator)
    for axis in (0, 1):
        scale, gap = _uniform(generator, 0.5, 1.6, n, 1), _uniform(generator, 0.02, 0.6, n)
        offset = _uniform(generator, -0.8, 0.8, n, 2)
        sign = torch.where(_chance(generator, 0.5, n), 1.0, -1.0)
        offset[:, axis] = sign * (0.5 + gap + scale[:, 0] / 2)
        where = (at - 0.5 - offset[:, None, None]) / scale[:, None, None] + 0.5
        shown = _inside(where) & _chance(generator, 0.45, n)[:, None, None, None]
        neighbour = pictures[torch.randperm(n, generator=generator)]
        canvas = torch.where(shown, _sample(neighbour, where) * _uniform(generator, 0.6, 1.0, n, 1, 1, 1), canvas)

    where = _warp(at, generator)
    turns, phase = _uniform(generator, 0.5, 3, n, 1, 1, 1), _uniform(generator, 0, 2 * math.pi, n, 1, 1, 1)
    depth = _uniform(generator, 0, 0.22, n, 1, 1, 1)
    folds = torch.sin(2 * math.pi * turns * where[:, None, ..., 0] + phase)
    shade = _uniform(generator, 0.65, 1.05, n, 1, 1, 1) + depth * folds
    canvas = torch.where(_inside(where), _sample(pictures, where) * shade, canvas)
    around = _uniform(generator, -0.1, 1.1, n, 2)
    edge = torch.where(_chance(generator, 0.5, n)[:, None], torch.tensor([1, 0]), torch.tensor([0, 1])) == 1
    around = torch.where(edge, (around > 0.5).float(), around)  # what hides a part mostly comes in from an edge
    canvas = _shape(canvas, at, around, _uniform(generator, 0.05, 0.28, n, 2), _chance(generator, 0.35, n), generator)

    gain, cast = _uniform(generator, 0.8, 1.12, n, 1, 1, 1), _uniform(generator, 0.94, 1.06, n, 3, 1, 1)
    lift, gamma = _uniform(generator, -0.04, 0.06, n, 1, 1, 1), _uniform(generator, 0.85, 1.2, n, 1, 1, 1)
    canvas = (canvas * gain * cast + lift).clamp(1e-4, 1) ** gamma
    return _degrade(canvas, size, generator)
