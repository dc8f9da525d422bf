"""The plane that everything stands on: grass, road, kerbs, lane marks, and the shadows on it."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from road.sample.planning import middle, road_s
from road.sample.props import crown, footprint, noise, noise_tile

PAVING = np.array([1.04, 1., .93], np.float32)  # concrete slabs are warmer than asphalt
# The shadow map: x in [-45, 45], z in [0, 110] metres; metres per cell.
MAP_X, MAP_Z, MAP_CELL = 45., 110., 0.2


def shadow_map(things, weather):
    """float32 [rows z, columns x], twice: the share of the sun taken away, darkness below cars."""
    size = int(2 * MAP_X / MAP_CELL), int(MAP_Z / MAP_CELL)
    cast, below = Image.new('L', size), Image.new('L', size)
    pen, pen_below = ImageDraw.Draw(cast), ImageDraw.Draw(below)
    away = -weather.direction[[0, 2]] / weather.direction[1]  # metres of shadow per metre of height

    def cells(points):
        return [tuple(p) for p in (np.asarray(points) + [MAP_X, 0]) / MAP_CELL]

    for thing in things:
        foot, reach = np.array([thing.x, thing.z]), away * thing.height
        if thing.kind in ('tree', 'bush'):
            centre = foot + reach * (.65 if thing.kind == 'tree' else .5)
            half = thing.width / 2 + np.abs(reach) * .28
            box = [int(v) for v in 2 * half / MAP_CELL + 1]
            leaves = crown(thing.look % 6, False, True)[1].resize(box, Image.Resampling.BILINEAR)
            cast.paste(255, tuple(int(v) for v in cells([centre - half])[0]), leaves)
            pen.line(cells([foot, centre]), fill=255, width=3)
        elif thing.kind in ('lamp', 'sign'):
            pen.line(cells([foot, foot + reach]), fill=200, width=1)
        else:
            base = footprint(thing)[:, ::2]
            top = base + reach * (.85 if thing.kind == 'car' else 1.)
            for k in range(4):
                pen.polygon(cells([base[k], base[k - 1], top[k - 1], top[k]]), fill=255)
            pen.polygon(cells(top), fill=255)
            if thing.kind != 'house':
                pen_below.polygon(cells(footprint(thing, .12)[:, ::2]), fill=255)
    cast, below = (np.asarray(layer.filter(ImageFilter.BoxBlur(radius)), np.float32)
                   for layer, radius in ((cast, .9), (below, 2.3)))
    return np.float32(weather.dark / 255) * cast, below / 255


def overlap(position, start, end, footprint):
    """Share of pixels at `position`, `footprint` wide, inside [start, end]: smooths the edges."""
    low = np.maximum(position - footprint / 2, start)
    high = np.minimum(position + footprint / 2, end)
    return np.clip((high - low) / footprint, 0, 1)


class Ground:
    """The plane points seen by the pixels, with what all surfaces need of them.

    Args:
        x, z: float32 [n, m], metres.
        eye: the camera's height, metres.
        focal: pixels.
    """

    def __init__(self, rng, road, x, z, eye, focal):
        self.rng, self.road, self.x, self.z = rng, road, x, z
        slope = middle(road, z)[1]
        self.s = road_s(road, x, z)
        self.along = z * (1 + slope ** 2 / 6)  # length along the curve, to second order
        self.deep = z ** 2 / (focal * eye) + .01  # metres that a pixel covers, in depth
        self.wide = z / focal + np.abs(slope) * self.deep + .004  # and across the road
        self.fine, self.coarse = noise(x, z, .017), noise(z, x, .06)  # coarse: blotches of metres
        self.fade = np.minimum(1, 9 / z)  # a far pixel averages its grain away
        self.grain = self.fine * self.fade
        self.left, self.right = road.lines[0], road.lines[-1]
        self.on_right = self.s > (self.left + self.right) / 2
        self.beyond = np.where(self.on_right, self.s - self.right, self.left - self.s)
        grass = np.array([.92, 1.06, .52]) * rng.uniform(95, 118) * rng.normal(1, .04, 3)
        dry = np.array([1.16, 1.05, .68]) * rng.uniform(100, 125)
        mix = np.clip(.35 + .3 * self.coarse, 0, 1)[..., None]
        blotches = (1 + .13 * self.grain + .05 * self.coarse)[..., None]
        self.colour = (grass * (1 - mix) + dry * mix).astype(np.float32) * blotches

    def across(self, start, end):
        """Share of each pixel between two lines along the road, given by their s."""
        return overlap(self.s, start, end, self.wide)

    def paint(self, cover, tone):
        """Mix `tone` into the colour; cover: its share in each pixel."""
        self.colour += cover[..., None] * (tone - self.colour)

    def asphalt(self, bright, tint):
        """float32 [n, m, 3]: asphalt with tracks, repaired patches and cracks."""
        rng, s, lines = self.rng, self.s, self.road.lines
        asphalt = bright * (1 + .055 * self.grain + .035 * self.coarse)
        for a, b in zip(lines, lines[1:]):
            for track in ((a + b) / 2 - .8, (a + b) / 2 + .8):
                asphalt *= 1 - .05 * np.exp(-((s - track) / .35) ** 2)
        for _ in range(rng.integers(0, 4)):  # repaired patches
            start, near = rng.uniform(self.left, self.right - 1), rng.uniform(5, 40)
            repaired = self.across(start, start + rng.uniform(.8, 3))
            repaired *= overlap(self.along, near, near + rng.uniform(1.5, 9), self.deep)
            asphalt *= 1 + rng.uniform(-.2, .12) * repaired
        for _ in range(rng.integers(0, 3) if rng.random() < .4 else 0):  # seams filled with tar
            waver = noise_tile()[rng.integers(1024)].take((self.along * 6).astype(np.int32) & 1023)
            seam = rng.uniform(self.left, self.right) + .12 * waver
            asphalt *= 1 - .3 * self.across(seam - .02, seam + .02)
        return asphalt[..., None] * tint.astype(np.float32)

    def paint_side(self, here, side, bright, asphalt):
        """One side of the road (`here`, bool [n, m]): yards, sidewalk, kerb and gutter.

        The gutter darkens `asphalt` in place.
        """
        along, beyond, wide, deep = self.along, self.beyond, self.wide, self.deep
        if side.kind == 'houses':  # yards: gravel behind the sidewalk
            gravel = np.array([138, 130, 112], np.float32)
            self.paint(here * np.clip(.5 + .7 * self.coarse, 0, 1), gravel)
        if side.sidewalk:
            joints = overlap(along % 1., .0, .03, deep) + overlap(beyond % .75, 0, .03, wide)
            slabs = 1 - .12 * joints * self.fade
            walk = overlap(beyond, side.kerb, side.kerb + side.sidewalk, wide) * here
            light = bright * side.grey * slabs * (1 + .04 * self.grain + .03 * self.coarse)
            self.paint(walk, light[..., None] * PAVING)
            gaps = overlap(along % 1.2, 0, .04, deep)
            stone = min(bright * 1.3, 190) * (1 - .25 * gaps * self.fade)
            self.paint(overlap(beyond, 0, side.kerb, wide) * here, stone[..., None])
            asphalt *= 1 - (.28 * here * overlap(beyond, -.14, 0, wide))[..., None]

    def paint_other_roads(self, asphalt):
        """The opposite carriageway and the side road; returns where they are, bool [n, m]."""
        other, beside = np.zeros(self.s.shape, bool), self.left - self.s
        if self.road.second:
            median, width = self.road.second
            self.paint(overlap(beside, median, median + width, self.wide), asphalt)
            other |= (beside > median) & (beside < median + width)
        if self.road.branch:
            side, start, width = self.road.branch
            joins = (overlap(self.along, start, start + width, self.deep)
                     * (self.on_right == (side > 0)) * (self.beyond < 45))
            self.paint(joins, asphalt)
            other |= (joins > .5) & (self.beyond > 0)
        return other

    def paint_marks(self, category):
        """Lane marks; returns the share of each pixel that they cover, float32 [n, m]."""
        rng, lines, marks = self.rng, self.road.lines, np.zeros(self.s.shape, np.float32)
        if category == 'uu':
            return marks
        dash, period = rng.choice([3., 4., 6.]), rng.choice([9., 12.])
        worn, offset, half = rng.uniform(.6, .95), rng.uniform(0, period), rng.uniform(.06, .08)
        dashes = overlap((self.along + offset) % period, 0, dash, self.deep)
        last, split = len(lines) - 1, (len(lines) - 1) // 2
        for number, line in enumerate(lines):
            at = line + (.25 if number == 0 else -.25 if number == last else 0)
            edge = number in (0, last)
            if edge and category == 'um' and rng.random() < .4:
                continue
            solid = edge or number == split and rng.random() < .45
            stripe = self.across(at - half, at + half)
            if solid and not edge and category == 'umm':  # a double line between the directions
                stripe = self.across(at - .22, at - .1) + self.across(at + .1, at + .22)
            marks = np.maximum(marks, stripe if solid else stripe * dashes)
        if self.road.second:
            at = self.left - self.road.second[0] - self.road.second[1] / 2
            marks = np.maximum(marks, self.across(at - half, at + half) * dashes)
        worn = worn * np.clip(1 + .12 * self.coarse - .1 * self.fine, 0, 1)
        self.paint(marks * worn, np.array([232, 232, 226], np.float32))
        return marks


    def draw(self, category, things, weather):
        """Draw everything on the plane, once.

        Returns:
            colour float32 [n, m, 3], 0 to 255;
            between bool [n, m], the points between the road's edges;
            other bool [n, m], the asphalt of other roads;
            mirror float32 [n, m], 0 to 1, how much the point mirrors.
        """
        rng, sides = self.rng, self.road.sides
        tint = np.array([1, 1, 1.01]) * rng.normal(1, .012, 3)
        bright = rng.uniform(92, 132) * (.72 if weather.wet else 1.)
        asphalt = self.asphalt(bright, tint)
        for here, side in zip((~self.on_right, self.on_right), sides):
            self.paint_side(here, side, bright, asphalt)
        other = self.paint_other_roads(asphalt)
        wobble = .05 * self.coarse * (sides[0].kerb == 0)  # grass grows over an edge without kerb
        self.paint(self.across(self.left + wobble, self.right), asphalt)
        marks = self.paint_marks(category)

        place = np.stack([self.z / MAP_CELL - .5, (self.x + MAP_X) / MAP_CELL - .5])
        cast, below = (ndimage.map_coordinates(layer, place, order=1, mode='constant')[..., None]
                       for layer in shadow_map(things, weather))
        light = weather.shade * (1 - .75 * below) + weather.sun * (1 - cast)
        between = (self.s > self.left) & (self.s < self.right)
        wet = np.clip(.25 + .22 * self.coarse + .004 * self.z, .05, .75)
        mirror = weather.wet * np.where(between | other, wet, 0)
        return self.colour * light, between, other & ~between, mirror * (1 - marks)
