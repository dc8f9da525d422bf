"""The road plane: a point projected by hand, squares painted on a plane, calibration files damaged in every way."""
import numpy as np
import pytest

from road import scenes
from road.birdseye import (Calibration, birdseye_labels, birdseye_picture, lookup, read_calibration, road_to_image,
                           to_birdseye)
from road.errors import InputError

# A camera 1.5 m above the road, looking along it: x right, y down, z ahead, so that the road is Y = 0 at y = 1.5.
PLAIN = Calibration(P2=np.array([[500., 0, 320, 0], [0, 500, 100, 0], [0, 0, 1, 0]]),
                    R0_rect=np.eye(3),
                    Tr_cam_to_road=np.array([[1., 0, 0, 0], [0, 1, 0, -1.5], [0, 0, 1, 0]]))

TEXT = ('P0: 1 2 3\n'
        'P2: 5.0e+02 0 320 0 0 500.0 100 0 0 0 1 0\n'
        'R0_rect: 1 0 0 0 1 0 0 0 1\n'
        '\n'
        'Tr_cam_to_road: 1 0 0 0 0 1 0 -1.5 0 0 1 0\n')


def cell(x, z):
    """Row and column of the cell with the centre (x, z) metres."""
    return round((46 - z) / 0.05 - 0.5), round((x + 10) / 0.05 - 0.5)


def tilted_camera(height, width, focal):
    """A camera with all that a real one has: turned three ways, moved three ways, P2 with an offset."""
    turn = scenes.rotation(0.02, 0.015, -0.01)
    return Calibration(P2=np.array([[focal, 0, width / 2, 40], [0, focal, height / 3, 0.2], [0, 0, 1, 0.003]]),
                       R0_rect=scenes.rotation(-0.004, 0.007, 0.01),
                       Tr_cam_to_road=np.hstack([turn, [[0.03], [-1.65], [0.3]]]))


def plane_points(calibration, height, width):
    """x, z metres [h, w] where each pixel's ray meets the road; NaN above the horizon.

    Cast from the camera outwards, ray by ray, and so without the homography that is tested.
    """
    rotation = calibration.Tr_cam_to_road[:, :3] @ np.linalg.inv(calibration.R0_rect)      # rectified camera => road
    camera = calibration.P2[:, :3]
    centre = np.linalg.solve(camera, -calibration.P2[:, 3])                                # where P2's rays start
    # Array column c is 1 + c to 2 + c in the devkit's count.
    u, v = np.meshgrid(np.arange(width) + 1.5, np.arange(height) + 1.5)
    rays = rotation @ np.linalg.solve(camera, np.stack([u.ravel(), v.ravel(), np.ones(u.size)]))
    start = rotation @ centre + calibration.Tr_cam_to_road[:, 3]
    far = np.where(rays[1] > 1e-9, -start[1] / np.where(rays[1] > 1e-9, rays[1], 1), np.nan)   # y is down: Y = 0
    return (start[0] + far * rays[0]).reshape(height, width), (start[2] + far * rays[2]).reshape(height, width)


# ---- The mapping --------------------------------------------------------------------------------------------------

def test_a_point_projected_by_hand():
    # (x, z) = (2.025, 20.025): u = 500 * 2.025 / 20.025 + 320 = 370.56, v = 500 * 1.5 / 20.025 + 100 = 137.45. Counted
    # from 1 this is pixel 370 of row 137, counted from 0 column 369 of row 136.
    np.testing.assert_allclose(road_to_image(PLAIN) @ [2.025, 20.025, 1], np.array([370.5618, 137.4532, 1]) * 20.025,
                               rtol=1e-6)
    row, column, inside = (array[cell(2.025, 20.025)] for array in lookup(PLAIN, 375, 640))
    assert cell(2.025, 20.025) == (519, 240)
    assert (row, column, inside) == (136, 369, True)
    image = np.zeros((375, 640), np.uint8)
    image[136, 369] = 200
    assert to_birdseye(image, PLAIN)[519, 240] == 200


def test_a_point_of_a_turned_camera_projected_step_by_step():
    calibration = tilted_camera(375, 1242, 720.)
    road_point = np.array([-3.025, 0, 14.975])
    camera_point = np.linalg.inv(calibration.Tr_cam_to_road[:, :3]) @ (road_point - calibration.Tr_cam_to_road[:, 3])
    u, v, depth = calibration.P2 @ np.append(calibration.R0_rect @ camera_point, 1)
    row, column, inside = (array[cell(-3.025, 14.975)] for array in lookup(calibration, 375, 1242))
    assert (row, column, inside) == (int(v / depth) - 1, int(u / depth) - 1, True)


