"""submit: the zip for KITTI's server."""

import io
import os
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

import main
from road.data import images, kitti
from road.errors import InputError
from road.scoring import submission
from road.scoring.birdseye import frame_calibration, to_birdseye
from road.scoring.scores import to_grey


def test_submission_is_confidence_maps_from_above(trained_run, opened_run, scenes_dir, tmp_path,
                                                  capsys):
    run = shutil.copytree(trained_run, tmp_path / 'run')
    assert main.main(['submit', str(run)]) == 0
    assert 'maps\nWarning: the benchmark\'s server expects 290\n' in capsys.readouterr().out
    frames = kitti.testing_frames(os.path.join(scenes_dir, 'testing'))
    with zipfile.ZipFile(run / 'submission.zip') as archive:
        assert archive.namelist() == [f'{name}_road_000000.png' for name in kitti.CATEGORIES]
        outputs = list(opened_run.predictor.predict(images.read_frames(frames)))
        for name, (frame, _, confidence) in zip(archive.namelist(), outputs):
            expected = to_birdseye(to_grey(confidence), frame_calibration(frame, confidence.shape))
            with Image.open(io.BytesIO(archive.read(name))) as image:
                assert image.mode == 'L' and image.format == 'PNG' and image.size == (400, 800)
                np.testing.assert_array_equal(image, expected)
    frame, _, confidence = outputs[0]
    for changed, values, complaint in (
            (frame._replace(calib=None), confidence, 'has no calibration file'),
            (frame, 0 * confidence, 'its map is black throughout')):
        with pytest.raises(InputError, match=complaint):
            submission.write_submission([(changed, None, values)], [frame], run / 'b.zip')
    assert not os.path.exists(run / 'b.zip')


def test_run_on_other_data_cannot_be_submitted(classes_run, capsys):
    assert main.main(['submit', classes_run]) == 2
    assert capsys.readouterr().err.endswith(
        'submit is for KITTI Road, but this run was trained on CamVid; use evaluate or predict\n')
    assert not os.path.exists(f'{classes_run}/submission.zip')
