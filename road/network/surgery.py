"""Operations on a loaded VGG16 graph: what is frozen, where features are fed, dropouts."""

import re

from road.network.tf1 import tf

FIRST_TRAINED_BLOCK = {'none': None, 'conv5': 5, 'conv4': 4, 'conv3': 3, 'all': 1}


def initialize_missing(sess):
    """Initialise the variables that have no value yet, and keep the weights of those that do."""
    with sess.graph.as_default():
        missing = set(sess.run(tf.report_uninitialized_variables()))
        variables = [v for v in tf.global_variables() if v.op.name.encode() in missing]
        sess.run(tf.variables_initializer(variables))


def freeze_below(train_encoder):
    """Make an encoder block and all above it trainable, fc6 and fc7 too, and nothing else.

    Returns the variables of the default graph that are trained. (A downloaded graph may list all of
    its variables as trainable, or none.)

    Args:
        train_encoder: one of road.settings.TRAIN_ENCODER.
    """
    first, trained = FIRST_TRAINED_BLOCK[train_encoder], []
    for variable in tf.global_variables() if first else ():
        found = re.match(r'(?:conv(\d)_\d|fc[67])/', variable.op.name)
        if found and int(found[1] or 6) >= first:
            trained.append(variable)
    tf.get_collection_ref(tf.GraphKeys.TRAINABLE_VARIABLES)[:] = trained
    return trained


def find_features(image_input, keep_prob, layer3_out, layer4_out, layer7_out, trained=()):
    """Find the frozen features and the dropout noise of a VGG16 graph.

    The frozen features are the deepest tensors, on each way to the three layers, that depend on the
    image alone: they are the same in every epoch. After them stand the dropouts and what is
    trained. The uniform noise of the dropouts is found too, so that it can be fed: the random ops
    of a downloaded graph carry the seeds (0, 0), which start a new stream in every session.

    Args:
        the five Tensors of load_vgg, before anything else is added to the graph.
        trained: variables of the encoder that are not frozen.
    Returns:
        (features, dropout_noise), tuples of float32 Tensors. All frozen, features are pool3, pool4
        and the input of the first dropout; all trained, image_input alone. dropout_noise are the
        uniform [0, 1) Tensors, of the dropped layers' shapes.
    """
    graph = image_input.graph
    of_image = _downstream([image_input])
    dropout_noise = [op.outputs[0] for op in graph.get_operations()
                     if op.type == 'RandomUniform' and op in of_image]
    names = {variable.op.name for variable in trained}
    if any(name.startswith('conv1_1/') for name in names):
        return (image_input,), tuple(dropout_noise)
    weights = [op.outputs[0] for op in graph.get_operations() if op.name in names]
    varying, features = _downstream([keep_prob, *dropout_noise, *weights]), []

    def walk_down(tensor):
        while tensor.op.type == 'Identity':  # a pool and layer4_out are one tensor with two names
            tensor = tensor.op.inputs[0]
        if tensor.op in varying:
            for source in tensor.op.inputs:
                if source.op.type != 'RandomUniform':  # its input is only a shape
                    walk_down(source)
        elif tensor.op in of_image and tensor.dtype == tf.float32:
            if not any(tensor is found for found in features):
                features.append(tensor)

    for tensor in (layer3_out, layer4_out, layer7_out):
        walk_down(tensor)
    return tuple(features), tuple(dropout_noise)


def strides(features):
    """How much smaller than the image each feature is, a list of int: 2 for each max pooling."""
    def pools(op, seen):
        for source in op.inputs:
            if source.op not in seen:
                seen.add(source.op)
                pools(source.op, seen)
        return sum(each.type == 'MaxPool' for each in seen)

    return [2 ** pools(tensor.op, {tensor.op}) for tensor in features]


def dropouts(image_input, keep_prob):
    """The dropouts of a graph: {name of the output: name of the input}, spelled as in a GraphDef.

    With a keep_prob of 1 the two are equal. A dropout is x times something of keep_prob, times (or
    selected by) something of a random uniform tensor.
    """
    graph = image_input.graph
    of_image, of_keep = _downstream([image_input]), _downstream([keep_prob])
    found = {}
    for op in graph.get_operations():
        if op.type != 'RandomUniform' or op not in of_image:
            continue
        of_noise = _downstream(op.outputs)
        after, before = next((merge, source) for merge in graph.get_operations()
                             if merge in of_noise for source in merge.inputs
                             if source.op in of_image - of_noise - {op})
        while any(source is keep_prob or source.op in of_keep and source.op not in of_image
                  for source in before.op.inputs):
            before, = (source for source in before.op.inputs
                       if source.op in of_image or source is image_input)
        found[_input_name(after.outputs[0])] = _input_name(before)
    return found


def _input_name(tensor):
    return tensor.name.removesuffix(':0')  # a GraphDef leaves the :0 out


def _downstream(tensors):
    """The set of operations that need one of the tensors."""
    reached, waiting = set(), list(tensors)
    while waiting:
        for op in waiting.pop().consumers():
            if op not in reached:
                reached.add(op)
                waiting.extend(op.outputs)
    return reached
