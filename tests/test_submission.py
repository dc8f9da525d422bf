"""submit: the zip for KITTI's server."""

import io
import os
import zipfile

import numpy as np
import pytest
from PIL import Image

import main
from road.commands import submit
from road.data import images, kitti
from road.errors import InputError
from road.scoring.birdseye import frame_calibration, to_birdseye
from road.scoring.scores import to_grey
from tests.test_painting import of_road


def test_submission_is_confidence_maps_from_above(
        copied_run, opened_run, scenes_dir, monkeypatch, capsys):
    assert main.main(['submit', str(copied_run)]) == 0
    assert 'maps\nWarning: the benchmark\'s server expects 290\n' in capsys.readouterr().out
    monkeypatch.setitem(kitti.FULL, 'test images', 3)
    assert main.main(['submit', str(copied_run)]) == 0
    assert 'Warning' not in capsys.readouterr().out
    frames = kitti.testing_frames(os.path.join(scenes_dir, 'testing'))
    outputs = opened_run.predictor.predict(images.read_frames(frames))
    with zipfile.ZipFile(copied_run / 'submission.zip') as archive:
        assert archive.namelist() == [f'{name}_road_000000.png' for name in kitti.CATEGORIES]
        for name, (frame, image, probabilities) in zip(archive.namelist(), outputs):
            calibration = frame_calibration(frame, image.shape[:2])
            with Image.open(io.BytesIO(archive.read(name))) as found:
                assert (found.mode, found.format, found.size) == ('L', 'PNG', (400, 800))
                large = images.resize_confidence(probabilities, image.shape[:2])
                np.testing.assert_array_equal(found, to_birdseye(to_grey(large), calibration))


@pytest.mark.parametrize('changes, complaint', [({'calib': None}, 'has no calibration file'),
                                                ({}, 'its map is black throughout')])
def test_map_that_holds_nothing_is_refused(scenes_dir, changes, complaint):
    frame, image = next(images.read_frames(kitti.testing_frames(f'{scenes_dir}/testing')))
    road = np.zeros(image.shape[:2])
    road[0] = 1  # in the sky
    with pytest.raises(InputError, match=complaint):
        submit.encode_map((frame._replace(**changes), image, of_road(road)))


@pytest.mark.usefixtures('opened_run')
def test_run_on_other_data_cannot_be_submitted(classes_run, capsys):
    assert main.main(['submit', classes_run]) == 2
    assert capsys.readouterr().err.endswith(
        'submit is for KITTI Road, but this run was trained on CamVid; use evaluate or predict\n')
    assert not os.path.exists(f'{classes_run}/submission.zip')
