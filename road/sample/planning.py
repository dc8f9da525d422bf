"""What a scene holds, drawn by chance: the road, the camera, the weather, and the props."""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from road.sample.props import Thing

# Colours are RGB, 0 to 255. Light multiplies them: `shade` everywhere, `sun` where the sun reaches.
# haze: metres after which 63 % of a colour is haze; cover: share of the sky under cloud, roughly;
# low, high: range of the sun's height in degrees; dark: share of the sun that a shadow takes away.
WEATHERS = {
    'sunny': dict(
        top=(70, 130, 215), bottom=(190, 216, 242), cloud=(252, 252, 252), cover=.46, haze=420.,
        wet=0., shade=(.36, .40, .48), sun=(.80, .74, .62), low=28, high=55, dark=.92),
    'bright': dict(
        top=(120, 168, 222), bottom=(226, 236, 246), cloud=(255, 255, 255), cover=.6, haze=260.,
        wet=0., shade=(.50, .53, .58), sun=(.62, .58, .50), low=30, high=60, dark=.85),
    'overcast': dict(
        top=(178, 188, 200), bottom=(226, 229, 232), cloud=(150, 158, 170), cover=.60, haze=200.,
        wet=0., shade=(.80, .83, .87), sun=(.12, .12, .12), low=50, high=70, dark=.5),
    'dusk': dict(
        top=(74, 92, 148), bottom=(252, 190, 132), cloud=(232, 140, 120), cover=.50, haze=230.,
        wet=0., shade=(.40, .39, .50), sun=(.66, .43, .24), low=14, high=24, dark=.9),
    'wet': dict(
        top=(150, 162, 178), bottom=(214, 220, 226), cloud=(112, 122, 138), cover=.62, haze=150.,
        wet=1., shade=(.68, .72, .77), sun=(.10, .10, .10), low=50, high=70, dark=.5)}
PLASTER = [(236, 228, 210), (226, 206, 160), (214, 160, 112), (200, 204, 208), (232, 232, 228),
           (168, 92, 70), (212, 186, 150), (184, 172, 150), (222, 140, 88)]
PAINT = [(28, 29, 32), (60, 62, 68), (150, 154, 160), (196, 200, 204), (234, 234, 232),
         (142, 22, 26), (28, 48, 100), (44, 74, 66), (92, 24, 32), (64, 98, 150)]
LEAVES = [(92, 112, 46), (70, 98, 44), (112, 124, 52), (84, 96, 40), (60, 84, 44), (140, 122, 48)]


class Side(NamedTuple):
    """What lies along one side of the road; lengths in metres."""
    kind: str  # 'houses', 'avenue', 'wood' or 'field'
    kerb: float  # width; 0 without kerb
    sidewalk: float  # width; 0 without sidewalk
    grey: float  # brightness of the sidewalk, relative to the road's
    tree_gap: float  # between street trees


class Road(NamedTuple):
    """The road on its plane, in metres.

    `s` is the distance to the right of the camera's own line, which bends with the road.
    """
    heading: float  # radians, the road against the camera's z axis
    bend: float  # 1/metres, curvature at the camera
    twist: float  # 1/metres^2, change of the curvature
    lines: tuple  # s of every lane boundary, left to right; a road without marks has one lane
    ego: int  # index of the camera's lane
    sides: tuple  # (left Side, right Side)
    second: tuple  # (median, width) of an opposite carriageway on the left, or ()
    branch: tuple  # (side -1 or 1, start, width) of a side road, or ()


def plan_road(rng, category):
    """Draw a Road of the category: um (two marked lanes), umm (three to five), uu (no marks)."""
    lane = rng.uniform(3., 3.6)
    lanes, ego = {'um': (2, 1), 'umm': (rng.integers(3, 6), 0), 'uu': (1, 0)}[category]
    if category == 'umm':
        ego = int(rng.integers(1, lanes))
    width = rng.uniform(5.2, 7.4) if category == 'uu' else lane * lanes
    # On an unmarked road one drives right of its middle.
    left = (-width * rng.uniform(.52, .68) if category == 'uu'
            else -lane * (ego + .5) + rng.normal(0, .2))
    lines = tuple(np.linspace(left, left + width, lanes + 1).tolist())
    sides = []
    for _ in range(2):
        kind = str(rng.choice(['houses', 'avenue', 'wood', 'field'], p=[.4, .25, .2, .15]))
        paved = kind == 'houses' or rng.random() < .5
        grey = rng.uniform(1.25, 1.55)  # sidewalks are lighter than the road
        sides.append(Side(kind, rng.uniform(.15, .3) if paved else 0.,
                          rng.uniform(1.4, 3.) if paved else 0., grey, rng.uniform(8, 15)))
    second, branch = (), ()
    if category == 'umm' and rng.random() < .3:
        second = rng.uniform(1.5, 4), 2 * lane
    if rng.random() < .25:
        branch = int(rng.choice([-1, 1])), rng.uniform(14, 45), rng.uniform(5, 8)
    heading, bend, twist = rng.normal(0, [.015, .0035, .00004])
    return Road(heading, bend, twist, lines, ego, tuple(sides), second, branch)


