"""Which processes train together, as the environment says: TF_CONFIG, or Slurm's variables."""

import json
import os
import socket
from contextlib import suppress

from road.errors import InputError
from road.network.tf1 import tf


def read_cluster(environ=os.environ):
    """(addresses, rank) of the processes in TF_CONFIG or in Slurm's step; ([], 0) if alone."""
    addresses, rank = [], 0
    if environ.get('TF_CONFIG'):
        try:
            config = json.loads(environ['TF_CONFIG'])
            (addresses,), rank = config['cluster'].values(), config['task']['index']
            addresses[rank].rindex(':')
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise InputError('TF_CONFIG: expected {"cluster": {"worker": ["HOST:PORT", ...]}, '
                             '"task": {"index": N}}; correct it or unset it') from error
    elif int(environ.get('SLURM_STEP_NUM_TASKS', 1)) > 1:  # srun sets it, sbatch does not
        port = 12000 + int(environ['SLURM_JOB_ID']) % 20000  # jobs may share a machine
        addresses = tf.distribute.cluster_resolver.SlurmClusterResolver(
            None, port, 1000, 1, auto_set_gpu=False).cluster_spec().as_dict()['worker']
        # SLURM_PROCID is not the place in this list, which has the machines sorted by name
        port += int(environ['SLURM_LOCALID'])
        rank = addresses.index(f'{environ["SLURMD_NODENAME"]}:{port}')
    return (addresses, rank) if len(addresses) > 1 else ([], 0)


def read_timeout(environ=os.environ, default=1800):
    """Seconds to wait for other processes: longer than process 0's validation takes."""
    text = environ.get('ROAD_TIMEOUT', str(default))
    if not text.isdigit() or not int(text):
        raise InputError(f'ROAD_TIMEOUT={text}: is not a whole number of seconds; correct it')
    return int(text)


def answers(address):
    """Whether a process listens at HOST:PORT."""
    with suppress(OSError), socket.create_connection(address.rsplit(':', 1), timeout=5):
        return True
    return False
