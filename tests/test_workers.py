"""Several processes train as one: same weights as one process, and each failure is one line."""

import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest

import main
from road.data import kitti
from road.errors import InputError
from road.network import workers
from road.network.device import find_device
from road.network.tf1 import tf
from road.network.workers import Workers, find_workers, read_cluster, read_timeout
from road.runs.run_folder import Run
from tests.test_resume import variables
from tools import launch
from tools.soak import results

slow = pytest.mark.slow


def config(index, *addresses):
    return {'TF_CONFIG': json.dumps({'cluster': {'worker': addresses},
                                     'task': {'type': 'worker', 'index': index}})}


JOB = {'SLURM_JOB_ID': '20077', 'SLURM_NTASKS': '5', 'SLURM_PROCID': '0'}


@pytest.mark.parametrize('environment, expected', [
    (config(1, 'a:1', 'b:2'), (['a:1', 'b:2'], 1)), ({}, ([], 0)), (config(0, 'a:1'), ([], 0)),
    ({'TF_CONFIG': '{}'}, ([], 0)), ({'SLURM_STEP_NUM_TASKS': ''}, ([], 0)),
    (JOB, ([], 0))])  # in a job of Slurm, but not started by srun
def test_cluster_from_tf_config(environment, expected):
    assert read_cluster(environment) == expected


def test_cluster_from_slurm(monkeypatch):
    step = {'SLURM_STEP_NUM_TASKS': '5', 'SLURM_STEP_NODELIST': 'n[2,10],m',
            'SLURM_STEP_TASKS_PER_NODE': '2(x2),1', 'SLURM_LOCALID': '1',
            'SLURMD_NODENAME': 'n10', 'SLURM_PROCID': '3'}
    for name, value in {**JOB, **step}.items():
        monkeypatch.setenv(name, value)
    addresses, rank = read_cluster()
    assert sorted(addresses) == ['m:12077', 'n10:12077', 'n10:12078', 'n2:12077', 'n2:12078']
    assert addresses[rank] == 'n10:12078'


@pytest.mark.parametrize('text', [
    'no JSON', '[]', '{"cluster": {}}', config(2, 'a:1', 'b:2')['TF_CONFIG'],
    config(0, 'a', 'b:2')['TF_CONFIG'], '{"cluster": {"worker": ["a:1"]}, "task": {}}'])
def test_bad_tf_config_is_one_line(text):
    with pytest.raises(InputError, match='TF_CONFIG: expected .*; correct it or unset it'):
        read_cluster({'TF_CONFIG': text})


def test_processes_must_agree_on_all_but_paths():
    def checksum(precision='float32', frames=('a', 'b'), encoder='x', **settings):
        settings = {'schedule': 'cosine', 'l2': 0.1, 'data_dir': 'x'} | settings
        run = Run('folder', settings, encoder, *frames, kitti.CLASSES, {}, 0.2)
        return workers.settings_checksum(run, precision)

    assert 0 < checksum() == checksum(data_dir='y', init='r') < 2**24  # sent as float32
    assert len({checksum(), checksum('bfloat16'), checksum(frames='ac'), checksum(encoder='y'),
                checksum(l2=0.2)}) == 5


@pytest.mark.parametrize('count, others, expected', [
    (7.0, [7, 21, 7, 14], [3, [[1, 2]]]), (0.0, [4, 20, 8, 12], [5, [[2, 3]]])])
def test_mean_is_over_the_pixels_of_all_processes(monkeypatch, count, others, expected):
    monkeypatch.setattr(tf.raw_ops, 'CollectiveReduceV2', lambda input, **_: input + others)
    with tf.Graph().as_default(), tf.Session() as sess:
        loss, (matrix, none) = Workers(['a:1', 'b:2'], 0).all_reduce_mean(
            tf.constant(3.0), [tf.constant([[1.0, 2.0]]), None], tf.constant(count))
        assert [value.tolist() for value in sess.run([loss, matrix])] == expected
    assert none is None


def test_time_limit_is_a_number_of_seconds():
    assert (read_timeout({}), read_timeout({'ROAD_TIMEOUT': '7'})) == (1800, 7)
    for text in ('soon', '0', '-3', '', '²'):
        with pytest.raises(InputError, match=f'ROAD_TIMEOUT={text}: is not a whole number'):
            read_timeout({'ROAD_TIMEOUT': text})


def test_frozen_encoder_is_refused_with_the_reason(monkeypatch):
    assert find_workers() is workers.ALONE
    monkeypatch.setenv('TF_CONFIG', config(0, 'a:1', 'b:2')['TF_CONFIG'])
    with pytest.raises(InputError, match='the decoder takes less time than the exchange'):
        find_workers().start(SimpleNamespace(train_encoder='none'), None)


@slow
def test_only_what_waits_for_others_ends_with_them():
    """After its last step process 0 goes on alone: an image may take it longer than 5 seconds."""
    addresses = json.loads(launch.environments(2, {})[0]['TF_CONFIG'])['cluster']['worker']
    args = SimpleNamespace(runs_dir='none', name=None, train_encoder='all')
    chief = Workers(addresses, 0)
    chief.start(args, find_device('float32'))
    chief.alive.add(addresses[1])  # where nobody listens now
    with tf.Graph().as_default(), chief.session() as sess:
        last = tf.py_func(lambda: np.float32(time.sleep(8) or 1), [], tf.float32)
        assert sess.run([last]) == [1]
        chief.waiting.add(last.name)
        with pytest.raises(InputError, match=f'{addresses[1]}: ended, .* with --resume RUN if'):
            sess.run([tf.constant(1), [last]])


