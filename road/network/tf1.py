"""TensorFlow's graph-and-session interface, imported at its first use and without start-up noise.

    from road.network.tf1 import tf

Importing TensorFlow takes seconds, which --help and usage errors must not wait for. Set
TF_CPP_MIN_LOG_LEVEL (0 shows all) to see what TensorFlow prints; nothing is hidden then.
TF_ENABLE_ONEDNN_OPTS=0 turns off oneDNN, Intel's library of operations for processors.
"""

import importlib
import os
import sys
import tempfile


class _LazyModule:
    """Stands for tensorflow.compat.v1 and imports it when the first name is looked up."""

    def __getattr__(self, name):
        value = getattr(_import_quietly(), name)
        setattr(self, name, value)  # the next look-up does not come here
        return value


def _import_quietly():
    # TensorFlow itself turns it on for the newest processors only; see docs/speed.md.
    os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')
    if not sys.stderr or {'tensorflow', 'TF_CPP_MIN_LOG_LEVEL'} & {*sys.modules, *os.environ}:
        return importlib.import_module('tensorflow.compat.v1')
    os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'  # must stand before the import
    # While its libraries load, TensorFlow writes to file descriptor 2 whatever the level
    # (github.com/tensorflow/tensorflow/issues/100442): the descriptor points elsewhere.
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        stderr = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            module = importlib.import_module('tensorflow.compat.v1')
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
    module.logging.set_verbosity(module.logging.ERROR)
    return module


tf = _LazyModule()