def test_centres_are_rounded_to_float32_as_the_devkit_does():
    # A camera shifted so that the border between two pixels runs between a centre and its float32 form.
    exact = 500 * 2.025 / 20.025 + 320
    rounded = 500 * float(np.float32(2.025)) / float(np.float32(20.025)) + 320
    assert 1e-7 < abs(exact - rounded) < 1e-4
    shift = 371 - (exact + rounded) / 2
    calibration = PLAIN._replace(P2=PLAIN.P2 + np.array([[0, 0, shift, 0], [0] * 4, [0] * 4]))
    column = lookup(calibration, 375, 640).column[cell(2.025, 20.025)]
    assert column == np.floor(rounded + shift) - 1 != np.floor(exact + shift) - 1


def test_the_first_and_the_last_pixel_are_inside():
    # Along x at z = 10.025 u moves 2.5 pixels a cell, from below 1 to above the width.
    row = cell(0, 10.025)[0]
    u = 500 * (-10 + 0.05 * (np.arange(400) + 0.5)) / 10.025 + 320
    width = int(u[232])
    assert 0 < u[232] - width < 1                                   # in the last pixel's place, and yet beyond the rule
    found = lookup(PLAIN, 375, width)
    np.testing.assert_array_equal(found.inside[row], (u >= 1) & (u <= width))
    np.testing.assert_array_equal(found.column[row][found.inside[row]], np.floor(u[(u >= 1) & (u <= width)]) - 1)
    # And down: v = 174.8 there is inside 175 rows and outside 174.
    assert lookup(PLAIN, 175, width).inside[cell(0.025, 10.025)]
    assert not lookup(PLAIN, 174, width).inside[cell(0.025, 10.025)]


def test_points_behind_the_camera_are_not_seen():
    # The camera at z = 20: what lies before that is behind it, and its mirrored image would fall into the picture if
    # the camera stood 1.5 m below the road.
    for height in (-1.5, 1.5):
        calibration = PLAIN._replace(Tr_cam_to_road=np.array([[1., 0, 0, 0], [0, 1, 0, height], [0, 0, 1, 20]]))
        inside = lookup(calibration, 375, 640).inside
        assert not inside[cell(0, 20.025)[0] + 1:].any()
    calibration = PLAIN._replace(Tr_cam_to_road=np.array([[1., 0, 0, 0], [0, 1, 0, 1.5], [0, 0, 1, 20]]))
    u, v, depth = road_to_image(calibration) @ [0.025, 10.025, 1]
    assert depth < 0 and 1 <= u / depth <= 640 and 1 <= v / depth <= 375       # the trap that this test is about


@pytest.mark.filterwarnings('error')
def test_a_camera_on_the_plane_of_a_cell_divides_by_nothing():
    centre = float(np.float32(46 - 0.05 * (520 + 0.5)))
    to_road = np.array([[1., 0, 0, 0], [0, 1, 0, -1.5], [0, 0, 1, centre]])
    assert not lookup(PLAIN._replace(Tr_cam_to_road=to_road), 375, 640).inside[520:].any()


@pytest.mark.parametrize('height, width', [(375, 1242), (370, 1224), (37, 70), (1, 1), (300, 255), (300, 256)])
def test_any_image_size(height, width):
    calibration = tilted_camera(height, width, 0.58 * width)
    row, column, inside = lookup(calibration, height, width)
    assert row.shape == column.shape == inside.shape == (800, 400)
    assert row.max() < height and column.max() < width and not row[~inside].any() and not column[~inside].any()
    x, z = np.meshgrid(np.float32(-9.975 + 0.05 * np.arange(400)), np.float32(45.975 - 0.05 * np.arange(800)))
    u, v, depth = np.einsum('ij,jrc->irc', road_to_image(calibration), np.stack([x, z, np.ones_like(x)]))
    image = np.arange(height * width, dtype=np.int32).reshape(height, width) + 1       # every pixel its own number
    from_above = to_birdseye(image, calibration)
    for i, j in np.random.default_rng(0).integers(0, [800, 400], (200, 2)):
        pixel = int(np.floor(v[i, j] / depth[i, j])) - 1, int(np.floor(u[i, j] / depth[i, j])) - 1
        seen = 1 <= u[i, j] / depth[i, j] <= width and 1 <= v[i, j] / depth[i, j] <= height
        assert from_above[i, j] == (image[pixel] if seen else 0)


