"""What TensorBoard shows of a run."""

import glob

import pytest

from road.files import read_json
from road.network.tf1 import tf


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
