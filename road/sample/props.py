"""Props: what stands beside and on a drawn road, and the textures that all scenes share.

Each kind is a function draw_<kind>(canvas, thing) that projects polygons and pictures of leaves
onto a Canvas.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

CROWN = 288  # height and width of a picture of leaves, pixels
EYE = np.array([0, 1.65, 0])  # the camera, exact enough to tell a face's front from its back
OBJECT, VEHICLE = 1, 2  # codes of what hides the road


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


@functools.cache
def soft_tile():
    """noise_tile without its finest grain, for clouds."""
    tile = ndimage.gaussian_filter(noise_tile(), 1.5, mode='wrap')
    return tile / tile.std()


def noise(x, z, texel):
    """The tile's values at points (x, z), float32 arrays in metres; `texel`: metres per cell."""
    column, row = ((v * (1 / texel) + 65536).astype(np.int32) & 1023 for v in (x, z))
    return noise_tile().ravel().take(row << 10 | column)


@functools.cache
def crowns():
    """Six leafy crowns lit from the upper left: [(brightness, opacity)], 8-bit, CROWN x CROWN."""
    made, rng, leaves = [], np.random.default_rng(2), 1100
    for number in range(6):
        shade, alpha = Image.new('L', (CROWN, CROWN)), Image.new('L', (CROWN, CROWN))
        lobes = rng.uniform([[.32], [.3], [.17]], [[.68], [.7], [.24]], (3, 8)).T  # x, y, radius
        for step in range(leaves):
            # Later leaves lie in front: early ones are the dark inside, late ones the outside.
            late, lobe = step / leaves, lobes[rng.integers(len(lobes))]
            angle = rng.uniform(0, 2 * np.pi)
            radius = lobe[2] * np.sqrt(rng.random()) * (.7 + .3 * late)
            x, y = lobe[0] + radius * np.cos(angle), lobe[1] + radius * np.sin(angle)
            light = 62 + 70 * late + 170 * (lobe[1] - y) + 110 * (.5 - y) + 70 * (.5 - x)
            light = np.clip(light + rng.normal(0, 15), 25, 255)
            size = CROWN * rng.uniform(.008, .026) * (1.7 - late)
            box = [CROWN * x - size, CROWN * y - .7 * size, CROWN * x + size, CROWN * y + .7 * size]
            ImageDraw.Draw(shade).ellipse(box, fill=int(light))
            ImageDraw.Draw(alpha).ellipse(box, fill=255)
        grain = 1 + .13 * noise_tile()[number * 100:number * 100 + CROWN, :CROWN]
        shade = Image.fromarray(np.clip(np.asarray(shade) * grain, 0, 255).astype(np.uint8))
        made.append((shade, alpha))
    return made


@functools.cache
def crown(number, mirrored, small):
    """One of the six crowns; `small`: a quarter of the size, which is quicker to scale down."""
    pair = crowns()[number]
    if mirrored:
        pair = [layer.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for layer in pair]
    return [layer.reduce(4) for layer in pair] if small else pair


