"""Road scenes drawn by the program: a sample data set in KITTI Road's layout, with nothing to download.

    write_dataset('data/sample_road')            # 78 scenes, 188x621, about 15 s on two cores

writes `training/{image_2,gt_image_2,calib}` and `testing/{image_2,calib}` with KITTI's names, label colours and
calibration files. One scene: `image, label, calibration = draw_scene(np.random.default_rng(0), 'um')`.

How a scene is drawn: a pinhole camera of KITTI's geometry stands on a plane; every pixel's ray is cast onto that plane,
which gives metres (x right, z forward) per pixel; surface, lane marks, kerbs, shadows and the label are functions of
them, averaged over the pixel's footprint so that edges are smooth. What stands upright (cars, houses, trees, poles) is
projected as polygons and leaf pictures, far ones first, at twice the size, and then averaged.
"""
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage
from tqdm import tqdm

from road.errors import InputError
from road.scenery import DRAW, Canvas, Thing, crown, make_textures, noise, noise_tile, soft_tile
from road.scores import CATEGORIES

VERSION = 3           # raise it with every change of the pictures: data sets drawn by an older version are redrawn
ROAD, NOT_ROAD, NOT_COUNTED, STRAY = (255, 0, 255), (255, 0, 0), (0, 0, 0), (0, 0, 255)
FAR = 140.            # metres; there the plane ends at a line of trees, at KITTI's size 8 pixels below the horizon
PAVING = np.array([1.04, 1., .93], np.float32)      # concrete slabs are warmer than asphalt
MAP_X, MAP_Z, MAP_CELL = 45., 110., 0.2   # the shadow map: x in [-45, 45], z in [0, 110] metres, metres a cell

# Colours are RGB, 0 to 255; light multiplies them: `shade` everywhere, `sun` where the sun reaches.
# haze: metres after which 63 % of a colour is haze; cover: share of sky under cloud, roughly; low/high: sun, degrees.
WEATHERS = {
    'sunny': dict(top=(70, 130, 215), bottom=(190, 216, 242), cloud=(252, 252, 252), cover=.46, haze=420., wet=0.,
                  shade=(.36, .40, .48), sun=(.80, .74, .62), low=28, high=55, dark=.92),
    'bright': dict(top=(120, 168, 222), bottom=(226, 236, 246), cloud=(255, 255, 255), cover=.6, haze=260., wet=0.,
                   shade=(.50, .53, .58), sun=(.62, .58, .50), low=30, high=60, dark=.85),
    'overcast': dict(top=(178, 188, 200), bottom=(226, 229, 232), cloud=(150, 158, 170), cover=.60, haze=200., wet=0.,
                     shade=(.80, .83, .87), sun=(.12, .12, .12), low=50, high=70, dark=.5),
    'dusk': dict(top=(74, 92, 148), bottom=(252, 190, 132), cloud=(232, 140, 120), cover=.50, haze=230., wet=0.,
                 shade=(.40, .39, .50), sun=(.66, .43, .24), low=14, high=24, dark=.9),
    'wet': dict(top=(150, 162, 178), bottom=(214, 220, 226), cloud=(112, 122, 138), cover=.62, haze=150., wet=1.,
                shade=(.68, .72, .77), sun=(.10, .10, .10), low=50, high=70, dark=.5),
}
PLASTER = [(236, 228, 210), (226, 206, 160), (214, 160, 112), (200, 204, 208), (232, 232, 228), (168, 92, 70),
           (212, 186, 150), (184, 172, 150), (222, 140, 88)]
PAINT = [(28, 29, 32), (60, 62, 68), (150, 154, 160), (196, 200, 204), (234, 234, 232), (142, 22, 26), (28, 48, 100),
         (44, 74, 66), (92, 24, 32), (64, 98, 150)]
LEAVES = [(92, 112, 46), (70, 98, 44), (112, 124, 52), (84, 96, 40), (60, 84, 44), (140, 122, 48)]


class Road(NamedTuple):
    """The road on its plane, in metres. `s` is the distance right of the camera's line, which bends with it."""
    heading: float        # radians, the road against the camera's z axis
    bend: float           # 1/metres, curvature at the camera
    twist: float          # 1/metres^2, change of the curvature
    lines: tuple          # s of every lane boundary from left edge to right edge; a road without marks has one lane
    ego: int              # index of the camera's lane
    sides: tuple          # left and right: (kind, kerb, sidewalk, its grey, street tree gap), see plan_road
    second: tuple         # (median, width) of an opposite carriageway on the left, or ()
    branch: tuple         # (side -1 or 1, start, width) of a side road, or ()


