"""What a scene holds, drawn by chance: the road, the camera, the weather, and the props."""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from road.data.kitti import Calibration
from road.sample.props import Thing

# Colours are RGB, 0 to 255. Light multiplies them: `shade` everywhere, `sun` where the sun reaches.
# haze: metres after which 63 % of a colour is haze; cover: share of the sky under cloud, roughly;
# rise: range of the sun's height, degrees.
WEATHERS = {
    'sunny': dict(
        top=(70, 130, 215), bottom=(190, 216, 242), cloud=(252, 252, 252), cover=.46, haze=420,
        shade=(.36, .40, .48), sun=(.80, .74, .62), rise=(28, 55)),
    'bright': dict(
        top=(120, 168, 222), bottom=(226, 236, 246), cloud=(255, 255, 255), cover=.6, haze=260,
        shade=(.50, .53, .58), sun=(.62, .58, .50), rise=(30, 60)),
    'overcast': dict(
        top=(164, 175, 189), bottom=(220, 224, 229), cloud=(130, 140, 154), cover=.61, haze=180,
        shade=(.74, .77, .82), sun=(.11, .11, .11), rise=(50, 70)),
    'dusk': dict(
        top=(74, 92, 148), bottom=(252, 190, 132), cloud=(232, 140, 120), cover=.50, haze=230,
        shade=(.40, .39, .50), sun=(.66, .43, .24), rise=(14, 24))}
PLASTER = [(236, 228, 210), (226, 206, 160), (214, 160, 112), (200, 204, 208), (232, 232, 228),
           (168, 92, 70), (212, 186, 150), (184, 172, 150), (222, 140, 88)]
PAINT = [(28, 29, 32), (60, 62, 68), (150, 154, 160), (196, 200, 204), (234, 234, 232),
         (142, 22, 26), (28, 48, 100), (44, 74, 66), (92, 24, 32), (64, 98, 150)]
LEAVES = [(92, 112, 46), (70, 98, 44), (112, 124, 52), (84, 96, 40), (60, 84, 44), (140, 122, 48)]


class Road(NamedTuple):
    """The road, in metres; s: distance in x from the camera's own line, which bends with it."""
    bend: float  # 1/metres, curvature; at depth z the road's slope dx/dz is bend * z
    lines: tuple  # s of every lane boundary, left to right; a road without marks has one lane
    kinds: tuple  # what lies left and right: 'houses', 'avenue', 'wood' or 'field'
    sidewalks: tuple  # width of the left and the right one with its kerb; 0 without

    def middle(self, z):
        """x in metres of the camera's own line (s = 0) at depth z."""
        return self.bend * z ** 2 / 2


def plan_road(rng, category):
    """Draw a Road of the category: um (two marked lanes), umm (three to five), uu (no marks)."""
    if category == 'uu':
        lanes, lane = 1, rng.uniform(5.2, 7.4)
        left = -lane * rng.uniform(.52, .68)  # one drives right of the middle
    else:
        lane = rng.uniform(3., 3.6)
        lanes = int(rng.integers(3, 6)) if category == 'umm' else 2
        left = -lane * (rng.integers(1, lanes) + .5) + rng.normal(0, .2)
    lines = tuple((left + lane * np.arange(lanes + 1)).tolist())
    kinds = rng.choice(['houses', 'avenue', 'wood', 'field'], 2, p=[.4, .25, .2, .15])
    paved = (kinds == 'houses') | (rng.random(2) < .5)
    sidewalks = paved * rng.uniform(1.6, 3.2, 2)
    return Road(rng.normal(0, .0035), lines, tuple(kinds.tolist()), tuple(sidewalks.tolist()))


def plan_camera(rng, height, width):
    """The Calibration of a camera like KITTI's, scaled to the picture."""
    scale = width / 1242
    angles = rng.normal([-.004, 0, 0], [.006, .019, .006])  # about x (right), y (down), z (ahead)
    turned = Rotation.from_euler('XYZ', angles).as_matrix()
    place = np.array([[rng.normal(0, .01)], [-rng.normal(1.65, .04)], [.28]])
    P2 = np.array([[721.5377 * scale, 0, 609.5593 * scale, 0],
                   [0, 721.5377 * scale, 172.854 / 375 * height, 0], [0, 0, 1, 0]])
    return Calibration(P2, np.eye(3), np.hstack([turned.T, place]))