def test_the_lookup_is_worked_out_once():
    copy = Calibration(*(matrix.copy() for matrix in PLAIN))
    first = lookup(PLAIN, 375, 1242)
    assert lookup(copy, 375, 1242) is first                         # equal numbers, not the same arrays
    assert lookup(PLAIN, 375, 1241) is not first
    assert lookup(PLAIN._replace(R0_rect=np.diag([1., 1, 1.0001])), 375, 1242) is not first
    with pytest.raises(ValueError):                                 # shared, so nobody may write into it
        first.row[0, 0] = 1


@pytest.mark.parametrize('dtype', [np.uint8, bool, np.float32, np.float64])
def test_planes_of_every_kind(dtype):
    rng = np.random.default_rng(1)
    image = (rng.random((90, 160, 3)) * 2).astype(dtype)
    calibration = tilted_camera(90, 160, 100.)
    from_above = to_birdseye(image, calibration)
    assert from_above.shape == (800, 400, 3) and from_above.dtype == dtype
    for channel in range(3):
        one = to_birdseye(image[..., channel], calibration)
        assert one.shape == (800, 400) and one.dtype == dtype
        np.testing.assert_array_equal(from_above[..., channel], one)
    inside = lookup(calibration, 90, 160).inside
    assert inside.any() and not inside.all() and not from_above[~inside].any()
    from_above[:] = 0                                               # the caller's own, not the shared lookup's


def test_labels_and_confidences_go_by_one_rule():
    rng = np.random.default_rng(2)
    road, counts = rng.random((90, 160)) < 0.5, rng.random((90, 160)) < 0.9
    calibration = tilted_camera(90, 160, 100.)
    road_above, counts_above = birdseye_labels(road, counts, calibration)
    assert road_above.dtype == counts_above.dtype == bool
    inside = lookup(calibration, 90, 160).inside
    np.testing.assert_array_equal(to_birdseye(np.uint8(200) * road, calibration), np.uint8(200) * road_above)
    np.testing.assert_array_equal(counts_above, to_birdseye(counts, calibration))
    assert not counts_above[~inside].any()
    np.testing.assert_array_equal(birdseye_labels(road, np.ones_like(road), calibration)[1], inside)


# ---- What is painted on the road ----------------------------------------------------------------------------------

@pytest.fixture(scope='module')
def board():
    """A chessboard of one-metre squares, as a picture of 750x2484 pixels and from above, with its camera."""
    calibration = tilted_camera(750, 2484, 1440.)
    x, z = plane_points(calibration, 750, 2484)
    white = np.nan_to_num((np.floor(x) + np.floor(z)) % 2) == 1
    return white, to_birdseye(white, calibration), calibration


def test_a_metre_is_20_pixels_long(board):
    _, from_above, _ = board
    # Between 8 and 12 m ahead, where a pixel is less than a cell: each edge within a cell of its whole metre.
    for z in np.arange(8.5, 12):
        edges = np.flatnonzero(np.diff(from_above[cell(0, z)[0], 90:310].astype(int))) + 91
        assert len(edges) == 11 and np.abs(edges - 20 * np.round(edges / 20)).max() <= 1
        assert abs(np.diff(edges).mean() - 20) < 0.2
    for x in (-3.5, -0.5, 0.5, 2.5):
        near = cell(0, 12.5)[0]
        edges = np.flatnonzero(np.diff(from_above[near:cell(0, 7.5)[0], cell(x, 0)[1]].astype(int))) + near + 1
        assert len(edges) == 5 and np.abs(edges - 20 * np.round(edges / 20)).max() <= 2
        assert abs(np.diff(edges).mean() - 20) < 0.5


def test_every_square_is_where_it_was_painted(board):
    _, from_above, calibration = board
    x, z = np.meshgrid(-9.975 + 0.05 * np.arange(400), 45.975 - 0.05 * np.arange(800))
    painted = (np.floor(x) + np.floor(z)) % 2 == 1
    middle = (np.abs(x % 1 - 0.5) < 0.4) & (np.abs(z % 1 - 0.5) < 0.3) & (z < 20)
    middle &= lookup(calibration, 750, 2484).inside
    assert middle.sum() > 40_000
    np.testing.assert_array_equal(from_above[middle], painted[middle])