# ---- Camera -------------------------------------------------------------------------------------------------------

def make_calibration(rng, height, width):
    """A camera as KITTI's, scaled to the picture: {name: float64 [3, 4], R0_rect [3, 3]}, in KITTI's names and rule."""
    scale = width / 1242
    focal, centre_u, centre_v = 721.5377 * scale, 609.5593 * scale, 172.854 / 375 * height
    calibration = {}
    for number, (du, dv, dw) in enumerate([(0, 0, 0), (-387.5744, 0, 0), (44.85728, .2163791, .002745884),
                                           (-339.5242, 2.199936, .002729905)]):
        calibration[f'P{number}'] = np.array([[focal, 0, centre_u, du * scale], [0, focal, centre_v, dv * scale],
                                              [0, 0, 1, dw]])
    calibration['R0_rect'] = rotation(.0044, -.0074, -.0098)
    calibration['Tr_velo_to_cam'] = np.array([[0., -1, 0, -.004], [0, 0, -1, -.076], [1, 0, 0, -.272]])
    calibration['Tr_imu_to_velo'] = np.array([[1., 0, 0, -.809], [0, 1, 0, .320], [0, 0, 1, -.800]])
    # The angles drawn are those of the rectified camera, so R0_rect is taken out of what Tr_cam_to_road turns.
    turned = rotation(rng.normal(-.004, .006), rng.normal(0, .012), rng.normal(0, .006))
    place = np.array([[rng.normal(0, .01)], [-rng.normal(1.65, .04)], [.28]])
    calibration['Tr_cam_to_road'] = np.hstack([turned.T @ calibration['R0_rect'], place])
    return calibration


def rotation(pitch, yaw, roll):
    """Rotation matrix float64 [3, 3] about the camera's x (right), y (down) and z (forward) axes, radians."""
    (cx, cy, cz), (sx, sy, sz) = np.cos([pitch, yaw, roll]), np.sin([pitch, yaw, roll])
    return (np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]]) @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
            @ np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]]))


def road_projection(calibration):
    """float64 [3, 4]: road metres (x, y down, z, 1) to (u, v, 1) times depth; array column c is u in [c+1, c+2)."""
    rectify, to_road = np.eye(4), np.eye(4)
    rectify[:3, :3], to_road[:3] = calibration['R0_rect'], calibration['Tr_cam_to_road']
    return calibration['P2'] @ rectify @ np.linalg.inv(to_road)


def calibration_text(calibration):
    """The text of a KITTI calibration file."""
    return ''.join(f'{name}: {" ".join(f"{value:.12e}" for value in matrix.ravel())}\n'
                   for name, matrix in calibration.items())


# ---- What a scene holds -------------------------------------------------------------------------------------------

def pick_weather(rng):
    """One of WEATHERS, its colours as float32 [3], with `haze_colour`: what far things fade into."""
    weather = WEATHERS[str(rng.choice(list(WEATHERS), p=[.34, .22, .16, .14, .14]))]
    weather = {name: np.array(value, np.float32) if isinstance(value, tuple) else value
               for name, value in weather.items()}
    return weather | {'haze_colour': weather['bottom'] * np.float32(.92)}


def plan_road(rng, category):
    """Draw a Road of the category: um (two marked lanes), umm (three to five), uu (no marks)."""
    lane = rng.uniform(3., 3.6)
    lanes, ego = {'um': (2, 1), 'umm': (rng.integers(3, 6), 0), 'uu': (1, 0)}[category]
    if category == 'umm':
        ego = int(rng.integers(1, lanes))
    width = rng.uniform(5.2, 7.4) if category == 'uu' else lane * lanes
    # Nobody drives on the middle of an unmarked road, but right of it.
    left = -width * rng.uniform(.52, .68) if category == 'uu' else -lane * (ego + .5) + rng.normal(0, .2)
    lines = tuple(float(v) for v in np.linspace(left, left + width, lanes + 1))
    sides = []
    for _ in range(2):
        kind = str(rng.choice(['houses', 'avenue', 'wood', 'field'], p=[.4, .25, .2, .15]))
        paved = kind == 'houses' or rng.random() < .5
        grey = rng.uniform(1.25, 1.55)       # sidewalks are lighter than the road
        sides.append((kind, rng.uniform(.15, .3) if paved else 0., rng.uniform(1.4, 3.) if paved else 0., grey,
                      rng.uniform(8, 15)))
    second = (rng.uniform(1.5, 4), 2 * lane) if category == 'umm' and rng.random() < .3 else ()
    branch = (int(rng.choice([-1, 1])), rng.uniform(14, 45), rng.uniform(5, 8)) if rng.random() < .25 else ()
    heading, bend, twist = rng.normal(0, [.015, .0035, .00004])
    return Road(heading, bend, twist, lines, ego, tuple(sides), second, branch)


