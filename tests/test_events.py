"""What TensorBoard shows of a run."""

import glob
import os

import imageio.v3 as iio
import numpy as np
import pytest

from road.data import camvid, kitti
from road.data.dataset import Frame
from road.files import read_json
from road.network.tf1 import tf
from road.runs.events import Events
from tests.results import of_road


def test_events_hold_metrics_and_pictures_but_no_graph(trained_run):
    path, = glob.glob(f'{glob.escape(trained_run)}/events/*')
    events = list(tf.train.summary_iterator(path))
    kinds = {event.WhichOneof('what') for event in events}
    assert kinds == {'file_version', 'session_log', 'summary'}
    values = {(event.step, value.tag): value for event in events for value in event.summary.value}
    last = read_json(f'{trained_run}/metrics.json')['last']
    assert values[3, 'loss/cross_entropy'].simple_value == pytest.approx(last['cross_entropy'])
    shown = [tag for _, tag in values if tag.startswith('validation/u')]
    assert shown == [f'validation/{name}_000002' for name in ('um', 'umm', 'uu')]
    assert values[1, shown[0]].image.height == 3 * 47


def test_events_of_classes_show_label_and_prediction_in_their_colours(classes_run, camvid_dir):
    path, = glob.glob(f'{glob.escape(classes_run)}/events/*')
    values = {(event.step, value.tag): value for event in tf.train.summary_iterator(path)
              for value in event.summary.value}
    last = read_json(f'{classes_run}/metrics.json')['last']
    for tag, name in (('validation/mean_IoU', 'val_mean_IoU'), ('train/mean_IoU', 'train_mean_IoU'),
                      ('validation/accuracy', 'val_accuracy')):
        assert values[2, tag].simple_value == pytest.approx(last[name])
    assert not any(tag.endswith('MaxF') for _, tag in values)
    shown = [tag for _, tag in values if tag.startswith('validation/val')]
    assert [os.path.basename(tag) for tag in shown] == ['val_0', 'val_1']
    picture = iio.imread(values[1, shown[0]].image.encoded_image_string)
    image, label, found = picture.reshape(3, 24, 32, 3).astype(int)
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
    path, = glob.glob(f'{tmp_path}/events/*')
    shown = [value.image for event in tf.train.summary_iterator(path)
             for value in event.summary.value]
    assert len(shown) == 1
    assert iio.imread(shown[0].encoded_image_string)[-1, 0].tolist() == [255] * 3
