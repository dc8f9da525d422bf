"""A VGG16 folder that is incomplete, cut short or of another model is named as such, and left alone."""

import hashlib
import json
import os
import shutil

import numpy as np
import pytest

from road import vgg16, vgg_folder
from road.errors import InputError
from road.tf1 import tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel


def digests(folder):
    paths = sorted(os.path.join(at, name) for at, _, names in os.walk(folder) for name in names)
    return {path: hashlib.md5(open(path, 'rb').read()).hexdigest() for path in paths}


def edit(change):
    """Changes saved_model.pb through its parsed form."""
    def apply(folder):
        path = os.path.join(folder, 'saved_model.pb')
        saved = SavedModel()
        saved.ParseFromString(open(path, 'rb').read())
        change(saved.meta_graphs[0])
        open(path, 'wb').write(saved.SerializeToString())
    return apply


def rename(old, new):
    def change(meta):
        for node in meta.graph_def.node:
            if node.name == old:
                node.name = new
    return edit(change)


def retag(meta):
    meta.meta_info_def.tags[0] = 'serve'


def other_version(meta):
    meta.meta_info_def.tensorflow_version = 'another'


def truncate(name, share):
    def apply(folder):
        path = os.path.join(folder, name)
        os.truncate(path, int(os.path.getsize(path) * share))
    return apply


def flip(name):
    def apply(folder):
        path = os.path.join(folder, name)
        data = bytearray(open(path, 'rb').read())
        data[len(data) // 2] ^= 1
        open(path, 'wb').write(data)
    return apply


def no_source(folder):
    os.remove(os.path.join(folder, 'source.json'))


VALUES = 'variables/variables.data-00000-of-00001'


@pytest.mark.parametrize('break_it, complaint', [
    (shutil.rmtree, 'there is no such folder'),
    (lambda f: os.remove(f'{f}/saved_model.pb'), 'saved_model.pb is missing'),
    (lambda f: shutil.rmtree(f'{f}/variables'), 'variables/variables.index is missing'),
    (lambda f: os.remove(f'{f}/{VALUES}'), r'variables/variables.data-\* is missing'),
    (truncate('saved_model.pb', 0.5), 'saved_model.pb is damaged or cut short'),
    (truncate('saved_model.pb', 0), "no graph with the tag 'vgg16' alone"),
    (truncate('variables/variables.index', 0.5), 'variables/variables.index is damaged'),
    (truncate(VALUES, 0.9), r'variables.data-\* is cut short: \d+ bytes, the variables need 387008'),
    (edit(retag), r"no graph with the tag 'vgg16' alone \(found \[\['serve'\]\]\)"),
    (rename('keep_prob', 'keep'), 'of another model: tensor keep_prob:0 is missing'),
    (rename('layer7_out', 'layer8_out'), 'layer7_out:0 is missing'),
    (edit(other_version), 'was changed since it was made: its fingerprint is'),
    (lambda f: (no_source(f), flip(VALUES)(f)), r'variable conv\S+ in variables/ is damaged'),
    (lambda f: (no_source(f), rename('conv1_1/Relu', 'gone')(f)), 'TensorFlow cannot run it')])
def test_fault_is_named_and_nothing_touched(vgg_dir, tmp_path, break_it, complaint):
    folder = str(tmp_path / 'vgg')
    shutil.copytree(vgg_dir, folder)
    break_it(folder)
    before = digests(folder)
    with pytest.raises(InputError, match=complaint) as raised:
        vgg_folder.check(folder)
    assert '\n' not in str(raised.value) and str(raised.value).startswith(folder) and '--vgg-dir' in str(raised.value)
    assert digests(folder) == before


def saved(folder, weights, shapes=None):
    """A SavedModel of `weights`, its variables perhaps saved by other names or in other shapes."""
    with tf.Graph().as_default(), tf.Session() as sess:
        variables = vgg16.build_graph(weights)
        sess.run(tf.global_variables_initializer())
        builder = tf.saved_model.Builder(folder)
        builder.add_meta_graph_and_variables(sess, [vgg16.TAG], saver=tf.train.Saver(shapes(variables) if shapes else None))
        builder.save()


def test_other_models_are_named(tmp_path):
    weights = vgg16.random_weights((2, 3, 4, 5, 6))
    saved(str(tmp_path / 'a'), weights, lambda v: {name: x for name, x in v.items() if name != 'conv3_2/filter'})
    with pytest.raises(InputError, match='variable conv3_2/filter is missing'):
        vgg_folder.check(str(tmp_path / 'a'))
    swapped = {'conv2_1/biases': 'conv3_1/biases', 'conv3_1/biases': 'conv2_1/biases'}
    saved(str(tmp_path / 'b'), weights, lambda v: {swapped.get(name, name): x for name, x in v.items()})
    with pytest.raises(InputError, match=r'conv2_1/biases has shape \[4\], expected \[3\]'):
        vgg_folder.check(str(tmp_path / 'b'))
    shutil.copytree(tmp_path / 'a', tmp_path / 'c')
    shutil.rmtree(tmp_path / 'c' / 'variables')
    wider = vgg16.random_weights((2, 3, 4, 5, 7))
    saved(str(tmp_path / 'd'), wider)
    shutil.copytree(tmp_path / 'd' / 'variables', tmp_path / 'c' / 'variables')
    with pytest.raises(InputError, match=r'conv5_1/filter has shape \[3, 3, 5, 7\] in variables/, but \[3, 3, 5, 6\] in'):
        vgg_folder.check(str(tmp_path / 'c'))
    weights['conv4_1/filter'][0, 0, 0, 0] = np.nan
    vgg16.save_graph(weights, str(tmp_path / 'e'))
    with pytest.raises(InputError, match='variable conv4_1/filter in variables/ holds values that are not finite'):
        vgg_folder.check(str(tmp_path / 'e'))


@pytest.mark.parametrize('fc_width, kind', [(None, '13 convolutions'), (16, 'with fc6 and fc7')])
def test_good_graph(tmp_path, fc_width, kind):
    folder = str(tmp_path / 'vgg')
    vgg16.save_graph(vgg16.random_weights(fc_width=fc_width), folder)
    graph = vgg_folder.check(folder)
    assert graph.fingerprint == vgg16.fingerprint(folder) and kind in graph.summary and graph.fingerprint in graph.summary
    recorded = json.load(open(os.path.join(folder, 'source.json')))
    assert recorded == {'source': 'random weights', 'fingerprint': graph.fingerprint}
