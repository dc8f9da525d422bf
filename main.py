"""Train FCN-8s on a frozen VGG16 to label the road in KITTI images.

    python main.py --sample     # drawn scenes, no download; less than a minute on 2 cores
    python main.py              # KITTI Road in data/data_road; downloads VGG16 if it is missing
    python main.py --dataset-dir mine        # other data sets and own pictures, two classes or many

Loads the frozen VGG16 graph, adds the FCN-8s decoder, trains it, prints a row of validation scores
per epoch, and paints every test image into runs/<name>/images/. --help lists the options.
"""

from __future__ import annotations  # the annotations would import TensorFlow

import importlib
import sys
from contextlib import contextmanager
from time import perf_counter
from typing import NamedTuple

import numpy as np

import helper
from road import errors, settings
from road.data.batches import Batches, PlainBatches, Sample
from road.data.layouts import open_dataset
from road.files import atomic_folder
from road.network import conv_gradient, surgery
from road.network.device import enable_determinism, find_device
from road.network.encoder import Encoder
from road.network.feature_cache import GIB, FeatureCache
from road.network.loss_scale import LossScale
from road.network.peers import find_peers
from road.network.predictor import Predictor
from road.network.schedule import make_schedule
from road.network.tf1 import tf
from road.network.vgg16 import TENSORS
from road.progress import tqdm
from road.runs import checkpoints, figures, run_folder
from road.runs.log import Log, Terminated, stoppable
from road.runs.metrics import Metrics
from road.sample.prepare import make_sample
from road.scoring.validation import Validation

POOL3_SCALE, POOL4_SCALE = 0.0001, 0.01  # "at once" FCN-8s: make the skips as large as score_fr


# ---------------------------------------------------------------------------------- the network


def load_vgg(sess, vgg_path):
    """Load the frozen VGG16 graph and its weights from a SavedModel into the session.

    Returns float32 Tensors image_input [n, h, w, 3] (RGB, 0 to 255), keep_prob (scalar), layer3_out
    [n, h/8, w/8, 256], layer4_out [n, h/16, w/16, 512], layer7_out [n, h/32, w/32, up to 4096].
    """
    tf.saved_model.loader.load(sess, ['vgg16'], vgg_path)
    return tuple(sess.graph.get_tensor_by_name(name) for name in TENSORS)


def bilinear_kernel(size, num_classes):
    """float32 [size, size, classes, classes]: bilinear interpolation at stride size / 2."""
    ramp = 1 - np.abs((np.arange(size) + 0.5) / (size / 2) - 1)
    return np.float32(np.multiply.outer(np.outer(ramp, ramp), np.eye(num_classes)))


def layers(vgg_layer3_out, vgg_layer4_out, vgg_layer7_out, num_classes, *, l2=1e-3):
    """Add the FCN-8s decoder (Long, Shelhamer, Darrell, CVPR 2015; "at once", with its names).

    Args:
        vgg_layer3_out, vgg_layer4_out, vgg_layer7_out: float32 Tensors of shape [n, h/8, w/8, c3],
            [n, h/16, w/16, c4], [n, h/32, w/32, c7], each size rounded up.
        l2: weight of each kernel's L2 term, which goes into REGULARIZATION_LOSSES.
    Returns logits, float32 Tensor [n, h, w, num_classes]; h, w rounded up to multiples of 8.
    """
    def kernel_variable(shape, initializer):
        return tf.get_variable('kernel', shape, initializer=initializer,
                               regularizer=lambda kernel: l2 * tf.nn.l2_loss(kernel))

    def score(x, scope):  # [n, h, w, c] => [n, h, w, classes], a 1x1 convolution
        with tf.variable_scope(scope):
            kernel = kernel_variable([1, 1, x.shape[-1], num_classes],
                                     tf.truncated_normal_initializer(stddev=0.01))
            bias = tf.get_variable('bias', [num_classes], initializer=tf.zeros_initializer())
            return tf.nn.bias_add(tf.nn.conv2d(x, kernel, strides=1, padding='SAME'), bias)

    def upscore(x, scope, stride, size):  # [n, h, w, classes] => [n, *size, classes]
        with tf.variable_scope(scope):
            bilinear = tf.constant_initializer(bilinear_kernel(2 * stride, num_classes))
            kernel = kernel_variable([2 * stride, 2 * stride, num_classes, num_classes], bilinear)
            output_shape = tf.concat([tf.shape(x)[:1], size, [num_classes]], axis=0)
            return tf.nn.conv2d_transpose(x, kernel, output_shape, strides=stride, padding='SAME')

    with tf.variable_scope('decoder'):
        score_fr = score(vgg_layer7_out, 'score_fr')
        score_pool4 = score(vgg_layer4_out * POOL4_SCALE, 'score_pool4')
        score_pool3 = score(vgg_layer3_out * POOL3_SCALE, 'score_pool3')
        # Each upsampling takes the size of its skip, which may be one less than the double.
        pool4_size, pool3_size = tf.shape(score_pool4)[1:3], tf.shape(score_pool3)[1:3]
        upscore2 = upscore(score_fr, 'upscore2', 2, pool4_size)
        fuse_pool4 = tf.add(upscore2, score_pool4, name='fuse_pool4')
        upscore_pool4 = upscore(fuse_pool4, 'upscore_pool4', 2, pool3_size)
        fuse_pool3 = tf.add(upscore_pool4, score_pool3, name='fuse_pool3')
        return upscore(fuse_pool3, 'upscore8', 8, 8 * pool3_size)


