"""Road scenes drawn by the program: a sample data set in KITTI Road's layout, no download.

    write_dataset('data/sample/data_road')       # 78 scenes, 188x621, about 10 s on 2 cores

writes `training/{image_2,gt_image_2,calib}` and `testing/{image_2,calib}` with KITTI's names,
label colours and calibration files. `draw_scene(np.random.default_rng(0), 'um')` draws one scene.

A pinhole camera of KITTI's geometry stands on a plane. The ray of every pixel is cast onto that
plane, which gives metres (x right, z forward) per pixel. Surfaces, lane marks, shadows and the
label are functions of these metres, averaged over the pixel's footprint so that edges are smooth
(ground.py). What stands upright (cars, houses, trees, poles: props.py) is projected as polygons
and pictures of leaves, far ones first, at twice the size, and then averaged.
"""

import functools
import itertools
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage

from road.data.calibration import Calibration
from road.data.kitti import CATEGORIES
from road.errors import InputError
from road.files import atomic_folder
from road.prefetch import prefetch, processes
from road.progress import tqdm
from road.sample import planning
from road.sample.ground import Ground
from road.sample.props import DRAW, Canvas, noise_tile, soft_tile
from road.scoring.birdseye import road_to_image

VERSION = 3  # raise it when the pictures change: sets drawn by an older version are drawn again
ROAD, NOT_ROAD, NOT_VALID, STRAY = (255, 0, 255), (255, 0, 0), (0, 0, 0), (0, 0, 255)
FAR = 140.  # metres; the plane ends there, at a line of trees 8 pixels below KITTI's horizon


def draw_scene(rng, category, height=188, width=621):
    """Draw one scene of the category 'um', 'umm' or 'uu'. `rng` first draws its plan_road.

    Returns:
        image uint8 [height, width, 3] RGB; label uint8 [height, width, 3] in KITTI's colours; the
        calibration {name: float64 matrix} of the camera that it was drawn with; and a second label,
        in which only the camera's own lane is road.
    """
    road = planning.plan_road(rng, category)
    calibration = planning.plan_camera(rng, height, width)
    weather = planning.plan_weather(rng)
    things = planning.plan_things(rng, road, category)
    # From the side or from behind: against the sun everything would be dark.
    turn = rng.uniform(.7, 2 * np.pi - .7)
    rise = np.radians(rng.uniform(weather.low, weather.high))
    across, ahead = np.sin(turn) * np.cos(rise), np.cos(turn) * np.cos(rise)
    weather.direction = np.array([across, np.sin(rise), ahead])

    # Rays: the pixel in array row r and column c has its centre at v = r + 1.5, u = c + 1.5.
    projection = road_to_image(Calibration(*map(calibration.get, Calibration._fields)))
    focal, eye = calibration['P2'][0, 0], -calibration['Tr_cam_to_road'][1, 3]
    inverse = np.linalg.inv(projection[:, [0, 2, 3]])
    u, v = np.arange(width) + 1.5, np.arange(height) + 1.5
    horizon = -(inverse[2, 0] * u + inverse[2, 2]) / inverse[2, 1] - 1.5  # depth is infinite there
    horizon = horizon.astype(np.float32)
    first = int(np.clip(horizon.min(), 0, height - 1))  # no row above it sees the plane
    x, z, depth = (a * u + b * v[first:, None] + c for a, b, c in inverse)
    on_plane = (depth > 0) & (z < FAR * depth)
    depth[~on_plane] = np.inf
    x, z = (x / depth).astype(np.float32), np.maximum(z / depth, .5).astype(np.float32)

    plane = Ground(rng, road, x, z, eye, focal)
    ground, between, other, mirror = plane.draw(category, things, weather)
    ground += (1 - np.exp(-z / weather.haze))[..., None] * (weather.haze_colour - ground)
    # the last row that may see past the plane's end
    rows = min(height, int(horizon.max() + eye * focal / FAR) + 4)
    frame = np.zeros((height, width, 3), np.float32)
    frame[:rows] = draw_sky(rng, rows, width, horizon, focal, weather)
    draw_backdrop(rng, frame[:rows], horizon, focal, weather)
    np.copyto(frame[first:], ground, where=on_plane[..., None])

    canvas = Canvas(frame, projection, weather)
    for thing in things:
        DRAW[thing.kind](canvas, thing)
    blur = ImageFilter.GaussianBlur(rng.uniform(.3, .55))
    image = np.asarray(canvas.picture.reduce(2).filter(blur), np.float32)
    # what more than half of the pixel shows: the plane, or a vehicle
    free = np.asarray(canvas.codes.point([255] + [0] * 255).reduce(2)) > 127
    vehicles = np.asarray(canvas.codes.point([0, 0, 255] + [0] * 253).reduce(2)) > 127

    def whole(plane):  # the rows above `first` are put back, and what is hidden is taken out
        return np.pad(plane * on_plane, ((first, 0), (0, 0))) * free

    if weather.wet:  # mirror what stands above the horizon below it, blurred downwards
        source = np.clip(2 * horizon.mean() - np.arange(height), 0, height - 1).astype(int)
        mirrored = ndimage.uniform_filter1d(image, 9, axis=0)[source]
        image = image + whole(mirror)[..., None] * (mirrored - image)
    is_road, invalid = whole(between), whole(other)
    if rng.random() < .25:  # the annotator left a margin around the vehicles
        invalid |= ndimage.binary_dilation(vehicles, iterations=2) & is_road
    if rng.random() < .2:  # or gave up in the distance
        invalid |= whole(between & (z > rng.uniform(55, 100)))
    s = planning.road_s(road, x, z)
    lane = whole(between & (s > road.lines[road.ego]) & (s < road.lines[road.ego + 1]))
    return (develop(rng, image), paint_label(rng, is_road, invalid), calibration,
            paint_label(rng, lane, invalid))


