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


class Ground:
    """The plane points (x, z) of the pixels, float32 [n, m], with what all surfaces need of them.

    x, z and eye, the camera's height, are in metres, focal in pixels.
    """

    def __init__(self, rng, road, x, z, eye, focal):
        self.rng, self.road, self.x, self.z = rng, road, x, z
        self.s = x - road.middle(z)  # metres right of the camera's own line
        self.deep = z ** 2 / (focal * eye) + .01  # metres that a pixel covers, in depth
        self.wide = z / focal + np.abs(road.bend * z) * self.deep + .004  # and across the road
        self.coarse = noise(z, x, .06)  # blotches of metres
        self.grain = noise(x, z, .017) * np.minimum(1, 9 / z)  # a far pixel averages it away
        grass = np.array([.92, 1.06, .52]) * rng.uniform(95, 118) * rng.normal(1, .04, 3)
        dry = np.array([1.16, 1.05, .68]) * rng.uniform(100, 125)
        mix = np.clip(.35 + .3 * self.coarse, 0, 1)[..., None]
        blotches = (1 + .13 * self.grain + .05 * self.coarse)[..., None]
        self.colour = (grass * (1 - mix) + dry * mix).astype(np.float32) * blotches

    def paint(self, cover, tone):
        """Mix `tone` into the colour; cover: its share in each pixel."""
        self.colour += cover[..., None] * (tone - self.colour)

    def paint_side(self, side, kind, sidewalk, bright):
        """One side of the road (-1 left, 1 right): gravel yards, sidewalk, kerb and gutter."""
        beyond = side * (self.s - self.road.lines[0 if side < 0 else -1])  # metres, of the edge
        if kind == 'houses':
            gravel = np.array([138, 130, 112], np.float32)
            cover = overlap(beyond, 0, 100, self.wide)
            self.paint(cover * np.clip(.5 + .7 * self.coarse, 0, 1), gravel)
        if sidewalk:
            light = bright * (1 + .04 * self.grain + .03 * self.coarse)
            self.paint(overlap(beyond, 0, sidewalk, self.wide), light[..., None] * PAVING)
            self.paint(overlap(beyond, 0, .22, self.wide), min(bright * 1.3, 190))
            self.paint(overlap(beyond, -.14, 0, self.wide), bright * .72)

    def paint_marks(self):
        """Solid lines along the edges, dashes between the lanes."""
        half, dash = self.rng.uniform(.06, .08), self.rng.choice([3., 4., 6.])
        left, *between, right = self.road.lines
        dashes = overlap((self.z + self.rng.uniform(0, 12)) % 12, 0, dash, self.deep)
        stripes = [(left + .25, 1), *((s, dashes) for s in between), (right - .25, 1)]
        marks = sum(drawn * overlap(self.s, s - half, s + half, self.wide) for s, drawn in stripes)
        worn = self.rng.uniform(.6, .95) * np.clip(1 + .12 * self.coarse - .1 * self.grain, 0, 1)
        self.paint(marks * worn, np.array([232, 232, 226], np.float32))

    def draw(self, things, weather):
        """Draw, once => float32 [n, m, 3], 0 to 255; bool [n, m], True between the road's edges."""
        bright = self.rng.uniform(92, 132)
        between = overlap(self.s, self.road.lines[0], self.road.lines[-1], self.wide)
        asphalt = bright * (1 + .055 * self.grain + .035 * self.coarse)
        self.paint(between, asphalt[..., None])
        for side, kind, sidewalk in zip((-1, 1), self.road.kinds, self.road.sidewalks):
            self.paint_side(side, kind, sidewalk, bright)
        if len(self.road.lines) > 2:
            self.paint_marks()
        place = np.stack([self.z / MAP_CELL - .5, (self.x + MAP_X) / MAP_CELL - .5])
        cast = ndimage.map_coordinates(shadow_map(things, weather), place, order=1)
        return self.colour * (weather.shade + weather.sun * (1 - cast[..., None])), between > .5