def optimize(nn_last_layer, correct_label, learning_rate, num_classes, *,
             encoder=(), encoder_factor=1.0, clip_norm=None, peers=None, scale_loss=False):
    """Add the loss and Adam for the graph's trainable variables.

    Args:
        nn_last_layer: float32 Tensor [n, h, w, num_classes], the logits.
        correct_label: float32 Tensor of the same shape, one-hot; zeros where a pixel is not valid.
        learning_rate: scalar Tensor.
        encoder: the trainable variables that belong to the encoder.
        encoder_factor: their learning rate is learning_rate times this.
        clip_norm: clip the gradients to this global norm; None or 0 does not clip.
        peers: the processes that share each batch, road.network.peers.Peers; None trains alone.
        scale_loss: scale the gradients of a trained encoder, which float16 needs.
    Returns (logits, train_op, loss): logits flat, [pixels, num_classes]; loss = cross-entropy (mean
    over the valid pixels) + summed L2 terms, the two inputs of loss.op in this order.
    """
    logits = tf.reshape(nn_last_layer, [-1, num_classes], name='logits')
    labels = tf.reshape(correct_label, [-1, num_classes])
    with tf.name_scope('loss'):
        # softmax_cross_entropy_with_logits has the gradient softmax - label, which is not zero
        # where the label is all zeros.
        per_pixel = -tf.reduce_sum(labels * tf.nn.log_softmax(logits), axis=1)
        cross_entropy = tf.reduce_sum(per_pixel) / tf.maximum(tf.reduce_sum(labels), 1)
        # A declared L2 term does nothing until it is added to the loss. The scope leaves out the
        # terms that a downloaded VGG graph may carry in the same collection.
        terms = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES, scope='decoder/')
        loss = tf.add(cross_entropy, tf.add_n(terms) if terms else tf.constant(0.0))
    variables = tf.trainable_variables()
    scale = LossScale() if scale_loss and encoder else None
    gradients = (scale or conv_gradient).gradients(loss, variables)
    if peers:
        loss, gradients = peers.mean(loss, gradients, tf.reduce_sum(labels))
    if scale:
        gradients = scale.only_finite(gradients)
    if clip_norm:
        gradients, _ = tf.clip_by_global_norm(gradients, clip_norm)
    encoder_names, steps = {v.op.name for v in encoder}, []
    for factor, is_encoder in ((1, False), (encoder_factor, True)):
        pairs = [(g, v) for g, v in zip(gradients, variables)
                 if g is not None and (v.op.name in encoder_names) == is_encoder]
        if pairs:
            steps.append(tf.train.AdamOptimizer(factor * learning_rate).apply_gradients(pairs))
    return logits, tf.group(*steps), loss


class Model(NamedTuple):
    """The whole graph as build_graph puts it together. All are Tensors but train_op and savers."""
    image_input: tf.Tensor  # float32 [n, h, w, 3], RGB, 0 to 255, h and w multiples of 32
    keep_prob: tf.Tensor
    correct_label: tf.Tensor  # float32 [n, h, w, num_classes]
    learning_rate: tf.Tensor
    logits: tf.Tensor  # float32 [n * h * w, num_classes]
    loss: tf.Tensor
    cross_entropy: tf.Tensor
    l2: tf.Tensor
    train_op: tf.Operation
    features: tuple  # frozen features: the deepest Tensors that depend on the image alone
    dropout_noise: tuple  # uniform Tensors of the dropouts, fed while training: --seed decides them
    saver: tf.train.Saver  # all that training changes, the optimizer's variables included
    weights_saver: tf.train.Saver  # what predictions need of it