def middle(road, z):
    """x in metres of the camera's own line (s = 0) at depth z, and its slope dx/dz."""
    return (road.heading * z + road.bend * z ** 2 / 2 + road.twist * z ** 3 / 6,
            road.heading + road.bend * z + road.twist * z ** 2 / 2)


def road_x(road, s, z):
    """x in metres at depth z of the line that runs s metres right of the camera's own, measured across the road."""
    x, slope = middle(road, z)
    return x + s * np.sqrt(1 + slope ** 2)


def road_s(road, x, z):
    """The reverse: s in metres of the plane points (x, z)."""
    line, slope = middle(road, z)
    return (x - line) / np.sqrt(1 + slope ** 2)


def plan_things(rng, road, category):
    """Everything upright in the scene: a list of Thing, far ones first."""
    things = []

    def add(kind, s, z, width, length, height, colour, turn=0.):
        x, slope = road_x(road, s, z), middle(road, z)[1]
        things.append(Thing(kind, x, z, np.arctan(slope) + turn, width, length, height, tuple(colour),
                            int(rng.integers(1 << 30))))

    def pick(colours, spread=10):
        return np.clip(np.array(colours[rng.integers(len(colours))]) + rng.normal(0, spread, 3), 8, 250)

    def in_branch(side, z, room):
        return bool(road.branch) and road.branch[0] == side and -room < z - road.branch[1] < road.branch[2] + room

    for side, (kind, kerb, sidewalk, _, gap) in zip((-1, 1), road.sides):
        edge = abs(road.lines[0] if side < 0 else road.lines[-1]) + kerb + sidewalk
        if side < 0 and road.second:
            edge += sum(road.second)
        front = edge + rng.uniform(1.5, 7)
        z = rng.uniform(-6, 4)
        while kind == 'houses' and z < 115:
            length, depth, height = rng.uniform(9, 20), rng.uniform(8, 11), rng.choice([3.4, 6., 6.2, 9., 9.4])
            if not in_branch(side, z + length / 2, length / 2 + 2) and rng.random() < .88:
                add('house', side * (front + depth / 2), z + length / 2, depth, length, height, pick(PLASTER, 6))
            z += length + rng.choice([.0, 4., 7.])
        hedge = kind == 'houses' and front - edge > 2.5 and rng.random() < .6
        for z in np.arange(3., 75, 1.3) if hedge else ():
            if not in_branch(side, z, 1):
                add('bush', side * (edge + .8), z + rng.uniform(-.2, .2), 2.1, 1.3, rng.uniform(1.1, 1.4),
                    pick(LEAVES[:2], 4))
        if kind == 'wood':
            for z in rng.uniform(6, 120, 34):
                if not in_branch(side, z, 3):
                    add('tree', side * (edge + 4 + rng.gamma(2, 3)), z, rng.uniform(5, 9), 0, rng.uniform(7, 13),
                        pick(LEAVES))
        if kind in ('avenue', 'houses') and (kind == 'avenue' or rng.random() < .4):
            size, colour = rng.uniform(.8, 1.2), pick(LEAVES)
            for z in np.arange(rng.uniform(5, 5 + gap), 120, gap):
                if not in_branch(side, z, 2):
                    add('tree', side * (edge + 1.5 + rng.normal(0, .2)), z + rng.normal(0, .5),
                        size * rng.uniform(4.2, 6.2), 0, size * rng.uniform(6.5, 9), colour + rng.normal(0, 6, 3))
        for z in rng.uniform(12, 110, 14 if kind in ('field', 'avenue') else 5):
            big = rng.random() < .5
            add('tree' if big else 'bush', side * (edge + rng.uniform(14, 40)), z,
                rng.uniform(*(5, 9) if big else (2, 5)), 0, rng.uniform(*(6, 11) if big else (1.2, 3)), pick(LEAVES))
        for z in np.arange(rng.uniform(8, 26), 110, rng.uniform(22, 34)) if rng.random() < .65 else ():
            add('lamp', side * (edge + .3), z, -side * 1.6, 0, 7., (120, 124, 126))
        if rng.random() < .6:
            add('sign', side * (edge + .35), rng.uniform(9, 30), .6, 0, 2.4,
                [(250, 250, 250), (30, 80, 180), (245, 205, 40)][rng.integers(3)])

    def park(lateral, z, oncoming):
        van = rng.random() < .15
        add('van' if van else 'car', lateral, z, 1.9 if van else 1.76, 4.9 if van else 4.3, 2.05 if van else 1.47,
            pick(PAINT, 5), np.pi if oncoming else 0.)

    if category == 'uu':        # parked along the edges
        for side, edge in ((-1, road.lines[0]), (1, road.lines[-1])):
            z = rng.uniform(10, 24)
            while rng.random() < .65 and z < 80:
                park(edge - side * rng.uniform(.85, 1.1) if side < 0 else edge - rng.uniform(-.4, .3), z, side < 0)
                z += rng.choice([5.6, 6.5, 14., 25.])
    for lane in range(len(road.lines) - 1):
        centre = (road.lines[lane] + road.lines[lane + 1]) / 2
        oncoming = category != 'uu' and lane < (len(road.lines) - 1) // 2
        z = rng.uniform(11, 50) if oncoming or lane != road.ego else rng.uniform(18, 70)
        while category != 'uu' and z < 110 and rng.random() < .6:
            park(centre + rng.normal(0, .15), z, oncoming)
            z += rng.uniform(9, 50)
    # A house goes by its far end: what stands before its front is then drawn after it.
    return sorted(things, key=lambda thing: -thing.z - (thing.length / 2 if thing.kind == 'house' else 0))


