"""Train FCN-8s on VGG16 to find the road, or other classes, in images.

    python main.py --sample     # drawn scenes, no download; half a minute on 2 cores
    python main.py              # KITTI Road in data/data_road; downloads VGG16 if it is missing
    python main.py --dataset-dir mine        # other data sets and own pictures, two classes or many

Loads the VGG16 graph, adds the FCN-8s decoder, trains it (with --preset VGG16's upper blocks too),
prints a row of validation scores per epoch, and paints the test images into runs/<name>/images/.
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
from road.data.batches import Batches, PlainBatches, sample_of
from road.data.download import download_kitti
from road.data.formats import fit_settings, open_dataset
from road.files import atomic_folder
from road.network import conv_gradient, surgery
from road.network.device import find_device
from road.network.encoder import Encoder
from road.network.feature_cache import GIB, FeatureCache
from road.network.loss_scale import LossScale
from road.network.predictor import Predictor
from road.network.schedule import make_schedule
from road.network.tf1 import tf
from road.network.vgg16 import TENSORS
from road.network.vgg_folder import find_vgg
from road.network.workers import ALONE, find_workers
from road.progress import tqdm
from road.runs import checkpoints, figures, run_folder
from road.runs.log import Log, Terminated, end, stoppable
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
             encoder=(), encoder_factor=1.0, clip_norm=None, workers=ALONE, scale_loss=False,
             class_weights=None):
    """Add the loss and Adam for the graph's trainable variables.

    Args:
        nn_last_layer: float32 Tensor [n, h, w, num_classes], the logits.
        correct_label: Tensor of the same shape, one-hot; zeros where a pixel is ignored.
        learning_rate: scalar Tensor.
        encoder: the trainable variables that belong to the encoder.
        encoder_factor: their learning rate is learning_rate times this.
        clip_norm: clip the gradients to this global norm; None or 0 does not clip.
        workers: the processes that share each batch, road.network.workers.
        scale_loss: scale the gradients of a trained encoder, which float16 needs.
        class_weights: weight of a pixel in the loss, by its class; None: 1 each.
    Returns (logits, train_op, loss): logits flat, [pixels, num_classes]; loss = cross_entropy
    (weighted mean over the pixels that are not ignored) + l2_loss (summed L2 terms), Tensors of
    these names.
    """
    logits = tf.reshape(nn_last_layer, [-1, num_classes], name='logits')
    labels = tf.reshape(tf.cast(correct_label, tf.float32), [-1, num_classes])
    if class_weights is not None:
        labels *= tf.constant(class_weights)
    # softmax_cross_entropy_with_logits has the gradient softmax - label, which is not zero where
    # the label is all zeros.
    per_pixel = -tf.reduce_sum(labels * tf.nn.log_softmax(logits), axis=1)
    pixels = tf.reduce_sum(labels)
    cross_entropy = tf.reduce_sum(per_pixel) / tf.maximum(pixels, 1)
    # A declared L2 term does nothing until it is added to the loss. The scope leaves out the terms
    # that a downloaded VGG graph may carry in the same collection.
    terms = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES, scope='decoder/')
    l2_loss = tf.add_n(terms) if terms else tf.constant(0.0)

    variables = tf.trainable_variables()
    loss_scale = LossScale() if scale_loss and encoder else None
    if loss_scale:
        gradients = loss_scale.gradients(cross_entropy + l2_loss, variables)
    else:
        gradients = conv_gradient.gradients(cross_entropy + l2_loss, variables)
    cross_entropy, gradients = workers.all_reduce_mean(cross_entropy, gradients, pixels)
    if loss_scale:
        gradients = loss_scale.only_finite(gradients)
    if clip_norm:
        gradients, _ = tf.clip_by_global_norm(gradients, clip_norm)

    of_decoder, of_encoder = [], []
    encoder_names = {variable.op.name for variable in encoder}
    for gradient, variable in zip(gradients, variables):
        if gradient is not None:
            pairs = of_encoder if variable.op.name in encoder_names else of_decoder
            pairs.append((gradient, variable))
    steps = []
    if of_decoder:
        steps.append(tf.train.AdamOptimizer(learning_rate).apply_gradients(of_decoder))
    if of_encoder:
        adam = tf.train.AdamOptimizer(encoder_factor * learning_rate)
        steps.append(adam.apply_gradients(of_encoder))
    loss = tf.add(tf.identity(cross_entropy, 'cross_entropy'), tf.identity(l2_loss, 'l2_loss'))
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
    l2_loss: tf.Tensor
    train_op: tf.Operation
    features: tuple  # frozen features: the deepest Tensors that depend on the image alone
    dropout_noise: tuple  # uniform Tensors of the dropouts, fed while training: --seed decides them
    saver: tf.train.Saver  # all that training changes, the optimizer's variables included
    weights_saver: tf.train.Saver  # what predictions need of it


def build_graph(sess, vgg_dir, *, num_classes=2, l2=1e-4, train_encoder='none', workers=ALONE,
                **optimizer):
    """Put the graph together, here and nowhere else: VGG16, decoder, loss, optimizer.

    l2, train_encoder: see road.settings; optimizer: keyword arguments of optimize.
    """
    graph = sess.graph
    image_input, keep_prob, *vgg_layers = load_vgg(sess, vgg_dir)
    trained = surgery.freeze_below(train_encoder)
    frozen = {v.op.name for v in tf.global_variables()} - {v.op.name for v in trained}
    if not trained:
        vgg_layers = [tf.stop_gradient(layer) for layer in vgg_layers]
    correct_label = tf.placeholder(tf.float32, [None, None, None, num_classes], 'correct_label')
    learning_rate = tf.placeholder(tf.float32, [], 'learning_rate')
    nn_last_layer = layers(*vgg_layers, num_classes, l2=l2)
    logits, train_op, loss = optimize(nn_last_layer, correct_label, learning_rate, num_classes,
                                      encoder=trained, workers=workers, **optimizer)
    changed = [v for v in tf.global_variables() if v.op.name not in frozen]
    workers.broadcast_variables(changed)
    return Model(image_input, keep_prob, correct_label, learning_rate, logits, loss,
                 cross_entropy=graph.get_tensor_by_name('cross_entropy:0'),
                 l2_loss=graph.get_tensor_by_name('l2_loss:0'),
                 train_op=train_op,
                 features=surgery.frozen_features(graph, train_encoder),
                 dropout_noise=surgery.dropout_noise(graph),
                 saver=tf.train.Saver(changed, max_to_keep=None),
                 weights_saver=tf.train.Saver(tf.trainable_variables(), max_to_keep=None))


@contextmanager
def open_model(vgg_dir, config=None, *, seed=0, workers=ALONE, **settings):
    """Yield (sess, Model): the graph of build_graph(**settings), initialised and finalized."""
    with tf.Graph().as_default(), workers.session(config) as sess:
        tf.set_random_seed(seed)
        model = build_graph(sess, vgg_dir, workers=workers, **settings)
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
        learning_rate_at: the learning rate at a fraction of the training, 0 to 1.
        keep_prob_value: dropout keep probability, 0 to 1.
        after_epoch: called as after_epoch(epoch, mean losses, images per second, learning rate),
            the learning rate that of the epoch's first step.
    """
    if not sess.graph.finalized:
        surgery.initialize_missing(sess)
    batches = get_batches_fn if hasattr(get_batches_fn, 'epoch') else PlainBatches(get_batches_fn)
    total = len(batches)  # images per epoch; 0: not known
    with tqdm(total=total * epochs or None, initial=total * batches.epoch, unit='image',
              dynamic_ncols=True) as bar:
        while batches.epoch < epochs:
            losses, rates, sizes = [], [], []
            images = 0
            start = perf_counter()
            for step, (image, label) in enumerate(batches(batch_size), 1):
                done = images / total if total else 0
                rates.append(learning_rate_at((batches.epoch - 1 + done) / epochs))
                feed = {input_image: image, correct_label: label, keep_prob: keep_prob_value,
                        learning_rate: rates[-1]}
                _, loss = sess.run([train_op, cross_entropy_loss], feed)
                if not np.all(np.isfinite(loss)):
                    raise errors.not_finite(batches.epoch, step, np.sum(loss), rates[-1],
                                            batches.names(step))
                losses.append(loss)
                # Of a batch that several processes share, each sees only its part of the label.
                size = len(batches.names(step)) or len(label)
                sizes.append(size)
                images += size
                bar.postfix = f'epoch {batches.epoch}, step {step}, loss {np.sum(loss):.4f}'
                bar.update(size)
            if after_epoch:
                images_per_second = images / (perf_counter() - start)
                mean_losses = np.average(losses, axis=0, weights=sizes)
                after_epoch(batches.epoch, mean_losses, images_per_second, rates[0])