class Canvas:
    """A scene's picture at twice its size, and beside it codes of what hides the road.

    Args:
        frame: float32 [h, w, 3], 0 to 255, the scene without its things.
        projection: as road.scoring.birdseye.road_to_image returns.
        weather: as road.sample.planning.plan_weather returns.
    """

    def __init__(self, frame, projection, weather):
        frame = np.clip(frame, 0, 255).astype(np.uint8).repeat(2, 0).repeat(2, 1)
        self.picture = Image.fromarray(frame)
        self.codes = Image.new('L', self.picture.size)  # 0, OBJECT or VEHICLE
        self.pen, self.code_pen = ImageDraw.Draw(self.picture), ImageDraw.Draw(self.codes)
        # The first pixel's centre, Pillow's (0, 0), is u = v = 1.25.
        self.projection = np.array([[2, 0, -2.5], [0, 2, -2.5], [0, 0, 1]]) @ projection
        self.weather = weather

    def hazed(self, colour, z):
        """An RGB colour as it looks from z metres away."""
        share = 1 - math.exp(-z / self.weather.haze)
        return np.asarray(colour) * (1 - share) + self.weather.haze_colour * share

    def project(self, points):
        """Points (x, height, z) in metres, float64 [n, 3], to Pillow's coordinates [n, 2]."""
        u, v, w = self.projection[:, :3] @ (points * [1, -1, 1]).T + self.projection[:, 3:]
        return np.stack([u / w, v / w], 1)

    def polygon(self, points, colour, code=OBJECT, glow=False):
        """Draw a flat polygon unless its back faces the camera; return whether it was drawn.

        Args:
            points: (x, height, z) in metres, counterclockwise as seen from outside.
            glow: the colour is not darkened where the polygon faces away from the sun.
        """
        points, weather = np.asarray(points, np.float64), self.weather
        third = len(points) // 3  # three points far apart: a car's outline is not quite flat
        px, py, pz = (points[2 * third] - points[0]).tolist()
        qx, qy, qz = (points[third] - points[0]).tolist()
        # x, up, z are a left-handed system
        normal = np.array([py * qz - pz * qy, pz * qx - px * qz, px * qy - py * qx])
        if normal @ (points[0] - EYE) >= 0:
            return False
        depth = points @ (self.projection[2, :3] * [1, -1, 1]) + self.projection[2, 3]  # is not z
        if depth.min() < 1:  # cut off what is beside or behind the camera
            kept = []
            for a, b, near, far in zip(points, np.roll(points, -1, 0), depth, np.roll(depth, -1)):
                if near >= 1:
                    kept.append(a)
                if (near >= 1) != (far >= 1):
                    kept.append(a + (b - a) * (1 - near) / (far - near))
            if len(kept) < 3:
                return False
            points = np.array(kept)
        if not glow:
            facing = max(0., normal @ weather.direction / (np.sqrt(normal @ normal) + 1e-9))
            colour = colour * (weather.shade + weather.sun * facing)
        flat = self.project(points)
        if (flat.max(0) < 0).any() or (flat.min(0) > self.picture.size).any():
            return False  # all of it is beside the picture
        colour, flat = self.hazed(colour, points[0, 2]).tolist(), flat.ravel().tolist()
        self.pen.polygon(flat, fill=tuple(int(min(max(v, 0), 255)) for v in colour))
        self.code_pen.polygon(flat, fill=code)
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


def footprint(thing, grow=0.):
    """The four corners (x, height, z) of the area below a thing, float64 [4, 3], metres."""
    half, end = thing.width / 2 + grow, thing.length / 2 + grow
    return placer(thing)([(-half, 0, -end), (half, 0, -end), (half, 0, end), (-half, 0, end)])


def circle(count, radius, start=0.):
    """Points (right, up, 0) on a circle, float64 [count, 3]."""
    turns = start + np.arange(count) * 2 * np.pi / count
    return radius * np.stack([np.cos(turns), np.sin(turns), 0 * turns], 1)


