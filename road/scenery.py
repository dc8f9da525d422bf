"""What stands beside a drawn road: cars, houses, trees, bushes, poles; and the textures that all of a scene shares.

Each kind is a function draw_<kind>(canvas, thing) that projects polygons and leaf pictures onto a Canvas, which keeps the
picture and, beside it, codes of what hides the road. road.scenes places the things and draws the rest.
"""
import functools
import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

CROWN = 288           # pixels a side of a leaf picture
EYE = np.array([0, 1.65, 0])   # the camera, near enough to tell a face's front from its back
OBJECT, VEHICLE = 1, 2                      # codes of what hides the road, in the picture beside the picture


class Thing(NamedTuple):
    """Something upright: foot at (x, z), sizes in metres, `heading` in radians; `look` is a seed for its details."""
    kind: str
    x: float
    z: float
    heading: float
    width: float
    length: float
    height: float
    colour: tuple
    look: int


class Canvas(NamedTuple):
    """What polygons and leaves are drawn on, at twice the scene's size."""
    picture: Image.Image      # RGB
    codes: Image.Image        # 8 bit: 0, OBJECT or VEHICLE
    pens: tuple               # what draws on the two
    projection: np.ndarray    # 3x4, road metres (x, y down, z, 1) to Pillow's coordinates
    sun: np.ndarray           # unit vector towards the sun (x, up, z)
    weather: dict


# ---- Textures -----------------------------------------------------------------------------------------------------

@functools.lru_cache(maxsize=1)
def noise_tile():
    """Fractal noise float32 [1024, 1024] that repeats without a seam, mean 0, deviation 1."""
    frequency = np.hypot(np.fft.fftfreq(1024)[:, None], np.fft.rfftfreq(1024)[None])
    frequency[0, 0] = np.inf
    tile = np.fft.irfft2(np.fft.rfft2(np.random.default_rng(1).standard_normal((1024, 1024))) / frequency)
    return (tile / tile.std()).astype(np.float32)


@functools.lru_cache(maxsize=1)
def soft_tile():
    """The same with the finest grain taken out, for clouds."""
    tile = ndimage.gaussian_filter(noise_tile(), 1.5, mode='wrap')
    return tile / tile.std()


def noise(x, z, texel):
    """The tile's value at metres (x, z), `texel` metres a cell; x and z float32 of one shape (or broadcast)."""
    column = (x * (1 / texel) + 65536).astype(np.int32) & 1023
    return noise_tile().ravel().take(((z * (1 / texel) + 65536).astype(np.int32) & 1023) << 10 | column)


@functools.lru_cache(maxsize=1)
def crowns():
    """Six leafy crowns lit from the upper left: [(brightness, opacity)], 8-bit pictures CROWN x CROWN."""
    made, rng, leaves = [], np.random.default_rng(2), 1100
    for number in range(6):
        shade, alpha = Image.new('L', (CROWN, CROWN)), Image.new('L', (CROWN, CROWN))
        lobes = np.column_stack([rng.uniform(.32, .68, 8), rng.uniform(.3, .7, 8), rng.uniform(.17, .24, 8)])
        for step in range(leaves):
            # Later leaves lie in front: early ones are the dark inside, late ones the lit outside.
            late, lobe = step / leaves, lobes[rng.integers(len(lobes))]
            angle, radius = rng.uniform(0, 2 * np.pi), lobe[2] * np.sqrt(rng.random()) * (.7 + .3 * late)
            x, y = lobe[0] + radius * np.cos(angle), lobe[1] + radius * np.sin(angle)
            light = 62 + 70 * late + 170 * (lobe[1] - y) + 110 * (.5 - y) + 70 * (.5 - x) + rng.normal(0, 15)
            size = CROWN * rng.uniform(.008, .026) * (1.7 - late)
            box = [CROWN * x - size, CROWN * y - .7 * size, CROWN * x + size, CROWN * y + .7 * size]
            ImageDraw.Draw(shade).ellipse(box, fill=int(np.clip(light, 25, 255)))
            ImageDraw.Draw(alpha).ellipse(box, fill=255)
        grain = 1 + .13 * noise_tile()[number * 100:number * 100 + CROWN, :CROWN]
        shade = Image.fromarray(np.clip(np.asarray(shade) * grain, 0, 255).astype(np.uint8))
        made.append((shade, alpha))
    return made