# ---- The plane: shadows and surfaces -----------------------------------------------------------------------------

def corners(thing, grow=0.):
    """The four corners (x, z) of a thing's footprint, float64 [4, 2], metres."""
    right = np.array([np.cos(thing.heading), -np.sin(thing.heading)]) * (thing.width / 2 + grow)
    ahead = np.array([np.sin(thing.heading), np.cos(thing.heading)]) * (thing.length / 2 + grow)
    return np.array([thing.x, thing.z]) + [-right - ahead, right - ahead, right + ahead, -right + ahead]


def shadow_map(things, sun, dark):
    """Share of the sun that is kept away, float32 [rows z, columns x], and the darkness below cars, same shape."""
    size = int(2 * MAP_X / MAP_CELL), int(MAP_Z / MAP_CELL)
    cast, below = Image.new('L', size), Image.new('L', size)
    pen, pen_below = ImageDraw.Draw(cast), ImageDraw.Draw(below)
    away = -np.array([sun[0], sun[2]]) / sun[1]               # metres of shadow a metre of height

    def cells(points):
        return [tuple(p) for p in (np.asarray(points) + [MAP_X, 0]) / MAP_CELL]

    for thing in things:
        foot = np.array([thing.x, thing.z])
        if thing.kind in ('tree', 'bush'):
            trunk = .3 if thing.kind == 'tree' else 0.
            centre = foot + away * thing.height * (.5 + trunk / 2)
            half = np.array([thing.width / 2, thing.width / 2]) + np.abs(away) * thing.height * .28
            box = [int(v) for v in 2 * half / MAP_CELL + 1]
            leaves = crown(thing.look % 6, False, True)[1].resize(box, Image.Resampling.BILINEAR)
            cast.paste(255, tuple(int(v) for v in np.array(cells([centre - half])[0])), leaves)
            pen.line(cells([foot, centre]), fill=255, width=3)
        elif thing.kind in ('lamp', 'sign'):
            pen.line(cells([foot, foot + away * thing.height]), fill=200, width=1)
        else:
            base = corners(thing)
            top = base + away * thing.height * (.85 if thing.kind == 'car' else 1.)
            for k in range(4):
                pen.polygon(cells([base[k], base[k - 1], top[k - 1], top[k]]), fill=255)
            pen.polygon(cells(top), fill=255)
            if thing.kind != 'house':
                pen_below.polygon(cells(corners(thing, .12)), fill=255)
    cast, below = cast.filter(ImageFilter.BoxBlur(.9)), below.filter(ImageFilter.BoxBlur(2.3))
    return np.float32(dark / 255) * np.asarray(cast, np.float32), np.asarray(below, np.float32) / 255


def overlap(position, start, end, footprint):
    """Share of a pixel at `position`, `footprint` wide, inside [start, end]: anti-aliasing along one direction."""
    low, high = np.maximum(position - footprint / 2, start), np.minimum(position + footprint / 2, end)
    return np.clip((high - low) / footprint, 0, 1)


