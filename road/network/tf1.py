"""TensorFlow's graph-and-session interface, imported at its first use and without start-up noise.

    from road.network.tf1 import tf

Importing TensorFlow takes seconds, which --help and usage errors must not wait for. Set
TF_CPP_MIN_LOG_LEVEL (0 shows all) to see what TensorFlow prints; nothing is hidden then.
"""

import importlib
import os
import subprocess
import sys


class _LazyModule:
    """Stands for tensorflow.compat.v1 and imports it when the first name is looked up."""

    def __getattr__(self, name):
        value = getattr(_import_quietly(), name)
        setattr(self, name, value)  # the next look-up does not come here
        return value


# Prints what it reads, unless it ends in a zero byte: all went well, and the noise is dropped.
_HOLD_BACK = '''
import sys
text = sys.stdin.buffer.read()
if not text.endswith(bytes(1)):
    sys.stderr.buffer.write(text)
'''


def _import_quietly():
    # TensorFlow itself turns it on for the newest processors only; see docs/speed.md.
    os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')
    if 'keras' not in sys.modules:  # TensorFlow imports Keras, which nothing here uses
        os.environ['KERAS_BACKEND'] = 'tensorflow'
    # A program started from a notebook inherits the notebook's backend of matplotlib.
    if os.environ.get('MPLBACKEND', '').startswith('module:') and 'ipykernel' not in sys.modules:
        os.environ['MPLBACKEND'] = 'agg'
    if not sys.stderr or 'tensorflow' in sys.modules or 'TF_CPP_MIN_LOG_LEVEL' in os.environ:
        return importlib.import_module('tensorflow.compat.v1')
    os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'  # must stand before the import
    # While its libraries load, TensorFlow writes to file descriptor 2 whatever the level
    # (github.com/tensorflow/tensorflow/issues/100442). Another process reads it: this one may be
    # aborted, as on a processor without AVX, and then the reason must be shown.
    sys.stderr.flush()
    stderr = os.dup(2)
    with subprocess.Popen([sys.executable, '-ISc', _HOLD_BACK], stdin=subprocess.PIPE) as reader:
        os.dup2(reader.stdin.fileno(), 2)
        try:
            module = importlib.import_module('tensorflow.compat.v1')
            os.write(2, bytes(1))
        except KeyboardInterrupt:  # no reason to show the noise
            os.write(2, bytes(1))
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
    module.logging.set_verbosity(module.logging.ERROR)
    return module


tf = _LazyModule()


def cpu_session():
    """A session of a new graph, which `with` makes the default one; it leaves GPUs alone."""
    return tf.Session(graph=tf.Graph(), config=tf.ConfigProto(device_count={'GPU': 0}))
