"""What TensorBoard shows of a run."""

import glob
import os

import imageio.v3 as iio
import numpy as np
import pytest

from road.data import camvid, kitti
from road.data.dataset import Frame
from road.network.tf1 import tf
from road.runs.events import Events
from tests.results import of_road


def read(folder):
    """The events of the one file in a folder."""
    path, = glob.glob(f'{glob.escape(str(folder))}/events/*')
    return list(tf.train.summary_iterator(path))


def pictures(folder):
    """{tag: uint8 [h, w, 3]}"""
    return {value.tag: iio.imread(value.image.encoded_image_string)
            for event in read(folder) for value in event.summary.value if value.HasField('image')}


def test_events_hold_no_graph_and_pictures_of_half_the_size(trained_run):
    kinds = {event.WhichOneof('what') for event in read(trained_run)}
    assert kinds == {'file_version', 'session_log', 'summary'}
    assert pictures(trained_run)['validation/um_000002'].shape == (3 * 47, 154, 3)


def test_pictures_of_classes_show_label_and_prediction_in_their_colours(classes_run):
    shown = {os.path.basename(tag): picture for tag, picture in pictures(classes_run).items()}
    assert list(shown) == ['val_0', 'val_1']
    image, label, found = shown['val_0'].reshape(3, 24, 32, 3).astype(int)
    # the image is drawn in the colours of its label; half as large, the edges mix
    assert (np.abs(image - label).max(axis=2) < 3).all()
    colours = {each.colour for each in camvid.CLASSES}
    assert np.mean([tuple(pixel) in colours for pixel in found.reshape(-1, 3)]) > 0.4


@pytest.mark.parametrize('shape', [(1, 8), (8, 1), (1, 1)])
def test_pictures_of_one_row_or_column_are_shown(tmp_path, shape):
    iio.imwrite(tmp_path / 'a.png', np.zeros((*shape, 3), np.uint8))
    output = Frame('a', str(tmp_path / 'a.png')), np.zeros(shape, np.uint8), of_road(np.ones(shape))
    with tf.Graph().as_default():
        events = Events(str(tmp_path / 'events'), 1)
        events.add_pictures(1, [output], kitti.CLASSES)
        events.close()
    picture, = pictures(tmp_path).values()
    assert picture[-1, 0].tolist() == [255] * 3
