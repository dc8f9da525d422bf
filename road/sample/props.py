"""Props: what stands on and beside a drawn road, and the textures that all scenes share."""

import functools
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

CROWN = 288  # height and width of a picture of leaves, pixels
EYE = np.array([0, 1.65, 0])  # the camera, exact enough to tell a face's front from its back


class Thing(NamedTuple):
    """Something upright, its foot at (x, z). Lengths are in metres."""
    kind: str
    x: float
    z: float
    heading: float  # radians
    width: float
    length: float
    height: float
    colour: tuple  # RGB, 0 to 255
    look: int  # seed for its details


@functools.cache
def noise_tile():
    """Fractal noise float32 [1024, 1024] that repeats without a seam, mean 0, deviation 1."""
    frequency = np.hypot(np.fft.fftfreq(1024)[:, None], np.fft.rfftfreq(1024)[None])
    frequency[0, 0] = np.inf
    white = np.random.default_rng(1).standard_normal((1024, 1024))
    tile = np.fft.irfft2(np.fft.rfft2(white) / frequency)
    return (tile / tile.std()).astype(np.float32)


def noise(x, z, texel):
    """The tile's values at points (x, z), float32 arrays in metres; `texel`: metres per cell."""
    column, row = ((v * (1 / texel) + 65536).astype(np.int32) & 1023 for v in (x, z))
    return noise_tile().ravel().take(row << 10 | column)


@functools.cache
def crowns():
    """Six leafy crowns lit from above: pictures of CROWN x CROWN pixels."""
    made, rng, leaves = [], np.random.default_rng(2), 1100
    for _ in range(6):
        # Later leaves lie in front: early ones are the dark inside, late ones the outside.
        late = np.arange(leaves) / leaves
        lobes = rng.uniform([.32, .3, .17], [.68, .7, .24], (8, 3))  # x, y, radius
        lobe_x, lobe_y, radius = lobes[rng.integers(8, size=leaves)].T
        radius = radius * np.sqrt(rng.random(leaves)) * (.7 + .3 * late)
        angle = rng.uniform(0, 2 * np.pi, leaves)
        x, y = lobe_x + radius * np.cos(angle), lobe_y + radius * np.sin(angle)
        light = 62 + 70 * late + 170 * (lobe_y - y) + 110 * (.5 - y) + rng.normal(0, 15, leaves)
        size = rng.uniform(.008, .026, leaves) * (1.7 - late)
        boxes = CROWN * np.stack([x - size, y - .7 * size, x + size, y + .7 * size], 1)
        picture = Image.new('LA', (CROWN, CROWN))
        pen = ImageDraw.Draw(picture)
        for box, tone in zip(boxes.tolist(), np.clip(light, 25, 255).astype(int).tolist()):
            pen.ellipse(box, fill=(tone, 255))
        made.append(picture.convert('La'))  # premultiplied: scaling darkens no edge
    return made


def hazed(colour, z, weather):
    """RGB colours as they look from z metres away."""
    return weather.haze_colour + np.exp(-z / weather.haze) * (colour - weather.haze_colour)


class Canvas:
    """A scene's picture at twice its size; where things are drawn it is opaque.

    frame: float32 [h, w, 3], 0 to 255, the scene without its things.
    """

    def __init__(self, frame, projection, weather):
        frame = np.clip(frame, 0, 255).astype(np.uint8).repeat(2, 0).repeat(2, 1)
        self.picture = Image.fromarray(frame)
        self.picture.putalpha(0)
        self.pen = ImageDraw.Draw(self.picture)
        # The first pixel's centre, Pillow's (0, 0), is u = v = 1.25.
        self.projection = np.array([[2, 0, -2.5], [0, 2, -2.5], [0, 0, 1]]) @ projection
        self.weather = weather

    def project(self, points):
        """Pillow's coordinates [n, 2] and depths [n] of points (x, height, z), float64 [n, 3]."""
        u, v, w = self.projection[:, :3] @ (points * [1, -1, 1]).T + self.projection[:, 3:]
        return np.stack([u / w, v / w], 1), w

    def polygon(self, points, colour):
        """Draw a flat polygon unless its back faces the camera; return whether it was drawn.

        points: (x, height, z) in metres, counterclockwise as seen from outside.
        """
        points, weather = np.asarray(points, np.float64), self.weather
        third = len(points) // 3  # three points far apart: a car's outline is not quite flat
        first, second = points[[third, 2 * third]] - points[0]
        normal = np.cross(second, first)  # x, up, z are a left-handed system
        flat, depth = self.project(points)
        if normal @ (points[0] - EYE) >= 0 or depth.min() < 1:
            return False
        facing = max(0., normal @ weather.direction / (np.sqrt(normal @ normal) + 1e-9))
        colour = hazed(colour * (weather.shade + weather.sun * facing), points[0, 2], weather)
        fill = *np.clip(colour, 0, 255).astype(int).tolist(), 255
        self.pen.polygon(flat.ravel().tolist(), fill)
        return True