def draw_car(canvas, thing):
    """A car or a van: hull and cabin, each a side outline (ahead, up, share of half width)."""
    place, rng, paint = placer(thing), np.random.default_rng(thing.look), np.array(thing.colour)
    van, half, long, roof = thing.kind == 'van', thing.width / 2, thing.length, thing.height
    glass, plate = np.array([34, 40, 48.]) + rng.uniform(0, 14), (214, 214, 204)
    tail, slim, hood, end, front = (.2, .84, .83, .7, .88) if van else (.45, .72, .73, .5, .73)
    hull = [(.10, .30, .90), (.0, .50, .98), (.03, .64, 1.), (.08, .97, .97),
            (long * hood, 1., .96), (long * .955, .82, .93), (long, .64, .95),
            (long, .42, .96), (long * .97, .27, .9)]
    cabin = [(.10, .95, .93), (tail, roof - .03, slim), (long * end, roof, slim),
             (long * front, .97, .92)]

    draw = functools.partial(canvas.polygon, code=VEHICLE)

    def draw_body(outline):
        """Draw both sides and what lies between them; return left, right, and the quads between."""
        left, right = ([place((sign * share * half, up, ahead - long / 2))
                        for ahead, up, share in outline] for sign in (-1, 1))
        draw(left, paint * .97)
        draw(right[::-1], paint * .97)
        quads = list(zip(left, right, right[1:], left[1:]))
        for quad in quads:
            draw(quad, paint)
        return left, right, quads

    draw(footprint(thing._replace(width=.95 * thing.width)) + [0, .02, 0], (10, 10, 12))
    axles = .17 * long - long / 2, .81 * long - long / 2
    for ahead in axles:  # tyres as seen from behind or from the front
        for a in (-.95, .6):
            left, right = a * half, (a + .35) * half
            for way, z in ((1, ahead - .25), (-1, ahead + .25)):
                quad = [(left, 0, z), (right, 0, z), (right, .4, z), (left, .4, z)]
                draw(place(quad[::way]), (18, 18, 20))
    _, _, quads = draw_body(hull)
    draw(quads[0], (26, 26, 28))
    draw(patch(quads[1], 0, 1, 0, .5), paint * .6)
    for a in (.02, .80):
        draw(patch(quads[2], a, a + .18, .3, .85), (176, 20, 22), glow=True)
        draw(patch(quads[5], a, a + .18, .1, .95), (235, 236, 228), glow=True)
    draw(patch(quads[2], .36, .64, .05, .32), plate)
    draw(patch(quads[6], .24, .76, .1, .95), (22, 22, 24))
    draw(patch(quads[6], .36, .64, .0, .4), plate)
    draw(quads[7], (30, 30, 32))
    for ahead in axles:
        for sign in (-1, 1):
            for radius, tone in ((.36, 14), (.31, 26), (.19, 128)):
                rim = circle(14, radius)[:, [2, 1, 0]] * [1, 1, sign]
                draw(place(rim + [sign * half, .31, ahead]), (tone, tone, tone))
    left, right, quads = draw_body(cabin)
    for number, low, high in ((0, .6, .9), (2, .1, .4)):
        draw(patch(quads[number], .07, .93, .1, .9), glass)
        draw(patch(quads[number], .07, .93, low, high), glass * 1.5)
    for quad in [right[k] for k in (0, 3, 2, 1)], [left[k] for k in (3, 0, 1, 2)]:
        draw(patch(quad, .08, .5, .2, .88), glass)
        draw(patch(quad, .53, .93, .2, .88), glass)


def draw_house(canvas, thing):
    """A house with a gabled or flat roof, its length along the road: walls, windows, roof."""
    place, rng = placer(thing), np.random.default_rng(thing.look)
    half, end, top = thing.width / 2, thing.length / 2, thing.height
    ridge = top + (rng.uniform(2.4, 3.8) if rng.random() < .75 else .02)
    tiles = [(150, 84, 62), (120, 66, 54), (84, 82, 84), (104, 98, 96)][rng.integers(4)]
    wall, trim = np.array(thing.colour), np.clip(np.array(thing.colour) * 1.15 + 12, 0, 250)
    floors, base = max(1, round(top / 3)), wall * rng.choice([.72, .9, 1.])
    over = .35 if ridge > top + 1 else 0.  # the eaves stand out
    for sign in (-1, 1):
        low, reach, eaves = sign * (half + over), sign * (end + over), top - over * .6
        slope = [(low, eaves, -reach), (low, eaves, reach), (0, ridge, reach), (0, ridge, -reach)]
        canvas.polygon(place(slope), tiles)
    canvas.polygon(place([(-half, top, -end), (half, top, -end), (0, ridge, -end)]), wall)
    corners = footprint(thing)
    for first, second, length in ((3, 0, thing.length), (1, 2, thing.length), (0, 1, thing.width)):
        foot = corners[[first, second]]
        quad = [*foot, *(foot + [0, top, 0])[::-1]]
        if not canvas.polygon(quad, wall):
            continue
        canvas.polygon(patch(quad, 0, 1, 0, .9 / top), base)
        canvas.polygon(patch(quad, 0, 1, 1 - .25 / top, 1), trim)
        if foot[:, 2].max() < 3:
            continue
        columns = max(2, int(length / 2.9))
        blinds = np.random.default_rng(thing.look + 1).random((floors, columns))
        wide, tall, rim = .58 / length, 1.45 / (3 * floors), .1 / top
        for (floor, column), blind in np.ndenumerate(blinds):
            a, b = (column + .5) / columns, (floor * 3 + 1.) / (3 * floors)
            door, high = floor == 0 and column == columns // 2, b + tall
            low = .02 if door else b
            pane = (70, 50, 40) if door else (42, 50, 60) if blind < .8 else (150, 160, 168)
            if thing.z < 60:
                frame = patch(quad, a - wide * 1.2, a + wide * 1.2, low - rim, high + rim)
                canvas.polygon(frame, trim)
            canvas.polygon(patch(quad, a - wide, a + wide, low, high), pane)
            if not door and thing.z < 40:
                canvas.polygon(patch(quad, a - wide * .06, a + wide * .06, b, high), trim)