def middle(road, z):
    """x in metres of the camera's own line (s = 0) at depth z, and its slope dx/dz."""
    return (road.heading * z + road.bend * z ** 2 / 2 + road.twist * z ** 3 / 6,
            road.heading + road.bend * z + road.twist * z ** 2 / 2)


def road_x(road, s, z):
    """x in metres at depth z of the line that runs s metres right of the camera's own."""
    x, slope = middle(road, z)
    return x + s * np.sqrt(1 + slope ** 2)


def road_s(road, x, z):
    """The inverse of road_x: s in metres of the plane points (x, z)."""
    line, slope = middle(road, z)
    return (x - line) / np.sqrt(1 + slope ** 2)


def plan_camera(rng, height, width):
    """KITTI's calibration, scaled to the picture: {name: float64 [3, 4]}, R0_rect [3, 3]."""
    scale = width / 1242
    focal, centre_u, centre_v = 721.5377 * scale, 609.5593 * scale, 172.854 / 375 * height
    offsets = [(0, 0, 0), (-387.5744, 0, 0), (44.85728, .2163791, .002745884),
               (-339.5242, 2.199936, .002729905)]
    cameras = {f'P{number}': np.array([
        [focal, 0, centre_u, u * scale], [0, focal, centre_v, v * scale], [0, 0, 1, w]])
        for number, (u, v, w) in enumerate(offsets)}
    # The angles drawn are those of the rectified camera, so R0_rect is taken out again.
    rectify = rotation(.0044, -.0074, -.0098)
    turned = rotation(*rng.normal([-.004, 0, 0], [.006, .012, .006]))
    place = np.array([[rng.normal(0, .01)], [-rng.normal(1.65, .04)], [.28]])
    return cameras | {
        'R0_rect': rectify,
        'Tr_velo_to_cam': np.array([[0., -1, 0, -.004], [0, 0, -1, -.076], [1, 0, 0, -.272]]),
        'Tr_imu_to_velo': np.array([[1., 0, 0, -.809], [0, 1, 0, .320], [0, 0, 1, -.800]]),
        'Tr_cam_to_road': np.hstack([turned.T @ rectify, place])}


def rotation(pitch, yaw, roll):
    """float64 [3, 3]: rotation about the camera's x (right), y (down), z (forward), radians."""
    (cx, cy, cz), (sx, sy, sz) = np.cos([pitch, yaw, roll]), np.sin([pitch, yaw, roll])
    return (np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
            @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
            @ np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]]))


def plan_weather(rng):
    """One of WEATHERS; its colours are float32 [3], and `haze_colour` is that of far things."""
    weather = WEATHERS[str(rng.choice(list(WEATHERS), p=[.34, .22, .16, .14, .14]))]
    colours = {name: np.float32(value) for name, value in weather.items() if type(value) is tuple}
    weather = SimpleNamespace(**weather | colours)
    weather.haze_colour = weather.bottom * np.float32(.92)
    return weather