@functools.lru_cache(maxsize=None)
def crown(number, mirrored, small):
    """One of the six, (brightness, opacity); `small`: a quarter of the size, which is quicker to scale down."""
    pair = crowns()[number]
    if mirrored:
        pair = [layer.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for layer in pair]
    return [layer.reduce(4) for layer in pair] if small else pair


def make_textures():
    """Make what all scenes share; called before threads draw, each of which would make it otherwise."""
    noise_tile(), soft_tile(), crowns()


# ---- Upright things -----------------------------------------------------------------------------------------------

def hazed(canvas, colour, z):
    """An RGB colour as it looks from z metres away."""
    share = 1 - math.exp(-z / canvas.weather['haze'])
    return np.asarray(colour) * (1 - share) + canvas.weather['haze_colour'] * share


def to_canvas(canvas, points):
    """Points (x, height, z) in metres, float64 [n, 3], to Pillow's coordinates float64 [n, 2]."""
    u, v, w = canvas.projection[:, :3] @ (points * [1, -1, 1]).T + canvas.projection[:, 3:]
    return np.stack([u / w, v / w], 1)


def polygon(canvas, points, colour, code=OBJECT, glow=False):
    """Draw a flat polygon, points (x, height, z) in metres, counterclockwise from outside; its back is not drawn.

    Returns whether anything was drawn. `glow`: the colour is not darkened by the way the polygon faces.
    """
    points = np.asarray(points, np.float64)
    third = len(points) // 3                                 # three points far apart: a car's outline is not quite flat
    (px, py, pz), (qx, qy, qz) = (points[2 * third] - points[0]).tolist(), (points[third] - points[0]).tolist()
    normal = np.array([py * qz - pz * qy, pz * qx - px * qz, px * qy - py * qx])   # x, up, z are a left-handed system
    if normal @ (points[0] - EYE) >= 0:
        return False
    depth = points @ (canvas.projection[2, :3] * [1, -1, 1]) + canvas.projection[2, 3]   # from the camera, not z
    if depth.min() < 1:                                      # cut off what is beside or behind the camera
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
        facing = max(0., normal @ canvas.sun / (np.sqrt(normal @ normal) + 1e-9))
        colour = colour * (canvas.weather['shade'] + canvas.weather['sun'] * facing)
    flat = to_canvas(canvas, points)
    if (flat.max(0) < 0).any() or (flat.min(0) > canvas.picture.size).any():
        return False                                         # all of it is beside the picture
    flat = flat.ravel().tolist()
    fill = tuple(int(min(max(v, 0), 255)) for v in hazed(canvas, colour, points[0, 2]).tolist())
    canvas.pens[0].polygon(flat, fill=fill)
    canvas.pens[1].polygon(flat, fill=code)
    return True


def patch(quad, a0, a1, b0, b1):
    """The part [a0, a1] x [b0, b1] of a quad of four points, a along its first edge, b along its second."""
    p, q, r, t = np.asarray(quad, np.float64)
    return [(p + (q - p) * a) * (1 - b) + (t + (r - t) * a) * b for a, b in ((a0, b0), (a1, b0), (a1, b1), (a0, b1))]


def placer(thing):
    """A function from (right, up, ahead) metres, as the thing sees them, to (x, height, z)."""
    sin, cos = np.sin(thing.heading), np.cos(thing.heading)
    turn = np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
    return lambda points: np.asarray(points, np.float64) @ turn + [thing.x, 0, thing.z]