def draw_tree(canvas, thing):
    """A tree (a trunk below a crown) or a bush (a crown on the ground)."""
    if thing.z < 2.5:
        return
    tree, foot = thing.kind == 'tree', np.array([thing.x, 0, thing.z])
    trunk, fork = .32 * thing.height if tree else -.1, .57 * thing.height
    for a, b, tone in ((-1, .2, .8), (.2, 1, .55)) if tree else ():
        outline = [(a, 0, 0), (b, 0, 0), (b * .7, fork, 0), (a * .7, fork, 0)]
        outline = foot + outline * np.array([.035 * thing.width, 1, 1])
        canvas.polygon(outline, np.array([104, 90, 76]) * tone)
    half = thing.width * .62  # the leaves fill about .8 of their picture
    box = foot + [(-half, thing.height * 1.1, 0), (half, trunk * .75 - .05, 0)]
    (u0, v0), (u1, v1) = np.round(canvas.project(box)).astype(int)
    # Only what falls into the frame is scaled: near trees are larger than the picture.
    left, upper, right, lower = cut = np.clip([u0, v0, u1, v1], 0, canvas.picture.size * 2).tolist()
    if min(u1 - u0, v1 - v0) < 2 or left == right or upper == lower:
        return
    shade, alpha = crown(thing.look % 6, bool(canvas.weather.direction[0] > 0), bool(u1 - u0 < 80))
    part = (cut - np.array([u0, v0] * 2)) * shade.width / np.array([u1 - u0, v1 - v0] * 2)
    shade, alpha = (layer.resize((right - left, lower - upper), Image.Resampling.BILINEAR,
                                 box=part.tolist()) for layer in (shade, alpha))
    light = canvas.weather.shade * .75 + canvas.weather.sun * .9
    ramp = canvas.hazed(np.arange(256)[:, None] / 150 * np.array(thing.colour) * light, thing.z)
    leaves = np.clip(ramp, 0, 255).astype(np.uint8)[np.asarray(shade)]  # faster than Pillow's point
    canvas.picture.paste(Image.fromarray(leaves), (left, upper), alpha)
    canvas.codes.paste(OBJECT, (left, upper), Image.fromarray(np.asarray(alpha) > 127))


def draw_pole(canvas, thing):
    """A street lamp, or a traffic sign, on its pole."""
    if thing.z < 3:
        return
    foot, top, lamp = np.array([thing.x, 0, thing.z]), thing.height, thing.kind == 'lamp'

    def upright(a, b, low, high, tone):
        a, b = sorted((a, b))
        canvas.polygon(foot + [(a, low, 0), (b, low, 0), (b, high, 0), (a, high, 0)], tone)

    thick = .07 if lamp else .04
    upright(-thick, 0, 0, top, (150, 152, 152))
    upright(0, thick, 0, top, (92, 94, 96))
    if lamp:
        upright(0, thing.width, top - .06, top + .05, (104, 106, 108))
        upright(thing.width * .6, thing.width * 1.15, top - .14, top + .06, (70, 72, 74))
        return
    for radius, tone in ((.36, (196, 24, 30)), (.26, thing.colour)):
        rim = circle(3, radius, np.pi / 2) if thing.look % 2 else circle(20, radius)
        canvas.polygon(foot + [0, top - .1, -.05] + rim, tone)


DRAW = {'car': draw_car, 'van': draw_car, 'house': draw_house, 'tree': draw_tree, 'bush': draw_tree,
        'lamp': draw_pole, 'sign': draw_pole}