class Planner:
    """Collects the things of one scene; its methods draw from the scene's random stream."""

    def __init__(self, rng, road):
        self.rng, self.road, self.things = rng, road, []

    def add(self, kind, s, z, width, length, height, colour, turn=0.):
        x, slope = road_x(self.road, s, z), middle(self.road, z)[1]
        self.things.append(Thing(kind, x, z, np.arctan(slope) + turn, width, length, height,
                                 tuple(colour), int(self.rng.integers(1 << 30))))

    def pick(self, colours, deviation=10):
        """About one of the colours."""
        colour = colours[self.rng.integers(len(colours))]
        return np.clip(colour + self.rng.normal(0, deviation, 3), 8, 250)

    def clear(self, side, places, room):
        """Those z of `places` that are at least `room` metres from a side road on this side."""
        joins, start, width = self.road.branch or (0, 0, 0)
        return [z for z in places if side != joins or not -room < z - start < width + room]

    def plant(self, side, plan):
        """What stands along one side (-1 left, 1 right): houses, hedges, trees, lamps, a sign."""
        rng, add, pick, kind = self.rng, self.add, self.pick, plan.kind
        edge = abs(self.road.lines[0 if side < 0 else -1]) + plan.kerb + plan.sidewalk
        if side < 0 and self.road.second:
            edge += sum(self.road.second)
        front = edge + rng.uniform(1.5, 7)
        z = rng.uniform(-6, 4)
        while kind == 'houses' and z < 115:
            length, depth = rng.uniform(9, 20), rng.uniform(8, 11)
            height, centre = rng.choice([3.4, 6., 6.2, 9., 9.4]), z + length / 2
            if self.clear(side, [centre], length / 2 + 2) and rng.random() < .88:
                s = side * (front + depth / 2)
                add('house', s, centre, depth, length, height, pick(PLASTER, 6))
            z += length + rng.choice([.0, 4., 7.])
        if kind == 'houses' and front - edge > 2.5 and rng.random() < .6:  # a hedge
            for z in self.clear(side, np.arange(3., 75, 1.3), 1):
                z, height = z + rng.uniform(-.2, .2), rng.uniform(1.1, 1.4)
                add('bush', side * (edge + .8), z, 2.1, 1.3, height, pick(LEAVES[:2], 4))
        if kind == 'wood':
            for z in self.clear(side, rng.uniform(6, 120, 34), 3):
                s = side * (edge + 4 + rng.gamma(2, 3))
                add('tree', s, z, rng.uniform(5, 9), 0, rng.uniform(7, 13), pick(LEAVES))
        if kind == 'avenue' or kind == 'houses' and rng.random() < .4:
            size, colour = rng.uniform(.8, 1.2), pick(LEAVES)
            places = np.arange(rng.uniform(5, 5 + plan.tree_gap), 120, plan.tree_gap)
            for z in self.clear(side, places, 2):
                add('tree', side * (edge + 1.5 + rng.normal(0, .2)), z + rng.normal(0, .5),
                    size * rng.uniform(4.2, 6.2), 0, size * rng.uniform(6.5, 9),
                    colour + rng.normal(0, 6, 3))
        for z in rng.uniform(12, 110, 14 if kind in ('field', 'avenue') else 5):
            big = rng.random() < .5
            add('tree' if big else 'bush', side * (edge + rng.uniform(14, 40)), z,
                rng.uniform(*(5, 9) if big else (2, 5)), 0,
                rng.uniform(*(6, 11) if big else (1.2, 3)), pick(LEAVES))
        if rng.random() < .65:
            for z in np.arange(rng.uniform(8, 26), 110, rng.uniform(22, 34)):
                add('lamp', side * (edge + .3), z, -side * 1.6, 0, 7., (120, 124, 126))
        if rng.random() < .6:
            add('sign', side * (edge + .35), rng.uniform(9, 30), .6, 0, 2.4,
                [(250, 250, 250), (30, 80, 180), (245, 205, 40)][rng.integers(3)])

    def park(self, s, z, oncoming):
        kind, *size = (('van', 1.9, 4.9, 2.05) if self.rng.random() < .15
                       else ('car', 1.76, 4.3, 1.47))
        self.add(kind, s, z, *size, self.pick(PAINT, 5), np.pi if oncoming else 0.)

    def park_along_edges(self):
        """Vehicles at both edges of a road without marks."""
        rng = self.rng
        for side, edge in ((-1, self.road.lines[0]), (1, self.road.lines[-1])):
            z = rng.uniform(10, 24)
            while rng.random() < .65 and z < 80:
                s = edge + rng.uniform(.85, 1.1) if side < 0 else edge - rng.uniform(-.4, .3)
                self.park(s, z, side < 0)
                z += rng.choice([5.6, 6.5, 14., 25.])
        rng.uniform()  # keeps the stream of random numbers in which version 3 was drawn

    def drive_in_lanes(self):
        """Vehicles in the middle of the lanes; those of the left half come towards the camera."""
        rng, lines = self.rng, self.road.lines
        for lane in range(len(lines) - 1):
            oncoming = lane < (len(lines) - 1) // 2
            z = rng.uniform(11, 50) if oncoming or lane != self.road.ego else rng.uniform(18, 70)
            while z < 110 and rng.random() < .6:
                self.park((lines[lane] + lines[lane + 1]) / 2 + rng.normal(0, .15), z, oncoming)
                z += rng.uniform(9, 50)


def plan_things(rng, road, category):
    """Everything upright in the scene: a list of Thing, far ones first."""
    planner = Planner(rng, road)
    for side, plan in zip((-1, 1), road.sides):
        planner.plant(side, plan)
    planner.park_along_edges() if category == 'uu' else planner.drive_in_lanes()
    # A house is sorted by its far end: what stands before its front is then drawn after it.
    return sorted(planner.things, key=lambda thing: -thing.z - (
        thing.length / 2 if thing.kind == 'house' else 0))
