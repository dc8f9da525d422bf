"""Pictures of a complete run, and of one without test images or scores."""

import math
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest

from road.runs import figures
from road.runs.metrics import FORMATS


@pytest.mark.parametrize('images', [0, 70])
def test_contact_sheet_and_gif(tmp_path, images):
    folder = tmp_path / 'run[1]'  # not a pattern
    (folder / 'images').mkdir(parents=True)
    for i in range(images + 1):
        image = folder / 'images' / f'{i}.png' if i else tmp_path / 'image.png'
        iio.imwrite(image, np.full((9, 16, 3), 3 * i, np.uint8))
    rows = [dict.fromkeys(FORMATS, math.nan) | {'epoch': epoch, 'l2': 0.5} for epoch in (1, 2)]
    frame, road = SimpleNamespace(name='um_0', image=str(tmp_path / 'image.png')), np.eye(9, 16) > 0
    outputs = [(frame, road & (i > 0), road | True, road * np.float32(0.1 * i)) for i in range(6)]
    figures.draw(str(folder), rows, outputs)
    sheet = iio.imread(folder / 'contact_sheet.png')
    assert sheet.shape == (6 + 143 * (7 if images else 1), 6 + 406 * 4, 3)
    assert (folder / 'curves.png').exists() and (folder / 'road.gif').exists() == bool(images)
    assert not images or len(iio.imread(folder / 'road.gif')) == figures.GIF_FRAMES
