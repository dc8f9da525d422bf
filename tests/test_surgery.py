"""Graph surgery. (tests/test_main.py has the frozen features of each --train-encoder.)"""

from road.network import surgery
from road.network.tf1 import tf


def test_dropouts_of_an_older_graph_are_found():
    """TensorFlow 1 wrote x / keep_prob * floor(keep_prob + uniform): so does the classic graph."""
    with tf.Graph().as_default():
        image = tf.placeholder(tf.float32, [None, 4], name='image_input')
        keep_prob = tf.placeholder(tf.float32, name='keep_prob')

        def dropout(x, name):
            with tf.name_scope(name):
                uniform = tf.random.uniform(tf.shape(x))
                mask = tf.floor(keep_prob + uniform, name='Floor')
                return tf.multiply(tf.divide(x, keep_prob, name='div'), mask, name='mul')

        first = dropout(tf.nn.relu(image, name='fc6'), 'first')
        dropout(tf.nn.relu(first, name='fc7'), 'second')
        assert surgery.dropouts(image, keep_prob) == {'first/mul': 'fc6', 'second/mul': 'fc7'}
