"""Several processes that train as one, on TensorFlow's own runtime: docs/gpus.md."""

import json
import os
import socket
import sys
import time
import zlib
from concurrent import futures
from functools import partial

from road.errors import InputError
from road.network.tf1 import tf
from road.prefetch import start_thread

# What may differ between the processes of a run: where their files are.
OWN_SETTINGS = ('data_dir', 'dataset_dir', 'vgg_dir', 'vgg_weights', 'runs_dir', 'name',
                'download_kitti', 'cache_limit', 'init')


def read_cluster(environ=os.environ):
    """(addresses, rank) of the processes in TF_CONFIG or in Slurm's step; ([], 0) if alone."""
    addresses, rank = [], 0
    if environ.get('TF_CONFIG', '').strip() not in ('', '{}'):
        try:
            config = json.loads(environ['TF_CONFIG'])
            (addresses,), rank = config['cluster'].values(), config['task']['index']
            addresses[rank].rindex(':')
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise InputError('TF_CONFIG: expected {"cluster": {"worker": ["HOST:PORT", ...]}, '
                             '"task": {"index": N}}; correct it or unset it') from error
    elif int(environ.get('SLURM_STEP_NUM_TASKS') or 1) > 1:  # srun sets it, sbatch does not
        port = 12000 + int(environ['SLURM_JOB_ID']) % 20000  # jobs may share a machine
        addresses = tf.distribute.cluster_resolver.SlurmClusterResolver(
            None, port, 1000, 1, auto_set_gpu=False).cluster_spec().as_dict()['worker']
        # SLURM_PROCID is not the place in this list, which has the machines sorted by name
        port += int(environ['SLURM_LOCALID'])
        rank = addresses.index(f'{environ["SLURMD_NODENAME"]}:{port}')
    return (addresses, rank) if len(addresses) > 1 else ([], 0)


def read_timeout(environ=os.environ):
    """Seconds to wait for other processes: longer than process 0's validation takes."""
    text = environ.get('ROAD_TIMEOUT', '1800')
    if not text.isdecimal() or not int(text):
        raise InputError(f'ROAD_TIMEOUT={text}: is not a whole number of seconds; correct it')
    return int(text)


def settings_checksum(run, precision):
    """A number, 0 to 2 ** 24, of all that the processes of a Run must have in common."""
    facts = {name: value for name, value in run.settings.items() if name not in OWN_SETTINGS}
    text = repr((sorted(facts.items()), *run[2:], precision))
    return zlib.crc32(text.encode(errors='surrogateescape')) >> 8  # float32 holds 24 bits


class Alone:
    """A process that trains alone: the same methods as Workers, without others."""
    is_chief = True

    def session(self, config=None):
        return tf.Session(config=config)

    def all_reduce_mean(self, cross_entropy, gradients, count):
        return cross_entropy, gradients

    def start(self, *_):
        """Nothing to start, and nobody to send variables to or to wait for."""

    broadcast_variables = synchronize = start


ALONE = Alone()


def find_workers():
    """The processes that train as one, as the environment says; ALONE if this is the only one."""
    addresses, rank = read_cluster()
    return Workers(addresses, rank) if addresses else ALONE


