"""Several processes that train as one, on TensorFlow's own runtime: docs/several.md."""

import os
import sys
import time
import zlib
from concurrent import futures
from functools import partial

from road.errors import InputError
from road.network.cluster import answers, read_cluster, read_timeout
from road.network.tf1 import tf
from road.prefetch import start_thread


def find_peers(args, device):
    """Start this process's server: Peers; None if the process trains alone."""
    addresses, rank = read_cluster()
    if addresses and args.train_encoder == 'none':
        raise InputError('--train-encoder none: several processes do not help, because a step of '
                         'the decoder takes less time than the exchange; train encoder blocks, or '
                         'start one process without TF_CONFIG (under Slurm: one task)')
    return Peers(addresses, rank, args, device) if addresses else None


class Peers:
    """The processes that train as one. `rank` is the number of this one; process 0 leads."""

    def __init__(self, addresses, rank, args, device):
        self.addresses, self.rank, self.seen, self.waiting = addresses, rank, set(), []
        self.folder, self.precision = os.path.join(args.runs_dir, args.name), device.precision
        self.timeout = read_timeout()
        self.config = tf.ConfigProto.FromString(device.config.SerializeToString())
        self.config.experimental.collective_group_leader = '/job:worker/replica:0/task:0'
        self.config.device_filters.append(f'/job:worker/task:{rank}')
        self.config.graph_options.rewrite_options.remapping = 2  # OFF: no _FusedConv2D in bfloat16
        try:
            self.server = tf.distribute.Server(tf.train.ClusterSpec({'worker': addresses}),
                                               'worker', rank, config=self.config)
        except tf.errors.OpError as error:
            raise InputError(f'{addresses[rank]}: this process cannot listen there; end what uses '
                             'the port, or name another') from error

    def session(self, config=None):
        """A tf.Session in which what waits for others ends with InputError if one of them does."""
        sess = tf.Session(self.server.target, config=self.config)
        def run(fetches, *args, **kwargs):  # all else may last longer than the others live
            waits = any(x is y for x in tf.nest.flatten(fetches) for y in self.waiting)
            step = partial(tf.Session.run, sess, fetches, *args, **kwargs)
            return self._wait(step) if waits else step()

        sess.run, sess.close = run, lambda: None  # close() would wait for a waiting step
        return sess

    def mean(self, loss, gradients, count):
        """Loss and gradients over all valid pixels, from those over the `count` of this process."""
        # Not a mean of means. Without any valid pixel the L2 terms still have a gradient.
        count, given = tf.maximum(count, 1e-20), [g for g in gradients if g is not None]
        total, *sums = self._sum([count, *(count * x for x in (loss.op.inputs[0], *given))])
        means = iter([x / total for x in sums])
        self.waiting.append(next(means))
        loss = tf.add(self.waiting[-1], loss.op.inputs[1])
        return loss, [g if g is None else next(means) for g in gradients]

    def share(self, variables):
        """Add to the graph what `begin` runs: all processes take process 0's variables."""
        self.sent = tf.placeholder(tf.float32, [1 + len(self.addresses)])
        own = [tf.zeros(v.shape) if self.rank else tf.cast(tf.identity(v), tf.float32)
               for v in variables]  # the count of a loss scale is an integer
        received, *values = self._sum([self.sent, *own])
        with tf.control_dependencies([tf.assign(v, tf.cast(value, v.dtype.base_dtype))
                                      for v, value in zip(variables, values)]):
            self.waiting.append(tf.identity(received))

    def begin(self, sess, run, batches):
        """Wait for all processes; take process 0's variables and epoch, and this one's share."""
        print(f'Process {self.rank} of {len(self.addresses)} waits for the others', file=sys.stderr)
        facts = [x for x in run.settings.values() if isinstance(x, (int, float, tuple))]  # no paths
        facts += run.settings['schedule'], *run[2:], self.precision
        number = zlib.crc32(repr(facts).encode()) >> 8  # float32 holds 24 bits
        sent = [number if i == self.rank else 0 for i in range(len(self.addresses))]
        epoch, *numbers = sess.run(self.waiting[-1], {self.sent: [int(batches.epoch), *sent]})
        if len(set(numbers)) > 1:
            raise InputError('the processes differ in settings, frames or encoder; start all alike')
        self.seen.update(self.addresses)
        batches.epoch, batches.rank, batches.processes = int(epoch), self.rank, len(self.addresses)

    def _sum(self, tensors):
        """float32 Tensors of known shapes, each summed over all processes."""
        flat = tf.raw_ops.CollectiveReduceV2(
            input=tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0),
            group_size=len(self.addresses), group_key=1, instance_key=1 + len(self.waiting),
            ordering_token=[], merge_op='Add', final_op='Id', timeout_seconds=self.timeout,
            communication_hint='nccl' if tf.config.list_physical_devices('GPU') else 'auto')
        parts = tf.split(flat, [tensor.shape.num_elements() for tensor in tensors])
        return [tf.reshape(part, tensor.shape) for part, tensor in zip(parts, tensors)]

    def _wait(self, function):
        """function() in a thread: Ctrl-C does not reach a sess.run that waits for others."""
        result, deadline, ended = start_thread(function), time.monotonic() + self.timeout, 0
        while not futures.wait([result], 1).done:
            # TensorFlow retries an ended process 0 for ever; after the last step ends may differ
            ended = ended + 1 if self.seen.intersection(self._silent()) else 0
            if ended == 5 or time.monotonic() > deadline:
                raise self._lost()
        try:
            return result.result()
        except (tf.errors.UnavailableError, tf.errors.DeadlineExceededError) as error:
            raise self._lost() from error

    def _silent(self):
        silent = [address for address in self.addresses if not answers(address)]
        self.seen.update(set(self.addresses).difference(silent))  # these have begun
        return silent

    def _lost(self):
        who = self._silent() or [each for i, each in enumerate(self.addresses) if i != self.rank]
        folder = self.folder if os.path.isdir(self.folder) else 'RUN'
        return InputError(f'{", ".join(who)}: ended, or silent for {self.timeout} s; start all '
                          f'processes again, with --resume {folder} if the run had begun')
