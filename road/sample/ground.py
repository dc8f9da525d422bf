"""The plane that everything stands on: grass, road, kerbs, lane marks, and the shadows on it."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage
from scipy.spatial import ConvexHull

from road.sample.props import footprint, noise

PAVING = np.array([1.46, 1.40, 1.30], np.float32)  # lighter and warmer than asphalt
# The shadow map: x in [-45, 45], z in [0, 110] metres; metres per cell.
MAP_X, MAP_Z, MAP_CELL = 45., 110., .2
DARK = .9  # share of the sun that a shadow takes away


def shadow_map(things, weather):
    """float32 [rows z, columns x]: the share of the sun that things take away."""
    cast = Image.new('L', (int(2 * MAP_X / MAP_CELL), int(MAP_Z / MAP_CELL)))
    pen = ImageDraw.Draw(cast)
    away = -weather.direction[[0, 2]] / weather.direction[1]  # metres of shadow per metre of height

    def cells(*points):
        """Points (x, z) in metres as Pillow's coordinates [x0, y0, x1, y1 ...]."""
        return ((np.array(points) + [MAP_X, 0]) / MAP_CELL).ravel().tolist()

    for thing in things:
        foot, reach = np.array([thing.x, thing.z]), away * thing.height
        if thing.kind in ('tree', 'bush'):
            centre = foot + .6 * reach
            half = thing.width / 2 + .28 * np.abs(reach)
            pen.ellipse(cells(centre - half, centre + half), fill=255)
        elif thing.kind in ('house', 'car'):
            base = footprint(thing)[:, ::2]
            points = np.concatenate([base, base + reach])
            pen.polygon(cells(*points[ConvexHull(points).vertices]), fill=255)
    return np.asarray(cast.filter(ImageFilter.BoxBlur(.9)), np.float32) * (DARK / 255)


def overlap(position, start, end, footprint):
    """Share of pixels at `position`, `footprint` wide, inside [start, end]: smooths the edges."""
    low = np.maximum(position - footprint / 2, start)
    high = np.minimum(position + footprint / 2, end)
    return np.clip((high - low) / footprint, 0, 1)


def draw_ground(rng, road, x, z, eye, focal, things, weather):
    """Draw the plane => float32 [n, m, 3], 0 to 255; bool [n, m], True between the road's edges.

    x and z, float32 [n, m], are the points of the pixels; they and eye, the camera's height, are in
    metres, focal in pixels.
    """
    s = x - road.middle(z)  # metres right of the camera's own line
    deep = z ** 2 / (focal * eye) + .01  # metres that a pixel covers, in depth
    wide = z / focal + np.abs(road.bend * z) * deep + .004  # and across the road
    coarse = noise(z, x, .06)  # blotches of metres
    grain = noise(x, z, .017) * np.minimum(1, 9 / z)  # a far pixel averages it away
    grass = np.array([.92, 1.06, .52]) * rng.uniform(95, 118) * rng.normal(1, .04, 3)
    dry = np.array([1.16, 1.05, .68]) * rng.uniform(100, 125)
    mix = np.clip(.35 + .3 * coarse, 0, 1)[..., None]
    blotches = (1 + .13 * grain + .05 * coarse)[..., None]
    colour = (grass * (1 - mix) + dry * mix).astype(np.float32) * blotches

    def paint(cover, tone):  # cover: the share of `tone` in each pixel
        colour[:] += cover[..., None] * (tone - colour)

    bright = rng.uniform(92, 132)
    between = overlap(s, road.lines[0], road.lines[-1], wide)
    paint(between, (bright * (1 + .055 * grain + .035 * coarse))[..., None])
    for side, kind, sidewalk in zip((-1, 1), road.kinds, road.sidewalks):  # left, right
        beyond = side * (s - road.lines[0 if side < 0 else -1])  # metres, of the edge
        if kind == 'houses':
            gravel = np.array([138, 130, 112], np.float32)
            paint(overlap(beyond, 0, 100, wide) * np.clip(.5 + .7 * coarse, 0, 1), gravel)
        if sidewalk:
            light = bright * (1 + .04 * grain + .03 * coarse)
            paint(overlap(beyond, 0, sidewalk, wide), light[..., None] * PAVING)
            paint(overlap(beyond, 0, .22, wide), min(bright * 1.3, 190))  # kerb
            paint(overlap(beyond, -.14, 0, wide), bright * .72)  # gutter
    left, *middle, right = road.lines
    if middle:  # solid lines along the edges, dashes between the lanes
        half, dash = rng.uniform(.06, .08), rng.choice([3., 4., 6.])
        dashes = overlap((z + rng.uniform(0, 12)) % 12, 0, dash, deep)
        stripes = [(left + .25, 1), *((line, dashes) for line in middle), (right - .25, 1)]
        marks = sum(drawn * overlap(s, at - half, at + half, wide) for at, drawn in stripes)
        worn = rng.uniform(.6, .95) * np.clip(1 + .12 * coarse - .1 * grain, 0, 1)
        paint(marks * worn, np.array([232, 232, 226], np.float32))
    place = np.stack([z / MAP_CELL - .5, (x + MAP_X) / MAP_CELL - .5])
    cast = ndimage.map_coordinates(shadow_map(things, weather), place, order=1)
    return colour * (weather.shade + weather.sun * (1 - cast[..., None])), between > .5