def plan_weather(rng):
    """One of WEATHERS in float32, with haze_colour (far away), direction (of the sun, x, up, z)."""
    kind = rng.choice(list(WEATHERS), p=[.34, .22, .30, .14])
    weather = SimpleNamespace(**{name: np.float32(v) for name, v in WEATHERS[kind].items()})
    weather.haze_colour = weather.bottom * np.float32(.92)
    # From the side or from behind: against the sun everything would be dark.
    turn, rise = rng.uniform(.7, 2 * np.pi - .7), np.radians(rng.uniform(*weather.rise))
    flat = np.cos(rise)
    weather.direction = np.float32([np.sin(turn) * flat, np.sin(rise), np.cos(turn) * flat])
    return weather


def plant(rng, road, add, side, kind, sidewalk):
    """What stands along one side (-1 left, 1 right): houses, hedges, trees, lamps, a sign."""
    edge = sidewalk + abs(road.lines[0 if side < 0 else -1])
    if kind == 'houses':
        build(rng, add, side, edge)
    if kind == 'avenue' or kind == 'houses' and rng.random() < .4:
        colour, gap = rng.choice(LEAVES), rng.uniform(8, 15)
        for z in np.arange(rng.uniform(5, 5 + gap), 120, gap):
            add('tree', side * (edge + 1.5), z, rng.uniform([4, 0, 6.5], [6.2, 0, 9]), [colour])
    # a wood close to the road, or single trees and bushes farther away
    count, near, trees = {'wood': (38, 5, .9), 'houses': (5, 14, .5)}.get(kind, (14, 14, .5))
    for z in rng.uniform(8, 118, count):
        s = side * (edge + near + rng.gamma(2, 4))
        if rng.random() < trees:
            add('tree', s, z, rng.uniform([5, 0, 6], [9, 0, 12]), LEAVES)
        else:
            add('bush', s, z, rng.uniform([2, 0, 1.2], [5, 0, 3]), LEAVES)
    if rng.random() < .65:
        for z in np.arange(rng.uniform(8, 26), 110, rng.uniform(22, 34)):
            add('lamp', side * (edge + .3), z, (-side * 1.6, 0, 7.), [(120, 124, 126)])
    if rng.random() < .6:
        colours = [(250, 250, 250), (30, 80, 180), (245, 205, 40)]
        add('sign', side * (edge + .35), rng.uniform(9, 30), (.6, 0, 2.4), colours)


def build(rng, add, side, edge):
    """Houses, and perhaps a hedge before them; edge: metres to the sidewalk's far side."""
    yard, z = rng.uniform(1.5, 7), rng.uniform(2, 5)  # nearer ones are beside the picture
    while z < 115:
        size = 9., rng.uniform(9, 20), rng.choice([3.4, 6., 9.])
        add('house', side * (edge + yard + 4.5), z + size[1] / 2, size, PLASTER)
        z += size[1] + rng.choice([0., 4., 7., 18.])
    if yard > 2.5 and rng.random() < .6:
        for z in np.arange(3., 75, 1.3):
            add('bush', side * (edge + .8), z, (2.1, 0, rng.uniform(1.1, 1.4)), LEAVES[:2])


def drive(rng, lines, add):
    """Cars in the middle of the lanes; those of the left half come towards the camera."""
    if len(lines) == 2:  # without marks one drives in the halves
        lines = lines[0], sum(lines) / 2, lines[1]
    for number, (a, b) in enumerate(zip(lines, lines[1:])):
        turn = np.pi if number < (len(lines) - 1) // 2 else 0.
        z = rng.uniform(14, 60)
        while z < 110 and rng.random() < .55:
            add('car', (a + b) / 2 + rng.normal(0, .2), z, (1.76, 4.3, 1.47), PAINT, turn)
            z += rng.uniform(9, 50)


def plan_things(rng, road):
    """Everything upright in the scene: a list of Thing, far ones first."""
    things = []

    def add(kind, s, z, size, colours, turn=0.):
        """Add a Thing; size: its width, length and height; colours: it gets about one of them."""
        x, heading = road.middle(z) + s, np.arctan(road.bend * z) + turn
        colour = rng.choice(colours) + rng.normal(0, 6, 3)
        things.append(Thing(kind, x, z, heading, *size, colour, rng.integers(1 << 30)))

    for side, kind, sidewalk in zip((-1, 1), road.kinds, road.sidewalks):
        plant(rng, road, add, side, kind, sidewalk)
    drive(rng, road.lines, add)
    # The far end of a house counts: what stands before its front is then drawn after it.
    return sorted(things, key=lambda thing: -thing.z - thing.length / 2)