def test_lane_marks_come_out_straight_and_parallel():
    calibration = tilted_camera(375, 1242, 720.)
    x, _ = plane_points(calibration, 375, 1242)
    for left in (-3.6, 0., 3.4):
        mark = to_birdseye((x > left) & (x < left + 0.4), calibration)
        for z in np.arange(10.025, 40, 2):
            columns = np.flatnonzero(mark[cell(0, z)[0]])
            # A pixel is z / 720 metres wide, so an edge lies within half of that, and half a cell.
            slack = (z / 720 / 2 + 0.025) / 0.05
            assert abs(columns[0] - (left + 10) / 0.05) <= slack + 0.5
            assert abs(columns[-1] + 1 - (left + 10.4) / 0.05) <= slack + 0.5


def test_ahead_is_up_and_right_is_right():
    calibration = tilted_camera(375, 1242, 720.)
    x, z = plane_points(calibration, 375, 1242)
    far, right = to_birdseye(z > 26, calibration), to_birdseye(x > 0, calibration)
    assert far[:380].mean() > 0.9 and not far[420:].any()
    assert right[:, 210:].mean() > 0.9 and not right[:, :190].any()


def test_the_picture_agrees_with_what_is_scored(board):
    white, from_above, calibration = board
    image = np.where(white[..., None], np.array([250, 130, 10], np.uint8), np.uint8(0))
    picture = birdseye_picture(image, calibration)
    assert picture.shape == (800, 400, 3) and picture.dtype == np.uint8
    inside = lookup(calibration, 750, 2484).inside
    assert not picture[~inside].any()
    # Bilinear: at least a quarter of a cell's colour is the pixel that `to_birdseye` takes.
    assert (picture[from_above] >= np.array([62, 32, 2])).all()
    assert (picture[~from_above] <= np.array([188, 98, 8])).all()
    np.testing.assert_array_equal(birdseye_picture(image[..., 0], calibration), picture[..., 0])
    assert (birdseye_picture(np.full((37, 70, 3), 255, np.uint8), tilted_camera(37, 70, 40.)).max() == 255)


@pytest.mark.parametrize('category, seed', [('um', 1), ('umm', 5), ('uu', 2)])
def test_the_road_of_a_drawn_scene_lies_where_it_was_planned(category, seed):
    road = scenes.plan_road(np.random.default_rng(seed), category)        # what draw_scene draws first
    _, label, matrices = scenes.draw_scene(np.random.default_rng(seed), category, 375, 1242)
    calibration = Calibration(*(matrices[key] for key in Calibration._fields))
    is_road, counts = birdseye_labels(label[..., 2] > 0, label[..., 0] > 0, calibration)
    x, z = np.meshgrid(-9.975 + 0.05 * np.arange(400), 45.975 - 0.05 * np.arange(800))
    s = scenes.road_s(road, x, z)
    between = (s > road.lines[0]) & (s < road.lines[-1])
    edge = np.minimum(np.abs(s - road.lines[0]), np.abs(s - road.lines[-1])) < 0.1
    if road.second:                                                       # an opposite carriageway, left of a median
        edge |= s < road.lines[0]
    near = counts & ~edge & (z < 25)
    if road.branch:
        near &= between
    # Cars and trees hide road and never make any: no road beyond the edges, most of what lies between them.
    assert not (is_road & ~between & near).any()
    assert is_road[between & near].mean() > 0.6


# ---- Calibration files --------------------------------------------------------------------------------------------

def write(folder, text):
    path = folder / 'um_000012.txt'
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize('text', [TEXT, TEXT.replace('\n', '\r\n'), '# a remark: none\n' + TEXT, TEXT.rstrip(),
                                  TEXT.replace(': ', ' :\t')])
def test_read_calibration(tmp_path, text):
    calibration = read_calibration(write(tmp_path, text))
    for got, expected in zip(calibration, PLAIN):
        assert got.dtype == np.float64
        np.testing.assert_array_equal(got, expected)


def test_read_the_calibration_of_a_drawn_scene(tmp_path):
    matrices = scenes.make_calibration(np.random.default_rng(0), 375, 1242)
    calibration = read_calibration(write(tmp_path, scenes.calibration_text(matrices)))
    for key in Calibration._fields:
        np.testing.assert_allclose(getattr(calibration, key), matrices[key], rtol=1e-11)


