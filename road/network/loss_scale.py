"""A loss scale: gradients below 6e-8 vanish in float16, so they are computed multiplied.

TensorFlow's rewriter for float16 keeps softmax, loss and variables in float32; tests ask it.
"""

from road.network.tf1 import tf


class LossScale:
    """TensorFlow's dynamic loss scale, for gradients that any optimizers take.

    It begins at 2 ** 15. A step with a gradient that is not finite halves it and changes nothing
    else; 2000 steps without one double it. Powers of two multiply and divide without rounding.
    """

    def __init__(self):
        with tf.name_scope('loss_scale'):
            self._dynamic = tf.mixed_precision.DynamicLossScale()

    def gradients(self, loss, variables):
        """As tf.gradients, a list of Tensors and None; multiplied as long as they are float16."""
        factor = self._dynamic()
        # The rewriter would turn a plain division into one of float16, after which small gradients
        # vanish all the same. It leaves this one alone.
        return [g if g is None else tf.math.divide_no_nan(g, factor)
                for g in tf.gradients(loss, variables, factor)]

    def only_finite(self, gradients):
        """The same gradients. Where one is not finite, what needs them does not run."""
        update, finite = self._dynamic.update(gradients)
        # Not tf.cond, which cannot change the variables of a graph of TensorFlow 1. An operation
        # that needs the output which Switch leaves out does not run.
        with tf.control_dependencies([update]):
            return [g if g is None else tf.raw_ops.Switch(data=g, pred=finite)[1]
                    for g in gradients]
