"""Operations on a loaded VGG16 graph of road.network.vgg16: what is frozen, features, dropouts."""

import re

from road.network.tf1 import tf
from road.network.vgg16 import DROPOUTS, FROZEN_FEATURES

# The start of the names of the variables that are trained, as a regular expression.
TRAINED = {'none': '$', 'conv5': 'conv5|fc', 'conv4': 'conv[45]|fc', 'conv3': 'conv[345]|fc',
           'all': 'conv|fc'}


def initialize_missing(sess):
    """Initialise the variables that have no value yet, and keep the weights of those that do."""
    with sess.graph.as_default():
        missing = set(sess.run(tf.report_uninitialized_variables()))
        variables = [v for v in tf.global_variables() if v.op.name.encode() in missing]
        sess.run(tf.variables_initializer(variables))


def freeze_below(train_encoder):
    """Make an encoder block and all above it trainable, fc6 and fc7 too, and nothing else.

    Returns the variables of the default graph that are trained.
    """
    trained = [v for v in tf.global_variables() if re.match(TRAINED[train_encoder], v.op.name)]
    tf.get_collection_ref(tf.GraphKeys.TRAINABLE_VARIABLES)[:] = trained
    return trained


def frozen_features(graph, train_encoder):
    """The float32 Tensors that are the same in every epoch, a tuple: what a feature cache keeps."""
    return tuple(graph.get_tensor_by_name(f'{name}:0') for name in FROZEN_FEATURES[train_encoder])


def dropout_noise(graph):
    """The uniform [0, 1) float32 Tensors of the dropouts, of the dropped layers' shapes: a tuple.

    Whoever feeds them decides the noise; the graph's own is the same in every session.
    """
    return tuple(graph.get_tensor_by_name(f'{name}_noise:0') for name in _dropouts(graph))


def freeze(sess, output='logits'):
    """The network up to an operation as tf.GraphDef, variables as constants, without dropouts.

    The placeholder image_input is left out: it is fed with what the caller has.
    """
    graph_def = sess.graph.as_graph_def()
    inputs = {name: f'{name}_input' for name in _dropouts(sess.graph)}
    for node in graph_def.node:
        node.input[:] = [inputs.get(name, name) for name in node.input]
    frozen = tf.graph_util.convert_variables_to_constants(sess, graph_def, [output])
    frozen.node.remove(next(node for node in frozen.node if node.name == 'image_input'))
    return frozen


def _dropouts(graph):
    names = {op.name for op in graph.get_operations()}
    return [name for name in DROPOUTS if name in names]