def patch(quad, a0, a1, b0, b1):
    """The part [a0, a1] x [b0, b1] of a quad, a along its first edge and b along its second."""
    p, q, r, t = np.asarray(quad, np.float64)
    return [(p + (q - p) * a) * (1 - b) + (t + (r - t) * a) * b
            for a, b in ((a0, b0), (a1, b0), (a1, b1), (a0, b1))]


def placer(thing):
    """A function from (right, up, ahead) metres, as the thing sees them, to (x, height, z)."""
    sin, cos = np.sin(thing.heading), np.cos(thing.heading)
    turn = np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
    return lambda points: np.asarray(points, np.float64) @ turn + [thing.x, 0, thing.z]


def footprint(thing):
    """The four corners (x, height, z) of the area below a thing, float64 [4, 3], metres."""
    half, end = thing.width / 2, thing.length / 2
    return placer(thing)([(-half, 0, -end), (half, 0, -end), (half, 0, end), (-half, 0, end)])


def circle(count, radius):
    """Points (right, up, 0) on a circle, from its top on, float64 [count, 3]."""
    turns = np.arange(count) * 2 * np.pi / count
    return radius * np.stack([-np.sin(turns), np.cos(turns), 0 * turns], 1)


def draw_car(canvas, thing):
    """A car: hull and cabin, each a side outline (ahead, up, share of half width)."""
    draw, place, paint = canvas.polygon, placer(thing), np.array(thing.colour)
    half, long, roof = thing.width / 2, thing.length, thing.height
    hull = [(.10, .30, .90), (.0, .50, .98), (.03, .64, 1.), (.08, .97, .97), (3.14, 1., .96),
            (4.11, .82, .93), (4.3, .64, .95), (4.3, .42, .96), (4.17, .27, .9)]
    cabin = [(.10, .95, .93), (.45, roof - .03, .72), (2.15, roof, .72), (3.14, .97, .92)]

    def draw_body(outline):
        """Both sides and what lies between them: left, right, and the quads between."""
        left, right = ([place((sign * share * half, up, ahead - long / 2))
                        for ahead, up, share in outline] for sign in (-1, 1))
        quads = list(zip(left, right, right[1:], left[1:]))
        for face in (left, right[::-1], *quads):
            draw(face, paint)
        return left, right, quads

    draw(footprint(thing) + [0, .02, 0], (10, 10, 12))
    _, _, quads = draw_body(hull)
    left, right, cabin_quads = draw_body(cabin)
    black, plate, glass = np.array([[26, 26, 28], [214, 214, 204], [40, 46, 54]])
    # brighter than paint may be: lamps are seen in the shade, too
    red, white = np.array([[330, 38, 42], [440, 440, 425]])
    for number, a0, a1, b0, b1, colour in (
            (0, 0, 1, 0, 1, black), (7, 0, 1, 0, 1, black), (1, 0, 1, 0, .5, paint * .6),
            (2, .02, .2, .3, .85, red), (2, .8, .98, .3, .85, red), (2, .36, .64, .05, .32, plate),
            (5, .02, .2, .1, .95, white), (5, .8, .98, .1, .95, white),
            (6, .24, .76, .1, .95, black), (6, .36, .64, 0, .4, plate),
            (8, .07, .93, .1, .9, glass), (8, .07, .93, .6, .9, glass * 1.5),
            (10, .07, .93, .1, .9, glass), (10, .07, .93, .1, .4, glass * 1.5)):
        draw(patch((quads + cabin_quads)[number], a0, a1, b0, b1), colour)
    for quad in [right[k] for k in (0, 3, 2, 1)], [left[k] for k in (3, 0, 1, 2)]:
        draw(patch(quad, .08, .5, .2, .88), glass)
        draw(patch(quad, .53, .93, .2, .88), glass)
    for ahead in (.17 * long - long / 2, .81 * long - long / 2):
        for sign in (-1, 1):
            for radius, tone in ((.36, 14), (.19, 128)):
                rim = circle(14, radius)[:, [2, 1, 0]] * [1, 1, sign]
                draw(place(rim + [sign * half, .31, ahead]), np.full(3, tone))