def draw_ground(rng, road, category, x, z, eye, focal, things, sun, weather):
    """Colour, road and other roads at the plane points (x, z).

    x, z: float32 [n, m], metres; eye: metres, the camera's height; focal: pixels. Returns float32 [n, m, 3] (0 to 255),
    bool [n, m] (between the road's edges), bool [n, m] (asphalt of another road), float32 [n, m] (how much it mirrors).
    """
    s, slope = road_s(road, x, z), middle(road, z)[1]
    along = z * (1 + slope ** 2 / 6)                         # the length of the curve, to second order
    deep = z ** 2 / (focal * eye) + .01                      # metres of road, in depth, below one pixel
    wide = z / focal + np.abs(slope) * deep + .004           # the same across the road
    fine, coarse = noise(x, z, .017), noise(z, x, .06)       # coarse: blotches of metres
    fade = np.minimum(1, 9 / z)                              # a far pixel averages its grain away
    left, right = road.lines[0], road.lines[-1]
    beyond = np.where(s > (left + right) / 2, s - right, left - s)
    on_right = s > (left + right) / 2

    grain = fine * fade
    grass = np.array([.92, 1.06, .52]) * rng.uniform(95, 118) * rng.normal(1, .04, 3)
    dry = np.array([1.16, 1.05, .68]) * rng.uniform(100, 125)
    mix = np.clip(.35 + .3 * coarse, 0, 1)[..., None]
    colour = (grass * (1 - mix) + dry * mix).astype(np.float32) * (1 + .13 * grain + .05 * coarse)[..., None]

    def paint(cover, tone):
        nonlocal colour
        colour += cover[..., None] * (tone - colour)

    tint = np.array([1, 1, 1.01]) * rng.normal(1, .012, 3)
    bright = rng.uniform(92, 132) * (.72 if weather['wet'] else 1.)
    asphalt = bright * (1 + .055 * grain + .035 * coarse)
    for track in [(a + b) / 2 + d for a, b in zip(road.lines, road.lines[1:]) for d in (-.8, .8)]:
        asphalt *= 1 - .05 * np.exp(-((s - track) / .35) ** 2)
    for _ in range(rng.integers(0, 4)):                      # repaired patches
        start, near = rng.uniform(left, right - 1), rng.uniform(5, 40)
        repaired = overlap(s, start, start + rng.uniform(.8, 3), wide)
        repaired *= overlap(along, near, near + rng.uniform(1.5, 9), deep)
        asphalt *= 1 + rng.uniform(-.2, .12) * repaired
    for _ in range(rng.integers(0, 3) if rng.random() < .4 else 0):   # cracks and seams, filled with tar
        waver = noise_tile()[rng.integers(1024)].take((along * 6).astype(np.int32) & 1023)
        seam = rng.uniform(left, right) + .12 * waver
        asphalt *= 1 - .3 * overlap(s, seam - .02, seam + .02, wide)
    asphalt = asphalt[..., None] * tint.astype(np.float32)

    other = np.zeros(x.shape, bool)
    for side, (kind, kerb, sidewalk, grey, _) in zip((False, True), road.sides):
        here = on_right == side
        walk = overlap(beyond, kerb, kerb + sidewalk, wide) * here
        slabs = 1 - .12 * (overlap(along % 1., .0, .03, deep) + overlap(beyond % .75, 0, .03, wide)) * fade
        if kind == 'houses':                                 # yards: gravel behind the sidewalk
            paint(here * np.clip(.5 + .7 * coarse, 0, 1), np.array([138, 130, 112], np.float32))
        if sidewalk:
            paint(walk, (bright * grey * slabs * (1 + .04 * grain + .03 * coarse))[..., None] * PAVING)
            stone = min(bright * 1.3, 190) * (1 - .25 * overlap(along % 1.2, 0, .04, deep) * fade)
            paint(overlap(beyond, 0, kerb, wide) * here, stone[..., None])
            asphalt *= 1 - (.28 * here * overlap(beyond, -.14, 0, wide))[..., None]      # the gutter
    if road.second:
        median, width = road.second
        paint(overlap(left - s, median, median + width, wide), asphalt)
        other |= (left - s > median) & (left - s < median + width)
    if road.branch:
        side, start, width = road.branch
        joins = overlap(along, start, start + width, deep) * (on_right == (side > 0)) * (beyond < 45)
        paint(joins, asphalt)
        other |= (joins > .5) & (beyond > 0)
    wobble = .05 * coarse * (road.sides[0][1] == 0)          # grass grows over an edge without kerb
    paint(overlap(s, left + wobble, right, wide), asphalt)

    marks = np.zeros(x.shape, np.float32)
    if category != 'uu':
        dash, period, worn = rng.choice([3., 4., 6.]), rng.choice([9., 12.]), rng.uniform(.6, .95)
        offset, half = rng.uniform(0, period), rng.uniform(.06, .08)
        lanes, split = len(road.lines) - 1, (len(road.lines) - 1) // 2
        for number, at in enumerate(road.lines):
            at = at + (.25 if number == 0 else -.25 if number == lanes else 0)
            edge = number in (0, lanes)
            if edge and category == 'um' and rng.random() < .4:
                continue
            solid = edge or (number == split and rng.random() < .45)
            stripe = overlap(s, at - half, at + half, wide)
            if solid and not edge and category == 'umm':     # a double line between the directions
                stripe = overlap(s, at - .22, at - .1, wide) + overlap(s, at + .1, at + .22, wide)
            marks = np.maximum(marks, stripe if solid else stripe * overlap((along + offset) % period, 0, dash, deep))
        if road.second:
            at = left - road.second[0] - road.second[1] / 2
            stripe = overlap(s, at - half, at + half, wide)
            marks = np.maximum(marks, stripe * overlap((along + offset) % period, 0, dash, deep))
        paint(marks * worn * np.clip(1 + .12 * coarse - .1 * fine, 0, 1), np.array([232, 232, 226], np.float32))

    cast, below = shadow_map(things, sun, weather['dark'])
    place = np.stack([z / MAP_CELL - .5, (x + MAP_X) / MAP_CELL - .5])
    lit = 1 - ndimage.map_coordinates(cast, place, order=1, mode='constant')
    open_sky = 1 - .75 * ndimage.map_coordinates(below, place, order=1, mode='constant')
    light = weather['shade'] * open_sky[..., None] + weather['sun'] * lit[..., None]
    between = (s > left) & (s < right)
    mirror = weather['wet'] * np.where(between | other, np.clip(.25 + .22 * coarse + .004 * z, .05, .75), 0)
    return colour * light, between, other & ~between, mirror * (1 - marks)