def draw_car(canvas, thing):
    """A car or a van: hull and cabin, each a side outline (ahead, up, share of half width) swept across."""
    place, rng = placer(thing), np.random.default_rng(thing.look)
    van, half, long = thing.kind == 'van', thing.width / 2, thing.length
    tail, roof, slim = .2 if van else .45, thing.height, .84 if van else .72
    hull = [(.10, .30, .90), (.0, .50, .98), (.03, .64, 1.), (.08, .97, .97), (long * (.83 if van else .73), 1., .96),
            (long * .955, .82, .93), (long, .64, .95), (long, .42, .96), (long * .97, .27, .9)]
    cabin = [(.10, .95, .93), (tail, roof - .03, slim), (long * (.70 if van else .5), roof, slim),
             (long * (.88 if van else .73), .97, .92)]

    def rows(outline):
        return [[place((sign * share * half, up, ahead - long / 2)) for sign in (-1, 1)]
                for ahead, up, share in outline]

    def draw(quad, colour, glow=False):
        polygon(canvas, quad, colour, VEHICLE, glow)

    draw([place((a * half * .95, .02, b * long / 2)) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))], (10, 10, 12))
    turns = np.linspace(0, 2 * np.pi, 15)[:-1]
    for ahead in (.17 * long, .81 * long):                               # tyres as seen from behind or before
        for a in (-.95, .6):
            for direction, d in ((1, -.25), (-1, .25)):
                quad = [(a * half, 0, ahead - long / 2 + d), ((a + .35) * half, 0, ahead - long / 2 + d),
                        ((a + .35) * half, .4, ahead - long / 2 + d), (a * half, .4, ahead - long / 2 + d)]
                draw(place(quad[::direction]), (18, 18, 20))
    glass = np.array([34, 40, 48.]) + rng.uniform(0, 14)
    for outline in (hull, cabin):
        points = rows(outline)
        draw([p[0] for p in points], np.array(thing.colour) * .97)
        draw([p[1] for p in points[::-1]], np.array(thing.colour) * .97)
        quads = [(a[0], a[1], b[1], b[0]) for a, b in zip(points, points[1:])]
        for quad in quads:
            draw(quad, thing.colour)
        if outline is hull:
            draw(quads[0], (26, 26, 28))
            draw(patch(quads[1], 0, 1, 0, .5), np.array(thing.colour) * .6)
            for a in (.02, .80):
                draw(patch(quads[2], a, a + .18, .3, .85), (176, 20, 22), True)
                draw(patch(quads[5], a, a + .18, .1, .95), (235, 236, 228), True)
            draw(patch(quads[2], .36, .64, .05, .32), (214, 214, 204))
            draw(patch(quads[6], .24, .76, .1, .95), (22, 22, 24))
            draw(patch(quads[6], .36, .64, .0, .4), (214, 214, 204))
            draw(quads[7], (30, 30, 32))
            for ahead in (.17 * long, .81 * long):
                for sign in (-1, 1):
                    for radius, tone in ((.36, 14), (.31, 26), (.19, 128)):
                        rim = [(sign * half, .31 + radius * np.sin(t), ahead - long / 2 + sign * radius * np.cos(t))
                               for t in turns]
                        draw(place(rim), (tone, tone, tone))
        else:
            for number in (0, 2):
                draw(patch(quads[number], .07, .93, .1, .9), glass)
                draw(patch(quads[number], .07, .93, .6 if number == 0 else .1, .9 if number == 0 else .4), glass * 1.5)
            sides = [points[k][1] for k in (0, 3, 2, 1)], [points[k][0] for k in (3, 0, 1, 2)]
            for quad in sides:
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
    walls = [place([(-half, 0, end), (-half, 0, -end), (-half, top, -end), (-half, top, end)]),
             place([(half, 0, -end), (half, 0, end), (half, top, end), (half, top, -end)]),
             place([(-half, 0, -end), (half, 0, -end), (half, top, -end), (-half, top, -end)])]
    over = .35 if ridge > top + 1 else 0.                                # the eaves stand out
    for sign in (-1, 1):
        low, reach = sign * (half + over), sign * (end + over)
        eaves = top - over * .6
        slope = [(low, eaves, -reach), (low, eaves, reach), (0, ridge, reach), (0, ridge, -reach)]
        polygon(canvas, place(slope), tiles)
    polygon(canvas, place([(-half, top, -end), (half, top, -end), (0, ridge, -end)]), wall)
    for quad, length in zip(walls, (thing.length, thing.length, thing.width)):
        if not polygon(canvas, quad, wall):
            continue
        polygon(canvas, patch(quad, 0, 1, 0, .9 / top), base)
        polygon(canvas, patch(quad, 0, 1, 1 - .25 / top, 1), trim)
        columns = max(2, int(length / 2.9))
        blinds = np.random.default_rng(thing.look + 1).random((floors, columns))
        if quad[:, 2].max() < 3:
            continue
        for floor in range(floors):
            for column in range(columns):
                a, b = (column + .5) / columns, (floor * 3 + 1.) / (3 * floors)
                wide, tall = .58 / length, 1.45 / (3 * floors)
                door = floor == 0 and column == columns // 2
                pane = (70, 50, 40) if door else (42, 50, 60) if blinds[floor, column] < .8 else (150, 160, 168)
                low, rim = .02 if door else b, .1 / top
                if thing.z < 60:
                    polygon(canvas, patch(quad, a - wide * 1.2, a + wide * 1.2, low - rim, b + tall + rim), trim)
                polygon(canvas, patch(quad, a - wide, a + wide, low, b + tall), pane)
                if not door and thing.z < 40:
                    polygon(canvas, patch(quad, a - wide * .06, a + wide * .06, b, b + tall), trim)