def draw_sky(rng, rows, columns, horizon, focal, weather):
    """Sky float32 [rows, columns, 3], 0 to 255; horizon: its row in every column."""
    up = np.maximum(horizon - np.arange(rows, dtype=np.float32)[:, None], 0) / focal
    aside = (np.arange(columns, dtype=np.float32) - columns / 2) / focal
    sky = weather.bottom + (weather.top - weather.bottom) * (1 - np.exp(-up * 7))[..., None]
    # Towards the sun the air is lighter and warmer.
    facing = weather.direction[2] * .5 + weather.direction[0] * aside
    glow = .5 * np.exp(-up * 5) * np.clip(.4 + facing, 0, 1)
    warm = np.array([255, 226, 180], np.float32)
    sky += (glow * (1 if weather.low < 35 else .3))[..., None] * (warm - sky)
    far = 1 / (up + .12)  # clouds lie on a plane, too
    place = np.stack([far * 14 + rng.uniform(0, 1024), aside * far * 14 + rng.uniform(0, 1024)])
    puffs = ndimage.map_coordinates(soft_tile(), place, order=1, mode='grid-wrap')
    cover = np.clip((puffs - 1.1 + 2 * weather.cover) * .8, 0, 1) * np.clip(up * 14, 0, 1) * .9
    return sky + cover[..., None] * (weather.cloud * (1.04 - .12 * cover[..., None]) - sky)


def draw_backdrop(rng, frame, horizon, focal, weather):
    """Draw hills and a line of trees into `frame`, the upper rows, float32 [rows, columns, 3]."""
    row, column = np.arange(len(frame), dtype=np.float32)[:, None], np.arange(frame.shape[1])
    light, tile = weather.shade + .6 * weather.sun, noise_tile()
    # metres high, how rough, metres away (for the haze), texels per pixel, texels of smoothing
    for height, rough, away, step, soft in ((rng.uniform(5, 13), 3., 3 * FAR, .25, 5),
                                            (rng.uniform(3, 7), 1.5, FAR, .9, .8)):
        line = ndimage.gaussian_filter1d(tile[rng.integers(1024)], soft, mode='wrap')
        line = np.interp(column * step % 1024, np.arange(1024), line)
        top = horizon - np.maximum(height + rough * line, 1) * focal / FAR
        rows = slice(max(0, int(top.min()) - 1), None)  # nothing is drawn above
        below = row[rows] - top
        shade = 1.1 - .5 * np.clip(below / (height * focal / FAR), 0, 1)
        shade = (1 + .22 * tile[:len(frame)][rows, column & 1023]) * shade
        leaves = np.array([86, 104, 56], np.float32) * light * shade[..., None].astype(np.float32)
        share = 1 - np.exp(-away / weather.haze)
        cover = np.clip(below + .5, 0, 1)[..., None].astype(np.float32)
        hazed = leaves * (1 - share) + weather.haze_colour * share
        frame[rows] += cover * (hazed - frame[rows])