# ---- One scene ----------------------------------------------------------------------------------------------------

def draw_sky(rng, rows, columns, horizon, focal, weather, sun):
    """Sky float32 [rows, columns, 3], 0 to 255; horizon: row of the horizon in every column."""
    row, column = np.arange(rows, dtype=np.float32)[:, None], np.arange(columns, dtype=np.float32)
    up = np.maximum(horizon - row, 0) / focal
    aside = (column - columns / 2) / focal
    top, bottom, cloud = weather['top'], weather['bottom'], weather['cloud']
    sky = bottom + (top - bottom) * (1 - np.exp(-up * 7))[..., None]
    # Towards the sun the air is lighter and warmer.
    glow = .5 * np.exp(-up * 5) * np.clip(.4 + sun[2] * .5 + sun[0] * aside, 0, 1)
    sky += (glow * (1 if weather['low'] < 35 else .3))[..., None] * (np.array([255, 226, 180], np.float32) - sky)
    far = 1 / (up + .12)                                                  # clouds lie on a plane too, a flattened one
    place = np.stack([far * 14 + rng.uniform(0, 1024), aside * far * 14 + rng.uniform(0, 1024)])
    puffs = ndimage.map_coordinates(soft_tile(), place, order=1, mode='grid-wrap')
    cover = np.clip((puffs - 1.1 + 2 * weather['cover']) * .8, 0, 1) * np.clip(up * 14, 0, 1) * .9
    sky += cover[..., None] * (cloud * (1.04 - .12 * cover[..., None]) - sky)
    return sky


def draw_backdrop(rng, frame, horizon, focal, weather):
    """Hills and a line of trees at the plane's end, over the rows of `frame` (float32 [rows, columns, 3]), in place."""
    row, tile = np.arange(len(frame), dtype=np.float32)[:, None], noise_tile()
    column = np.arange(frame.shape[1])
    light = weather['shade'] + .6 * weather['sun']
    # metres high, how rough, metres away (for the haze), texels a pixel, texels of smoothing
    for height, rough, away, step, soft in ((rng.uniform(5, 13), 3., 3 * FAR, .25, 5),
                                            (rng.uniform(3, 7), 1.5, FAR, .9, .8)):
        line = tile[rng.integers(1024)]
        line = np.interp(column * step % 1024, np.arange(1024), ndimage.gaussian_filter1d(line, soft, mode='wrap'))
        top = horizon - np.maximum(height + rough * line, 1) * focal / FAR
        rows = slice(max(0, int(top.min()) - 1), None)       # nothing is drawn above
        below = row[rows] - top
        leaves = np.array([86, 104, 56], np.float32) * light
        leaves = leaves * ((1 + .22 * tile[:len(frame)][rows, column & 1023])
                           * (1.1 - .5 * np.clip(below / (height * focal / FAR), 0, 1)))[..., None].astype(np.float32)
        share = 1 - np.exp(-away / weather['haze'])
        cover = np.clip(below + .5, 0, 1)[..., None].astype(np.float32)
        frame[rows] += cover * (leaves * (1 - share) + weather['haze_colour'] * share - frame[rows])