def draw_tree(canvas, thing):
    """A tree (a trunk below a crown) or a bush (a crown on the ground)."""
    if thing.z < 2.5:
        return
    trunk = .32 * thing.height if thing.kind == 'tree' else -.1
    wide = .035 * thing.width
    if thing.kind == 'tree':
        foot, fork = (thing.x, 0, thing.z), trunk + .25 * thing.height
        for a, b, tone in ((-1, .2, .8), (.2, 1, .55)):
            outline = [(a * wide, 0, 0), (b * wide, 0, 0), (b * wide * .7, fork, 0), (a * wide * .7, fork, 0)]
            polygon(canvas, np.array(foot) + outline, np.array([104, 90, 76]) * tone)
    half = thing.width * .62                                             # the leaves fill about .8 of their picture
    box = [(thing.x - half, thing.height * 1.1, thing.z), (thing.x + half, trunk * .75 - .05, thing.z)]
    (u0, v0), (u1, v1) = np.round(to_canvas(canvas, np.array(box))).astype(int)
    frame = canvas.picture.size
    if u1 - u0 < 2 or v1 - v0 < 2 or u1 < 0 or v1 < 0 or u0 > frame[0] or v0 > frame[1]:
        return
    shade, alpha = crown(thing.look % 6, bool(canvas.sun[0] > 0), bool(u1 - u0 < 80))
    # Only what falls into the frame is scaled: near trees are larger than the picture.
    cut = np.clip([u0, v0, u1, v1], 0, [*frame, *frame])
    part = ((cut - [u0, v0, u0, v0]) * shade.width / np.array([u1 - u0, v1 - v0] * 2)).tolist()
    size = int(cut[2] - cut[0]), int(cut[3] - cut[1])
    if min(size) < 1:
        return
    shade, alpha = (layer.resize(size, Image.Resampling.BILINEAR, box=part) for layer in (shade, alpha))
    light = canvas.weather['shade'] * .75 + canvas.weather['sun'] * .9
    ramp = hazed(canvas, np.arange(256)[:, None] / 150 * np.array(thing.colour) * light, thing.z)
    leaves = np.clip(ramp, 0, 255).astype(np.uint8)[np.asarray(shade)]   # quicker than Pillow's own table
    canvas.picture.paste(Image.fromarray(leaves), (int(cut[0]), int(cut[1])), alpha)
    canvas.codes.paste(OBJECT, (int(cut[0]), int(cut[1])), Image.fromarray(np.asarray(alpha) > 127))


def draw_pole(canvas, thing):
    """A street lamp, or a traffic sign, on its pole."""
    if thing.z < 3:
        return
    x, z, top = thing.x, thing.z, thing.height

    def upright(a, b, low, high, tone, depth=z):
        polygon(canvas, [(x + a, low, depth), (x + b, low, depth), (x + b, high, depth), (x + a, high, depth)], tone)

    thick = .07 if thing.kind == 'lamp' else .04
    upright(-thick, 0, 0, top, (150, 152, 152))
    upright(0, thick, 0, top, (92, 94, 96))
    if thing.kind == 'lamp':
        arm = sorted((0, thing.width))
        upright(*arm, top - .06, top + .05, (104, 106, 108))
        upright(*sorted((thing.width * .6, thing.width * 1.15)), top - .14, top + .06, (70, 72, 74))
    else:
        turns = np.linspace(0, 2 * np.pi, 21)[:-1]
        warning = thing.look % 2
        for radius, tone in ((.36, (196, 24, 30)), (.26, thing.colour)):
            spots = np.pi / 2 + np.array([0, 1, 2]) * 2 * np.pi / 3 if warning else turns
            polygon(canvas, [(x + radius * np.cos(t), top - .1 + radius * np.sin(t), z - .05) for t in spots], tone)


DRAW = {'car': draw_car, 'van': draw_car, 'house': draw_house, 'tree': draw_tree, 'bush': draw_tree,
        'lamp': draw_pole, 'sign': draw_pole}