class Workers:
    """The processes that train as one. `rank` is the number of this one; 0 is the chief.

    The chief alone makes the run folder, scores, writes and paints.
    """

    def __init__(self, addresses, rank):
        self.addresses, self.rank, self.count = addresses, rank, len(addresses)
        self.is_chief = rank == 0
        self.timeout = read_timeout()
        self.alive = set()  # addresses that have answered
        self.collectives = 0  # in the graph so far
        self.waiting = {'cross_entropy:0'}  # names of Tensors whose value needs all processes

    def start(self, args, device):
        """Start this process's server. Raises InputError if it cannot listen."""
        if args.train_encoder == 'none':
            raise InputError('--train-encoder none: several processes do not help, because a step '
                             'of the decoder takes less time than the exchange; train encoder '
                             'blocks, or start one process without TF_CONFIG (under Slurm: one '
                             'task)')
        self.folder = os.path.join(args.runs_dir, args.name) if args.name else 'RUN'
        self.precision = device.precision
        self.config = tf.ConfigProto.FromString(device.config.SerializeToString())
        self.config.experimental.collective_group_leader = '/job:worker/replica:0/task:0'
        self.config.device_filters.append(f'/job:worker/task:{self.rank}')
        self.config.graph_options.rewrite_options.remapping = 2  # OFF: no _FusedConv2D in bfloat16
        try:
            self.server = tf.distribute.Server(tf.train.ClusterSpec({'worker': self.addresses}),
                                               'worker', self.rank, config=self.config)
        except tf.errors.OpError as error:
            raise InputError(f'{self.addresses[self.rank]}: this process cannot listen there; end '
                             'what uses the port, or name another') from error

    def session(self, config=None):
        """A tf.Session in which what waits for others ends with InputError if one of them does."""
        sess = tf.Session(self.server.target, config=self.config)

        def run(fetches, *args, **kwargs):  # all else may last longer than the others live
            waits = any(getattr(fetch, 'name', fetch) in self.waiting
                        for fetch in tf.nest.flatten(fetches))
            step = partial(tf.Session.run, sess, fetches, *args, **kwargs)
            return self._wait(step) if waits else step()

        sess.run = run
        sess.close = lambda: None  # it would wait for a waiting step
        return sess

    def all_reduce_mean(self, cross_entropy, gradients, count):
        """(cross_entropy, gradients) over the pixels of all processes, from those of this process.

        They are means over its `count` pixels that are not ignored; gradients, Tensors and None.
        """
        # Not a mean of means. Without any such pixel the L2 terms still have a gradient.
        count = tf.maximum(count, 1e-20)
        known = [gradient for gradient in gradients if gradient is not None]
        total, *sums = self._sum([count, *(count * x for x in (cross_entropy, *known))])
        mean, *means = (x / total for x in sums)
        means = iter(means)
        return mean, [None if gradient is None else next(means) for gradient in gradients]

    def broadcast_variables(self, variables):
        """Add to the graph what `synchronize` runs: all processes take the chief's variables."""
        self.sent = tf.placeholder(tf.float32, [1 + self.count])
        self.received, = self._sum([self.sent])
        own = [tf.cast(tf.identity(v), tf.float32) if self.is_chief else tf.zeros(v.shape)
               for v in variables]  # the count of a loss scale is an integer
        values = self._sum(own)
        with tf.control_dependencies([tf.assign(v, tf.cast(value, v.dtype.base_dtype))
                                      for v, value in zip(variables, values)]):
            self.copied = tf.identity(values[0])
        self.waiting |= {self.received.name, self.copied.name}

    def synchronize(self, sess, run, batches):
        """Wait for all processes; take the chief's variables and epoch, and a part of each batch.

        Raises InputError if settings, frames, encoder or precision are not those of the others.
        """
        print(f'Process {self.rank} of {self.count} waits for the others', file=sys.stderr)
        number = settings_checksum(run, self.precision)
        sent = [number if i == self.rank else 0 for i in range(self.count)]
        epoch = batches.epoch if self.is_chief else 0
        epoch, *numbers = sess.run(self.received, {self.sent: [epoch, *sent]})
        if len(set(numbers)) > 1:
            raise InputError('the processes differ in settings, frames or encoder; start all alike')
        sess.run(self.copied)
        self.alive.update(self.addresses)
        batches.epoch, batches.rank, batches.processes = int(epoch), self.rank, self.count

    def _sum(self, tensors):
        """float32 Tensors of known shapes, each summed over all processes."""
        self.collectives += 1
        flat = tf.raw_ops.CollectiveReduceV2(
            input=tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0),
            group_size=self.count, group_key=1, instance_key=self.collectives,
            ordering_token=[], merge_op='Add', final_op='Id', timeout_seconds=self.timeout,
            communication_hint='nccl' if tf.config.list_physical_devices('GPU') else 'auto')
        parts = tf.split(flat, [tensor.shape.num_elements() for tensor in tensors])
        return [tf.reshape(part, tensor.shape) for part, tensor in zip(parts, tensors)]

    def _wait(self, function):
        """function() in a thread: Ctrl-C does not reach a sess.run that waits for others."""
        result, deadline = start_thread(function), time.monotonic() + self.timeout
        ended = 0  # times in a row that a process was silent
        while not futures.wait([result], 1).done:
            # TensorFlow retries an ended chief for ever; after the last step ends may differ
            ended = ended + 1 if self.alive.intersection(self._silent()) else 0
            if ended == 5 or time.monotonic() > deadline:
                raise self._lost()
        try:
            return result.result()
        except (tf.errors.UnavailableError, tf.errors.DeadlineExceededError) as error:
            raise self._lost() from error

    def _silent(self):
        """Addresses at which no process listens; the others have begun and are alive."""
        silent = []
        for address in self.addresses:
            try:
                socket.create_connection(address.rsplit(':', 1), timeout=5).close()
                self.alive.add(address)
            except OSError:
                silent.append(address)
        return silent

    def _lost(self):
        who = self._silent() or [each for i, each in enumerate(self.addresses) if i != self.rank]
        return InputError(f'{", ".join(who)}: ended, or silent for {self.timeout} s; start all '
                          f'processes again, with --resume {self.folder} if the run had begun')