def render(rng, category, height, width):
    """draw_scene and, between label and calibration, the lane label: the camera's lane alone is magenta."""
    road = plan_road(rng, category)
    calibration = make_calibration(rng, height, width)
    weather = pick_weather(rng)
    things = plan_things(rng, road, category)
    # From the side or from behind: against the sun everything would be dark.
    turn, rise = rng.uniform(.7, 2 * np.pi - .7), np.radians(rng.uniform(weather['low'], weather['high']))
    sun = np.array([np.sin(turn) * np.cos(rise), np.sin(rise), np.cos(turn) * np.cos(rise)])

    # Rays: the pixel in array row r and column c has its centre at v = r + 1.5, u = c + 1.5.
    projection, focal = road_projection(calibration), calibration['P2'][0, 0]
    inverse = np.linalg.inv(projection[:, [0, 2, 3]])
    u, v = np.arange(width) + 1.5, np.arange(height) + 1.5
    horizon = (-(inverse[2, 0] * u + inverse[2, 2]) / inverse[2, 1] - 1.5).astype(np.float32)      # third coordinate 0
    first = int(np.clip(horizon.min(), 0, height - 1))                    # no row above it sees the plane
    x, z, depth = (inverse[k, 0] * u + inverse[k, 1] * v[first:, None] + inverse[k, 2] for k in range(3))
    on_plane = (depth > 0) & (z < FAR * depth)
    depth[~on_plane] = np.inf
    x, z = (x / depth).astype(np.float32), np.maximum(z / depth, .5).astype(np.float32)

    eye = -calibration['Tr_cam_to_road'][1, 3]
    ground, between, other, mirror = draw_ground(rng, road, category, x, z, eye, focal, things, sun, weather)
    ground += (1 - np.exp(-z / weather['haze']))[..., None] * (weather['haze_colour'] - ground)
    rows = min(height, int(horizon.max() + eye * focal / FAR) + 4)   # the last that may see past the plane's end
    frame = np.zeros((height, width, 3), np.float32)
    frame[:rows] = draw_sky(rng, rows, width, horizon, focal, weather, sun)
    draw_backdrop(rng, frame[:rows], horizon, focal, weather)
    np.copyto(frame[first:], ground, where=on_plane[..., None])

    picture = Image.fromarray(np.clip(frame, 0, 255).astype(np.uint8).repeat(2, 0).repeat(2, 1))
    codes = Image.new('L', picture.size)
    # At twice the size the first sample's centre, Pillow's (0, 0), is u = v = 1.25.
    to_pillow = np.array([[2, 0, -2.5], [0, 2, -2.5], [0, 0, 1]]) @ projection
    canvas = Canvas(picture, codes, (ImageDraw.Draw(picture), ImageDraw.Draw(codes)), to_pillow, sun, weather)
    for thing in things:
        DRAW[thing.kind](canvas, thing)
    image = np.asarray(picture.reduce(2).filter(ImageFilter.GaussianBlur(rng.uniform(.3, .55))), np.float32)
    free = np.asarray(codes.point([255] + [0] * 255).reduce(2)) > 127     # more than half of the pixel is plane
    vehicles = np.asarray(codes.point([0, 0, 255] + [0] * 253).reduce(2)) > 127

    def whole(plane):                       # the rows above `first` put back, and what is hidden taken out
        return np.pad(plane * on_plane, ((first, 0), (0, 0))) * free

    if weather['wet']:                      # what stands above the horizon, mirrored below it and blurred downwards
        source = np.clip(2 * horizon.mean() - np.arange(height), 0, height - 1).astype(int)
        image = image + whole(mirror)[..., None] * (ndimage.uniform_filter1d(image, 9, axis=0)[source] - image)
    is_road, uncounted = whole(between), whole(other)
    if rng.random() < .25:                  # the annotator left a margin around the vehicles
        uncounted |= ndimage.binary_dilation(vehicles, iterations=2) & is_road
    if rng.random() < .2:                   # or gave up in the distance
        uncounted |= whole(between & (z > rng.uniform(55, 100)))
    s = road_s(road, x, z)
    lane = whole(between & (s > road.lines[road.ego]) & (s < road.lines[road.ego + 1]))
    return develop(rng, image), paint_label(rng, is_road, uncounted), paint_label(rng, lane, uncounted), calibration