def train(args):
    """Train a run, or resume one, and paint test images; without any, validation images."""
    workers = find_workers()  # this process alone, unless several train as one: docs/gpus.md
    args = run_folder.resumed_settings(args, workers.is_chief)
    if run_folder.is_finished(args):
        print(f'{args.resume}: all {args.epochs} epochs are done; a larger --epochs trains longer')
        return
    with Log(vars(args), workers.is_chief) as log:
        device = find_device(args.precision, args.train_encoder)
        workers.start(args, device)
        if args.sample:
            make_sample(args.dataset_dir, args.vgg_dir)
        if args.download_kitti:
            download_kitti(args.dataset_dir)
        data = open_dataset(args)
        fit_settings(args, data)
        vgg = find_vgg(args.vgg_dir, args.vgg_weights, compare=not args.resume)
        weights = run_folder.initial_weights(args, data, vgg) if workers.is_chief else {}
        run = run_folder.begin(args, data, vgg, device, workers.is_chief)
        log.attach(run.folder)
        settings.show(args)
        if args.deterministic:  # random operations without a seed then raise
            tf.compat.v2.config.experimental.enable_op_determinism()

        # The frozen part of VGG16 gives the same features in every epoch: compute them once.
        encoder = Encoder(load_vgg, vgg.folder, device.encoder_config, args.train_encoder)
        features = FeatureCache(encoder, data)
        batches = Batches(data.training, args.image_size, features.read, len(data.classes),
                          copies=args.copies, augment=args.augment, scale=args.train_scale,
                          seed=args.seed)
        if args.cache:
            scored = [sample_of(frame, args.image_size, light=run.light)
                      for frame in data.scored_training + data.validation]
            features.fill(f'{args.data_dir}/cache', batches.all_samples() + scored,
                          args.cache_limit * GIB, encoder=f'{vgg.fingerprint} {device.precision}')

        with open_model(vgg.folder, device.config, seed=args.seed, num_classes=len(data.classes),
                        l2=args.l2, train_encoder=args.train_encoder, clip_norm=args.clip_norm,
                        encoder_factor=args.encoder_learning_rate / args.learning_rate,
                        class_weights=data.class_weights,
                        workers=workers, scale_loss=args.precision == 'float16') as (sess, model):
            batches.dropout_noise = model.dropout_noise
            after_epoch = None
            if workers.is_chief:  # it alone scores and writes
                for variable in tf.trainable_variables():
                    if variable.op.name in weights:
                        variable.load(weights[variable.op.name], sess)
                predictor = Predictor(sess, model.logits, model.keep_prob, model.features,
                                      args.image_size, encoder, run.light)
                validation = Validation(predictor, features.read, data)
                metrics = Metrics(run, sess, model, validation)
                batches.epoch = metrics.epoch
                after_epoch = metrics.add_epoch
            workers.synchronize(sess, run, batches)
            train_nn(sess, args.epochs, args.batch_size, batches, model.train_op,
                     [model.cross_entropy, model.l2_loss], (*model.features, *model.dropout_noise),
                     model.correct_label, model.keep_prob, model.learning_rate,
                     learning_rate_at=make_schedule(args.schedule, args.learning_rate),
                     keep_prob_value=args.keep_prob, after_epoch=after_epoch)
            if workers.is_chief:
                metrics.restore_best()
                predictor.threshold = run.threshold
                split = 'test' if data.testing else 'validation'
                with atomic_folder(f'{run.folder}/images') as folder:
                    helper.write_test_images(predictor, data.testing or data.validation, folder,
                                             data.classes)
                figures.draw(run, metrics.rows, validation.outputs(data.validation), split)
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
        checkpoints.restore(model.weights_saver, sess, run.read_checkpoint('best')[0])
        predictor = Predictor(sess, model.logits, model.keep_prob, model.features,
                              run.settings['image_size'], encoder, run.light, run.threshold)
        yield OpenRun(run, predictor, sess, model, device.precision)


def main(argv=None):
    """Run a command line; return the exit code: 0, 2 bad input, 130 Ctrl-C, 143 terminated."""
    command, args = settings.parse(sys.argv[1:] if argv is None else argv)
    with stoppable():
        try:
            if command == 'train':
                train(args)
            else:
                importlib.import_module(f'road.commands.{command}').run(args, open_run)
            print(end='', flush=True)  # what cannot be written is an error here
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
    end(main())