@pytest.fixture(scope='module')
def place(scenes_dir, vgg_dir, tmp_path_factory):
    """(folder, options) of a small training; its labels differ in how much is ignored."""
    folder = tmp_path_factory.mktemp('workers')
    kitti = shutil.copytree(scenes_dir, folder / 'data_road')
    for i, path in enumerate(sorted(glob.glob(f'{kitti}/training/gt_image_2/*_road_*.png'))):
        label = iio.imread(path)
        label[:, :i % 3 * 100] = 0  # black: ignored
        iio.imwrite(path, label)
    return str(folder), [
        '--dataset-dir', str(kitti), '--vgg-dir', vgg_dir, '--data-dir', str(folder), '--runs-dir',
        str(folder), '--image-size', '64x192', '--val-frames', '1', '--batch-size', '4',
        '--augment', 'mirror', '--copies', '2', '--train-encoder', 'conv5', '--epochs', '5',
        '--encoder-learning-rate', '1e-3', '--clip-norm', '0.01', '--precision', 'float32']


class Group(ExitStack):
    """Processes that train a run together; closing it kills those that are left.

    own: options of each process; ranks: which are started, all by default.
    """

    def __init__(self, place, number, name, *options, own=((),) * 3, ranks=None, timeout=120):
        super().__init__()
        folder, words = place
        self.folder, self.processes = f'{folder}/{name}', {}
        if '--resume' not in options:
            options = [*words, '--name', name, *options]
        environments = launch.environments(number, {**os.environ, 'ROAD_TIMEOUT': str(timeout)})
        self.addresses = json.loads(environments[0]['TF_CONFIG'])['cluster']['worker']
        for rank in ranks or range(number):
            with open(f'{self.folder}-{rank}.txt', 'w') as file:
                process = subprocess.Popen(
                    [sys.executable, '-u', launch.MAIN, *options, *own[rank]],
                    env=environments[rank], stdout=file, stderr=subprocess.STDOUT)
            self.processes[rank] = self.enter_context(process)
            self.callback(process.kill)

    def codes(self, *ranks):
        """The exit codes, after all of these have ended; negative for a signal."""
        return [self.processes[rank].wait(120) for rank in ranks or self.processes]

    def output(self, rank):
        with open(f'{self.folder}-{rank}.txt', encoding='utf-8') as file:
            return file.read()

    def wait_for(self, text=r'\n +1 +\d', rank=0):
        """Until a process has printed this; by default the first epoch, most are still to come."""
        while not re.search(text, self.output(rank)):
            assert self.processes[rank].poll() is None, self.output(rank)
            time.sleep(0.05)


def difference(folder, other):
    ours, theirs = (variables(f'{run}/checkpoints/last') for run in (folder, other))
    assert ours.keys() == theirs.keys()
    return max(np.abs(value - theirs[name]).max() for name, value in ours.items())


@pytest.fixture(scope='module')
def together(place):
    """The run of two processes, undisturbed."""
    with Group(place, 2, 'two') as group:
        assert group.codes() == [0, 0], group.output(0) + group.output(1)
        assert 'Best on validation' in group.output(0)
        assert 'Best on validation' not in group.output(1)
    return group.folder


@slow
def test_two_and_three_processes_train_as_one(place, together):
    folder, words = place
    assert main.main([*words, '--name', 'alone']) == 0
    alone = f'{folder}/alone'
    rows, of_one = ([{name: float(value) for name, value in row.items()}
                     for row in results(run)['metrics.csv']] for run in (together, alone))
    assert rows == [pytest.approx(row, abs=2e-6) for row in of_one]  # sums in another order
    assert os.listdir(f'{together}/images')
    with Group(place, 3, 'three') as group:
        assert group.codes() == [0, 0, 0], group.output(0)
    assert max(difference(run, alone) for run in (together, group.folder)) < 1e-6


@slow
@pytest.mark.parametrize('victim', [0, 1])
def test_killed_process_ends_the_others_and_resume_is_exact(place, together, victim):
    with Group(place, 2, f'killed-{victim}') as group:
        group.wait_for()
        group.processes[victim].kill()
        assert group.codes(1 - victim) == [2]
        text = group.output(1 - victim)
        assert (f'Error: {group.addresses[victim]}: ended, or silent for 120 s; start all '
                f'processes again, with --resume {group.folder}') in text
        assert 'Traceback' not in text
    with Group(place, 2, f'killed-{victim}', '--resume', group.folder) as group:
        assert group.codes() == [0, 0], group.output(0)
    assert difference(group.folder, together) == 0
    assert results(group.folder) == results(together)


@slow
@pytest.mark.parametrize('precision', ['bfloat16', 'float16'])
def test_other_precisions(place, precision):
    with Group(place, 2, precision, '--precision', precision, '--epochs', '1') as group:
        assert group.codes() == [0, 0], group.output(0)
    if precision == 'float16':
        assert variables(f'{group.folder}/checkpoints/last')['loss_scale/good_steps'] > 0


@slow
def test_processes_that_differ_are_refused(place):
    own = [('--train-encoder', block) for block in ('conv4', 'conv5')]
    with Group(place, 2, 'differing', own=own) as group:
        assert group.codes() == [2, 2]
        assert all('Error: the processes differ in' in group.output(i) for i in (0, 1))


@slow
def test_second_process_alone_ends_by_timeout_or_ctrl_c(place):
    with Group(place, 2, 'nothing', ranks=[1], timeout=5) as group:
        assert group.codes() == [2]
        assert 'ended, or silent for 5 s' in group.output(1)
    with Group(place, 2, 'nothing', ranks=[1]) as group:
        group.wait_for('waits for the others', rank=1)
        time.sleep(2)
        group.processes[1].send_signal(signal.SIGINT)
        assert group.codes() == [130]
    assert not os.path.exists(group.folder)