def develop(rng, image):
    """The camera's part: exposure, contrast, darker corners and noise; float32 [h, w, 3] in, uint8 out."""
    height, width = image.shape[:2]
    corner = np.hypot(np.linspace(-1, 1, width) * .8, np.linspace(-1, 1, height)[:, None] * .5) ** 2
    image = image / 255 * rng.uniform(.92, 1.1) * (1 - .16 * corner[..., None])
    image = np.clip(image, 0, 1.2) ** rng.uniform(.95, 1.12)
    grain = rng.standard_normal(image.shape, dtype=np.float32) * rng.uniform(.006, .014)
    image = image + grain * (.5 + np.sqrt(np.clip(image, 0, 1)))
    return np.clip(image * 255 + .5, 0, 255).astype(np.uint8)


def paint_label(rng, is_road, uncounted):
    """KITTI's colours for bool [h, w] planes: uint8 [h, w, 3]. One label in eight has a few pure blue pixels."""
    label = np.full((*is_road.shape, 3), NOT_ROAD, np.uint8)
    label[is_road] = ROAD
    label[uncounted] = NOT_COUNTED
    border = np.argwhere(is_road & ~ndimage.binary_erosion(is_road))
    if rng.random() < .125 and len(border):
        rows, columns = border[rng.integers(len(border), size=3)].T
        label[rows, columns] = STRAY
    return label


def draw_scene(rng, category, height=188, width=621):
    """Draw one scene of the category 'um', 'umm' or 'uu'.

    Returns image uint8 [height, width, 3] RGB, label uint8 [height, width, 3] in KITTI's colours, and the calibration
    {name: float64 matrix} of the camera that it was drawn with. The first thing drawn from `rng` is `plan_road`.
    """
    if category not in CATEGORIES:
        raise InputError(f'scene category {category!r}: expected one of {", ".join(CATEGORIES)}')
    image, label, _, calibration = render(rng, category, height, width)
    return image, label, calibration


# ---- The data set -------------------------------------------------------------------------------------------------

def write_frame(folder, split, category, number, seed, height, width):
    """Write one frame's files; every frame has a random stream of its own, so any frame can be drawn alone."""
    rng = np.random.default_rng([seed, ('training', 'testing').index(split), CATEGORIES.index(category), number])
    # KITTI's five sizes, halved, relative to the first.
    rows, columns = [(0, 0), (0, -1), (-1, -2), (-3, -8), (-3, -9)][rng.integers(5)]
    image, label, lane, calibration = render(rng, category, height + rows, width + columns)
    folder, name = Path(folder) / split, f'{number:06d}'
    Image.fromarray(image).save(folder / 'image_2' / f'{category}_{name}.png')
    (folder / 'calib' / f'{category}_{name}.txt').write_text(calibration_text(calibration))
    if split == 'training':
        Image.fromarray(label).save(folder / 'gt_image_2' / f'{category}_road_{name}.png')
        if category == 'um':
            Image.fromarray(lane).save(folder / 'gt_image_2' / f'{category}_lane_{name}.png')


def write_dataset(folder, training=20, testing=6, seed=0, height=188, width=621):
    """Write a data set of `training` and `testing` frames a category; the same arguments give the same bytes.

    The set is drawn beside `folder` and moved there when whole. A set that was drawn with the same arguments by this
    version is left as it is, another drawn set is replaced, and a folder that holds anything else is an InputError.
    """
    folder = Path(folder)
    marker = folder / 'drawn.txt'
    made = f'road/scenes.py version {VERSION}: {training=} {testing=} {seed=} {height=} {width=}\n'
    if marker.is_file() and marker.read_text() == made:
        return
    if folder.exists() and not marker.is_file():
        raise InputError(f'{folder}: expected nothing there yet, or drawn scenes (with a drawn.txt); move it away')
    part, old = (folder.with_name(f'{folder.name}.{os.getpid()}.{word}') for word in ('part', 'old'))
    frames = [(split, category, number) for split, count in (('training', training), ('testing', testing))
              for category in CATEGORIES for number in range(count)]
    try:
        for name in ('training/image_2', 'training/gt_image_2', 'training/calib', 'testing/image_2', 'testing/calib'):
            (part / name).mkdir(parents=True)
        make_textures()
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            work = pool.map(lambda frame: write_frame(part, *frame, seed, height, width), frames)
            for _ in tqdm(work, total=len(frames), desc='Drawing scenes', unit='scene'):
                pass
        (part / 'drawn.txt').write_text(made)
        if folder.exists():
            os.replace(folder, old)
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
