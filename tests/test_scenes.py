"""Drawn scenes: label, picture and calibration describe one camera; the files are KITTI's."""

import numpy as np
import pytest

from road.data.kitti import read_calibration
from road.errors import InputError
from road.sample import planning, props, scenes
from road.sample.planning import plan_road
from road.scoring.birdseye import road_to_image

TINY = dict(training=1, testing=1, seed=3, height=64, width=208)


def draw(seed, category, things, folder):
    """A scene with these things, not planned ones: image, label, road, the file's projection."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, 'plan_things', lambda *_: things)
        image, label, made = scenes.draw_scene(np.random.default_rng(seed), category)
    (folder / 'um_000000.txt').write_text(scenes.calibration_text(made))
    road = plan_road(np.random.default_rng(seed), category)  # the first thing draw_scene draws
    return image, label, road, road_to_image(read_calibration(f'{folder}/um_000000.txt'))


def project(projection, x, up, z):
    """(u, v) of points in metres, float64 [n] each."""
    *uv, w = projection @ np.stack(np.broadcast_arrays(x, -up, z, 1.))
    return uv / w


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('category', ['um', 'umm', 'uu'])
def test_label_and_lane_marks_lie_where_the_calibration_says(tmp_path, seed, category):
    """The file's text and KITTI's rule put the road's edge, known in metres, on the label's."""
    image, label, road, projection = draw(seed, category, [], tmp_path)  # nothing hides the edge
    columns, errors = np.arange(label.shape[1]), []
    for edge, side in ((road.lines[0], -1), (road.lines[-1], 1)):
        z = np.linspace(40, 4, 4000)  # nearer than any distance at which pixels are ignored
        u, v = project(projection, road.middle(z) + edge, 0, z)
        for row in range(int(v.min()), label.shape[0]):  # with its centre at v = row + 1.5
            column = np.interp(row + 1.5, v, u) - 1.5  # where the edge runs, in array columns
            if v.min() < row + 1.5 < v.max() and 3 < column < label.shape[1] - 4:
                wrong = (label[row] == scenes.ROAD).all(1) != (columns * side < column * side)
                errors.append(wrong[np.abs(columns - column) < 5].sum())  # not the other edge
    assert len(errors) > 10
    assert max(errors) <= 1
    assert np.mean(errors) < .1
    if category == 'um':  # the line between the lanes is brighter than half a metre beside it
        z, grey = np.linspace(7, 20, 200), []
        for beside in (0, -.5, .5):
            u, v = project(projection, road.middle(z) + road.lines[1] + beside, 0, z)
            grey.append(image[v.astype(int) - 1, u.astype(int) - 1].mean())
        assert grey[0] - max(grey[1:]) > 4


def test_vehicles_are_not_road_and_labels_have_kittis_colours(tmp_path):
    car = props.Thing('car', 0., 14., 0., 1.76, 4.3, 1.47, (200, 30, 30), 0)
    for things, colour in ([], scenes.ROAD), ([car], scenes.NOT_ROAD):
        _, label, _, projection = draw(4, 'uu', things, tmp_path)
        colours = np.unique(label.reshape(-1, 3), axis=0).tolist()
        assert colours == [[0, 0, 0], [255, 0, 0], [255, 0, 255]]
        u, v = project(projection, 0., .75, 12.)  # the middle of its tailgate
        assert tuple(label[int(v) - 1, int(u) - 1]) == colour


def test_data_set_is_kept_replaced_or_refused(tmp_path, monkeypatch):
    folder, picture = tmp_path / 'sample', tmp_path / 'sample/training/image_2/um_000000.png'

    def read_all():
        return {str(path.relative_to(folder)): path.read_bytes()
                for path in folder.rglob('*') if path.is_file()}

    scenes.write_dataset(folder, **TINY)
    files = read_all()
    assert len(files) == 1 + 3 * 3 + 3 * 2  # drawn.txt, training, test
    picture.write_bytes(b'touched')
    scenes.write_dataset(folder, **TINY)
    assert picture.read_bytes() == b'touched'
    monkeypatch.setattr(scenes, 'VERSION', scenes.VERSION + 1)
    scenes.write_dataset(folder, **TINY)  # drawn by another version
    assert read_all() == {**files, 'drawn.txt': (folder / 'drawn.txt').read_bytes()}
    (folder / 'drawn.txt').unlink()
    with pytest.raises(InputError, match='sample: holds something other than drawn scenes'):
        scenes.write_dataset(folder, **TINY)
