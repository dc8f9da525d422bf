"""The drawn sample scenes: layout, colours, repeatability; label, picture and calibration describe one camera."""
import numpy as np
import pytest
from PIL import Image

from road import scenery, scenes
from road.errors import InputError

SMALL = dict(training=2, testing=1, seed=3, height=64, width=208)
ALLOWED = {scenes.ROAD, scenes.NOT_ROAD, scenes.NOT_COUNTED, scenes.STRAY}


def draw(seed, category, **size):
    return scenes.draw_scene(np.random.default_rng(seed), category, **size)


@pytest.fixture(scope='module')
def labels():
    """24 labels, 94x310."""
    return [draw(seed, scenes.CATEGORIES[seed % 3], height=94, width=310)[1] for seed in range(24)]


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


@pytest.mark.parametrize('height, width', [(188, 621), (37, 70)])
def test_shapes_and_types(height, width):
    image, label, calibration = draw(1, 'umm', height=height, width=width)
    assert image.shape == label.shape == (height, width, 3)
    assert image.dtype == label.dtype == np.uint8
    assert image.std() > 20
    assert {name: matrix.shape for name, matrix in calibration.items()} == {
        'P0': (3, 4), 'P1': (3, 4), 'P2': (3, 4), 'P3': (3, 4), 'R0_rect': (3, 3), 'Tr_velo_to_cam': (3, 4),
        'Tr_imu_to_velo': (3, 4), 'Tr_cam_to_road': (3, 4)}


def test_unknown_category_is_refused():
    with pytest.raises(InputError, match='um, umm, uu'):
        draw(0, 'motorway')


def test_same_seed_same_scene_and_other_seed_another():
    first, again, other = draw(5, 'um'), draw(5, 'um'), draw(6, 'um')
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert scenes.calibration_text(first[2]) == scenes.calibration_text(again[2]) != scenes.calibration_text(other[2])
    assert np.mean(first[0] != other[0]) > .5


def test_label_colours(labels):
    seen = {tuple(colour) for label in labels for colour in np.unique(label.reshape(-1, 3), axis=0).tolist()}
    assert seen <= ALLOWED
    assert {scenes.ROAD, scenes.NOT_ROAD, scenes.NOT_COUNTED, scenes.STRAY} == seen
    uncounted = [(label.max(2) == 0).any() for label in labels]
    assert .25 <= np.mean(uncounted) <= .85


def test_road_share_and_no_scene_is_known_from_position_alone(labels):
    roads = np.array([label[..., 2] > 0 for label in labels])
    shares = roads.mean((1, 2))
    assert shares.min() > .05 and shares.max() < .6
    # The best mask that is the same for all scenes: everywhere where road is more often than `level`.
    often = roads.mean(0)
    best = max((roads & (often > level)).sum() / (roads | (often > level)).sum() for level in np.linspace(.1, .9, 17))
    assert .4 < best < .88


@pytest.mark.parametrize('seed', range(6))
@pytest.mark.parametrize('category', scenes.CATEGORIES)
def test_road_edge_projects_onto_the_label(seed, category, monkeypatch):
    """The file's text and KITTI's rule alone put the road's edge, known in metres, on the label's edge."""
    monkeypatch.setattr(scenes, 'plan_things', lambda *_: [])          # nothing hides the edge
    road = scenes.plan_road(np.random.default_rng(seed), category)     # the first thing that draw_scene draws
    _, label, calibration = draw(seed, category)
    read = {line.split(':')[0]: np.array(line.split(':')[1].split(), float)
            for line in scenes.calibration_text(calibration).splitlines()}
    rectify, to_road = np.eye(4), np.eye(4)
    rectify[:3, :3], to_road[:3] = read['R0_rect'].reshape(3, 3), read['Tr_cam_to_road'].reshape(3, 4)
    projection = read['P2'].reshape(3, 4) @ rectify @ np.linalg.inv(to_road)

    z = np.linspace(50, 4, 4000)                                       # nearer than any uncounted distance
    errors = []
    for edge, side in ((road.lines[0], -1), (road.lines[-1], 1)):
        u, v, w = projection @ np.stack([scenes.road_x(road, edge, z), 0 * z, z, 1 + 0 * z])
        u, v = u / w, v / w
        for row in range(int(v.min()), label.shape[0]):
            if not v.min() < row + 1.5 < v.max():                      # array row r has its centre at v = r + 1.5
                continue
            column = np.interp(row + 1.5, v, u) - 1.5                  # where the edge runs, in array columns
            if 3 < column < label.shape[1] - 4:
                columns = np.arange(label.shape[1])
                inside = np.abs(columns - column) < 8                  # the crossing next to it
                is_road = (label[row] == scenes.ROAD).all(1)
                expected = columns > column if side < 0 else columns < column
                errors.append(np.sum((is_road != expected)[inside & (columns * side > column * side - 5)]))
    assert len(errors) > 10
    assert max(errors) <= 1 and np.mean(errors) < .1