def build_graph(sess, vgg_dir, *, num_classes=2, l2=1e-4, train_encoder='none', **optimizer):
    """Put the graph together, here and nowhere else: VGG16, decoder, loss, optimizer.

    l2, train_encoder: see road.settings; optimizer: keyword arguments of optimize.
    """
    image_input, keep_prob, *vgg_layers = load_vgg(sess, vgg_dir)
    trained = surgery.freeze_below(train_encoder)
    features, dropout_noise = surgery.find_features(image_input, keep_prob, *vgg_layers, trained)
    if not trained:
        vgg_layers = [tf.stop_gradient(layer) for layer in vgg_layers]
    frozen = {v.op.name for v in tf.global_variables()} - {v.op.name for v in trained}
    correct_label = tf.placeholder(tf.float32, [None, None, None, num_classes], 'correct_label')
    learning_rate = tf.placeholder(tf.float32, [], 'learning_rate')
    nn_last_layer = layers(*vgg_layers, num_classes, l2=l2)
    logits, train_op, loss = optimize(nn_last_layer, correct_label, learning_rate, num_classes,
                                      encoder=trained, **optimizer)
    changed = [v for v in tf.global_variables() if v.op.name not in frozen]
    if optimizer.get('peers'):
        optimizer['peers'].share(changed)
    return Model(image_input, keep_prob, correct_label, learning_rate, logits, loss,
                 *loss.op.inputs, train_op, features, dropout_noise,
                 tf.train.Saver(changed, max_to_keep=None),
                 tf.train.Saver(tf.trainable_variables(), max_to_keep=None))


@contextmanager
def open_model(vgg_dir, config=None, *, seed=0, peers=None, **settings):
    """Yield (sess, Model): the graph of build_graph(**settings), initialised and finalized."""
    open_session = peers.session if peers else tf.Session
    with tf.Graph().as_default(), open_session(config=config) as sess:
        tf.set_random_seed(seed)
        model = build_graph(sess, vgg_dir, peers=peers, **settings)
        surgery.initialize_missing(sess)
        sess.graph.finalize()  # from here on no step and no image can add to it
        yield sess, model


# ------------------------------------------------------------------------------------- training


def train_nn(sess, epochs, batch_size, get_batches_fn, train_op, cross_entropy_loss, input_image,
             correct_label, keep_prob, learning_rate, *, learning_rate_at=lambda progress: 1e-3,
             keep_prob_value=0.5, after_epoch=None):
    """Train, with one progress bar over all epochs; InputError if a loss is not finite.

    Args:
        sess: tf.Session. Variables without a value are initialised, unless the graph is finalized.
        get_batches_fn: get_batches_fn(batch_size) yields the (image, label) pairs of an epoch. With
            road.data.batches.Batches training goes on after its epoch, and errors name frames.
        train_op: run in every step; cross_entropy_loss: scalar Tensor, or a list of them to sum.
        input_image, correct_label, keep_prob, learning_rate: fed in every step. input_image may be
            a tuple of Tensors; get_batches_fn then yields tuples of arrays for it.
        learning_rate_at: the learning rate at a share of the training, 0 to 1.
        keep_prob_value: share of the features that dropout keeps, 0 to 1.
        after_epoch: called as after_epoch(epoch, mean losses, images per second).
    """
    if not sess.graph.finalized:
        surgery.initialize_missing(sess)
    batches = get_batches_fn if hasattr(get_batches_fn, 'epoch') else PlainBatches(get_batches_fn)
    with tqdm(total=len(batches) * epochs or None, initial=len(batches) * batches.epoch,
              unit='image', dynamic_ncols=True) as bar:
        while batches.epoch < epochs:
            losses, images, start = [], 0, perf_counter()
            for step, (image, label) in enumerate(batches(batch_size), 1):
                progress = (batches.epoch - 1 + images / (len(batches) or np.inf)) / epochs
                feed = {input_image: image, correct_label: label, keep_prob: keep_prob_value,
                        learning_rate: learning_rate_at(progress)}
                _, loss = sess.run([train_op, cross_entropy_loss], feed)
                if not np.all(np.isfinite(loss)):
                    raise errors.not_finite(batches.epoch, step, np.sum(loss), feed[learning_rate],
                                            batches.names(step, batch_size))
                losses.append(loss)  # of several processes, each has a share of the label:
                size = min(batch_size, len(batches) - images) if len(batches) else len(label)
                images += size
                bar.postfix = f'epoch {batches.epoch}, step {step}, loss {np.sum(loss):.4f}'
                bar.update(size)
            if after_epoch:
                rate = images / (perf_counter() - start)
                after_epoch(batches.epoch, np.mean(losses, axis=0), rate)


