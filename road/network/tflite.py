"""A trained network as a TFLite file, for phones and small computers.

It holds the network at its own size, with 8-bit weights (dynamic range quantization). Resizing and
brightening stay outside, because quantized matrix products would round grey levels.
"""

import json
import os
import zipfile

from road import files
from road.data.images import network_shape
from road.errors import writing
from road.network.export import probabilities
from road.network.tf1 import tf

tf2 = tf.compat.v2
TFLiteConverter = tf2.lite.TFLiteConverter  # fails here, at once, where TensorFlow has none


def save(network, folder, metadata, readme):
    """As road.network.export.save, for model.tflite.

    From image, float32 [1, h, w, 3], RGB, 0 to 255, to confidence, float32 [1, h, w], or of more
    than two classes probabilities, [1, h, w, classes]. metadata.json and labels.txt are zipped
    behind it, as LiteRT's metadata.
    """
    shape = [1, *network_shape(network.image_shape), 3]
    model = tf2.Module()  # the converter needs it, and calls the function's inputs by name then

    @tf2.function(input_signature=[tf.TensorSpec(shape, tf.float32, 'image')])
    def label(image):
        found = probabilities(network, image)
        two = network.num_classes == 2
        return {'confidence': found[..., 0]} if two else {'probabilities': found}

    model.label = label
    converter = TFLiteConverter.from_concrete_functions([label.get_concrete_function()], model)
    converter.optimizations = [tf2.lite.Optimize.DEFAULT]
    content = converter.convert()
    with writing(folder), files.atomic_folder(folder) as temporary:
        path = os.path.join(temporary, 'model.tflite')
        with open(path, 'wb') as file:
            file.write(content)
        with zipfile.ZipFile(path, 'a') as file:
            file.writestr('metadata.json', json.dumps(metadata, indent=1))
            file.writestr('labels.txt', '\n'.join(json.loads(metadata['class_names']).values()))
        files.write_text(os.path.join(temporary, 'README.txt'), readme)