def test_lane_marks_lie_where_the_calibration_says(monkeypatch):
    """The picture, too: at the marked line between the lanes it is brighter than half a metre aside."""
    monkeypatch.setattr(scenes, 'plan_things', lambda *_: [])
    brighter = []
    for seed in range(8):
        road = scenes.plan_road(np.random.default_rng(seed), 'um')
        image, _, calibration = draw(seed, 'um')
        z = np.linspace(7, 20, 200)
        grey = []
        for s in (road.lines[1], road.lines[1] - .5, road.lines[1] + .5):
            u, v, w = scenes.road_projection(calibration) @ np.stack([scenes.road_x(road, s, z), 0 * z, z, 1 + 0 * z])
            grey.append(image[np.floor(v / w).astype(int) - 1, np.floor(u / w).astype(int) - 1].mean())
        brighter.append(grey[0] - max(grey[1:]))
    assert min(brighter) > 4


def test_vehicles_are_not_road(monkeypatch):
    car = scenery.Thing('car', 0., 14., 0., 1.76, 4.3, 1.47, (200, 30, 30), 0)
    with_car, without = [], []
    for things, kept in (([car], with_car), ([], without)):
        monkeypatch.setattr(scenes, 'plan_things', lambda *_: things)
        kept.extend(draw(4, 'um')[:2])
    u, v, w = scenes.road_projection(draw(4, 'um')[2]) @ [0, -.75, 12, 1]     # the middle of its tailgate
    row, column = int(v / w) - 1, int(u / w) - 1
    assert tuple(without[1][row, column]) == scenes.ROAD and tuple(with_car[1][row, column]) == scenes.NOT_ROAD


def test_data_set_layout(tmp_path):
    folder = tmp_path / 'sample'
    scenes.write_dataset(folder, **SMALL)
    files = files_of(folder)
    expected = {'drawn.txt'} | {f'training/gt_image_2/um_lane_{i:06d}.png' for i in range(2)}
    for category in scenes.CATEGORIES:
        expected |= {f'training/image_2/{category}_{i:06d}.png' for i in range(2)}
        expected |= {f'training/gt_image_2/{category}_road_{i:06d}.png' for i in range(2)}
        expected |= {f'training/calib/{category}_{i:06d}.txt' for i in range(2)}
        expected |= {f'testing/image_2/{category}_000000.png', f'testing/calib/{category}_000000.txt'}
    assert set(files) == expected
    for name in (name for name in expected if '/image_2/' in name):
        with Image.open(folder / name) as image:
            assert image.mode == 'RGB' and 60 <= image.height <= 64 and 198 <= image.width <= 208
            if name.startswith('training'):
                category, number = name.split('/')[-1].split('_')
                with Image.open(folder / 'training/gt_image_2' / f'{category}_road_{number}') as label:
                    assert label.size == image.size and label.mode == 'RGB'
    road, lane = (np.asarray(Image.open(folder / f'training/gt_image_2/um_{kind}_000000.png'))
                  for kind in ('road', 'lane'))
    assert 0 < np.sum(lane[..., 2] > 0) < .8 * np.sum(road[..., 2] > 0)
    # Pictures are drawn apart: no frame of the set is another's copy.
    assert len({files[name] for name in expected if name.startswith(('training/image_2', 'testing/image_2'))}) == 9

    again = tmp_path / 'again'
    scenes.write_dataset(again, **SMALL)
    assert files_of(again) == files
    scenes.write_dataset(again, **{**SMALL, 'seed': 4})                # other arguments: drawn anew, in the same place
    assert files_of(again).keys() == files.keys()
    assert files_of(again)['training/image_2/um_000000.png'] != files['training/image_2/um_000000.png']
    assert sorted(path.name for path in tmp_path.iterdir()) == ['again', 'sample']


def test_whole_data_set_is_left_alone_and_an_old_version_is_not(tmp_path, monkeypatch):
    folder = tmp_path / 'sample'
    scenes.write_dataset(folder, **SMALL)
    mark = folder / 'training/image_2/um_000000.png'
    mark.write_bytes(b'touched')
    scenes.write_dataset(folder, **SMALL)
    assert mark.read_bytes() == b'touched'
    monkeypatch.setattr(scenes, 'VERSION', scenes.VERSION + 1)
    scenes.write_dataset(folder, **SMALL)
    assert mark.read_bytes() != b'touched'


def test_a_foreign_folder_is_refused(tmp_path):
    (tmp_path / 'data_road').mkdir()
    (tmp_path / 'data_road/mine.txt').write_text('mine')
    with pytest.raises(InputError, match='data_road'):
        scenes.write_dataset(tmp_path / 'data_road', **SMALL)
    assert files_of(tmp_path) == {'data_road/mine.txt': b'mine'}


@pytest.mark.parametrize('before', [False, True])
def test_killed_write_leaves_nothing_half_done(tmp_path, monkeypatch, before):
    folder = tmp_path / 'sample'
    if before:                                                         # an older set stays whole
        scenes.write_dataset(folder, **{**SMALL, 'seed': 9})
    kept, calls, real = files_of(tmp_path), [], scenes.calibration_text

    def dies(calibration):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(calibration)

    monkeypatch.setattr(scenes, 'calibration_text', dies)
    with pytest.raises(KeyboardInterrupt):
        scenes.write_dataset(folder, **SMALL)
    assert files_of(tmp_path) == kept and folder.exists() == before
    assert [path.name for path in tmp_path.iterdir()] == ['sample'] * before