def draw_house(canvas, thing):
    """A house with a gabled roof, its length along the road: walls, windows, roof."""
    place, rng = placer(thing), np.random.default_rng(thing.look)
    half, end, top = thing.width / 2, thing.length / 2, thing.height
    wall = np.array(thing.colour)
    trim, base = wall * 1.15 + 12, wall * rng.choice([.72, .9, 1.])
    tiles = rng.choice([(150, 84, 62), (120, 66, 54), (84, 82, 84), (104, 98, 96)])
    ridge, over = top + rng.choice([.5, 2.6, 3.2, 3.8]), .35  # the eaves stand out
    for sign in (-1, 1):
        low, reach, eaves = sign * (half + over), sign * (end + over), top - over * .6
        slope = [(low, eaves, -reach), (low, eaves, reach), (0, ridge, reach), (0, ridge, -reach)]
        canvas.polygon(place(slope), tiles)
    canvas.polygon(place([(-half, top, -end), (half, top, -end), (0, ridge, -end)]), wall)
    corners, floors = footprint(thing), round(top / 3)
    for first, second, length in ((3, 0, thing.length), (1, 2, thing.length), (0, 1, thing.width)):
        foot = corners[[first, second]]
        quad = [*foot, *(foot + [0, top, 0])[::-1]]
        if not canvas.polygon(quad, wall):
            continue
        canvas.polygon(patch(quad, 0, 1, 0, .9 / top), base)
        columns = int(length / 2.9)
        wide, tall, rim = .58 / length, 1.45 / top, .1 / top
        for floor, column in np.ndindex(floors, columns):
            a, low = (column + .5) / columns, floor / floors + 1 / top
            high, pane = low + tall, (42, 50, 60)
            if floor == 0 and column == columns // 2:  # a door
                low, pane = .02, (70, 50, 40)
            canvas.polygon(patch(quad, a - 1.2 * wide, a + 1.2 * wide, low - rim, high + rim), trim)
            for left in (-1, .05):  # two halves
                half_pane = patch(quad, a + left * wide, a + (left + .95) * wide, low, high)
                canvas.polygon(half_pane, pane)


def draw_tree(canvas, thing):
    """A tree (a trunk below a crown) or a bush (a crown on the ground)."""
    foot, low = np.array([thing.x, 0, thing.z]), -.1
    if thing.kind == 'tree':
        low, wide = .24 * thing.height, .03 * thing.width
        draw_upright(canvas, thing, -wide, wide, 0, .57 * thing.height, [72, 62, 53])
    half = thing.width * .62  # the leaves fill about .8 of their picture
    corners, _ = canvas.project(foot + [(-half, thing.height * 1.1, 0), (half, low, 0)])
    (left, upper), (right, lower) = np.round(corners).astype(int).tolist()
    if right < 0 or left > canvas.picture.width:
        return  # the largest trees stand beside the picture
    leaves = crowns()[thing.look % 6].resize((right - left, lower - upper), reducing_gap=1.)
    shade, alpha = leaves.convert('LA').split()
    light = canvas.weather.shade * .75 + canvas.weather.sun * .9
    ramp = np.arange(256)[:, None] / 150 * np.array(thing.colour) * light
    ramp = np.clip(hazed(ramp, thing.z, canvas.weather), 0, 255).astype(np.uint8)
    coloured = Image.fromarray(ramp[np.asarray(shade)])  # faster than Pillow's point
    canvas.picture.paste(coloured, (left, upper), alpha)


def draw_upright(canvas, thing, a, b, low, high, colour):
    """Draw a rectangle that faces the camera, a to b metres right of a thing's foot."""
    a, b = sorted((a, b))
    corners = np.array([(a, low, 0), (b, low, 0), (b, high, 0), (a, high, 0)])
    canvas.polygon(corners + [thing.x, 0, thing.z], np.array(colour))


def draw_pole(canvas, thing):
    """A street lamp, or a traffic sign, on its pole."""
    draw, top, arm = functools.partial(draw_upright, canvas, thing), thing.height, thing.width
    draw(-.06, .06, 0, top, [120, 122, 124])
    if thing.kind == 'lamp':
        draw(0, arm, top - .06, top + .05, thing.colour)
        draw(arm * .6, arm * 1.15, top - .14, top + .06, [70, 72, 74])
        return
    corners = 3 if thing.look % 2 else 20
    for radius, tone in ((.36, (196, 24, 30)), (.26, thing.colour)):
        canvas.polygon(circle(corners, radius) + [thing.x, top - .1, thing.z - .05], tone)


DRAW = {'car': draw_car, 'house': draw_house, 'tree': draw_tree, 'bush': draw_tree,
        'lamp': draw_pole, 'sign': draw_pole}