def train(args):
    """Train a run, or resume one, and write the test images."""
    with Log() as log:
        device = find_device(args.precision, args.train_encoder)
        peers = find_peers(args, device)  # None: this process trains alone
        leads = not (peers and peers.rank)  # the others only take their share of the steps
        if args.sample:
            make_sample(args.dataset_dir, args.vgg_dir)
        if args.download_kitti:
            helper.maybe_download_kitti(args.dataset_dir)
        data, args = open_dataset(args)
        vgg = helper.maybe_download_pretrained_vgg(args.data_dir, vgg_dir=args.vgg_dir,
                                                   weights=args.vgg_weights)
        run = run_folder.begin(args, data, vgg, device, log)
        settings.show(args)
        if args.deterministic:  # not earlier: what makes and tries out VGG16 draws without a seed
            enable_determinism()
        # The frozen part of VGG16 gives the same features in every epoch: compute them once.
        encoder = Encoder(load_vgg, vgg.folder, device.encoder_config, args.train_encoder)
        features = FeatureCache(encoder, args.image_size, data)
        batches = Batches(data.training, features.read, len(data.classes), copies=args.copies,
                          augment=args.augment, scale=args.train_scale, seed=args.seed)
        if args.cache:
            samples = batches.all_samples() + [Sample(frame, run.seen) for frame in data.scored]
            features.fill(f'{args.data_dir}/cache', samples, args.cache_limit * GIB,
                          encoder=f'{vgg.fingerprint} {device.precision}')

        with open_model(vgg.folder, device.config, seed=args.seed, num_classes=len(data.classes),
                        l2=args.l2, train_encoder=args.train_encoder, clip_norm=args.clip_norm,
                        encoder_factor=args.encoder_learning_rate / args.learning_rate,
                        peers=peers, scale_loss=args.precision == 'float16') as (sess, model):
            predictor = Predictor(sess, model.logits, model.keep_prob, model.features,
                                  args.image_size, encoder, model.dropout_noise, run.seen)
            validation = Validation(predictor, features.read, data) if leads else None
            learning_rate_at = make_schedule(args.schedule, args.learning_rate)
            metrics = Metrics(run, sess, model, validation, learning_rate_at) if leads else None
            batches.epoch, batches.dropout_noise = leads and metrics.epoch, model.dropout_noise
            if peers:
                peers.begin(sess, run, batches)
            train_nn(sess, args.epochs, args.batch_size, batches, model.train_op,
                     [model.cross_entropy, model.l2], (*model.features, *model.dropout_noise),
                     model.correct_label, model.keep_prob, model.learning_rate,
                     learning_rate_at=learning_rate_at, keep_prob_value=args.keep_prob,
                     after_epoch=leads and metrics.add_epoch)
            if not leads:
                return
            metrics.restore_best()
            with atomic_folder(f'{run.folder}/images') as folder:
                helper.write_test_images(predictor, data.testing, folder, data.classes)
            figures.draw(run, metrics.rows, validation.outputs(data.validation))
            metrics.finish()
        print(run_folder.next_commands(run))


class OpenRun(NamedTuple):
    """A trained run, its network restored from the best checkpoint."""
    run: run_folder.Run
    predictor: Predictor
    sess: tf.Session
    model: Model
    precision: str  # of the encoder


@contextmanager
def open_run(folder, vgg_dir=None):
    """Yield the OpenRun of a run folder; vgg_dir names the VGG16 graph if it has moved."""
    run = run_folder.load(folder)
    vgg = run_folder.find_encoder(run, vgg_dir)
    train_encoder = run.settings['train_encoder']
    device = find_device(run.settings['precision'], train_encoder)
    encoder = Encoder(load_vgg, vgg.folder, device.encoder_config, train_encoder)
    with open_model(vgg.folder, device.config, num_classes=len(run.classes),
                    train_encoder=train_encoder) as (sess, model):
        checkpoints.restore(model.weights_saver, sess, run.best_checkpoint)
        yield OpenRun(run, Predictor(sess, model.logits, model.keep_prob, model.features,
                                     run.settings['image_size'], encoder, model.dropout_noise,
                                     run.seen), sess, model, device.precision)


def main(argv=None):
    """Run a command line; return the exit code: 0, 2 bad input, 130 Ctrl-C, 143 SIGTERM."""
    command, args = settings.parse(sys.argv[1:] if argv is None else argv)
    try:
        with stoppable():
            if command == 'train':
                args = run_folder.resumed_settings(args)
                train(args)
            else:
                importlib.import_module(f'road.commands.{command}').run(args, open_run)
    except KeyboardInterrupt as stop:
        print('Stopped', file=sys.stderr)
        return 143 if isinstance(stop, Terminated) else 130
    except Exception as error:
        line = errors.describe(error, vars(args))
        if line is None or args.debug:
            raise
        print(f'Error: {line}', file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
