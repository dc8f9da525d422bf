"""TensorFlow's graph-and-session interface, imported without its start-up noise.

    from road.tf1 import tf

Set TF_CPP_MIN_LOG_LEVEL (0 shows all) to see what TensorFlow says; then nothing is held back here.
"""

import os
import sys
import tempfile

# Lets --xla compile on a CPU too; without --xla it does nothing. It is read while TensorFlow is imported.
os.environ.setdefault('TF_XLA_FLAGS', '--tf_xla_cpu_global_jit')

if 'TF_CPP_MIN_LOG_LEVEL' in os.environ:
    import tensorflow.compat.v1 as tf
else:
    os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'  # must stand before the import
    # While its libraries load, TensorFlow writes to file descriptor 2 whatever the level
    # (github.com/tensorflow/tensorflow/issues/100442), so the descriptor itself points elsewhere for that time.
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        stderr = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            import tensorflow.compat.v1 as tf
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
    tf.logging.set_verbosity(tf.logging.ERROR)

__all__ = ['tf']