def develop(rng, image):
    """Exposure, contrast, darker corners and grain; float32 [h, w, 3] in, uint8 out."""
    height, width = image.shape[:2]
    down, right = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    corner = np.hypot(right * .8, down * .5) ** 2
    image = image / 255 * rng.uniform(.92, 1.1) * (1 - .16 * corner[..., None])
    image = np.clip(image, 0, 1.2) ** rng.uniform(.95, 1.12)
    grain = rng.standard_normal(image.shape, dtype=np.float32) * rng.uniform(.006, .014)
    image = image + grain * (.5 + np.sqrt(np.clip(image, 0, 1)))
    return np.clip(image * 255 + .5, 0, 255).astype(np.uint8)


def paint_label(rng, is_road, invalid):
    """KITTI's colours for bool [h, w]: uint8 [h, w, 3]; one in eight has some pure blue pixels."""
    label = np.full((*is_road.shape, 3), NOT_ROAD, np.uint8)
    label[is_road] = ROAD
    label[invalid] = NOT_VALID
    border = np.argwhere(is_road & ~ndimage.binary_erosion(is_road))
    if rng.random() < .125 and len(border):
        rows, columns = border[rng.integers(len(border), size=3)].T
        label[rows, columns] = STRAY
    return label


def write_dataset(folder, training=20, testing=6, seed=0, height=188, width=621):
    """Write a data set; the same arguments give the same bytes.

    A set that this version drew with the same arguments is kept, any other drawn set is replaced.

    Args:
        training, testing: frames per category.
        height, width: of the largest picture.
    Raises InputError if the folder holds something other than drawn scenes.
    """
    folder = Path(folder)
    marker = folder / 'drawn.txt'
    made = (f'road/sample/scenes.py version {VERSION}: '
            f'{training=} {testing=} {seed=} {height=} {width=}\n')
    if marker.is_file() and marker.read_text() == made:
        return
    if folder.exists() and not marker.is_file():
        raise InputError(f'{folder}: holds something other than drawn scenes (no drawn.txt); move '
                         'it away')
    counts = {'training': training, 'testing': testing}
    frames = [(split, category, number) for split in counts for category in CATEGORIES
              for number in range(counts[split])]
    with atomic_folder(folder) as part:
        for split, name in itertools.product(counts, ('image_2', 'gt_image_2', 'calib')):
            if (split, name) != ('testing', 'gt_image_2'):
                Path(part, split, name).mkdir(parents=True)
        write = functools.partial(write_frame, part, seed, height, width)
        # A few are drawn before processes would have started.
        few = len(frames) <= 20
        drawn = map(write, frames) if few else prefetch(write, frames, pool=processes())
        for _ in tqdm(drawn, 'Drawing scenes', len(frames), unit='scene', dynamic_ncols=True):
            pass
        Path(part, 'drawn.txt').write_text(made)


def write_frame(folder, seed, height, width, frame):
    """Write one frame's files; frame is (split, category, number).

    Its own stream of random numbers lets processes draw in any order.
    """
    split, category, number = frame
    rng = np.random.default_rng([seed, split == 'testing', CATEGORIES.index(category), number])
    # KITTI's five sizes, halved, relative to the first.
    rows, columns = [(0, 0), (0, -1), (-1, -2), (-3, -8), (-3, -9)][rng.integers(5)]
    image, label, calibration, lane = draw_scene(rng, category, height + rows, width + columns)
    folder, name = Path(folder, split), f'{number:06d}'
    # In grainy pictures zlib's usual search takes twice as long and finds no more repetitions.
    picture = folder / f'image_2/{category}_{name}.png'
    Image.fromarray(image).save(picture, compress_type=zlib.Z_RLE)
    (folder / f'calib/{category}_{name}.txt').write_text(calibration_text(calibration))
    if split == 'training':
        Image.fromarray(label).save(folder / f'gt_image_2/{category}_road_{name}.png')
        if category == 'um':
            Image.fromarray(lane).save(folder / f'gt_image_2/{category}_lane_{name}.png')


def calibration_text(calibration):
    """The text of a KITTI calibration file."""
    return ''.join(f'{name}: {" ".join(f"{value:.12e}" for value in matrix.ravel())}\n'
                   for name, matrix in calibration.items())
