"""Road scenes drawn by the program: a sample data set in KITTI Road's format, no download.

    write_dataset('data/sample/data_road')       # 78 scenes, 188x621, about 10 s

A pinhole camera of KITTI's geometry stands on a plane. The ray of every pixel is cast onto that
plane, which gives metres (x right, z forward) per pixel. Surfaces, lane marks, shadows and the
label are functions of these metres (ground.py). What stands upright (props.py) is projected as
polygons and pictures of leaves, far ones first.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage

from road.data.kitti import CATEGORIES
from road.errors import InputError
from road.files import atomic_folder
from road.progress import tqdm
from road.sample import planning
from road.sample.ground import draw_ground
from road.sample.props import DRAW, Canvas, hazed, noise_tile
from road.scoring.birdseye import road_to_image

VERSION = 5  # raise it when the pictures change: sets drawn by an older version are drawn again
ROAD, NOT_ROAD, IGNORED = (255, 0, 255), (255, 0, 0), (0, 0, 0)
FAR = 140.  # metres; the plane ends there, at a line of trees 8 pixels below KITTI's horizon


def draw_scene(rng, category, height=188, width=621):
    """Draw one scene of the category 'um', 'umm' or 'uu'. `rng` first draws its plan_road.

    Returns image, RGB, and label, KITTI's colours, uint8 [height, width, 3], and the Calibration.
    """
    road = planning.plan_road(rng, category)
    calibration = planning.plan_camera(rng, height, width)
    weather = planning.plan_weather(rng)
    things = planning.plan_things(rng, road)

    # Rays: the pixel in array row r and column c has its centre at v = r + 1.5, u = c + 1.5.
    projection = road_to_image(calibration)
    focal, eye = calibration.P2[0, 0], -calibration.Tr_cam_to_road[1, 3]
    inverse = np.linalg.inv(projection[:, [0, 2, 3]])
    u, v = np.arange(width) + 1.5, np.arange(height)[:, None] + 1.5
    # the row of infinite depth, per column
    horizon = np.float32(-(inverse[2, 0] * u + inverse[2, 2]) / inverse[2, 1] - 1.5)
    x, z, depth = (a * u + b * v + c for a, b, c in inverse)
    on_plane = (depth > 0) & (z < FAR * depth)
    depth[~on_plane] = np.inf
    x, z = (x / depth).astype(np.float32), np.maximum(z / depth, .5).astype(np.float32)

    ground, is_road = draw_ground(rng, road, x, z, eye, focal, things, weather)
    frame = hazed(ground, z[..., None], weather)
    rows = int(horizon.max() + eye * focal / FAR) + 4  # the others do not see past the plane's end
    sky = draw_sky(rng, rows, width, horizon, focal, weather)
    draw_backdrop(rng, sky, horizon, focal, weather)
    np.copyto(frame[:rows], sky, where=~on_plane[:rows, :, None])
    canvas = Canvas(frame, projection, weather)
    for thing in things:
        DRAW[thing.kind](canvas, thing)
    is_road &= on_plane & (np.asarray(canvas.picture.getchannel('A').reduce(2)) <= 127)
    label = np.full((height, width, 3), NOT_ROAD, np.uint8)
    label[is_road] = ROAD
    if rng.random() < .4:  # the annotator gave up in the distance
        label[is_road & (z > rng.uniform(40, 90))] = IGNORED
    return develop(rng, canvas.picture), label, calibration


def draw_sky(rng, rows, columns, horizon, focal, weather):
    """Sky float32 [rows, columns, 3], 0 to 255; horizon: its row in every column."""
    up = np.maximum(horizon - np.arange(rows, dtype=np.float32)[:, None], 0) / focal
    aside = (np.arange(columns, dtype=np.float32) - columns / 2) / focal
    sky = weather.bottom + (weather.top - weather.bottom) * (1 - np.exp(-up * 7))[..., None]
    # Towards the sun the air is lighter and warmer.
    facing = weather.direction[2] * .5 + weather.direction[0] * aside
    glow = .7 * weather.sun[0] * np.exp(-up * 5) * np.clip(.4 + facing, 0, 1)
    sky += glow[..., None] * (np.float32([255, 226, 180]) - sky)
    far = 1 / (up + .12)  # clouds lie on a plane, too
    place = np.stack([far * 14 + rng.uniform(0, 1024), aside * far * 14 + rng.uniform(0, 1024)])
    puffs = ndimage.map_coordinates(noise_tile(), place, order=1, mode='grid-wrap')
    cover = np.clip((puffs - 1.1 + 2 * weather.cover) * .8, 0, 1) * np.clip(up * 14, 0, 1) * .9
    return sky + cover[..., None] * (weather.cloud * (1.04 - .12 * cover[..., None]) - sky)


def draw_backdrop(rng, frame, horizon, focal, weather):
    """Draw hills and a line of trees into `frame`, float32 [rows, columns, 3]."""
    row, column = np.arange(len(frame), dtype=np.float32)[:, None], np.arange(frame.shape[1])
    # metres high, how rough, metres away (for the haze), texels per pixel, texels of smoothing
    for height, rough, away, step, soft in ((rng.uniform(5, 13), 3., 3 * FAR, .25, 5),
                                            (rng.uniform(3, 7), 1.5, FAR, .9, .8)):
        line = ndimage.gaussian_filter1d(noise_tile()[rng.integers(1024)], soft, mode='wrap')
        line = np.interp(column * step % 1024, np.arange(1024), line)
        top = horizon - np.float32(np.maximum(height + rough * line, 1) * focal / FAR)
        below = row - top
        shade = 1.1 - .5 * np.clip(below / (height * focal / FAR), 0, 1)
        shade = shade * (1 + .22 * noise_tile()[:len(frame), column & 1023])
        light = shade[..., None] * (weather.shade + .6 * weather.sun)
        leaves = hazed(np.float32([86, 104, 56]) * light, away, weather)
        frame += np.clip(below + .5, 0, 1)[..., None] * (leaves - frame)


def develop(rng, picture):
    """Focus, exposure, contrast and grain: a picture at twice its size => uint8 [h, w, 3]."""
    blur = ImageFilter.GaussianBlur(rng.uniform(.3, .55))
    image = np.asarray(picture.convert('RGB').reduce(2).filter(blur), np.float32)
    image = (image / 255 * rng.uniform(.88, 1.06)) ** rng.uniform(.95, 1.12)
    grain = rng.standard_normal(image.shape, dtype=np.float32) * rng.uniform(.006, .014)
    image = image + grain * (.5 + np.sqrt(image))
    return np.clip(image * 255 + .5, 0, 255).astype(np.uint8)


def write_dataset(folder, training=20, testing=6, seed=0, height=188, width=621):
    """Write a data set; the same arguments give the same bytes.

    A set that this version drew with the same arguments is kept, any other drawn set is replaced;
    InputError if the folder holds something else. training and testing are frames per category,
    height and width those of the largest picture.
    """
    folder = Path(folder)
    marker = folder / 'drawn.txt'
    made = (f'road/sample/scenes.py version {VERSION}: '
            f'{training=} {testing=} {seed=} {height=} {width=}\n')
    if marker.is_file() and marker.read_text() == made:
        return
    if folder.exists() and not marker.is_file():
        raise InputError(f'{folder}: holds something other than drawn scenes; move it away')
    frames = [(split, category, number)
              for split, count in (('training', training), ('testing', testing))
              for category in CATEGORIES for number in range(count)]
    with atomic_folder(folder) as part:
        for name in ('training/image_2', 'training/gt_image_2', 'training/calib',
                     'testing/image_2', 'testing/calib'):
            Path(part, name).mkdir(parents=True)
        for frame in tqdm(frames, 'Drawing scenes', unit='scene', dynamic_ncols=True):
            write_frame(part, seed, height, width, *frame)
        Path(part, 'drawn.txt').write_text(made)


def write_frame(folder, seed, height, width, split, category, number):
    """Write one frame's files; it has a random stream of its own."""
    rng = np.random.default_rng([seed, split == 'testing', CATEGORIES.index(category), number])
    # KITTI's five sizes, halved, relative to the first.
    rows, columns = [(0, 0), (0, -1), (-1, -2), (-3, -8), (-3, -9)][rng.integers(5)]
    image, label, calibration = draw_scene(rng, category, height + rows, width + columns)
    folder, name = Path(folder, split), f'{number:06d}'
    Image.fromarray(image).save(folder / f'image_2/{category}_{name}.png', compress_level=1)
    (folder / f'calib/{category}_{name}.txt').write_text(calibration_text(calibration))
    if split == 'training':
        Image.fromarray(label).save(folder / f'gt_image_2/{category}_road_{name}.png')


def calibration_text(calibration):
    """The text of a KITTI calibration file."""
    return ''.join(f'{name}: {" ".join(f"{value:.12e}" for value in matrix.ravel())}\n'
                   for name, matrix in calibration._asdict().items())