@pytest.mark.parametrize('damage, key, complaint', [
    (lambda t: t.replace('P2:', 'P9:'), 'P2', 'no line for'),
    (lambda t: t.replace('R0_rect:', 'R0_rect'), 'R0_rect', 'no line for'),
    (lambda t: t[:t.index('Tr_cam')], 'Tr_cam_to_road', 'no line for'),
    (lambda t: '', 'P2 and R0_rect and Tr_cam_to_road', 'no line for'),
    (lambda t: t.replace('P0: 1 2 3', 'P2: 1 2 3'), 'P2', 'twice'),
    (lambda t: t[:-3], 'Tr_cam_to_road', 'has 11 numbers, expected 12'),
    (lambda t: t.replace('R0_rect: 1', 'R0_rect: 1 1'), 'R0_rect', 'has 10 numbers, expected 9'),
    (lambda t: t.replace('R0_rect: 1 0 0 0 1 0 0 0 1', 'R0_rect:'), 'R0_rect', 'has 0 numbers'),
    (lambda t: t.replace('5.0e+02', '5.0f+02'), 'P2', "holds '5.0f+02'"),
    (lambda t: t.replace('5.0e+02', '5_0e+02'), 'P2', "holds '5_0e+02'"),
    (lambda t: t.replace('5.0e+02', '٥٠٠'), 'P2', 'expected a finite number'),
    (lambda t: t.replace('-1.5', 'nan'), 'Tr_cam_to_road', "holds 'nan'"),
    (lambda t: t.replace('-1.5', '-inf'), 'Tr_cam_to_road', "holds '-inf'"),
    (lambda t: t.replace('-1.5', '1e999'), 'Tr_cam_to_road', "holds '1e999'"),
    (lambda t: t.replace('5.0e+02', '5.0e+92'), 'P2', 'at most'),
    (lambda t: t.replace('5.0e+02', '0'), 'P2', 'no inverse'),
    (lambda t: t.replace('R0_rect: 1 0 0 0 1 0 0 0 1', 'R0_rect: 0 0 0 0 0 0 0 0 0'), 'R0_rect', 'no inverse'),
    (lambda t: t.replace('100 0 0 0 1 0', '100 0 0 0 0 1'), 'P2', 'no inverse'),
    (lambda t: t.encode().replace(b'320', b'3\xff0'), '', 'no text'),
    (lambda t: b'\x89PNG\r\n\x1a\n' + bytes(range(256)), '', 'no text'),
    (lambda t: bytes(500), 'P2', 'no line for'),
])
@pytest.mark.filterwarnings('error')
def test_damaged_calibration_files(tmp_path, damage, key, complaint):
    path = write(tmp_path, damage(TEXT))
    with pytest.raises(InputError) as refusal:
        read_calibration(path)
    message = str(refusal.value)
    assert message.startswith(f'{path}: ') and key in message and complaint in message
    assert 'copy the file again' in message and '\n' not in message


def test_no_calibration_file(tmp_path):
    for path in (tmp_path / 'um_000099.txt', tmp_path):                   # missing; a folder
        with pytest.raises(InputError, match='cannot read') as refusal:
            read_calibration(path)
        assert str(path) in str(refusal.value) and '\n' not in str(refusal.value)


@pytest.mark.filterwarnings('error')
def test_random_damage_is_refused_or_harmless(tmp_path):
    rng = np.random.default_rng(0)
    whole = scenes.calibration_text(scenes.make_calibration(rng, 375, 1242)).encode()
    refused = 0
    for trial in range(300):
        damaged = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            place = rng.integers(len(damaged))
            kind = rng.integers(4)
            if kind == 0:
                damaged[place] = rng.integers(256)
            elif kind == 1:
                damaged[place] = rng.choice(list(b'0123456789.+-e :\n'))
            elif kind == 2:
                del damaged[place:place + rng.integers(1, 200)]
            else:
                damaged[place:place] = rng.integers(0, 128, rng.integers(1, 5), dtype=np.uint8).tobytes()
        try:
            calibration = read_calibration(write(tmp_path, bytes(damaged)))
        except InputError as error:
            refused += 1
            assert '\n' not in str(error)
            continue
        assert [matrix.shape for matrix in calibration] == [(3, 4), (3, 3), (3, 4)]
        assert all(np.isfinite(matrix).all() for matrix in calibration)
        assert np.isfinite(road_to_image(calibration)).all()
        if trial % 10 == 0:
            lookup(calibration, 375, 1242)
    assert 50 < refused < 300
