"""Train FCN-8s on a frozen VGG16 to label the road in KITTI images.

    python main.py --sample     # scenes the program draws itself; nothing to download, under two minutes on 2 cores
    python main.py              # KITTI Road in data/data_road, VGG16 in data/vgg (downloaded where it is missing)

Loads the frozen VGG16 graph, adds the FCN-8s decoder, trains it with cross-entropy plus L2, prints a row of validation
scores an epoch, and writes every test image with its road painted green to runs/<name>/images/.

Network: Long, Shelhamer, Darrell, "Fully convolutional networks for semantic segmentation" (2015), in its "at once"
form; the layers have the names of the published network.
"""

import json
import os
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import wraps
from itertools import count
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

import helper
from road import check as checks
from road import (checkpoints, download, evaluation, kitti, options, pictures, records, runs, sample, scenes, scores,
                  vgg16)
from road.activations import GIB, Cache
from road.ahead import batched, map_ahead
from road.errors import InputError
from road.logs import Log, Terminated, stoppable
from road.machine import session_config
from road.tf1 import tf
from road.variants import draw_variants

NUM_CLASSES = 2  # not road, road
TRAIN_SCORED = 12  # training frames, evenly spread, that are scored after every epoch to set beside validation
POOL3_SCALE, POOL4_SCALE = 0.0001, 0.01  # "at once" FCN-8s: brings the skips to the size of score_fr


# ------------------------------------------------------------------------------------------------ the network


def load_vgg(sess, vgg_path):
    """Load the frozen VGG16 graph and its weights into the session.

    Args:
        sess: tf.Session; the graph is added to its graph.
        vgg_path: folder of a SavedModel with tag 'vgg16'.
    Returns:
        float32 Tensors image_input [n, h, w, 3] (RGB, 0 to 255), keep_prob (scalar), layer3_out [n, h/8, w/8, 256],
        layer4_out [n, h/16, w/16, 512], layer7_out [n, h/32, w/32, 4096 or fewer].
    """
    tf.saved_model.loader.load(sess, ['vgg16'], vgg_path)
    return tuple(sess.graph.get_tensor_by_name(name) for name in vgg16.TENSORS)


def bilinear_kernel(size, num_classes):
    """float32 [size, size, classes, classes] that makes a transposed convolution of stride size / 2 interpolate."""
    ramp = 1 - np.abs((np.arange(size) + 0.5) / (size / 2) - 1)
    kernel = np.zeros([size, size, num_classes, num_classes], np.float32)
    for i in range(num_classes):  # each class on its own
        kernel[:, :, i, i] = np.outer(ramp, ramp)
    return kernel


def layers(vgg_layer3_out, vgg_layer4_out, vgg_layer7_out, num_classes, *, l2=1e-3):
    """Add the FCN-8s decoder.

    Args:
        vgg_layer3_out, vgg_layer4_out, vgg_layer7_out: float32 Tensors of shape [n, h/8, w/8, c3], [n, h/16, w/16, c4],
            [n, h/32, w/32, c7], each size rounded up.
        num_classes: number of classes.
        l2: weight of each kernel's L2 term, which goes into the collection REGULARIZATION_LOSSES.
    Returns:
        logits, float32 Tensor of shape [n, h, w, num_classes]; h and w rounded up to multiples of 8.
    """
    def kernel_variable(shape, initializer):
        return tf.get_variable('kernel', shape, initializer=initializer,
                               regularizer=lambda kernel: l2 * tf.nn.l2_loss(kernel))

    def score(x, scope):  # [n, h, w, c] => [n, h, w, classes]: a 1x1 convolution in place of a fully connected layer
        with tf.variable_scope(scope):
            kernel = kernel_variable([1, 1, x.shape[-1], num_classes], tf.truncated_normal_initializer(stddev=0.01))
            bias = tf.get_variable('bias', [num_classes], initializer=tf.zeros_initializer())
            return tf.nn.bias_add(tf.nn.conv2d(x, kernel, strides=1, padding='SAME'), bias)

    def upscore(x, scope, stride, size):  # [n, h, w, classes] => [n, *size, classes]
        with tf.variable_scope(scope):
            initial = tf.constant_initializer(bilinear_kernel(2 * stride, num_classes))
            kernel = kernel_variable([2 * stride, 2 * stride, num_classes, num_classes], initial)
            output_shape = tf.concat([tf.shape(x)[:1], size, [num_classes]], axis=0)
            return tf.nn.conv2d_transpose(x, kernel, output_shape, strides=stride, padding='SAME')

    with tf.variable_scope('decoder'):
        score_fr = score(vgg_layer7_out, 'score_fr')
        score_pool4 = score(vgg_layer4_out * POOL4_SCALE, 'score_pool4')
        score_pool3 = score(vgg_layer3_out * POOL3_SCALE, 'score_pool3')
        # Each upsampling takes its skip's size, which for odd sizes is one row or column less than the double.
        pool4_size, pool3_size = tf.shape(score_pool4)[1:3], tf.shape(score_pool3)[1:3]
        upscore2 = upscore(score_fr, 'upscore2', 2, pool4_size)
        fuse_pool4 = tf.add(upscore2, score_pool4, name='fuse_pool4')
        upscore_pool4 = upscore(fuse_pool4, 'upscore_pool4', 2, pool3_size)
        fuse_pool3 = tf.add(upscore_pool4, score_pool3, name='fuse_pool3')
        return upscore(fuse_pool3, 'upscore8', 8, 8 * pool3_size)


def optimize(nn_last_layer, correct_label, learning_rate, num_classes, *, encoder=(), encoder_rate=1.0, encoder_l2=0.0,
             clip_norm=None):
    """Add the loss and Adam, for the graph's trainable variables.

    Args:
        nn_last_layer: float32 Tensor [n, h, w, num_classes], the logits.
        correct_label: float32 Tensor of the same shape, one-hot; all zeros where a pixel does not count.
        learning_rate: scalar Tensor.
        num_classes: number of classes.
        encoder: those of the trainable variables that are the encoder's.
        encoder_rate: their learning rate, as a factor of learning_rate.
        encoder_l2: weight of their kernels' L2 terms.
        clip_norm: gradients are shrunk, all by one factor, to this norm where theirs is larger; None leaves them.
    Returns:
        (logits, train_op, loss): logits flat, [pixels, num_classes]; loss = cross-entropy, the mean over the pixels that
        count, plus the sum of the L2 terms. The two are the inputs of loss.op, in this order.
    """
    logits = tf.reshape(nn_last_layer, [-1, num_classes])
    labels = tf.reshape(correct_label, [-1, num_classes])
    with tf.name_scope('loss'):
        # Not softmax_cross_entropy_with_logits: its gradient is softmax - label, which is not zero where the label is.
        per_pixel = -tf.reduce_sum(labels * tf.nn.log_softmax(logits), axis=1)
        cross_entropy = tf.reduce_sum(per_pixel) / tf.maximum(tf.reduce_sum(labels), 1)
        # An L2 term that is only declared does nothing: it must be added to what is minimised. The scope leaves out the
        # terms that a downloaded VGG graph may carry in the same collection.
        terms = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES, scope='decoder/')
        terms += [encoder_l2 * tf.nn.l2_loss(v) for v in encoder if v.shape.rank == 4]  # kernels, not biases
        l2 = tf.add_n(terms) if terms else tf.constant(0.0)
        loss = tf.add(cross_entropy, l2)
    variables = tf.trainable_variables()
    gradients = tf.gradients(loss, variables)
    if clip_norm:
        gradients, _ = tf.clip_by_global_norm(gradients, clip_norm)
    names, steps = {v.op.name for v in encoder}, []
    for rate, of_encoder in ((learning_rate, False), (learning_rate * encoder_rate, True)):
        pairs = [(g, v) for g, v in zip(gradients, variables) if g is not None and (v.op.name in names) == of_encoder]
        if pairs:
            steps.append(tf.train.AdamOptimizer(rate).apply_gradients(pairs))
    return logits, tf.group(*steps), loss


class Model(NamedTuple):
    """The whole graph, as build_graph puts it together. All are Tensors but train_op."""
    image_input: tf.Tensor  # float32 [n, h, w, 3], RGB, 0 to 255, h and w multiples of 32
    keep_prob: tf.Tensor
    correct_label: tf.Tensor  # float32 [n, h, w, NUM_CLASSES]
    learning_rate: tf.Tensor
    logits: tf.Tensor  # float32 [n * h * w, NUM_CLASSES], divided by the temperature: what confidences are the softmax of
    loss: tf.Tensor
    cross_entropy: tf.Tensor
    l2: tf.Tensor
    train_op: tf.Operation
    frontier: tuple  # what of the graph depends on the image alone and is frozen; see road.vgg16
    noise: tuple  # the dropouts' uniform noise, fed while training so that --seed decides it
    saver: tf.train.Saver  # of what training changes: all variables but the encoder's frozen ones
    weights: tf.train.Saver  # of what predictions need of it: without the optimizer's, a third


def build_graph(sess, vgg_dir, *, l2=1e-4, train_encoder='none', temperature=1.0, **optimizer):
    """The one place where the graph is put together: VGG16, stopped gradients (where frozen), decoder, loss, optimizer.

    Args:
        l2: weight of the decoder kernels' L2 terms.
        train_encoder: the block of the encoder that is trained, with all above it; see road.vgg16.FIRST_TRAINED.
        temperature: of the confidences. Above 1 it spreads them over the 256 levels of KITTI's grey images, which leaves
            order and decisions as they are: the surest wrong pixels, which average precision hangs on, are then not all 0.
        optimizer: keyword arguments of optimize.
    """
    image_input, keep_prob, layer3, layer4, layer7 = load_vgg(sess, vgg_dir)
    trained = vgg16.trained_variables(tf.global_variables(), train_encoder)
    frozen = {v.op.name for v in tf.global_variables()} - {v.op.name for v in trained}
    tf.get_collection_ref(tf.GraphKeys.TRAINABLE_VARIABLES)[:] = trained  # a downloaded graph lists all it has, or none
    frontier, noise = vgg16.frontier_and_noise(image_input, keep_prob, layer3, layer4, layer7, trained)
    skips = [layer if trained else tf.stop_gradient(layer) for layer in (layer3, layer4, layer7)]
    correct_label = tf.placeholder(tf.float32, [None, None, None, NUM_CLASSES], name='correct_label')
    learning_rate = tf.placeholder(tf.float32, [], name='learning_rate')
    nn_last_layer = layers(*skips, NUM_CLASSES, l2=l2)
    logits, train_op, loss = optimize(nn_last_layer, correct_label, learning_rate, NUM_CLASSES, encoder=trained, **optimizer)
    cross_entropy, l2_terms = loss.op.inputs
    saver = tf.train.Saver([v for v in tf.global_variables() if v.op.name not in frozen], max_to_keep=None)
    logits = tf.divide(logits, temperature, name='logits')
    return Model(image_input, keep_prob, correct_label, learning_rate, logits, loss, cross_entropy, l2_terms, train_op,
                 frontier, noise, saver, tf.train.Saver(tf.trainable_variables(), max_to_keep=None))


@contextmanager
def open_model(vgg_dir, config, *, seed=0, **settings):
    """Build the graph, with these settings of build_graph, in a session of its own, initialised and finalized: yields
    (sess, Model)."""
    with tf.Graph().as_default(), tf.Session(config=config) as sess:
        tf.set_random_seed(seed)
        model = build_graph(sess, vgg_dir, **settings)
        initialize_missing(sess)
        sess.graph.finalize()  # from here on nothing can be added to it, a step or an image at a time
        yield sess, model


# --------------------------------------------------------------------------------------------------- training


def initialize_missing(sess):
    """Initialise the variables that hold nothing yet, and no other: the encoder's hold the pretrained weights."""
    with sess.graph.as_default():
        missing = set(sess.run(tf.report_uninitialized_variables()))
        sess.run(tf.variables_initializer([v for v in tf.global_variables() if v.op.name.encode() in missing]))


def train_nn(sess, epochs, batch_size, get_batches_fn, train_op, cross_entropy_loss, input_image,
             correct_label, keep_prob, learning_rate, *, l2_loss=None, rate=1e-3, keep=0.5, first_epoch=1,
             after_epoch=None):
    """Train, with one progress bar over all epochs.

    Args:
        sess: tf.Session. Variables that are not initialised are initialised first, unless the graph is finalized.
        epochs, batch_size: int.
        get_batches_fn: get_batches_fn(batch_size) yields an epoch's (image, label) pairs. It may have the attributes
            `frames`, the number of frames an epoch, and `names`: names(epoch, step, batch_size) are a step's frames.
        train_op, cross_entropy_loss: what a step runs.
        input_image, correct_label, keep_prob, learning_rate: what a step feeds. input_image may be a tuple of Tensors;
            get_batches_fn then yields tuples of arrays for it.
        l2_loss: scalar Tensor, reported apart.
        rate: the value fed to learning_rate, or a function that gives it for the share of the training that is done, from
            0 to 1, which is known where get_batches_fn has `frames`.
        keep: the value fed to keep_prob.
        first_epoch: where to go on; epochs counts from 1 all the same.
        after_epoch: called as after_epoch(epoch, cross_entropy, l2, images_per_second) with the epoch's mean losses.
    Raises:
        InputError: a loss is not finite.
    """
    if not sess.graph.finalized:
        initialize_missing(sess)
    fetches = [train_op, cross_entropy_loss] + ([] if l2_loss is None else [l2_loss])
    frames = getattr(get_batches_fn, 'frames', None)
    names = getattr(get_batches_fn, 'names', None)
    with tqdm(total=frames and frames * epochs, initial=(frames or 0) * (first_epoch - 1), unit='image',
              dynamic_ncols=True) as bar:
        for epoch in range(first_epoch, epochs + 1):
            losses, images, start = [], 0, time.perf_counter()
            for step, (image, label) in enumerate(get_batches_fn(batch_size), 1):
                now = rate((epoch - 1 + images / frames) / epochs) if callable(rate) else rate
                _, *loss = sess.run(fetches, {input_image: image, correct_label: label, keep_prob: keep,
                                              learning_rate: now})
                if not np.all(np.isfinite(loss)):
                    batch = ' on the frames ' + ', '.join(names(epoch, step, batch_size)) if names else ''
                    raise InputError(f'epoch {epoch}, step {step}: the loss is {sum(loss)} at learning rate {now:g}{batch}; '
                                     'try a smaller --learning-rate. What earlier epochs reached is kept')
                losses.append(loss)
                images += len(label)
                bar.set_description(f'epoch {epoch}/{epochs}', refresh=False)
                bar.set_postfix(step=step, loss=f'{sum(loss):.4f}', refresh=False)
                bar.update(len(label))
            cross_entropy, l2 = (*np.mean(losses, axis=0), 0.0)[:2]
            if after_epoch:
                after_epoch(epoch, cross_entropy, l2, images / (time.perf_counter() - start))


def cosine(rate, warm_up=0.05):
    """A learning rate over the course of training, for train_nn: up to `rate` in the share warm_up, then down to 0."""
    def at(progress):
        if progress < warm_up:
            return rate * (progress / warm_up * 0.99 + 0.01)
        return rate * (1 + np.cos(np.pi * (progress - warm_up) / (1 - warm_up))) / 2

    return at


def with_dropout_noise(get_batches_fn, noise, seed, first_epoch=1):
    """Make get_batches_fn yield ((*inputs, *noise), labels): noise for the dropouts, drawn from (seed, epoch).

    Args:
        get_batches_fn: yields (inputs, labels), inputs a tuple of arrays.
        noise: Model.noise, Tensors [n, h/32, w/32, channels].
        first_epoch: the epoch of the first call; each call is the next one.
    """
    epochs = count(first_epoch)

    @wraps(get_batches_fn)  # and its attributes
    def with_noise(batch_size):
        rng = np.random.default_rng([seed, next(epochs), 1])  # the third number keeps it apart from the order's
        for inputs, labels in get_batches_fn(batch_size):
            n, height, width = labels.shape[:3]
            shape = (n, height // kitti.STRIDE, width // kitti.STRIDE)
            yield (*inputs, *(rng.random((*shape, t.shape[-1]), np.float32) for t in noise)), labels

    return with_noise


def labelled_confidences(sess, model, frames, read_batch, labels, image_shape):
    """Yield (frame, road, counts, confidence), [h, w] each at the frame's full size, confidence float32 in [0, 1].

    Args:
        read_batch: gives the frontier's values of a batch of samples.
        labels: {frame name: (road, counts)}, bool arrays of the images' own size.
    """
    batches = list(batched(frames, 4))
    inputs = map_ahead(lambda batch: read_batch([kitti.Sample(frame) for frame in batch])[0], batches)
    for batch, values in zip(batches, inputs):
        found = helper.road_confidences(sess, model.logits, model.keep_prob, model.frontier, values, image_shape)
        for frame, confidence in zip(batch, found):
            road, counts = labels[frame.name]
            yield frame, road, counts, kitti.resize_confidence(confidence, road.shape)


def validate(outputs):
    """Score what `labelled_confidences` yields, all categories together: road.scores.Scores."""
    histograms = {frame.name: scores.histogram(confidence, road, counts) for frame, road, counts, confidence in outputs}
    return scores.scores(scores.pool(histograms)['URBAN'])


def open_encoder(vgg_dir, config, train_encoder='none'):
    """What of the encoder is frozen, in a session of its own, which may run at a lower precision than training.

    Returns:
        (encode, layers): encode takes uint8 images [n, h, w, 3] to the frontier's values, a tuple of float32 arrays (see
        road.vgg16.frontier_and_noise; of the images themselves where nothing is frozen); layers are (stride, channels) of
        each.
    """
    if train_encoder == 'all':
        return lambda images: (images,), [(1, 3)]
    with tf.Graph().as_default() as graph:
        sess = tf.Session(config=config)
        image_input, *others = load_vgg(sess, vgg_dir)
        trained = vgg16.trained_variables(tf.global_variables(), train_encoder)
        frontier, _ = vgg16.frontier_and_noise(image_input, *others, trained)
        graph.finalize()
    layers = [(stride, int(tensor.shape[-1])) for stride, tensor in zip(vgg16.strides(frontier), frontier)]
    return lambda images: tuple(sess.run(frontier, {image_input: images})), layers


# ---------------------------------------------------------------------------------------------------- the run


def run(args):
    """Train with the settings of road.options.parse_training, or go on with a run, and write the test images."""
    with Log() as log:
        train(args, log)


def train(args, log):
    """What run does, while `log` keeps what it shows."""
    if args.resume:
        args = runs.settings_to_resume(args)
    else:
        runs.refuse_existing(args.runs_dir, args.name)
    config, encoder_config, device, precision = session_config(args.precision, args.xla, args.train_encoder)

    # the data and the encoder
    if args.sample:
        with download.alone(args.kitti_dir):  # two runs that start at once
            scenes.write_dataset(args.kitti_dir)
            sample.make_encoder(args.vgg_dir, config=config)
    if args.download_kitti:
        helper.maybe_download_kitti(args.kitti_dir)
    training, validation, testing = find_kitti(args.kitti_dir, args.val_frames, drawn=args.sample)
    training = [frame._replace(classic=args.labels == 'classic') for frame in training]
    checks.refuse_faults(args.kitti_dir, os.path.join(args.data_dir, 'checked.json'))
    helper.maybe_download_pretrained_vgg(args.data_dir, vgg_dir=args.vgg_dir, weights=args.vgg_weights)
    fingerprint = vgg16.fingerprint(args.vgg_dir)

    # the run's folder, before the first step
    if args.resume:
        log.keep_in(args.resume)
        this_run = runs.reopen(args.resume, vars(args), fingerprint, training, validation, device, precision)
    else:
        this_run = runs.create(args.runs_dir, args.name, vars(args), fingerprint, training, validation, device, precision)
        log.keep_in(this_run.folder)
    print_settings(args)

    # what training and scoring read: the frozen encoder's outputs, and labels at full size
    encode, layers_fed = open_encoder(args.vgg_dir, encoder_config, args.train_encoder)
    scored = pictures.spread(training, TRAIN_SCORED)
    read_batch = activations(args, f'{fingerprint} {precision}', encode, layers_fed, training, scored + validation)
    labels = {frame.name: label for frame, label in
              zip(scored + validation, map_ahead(lambda frame: kitti.read_label(frame.label), scored + validation))}

    rate = cosine(args.learning_rate) if args.schedule == 'cosine' else lambda progress: args.learning_rate
    with open_model(args.vgg_dir, config, seed=args.seed, l2=args.l2, train_encoder=args.train_encoder,
                    encoder_rate=args.encoder_learning_rate / args.learning_rate, encoder_l2=args.encoder_l2,
                    clip_norm=args.clip_norm, temperature=args.temperature) as (sess, model):
        record = records.Record(this_run, model.saver, model.weights, sess)
        first_epoch = len(record.rows) + 1
        get_batches_fn = helper.gen_batch_function(
            os.path.join(args.kitti_dir, 'training'), args.image_size, frames=training, variants=args.variants,
            augment=args.augment, seed=args.seed, read_batch=read_batch, first_epoch=first_epoch)

        def outputs(frames):
            return labelled_confidences(sess, model, frames, read_batch, labels, args.image_size)

        def after_epoch(epoch, cross_entropy, l2, images_per_second):
            of_training, of_validation = (validate(outputs(frames)) for frames in (scored, validation))
            tqdm.write(record.add(epoch, cross_entropy, l2, rate((epoch - 1) / args.epochs), images_per_second, of_training,
                                  of_validation))
            if record.wants_pictures(epoch):
                record.add_pictures(epoch, outputs(pictures.spread(validation, 3)))

        print('\n'.join([records.HEADER] + [records.line(row) for row in record.rows]))
        # Where the encoder is frozen, training feeds what it gives for an image, not the image.
        train_nn(sess, args.epochs, args.batch_size,
                 with_dropout_noise(get_batches_fn, model.noise, args.seed, first_epoch),
                 model.train_op, model.cross_entropy, (*model.frontier, *model.noise), model.correct_label,
                 model.keep_prob, model.learning_rate, l2_loss=model.l2, rate=rate, keep=args.keep_prob,
                 first_epoch=first_epoch, after_epoch=after_epoch)
        record.restore_best()

        # the test images and the pictures of the training
        with runs.whole_folder(os.path.join(this_run.folder, 'images')) as folder:
            helper.save_inference_samples(
                args.runs_dir, args.data_dir, sess, args.image_size, model.logits, model.keep_prob, model.frontier,
                output_dir=folder, testing_dir=os.path.join(args.kitti_dir, 'testing'), encode=encode)
        pictures.draw(this_run.folder, record.rows, list(outputs(validation)))
        record.finish()
    print(f'{len(testing)} test images are in {this_run.folder}/images')
    best = records.fields(record.best)
    print(f'Best on validation: epoch {best["epoch"]}, MaxF {best["val_MaxF"]} %, AP {best["val_AP"]} %, '
          f'IoU {best["val_IoU"]} %')


def activations(args, encoder, encode, layers_fed, training, scored):
    """A function from samples to (the frontier's values, labels): kept on disk, or computed every time.

    Kept are all variants of the training frames, where their number is fixed, and the scored frames as they are.
    """
    def compute(samples):
        images, labels = helper.read_images(samples, args.image_size)
        return encode(images), labels

    if not args.cache or args.train_encoder == 'all':  # images are as quickly read from their own files
        return compute
    samples = [kitti.Sample(frame, variant) for frame in training
               for variant in draw_variants(frame.name, args.variants, args.seed, args.augment)]
    samples = list(dict.fromkeys(samples + [kitti.Sample(frame) for frame in scored]))
    cache = Cache(os.path.join(args.data_dir, 'cache'), encoder, args.image_size, layers_fed, args.cache_dtype)
    if not cache.fill(samples, encode, args.cache_limit * GIB):
        return compute
    return lambda samples: cache.read(samples) if cache.holds(samples) else compute(samples)


def print_settings(args):
    """Print the settings in force, those that are not the default marked."""
    defaults = vars(options.parse_training(['--sample'] if args.sample else ['--preset', args.preset] if args.preset else []))
    print('Settings (* = not the default)')
    for name, value in vars(args).items():
        mark = '*' if value != defaults[name] and name != 'name' else ' '
        option, text = options.words(name, value)
        print(f'  {mark} {option:16s} {text}')


def find_kitti(kitti_dir, val_frames, *, drawn=False):
    """Find KITTI Road (or drawn scenes) and say what is there: (training, validation, testing) lists of kitti.Frame."""
    if not os.path.isdir(kitti_dir):
        raise InputError(kitti.missing_message(kitti_dir))
    labelled = kitti.training_frames(os.path.join(kitti_dir, 'training'))
    testing = kitti.testing_frames(os.path.join(kitti_dir, 'testing'))
    differing = [] if drawn else kitti.differing_counts(labelled, testing)
    print(('Drawn scenes in ' if drawn else 'KITTI Road in ') + kitti_dir +
          (f': partial ({"; ".join(differing)})' if differing else
           f': complete ({len(labelled)} training images, {len(labelled)} labels, {len(testing)} test images)'))
    training, validation = kitti.split(labelled, val_frames)
    print(f'Training on {len(training)} frames, validating on {len(validation)}: the last {val_frames} of each category')
    return training, validation, testing


# ------------------------------------------------------------------------------------------------ trained runs


@contextmanager
def open_run(args):
    """Rebuild a trained run's graph: yields (run, outputs, (sess, Model)). outputs is a function from (key, image) pairs
    to what helper.confidences yields of them; with full_size=True the images are not resized."""
    run = runs.load(args.run)
    vgg_dir = args.vgg_dir or run.settings['vgg_dir']
    helper.maybe_download_pretrained_vgg(os.path.dirname(vgg_dir), vgg_dir=vgg_dir)
    if vgg16.fingerprint(vgg_dir) != run.encoder:
        raise InputError(f'{vgg_dir}: is not the encoder that {run.folder} was trained on; name that one with --vgg-dir')
    train_encoder = run.settings['train_encoder']
    config, encoder_config, _, _ = session_config(run.settings['precision'], run.settings['xla'], train_encoder)
    args.image_size = tuple(run.settings['image_size'])
    prefix, state = run.read_checkpoint('best')
    print(f'Checkpoint: {prefix}, of epoch {state["epoch"]}, the best on validation')
    encode, _ = open_encoder(vgg_dir, encoder_config, train_encoder)
    with open_model(vgg_dir, config, train_encoder=train_encoder, temperature=run.settings['temperature']) as (sess, model):
        checkpoints.restore(model.weights, sess, prefix)

        def outputs(images, full_size=False):
            return helper.confidences(sess, model.logits, model.keep_prob, model.frontier, images,
                                      None if full_size else args.image_size, encode=encode)

        yield run, outputs, (sess, model)


def evaluate(args):
    """`main.py evaluate RUN`: KITTI's scores of the run's validation (or training) frames."""
    with open_run(args) as (run, outputs, _):
        kitti_dir = args.kitti_dir or run.settings['kitti_dir']
        wanted = run.training if args.split == 'train' else run.validation
        frames = kitti.named(kitti.training_frames(os.path.join(kitti_dir, 'training')), wanted, kitti_dir)
        histograms = evaluation.evaluate(outputs(helper.read_frames(frames)), len(frames))
    note = ', frames it was TRAINED on: no measure of what it can do' if args.split == 'train' else ''
    title = f'{run.folder}: {len(frames)} {args.split} frames{note}'
    print(f'{title}\n{evaluation.table(histograms)}')
    path = os.path.join(run.folder, f'evaluation-{args.split}')
    evaluation.write_json(f'{path}.json', histograms, {'run': run.folder, 'split': args.split, 'frames': wanted,
                                                       'checkpoint': run.decoder})
    evaluation.plot_curves(f'{path}.png', histograms, title)
    print(f'Written to {path}.json, precision and recall to {path}.png')


def submit(args):
    """`main.py submit RUN`: the zip for the benchmark's server."""
    with open_run(args) as (run, outputs, _):
        kitti_dir = args.kitti_dir or run.settings['kitti_dir']
        frames = kitti.testing_frames(os.path.join(kitti_dir, 'testing'))
        path = os.path.join(run.folder, 'submission.zip')
        evaluation.write_submission(outputs(helper.read_frames(frames)), frames, path)
    print(f'{path}: {len(frames)} confidence maps, checked')
    if len(frames) != kitti.FULL['test images']:
        print(f"Warning: the benchmark's server expects {kitti.FULL['test images']}")


def predict(args):
    """`main.py predict RUN INPUT...`: paint the road into images, folders of images and videos."""
    from road import predict  # here and below, because nothing else needs it
    jobs, failures = predict.plan(args.inputs, args.output)
    missing = len(failures)
    if jobs:
        with open_run(args) as (_, network, _):
            def outputs(images):
                return network(images, args.full_size)

            failures += predict.paint_images(jobs, outputs, args.overlay, args.confidence)
            failures += predict.paint_videos(jobs, outputs, args.overlay)
    print(f'{len(jobs) - len(failures) + missing} of {len(jobs)} files are painted, in {args.output}')
    for line in failures[:-1]:
        print(f'Error: {line}', file=sys.stderr)
    if failures:
        raise InputError(failures[-1])


def export(args):
    """`main.py export RUN`: a SavedModel from images of any size to confidences, for programs that know nothing of this."""
    from road import export
    export.refuse_existing(args.output)
    with open_run(args) as (run, _, (sess, model)):
        frozen = export.freeze(sess, model)
    export.save(frozen, tuple(run.settings['image_size']), args.output, export.readme(run))
    size, seconds = export.size_and_speed(args.output)
    print(f'{args.output}: {size / 1e6:.0f} MB, {1000 * seconds:.0f} ms here for an image of 375x1242, in float32')


def check(args):
    """`main.py check`: read every file of the data and of the VGG16 graph, and list what is wrong with them."""
    kitti_dir = args.kitti_dir or os.path.join(args.data_dir, 'data_road')
    vgg_dir = args.vgg_dir or os.path.join(args.data_dir, 'vgg')
    wanted = args.vgg_dir or os.path.lexists(vgg_dir)  # else it is not there yet, and training makes it
    report = checks.check(kitti_dir, vgg_dir if wanted else None, os.path.join(args.data_dir, 'checked.json'))
    print(checks.text(report, kitti_dir, vgg_dir))
    if report.faults:
        raise InputError(f'{len(report.faults)} faults; training needs every one put right')


def benchmark(args):
    """`main.py benchmark`: how fast training and inference are here, beside the plain loop; writes benchmark.json."""
    config, encoder_config, device, precision = session_config(args.precision, args.xla)
    if not args.kitti_dir:
        args.kitti_dir = os.path.join(args.data_dir, 'sample', 'data_road')
        scenes.write_dataset(args.kitti_dir)
    from road import benchmark
    os.makedirs(args.data_dir, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.data_dir) as folder:
        if not args.vgg_dir:  # for timing, random weights of the real widths do
            args.vgg_dir = os.path.join(folder, 'vgg')
            vgg16.save_graph(vgg16.random_weights(vgg16.WIDTHS), args.vgg_dir)
        result = benchmark.benchmark(open_model, open_encoder, config, encoder_config, args.vgg_dir, args.kitti_dir,
                                     folder, args.quick)
    result = {'device': device, 'precision': precision, 'tensorflow': tf.version.VERSION, **result}
    print(benchmark.report(result))
    os.makedirs(os.path.dirname(os.path.abspath(args.output)), exist_ok=True)
    with open(args.output, 'w') as file:
        json.dump(result, file, indent=1)
    print(f'Written to {args.output}')


def run_experiments(args):
    """`main.py experiments LIST`: many trainings, one after the other, and a table of what they reached."""
    from road import experiments
    print(experiments.run_all(args.list, args.common, args.seeds, args.runs_dir))


def show_runs(args):
    """`main.py runs`: all runs, the best first."""
    print(runs.table(args.runs_dir))


# ----------------------------------------------------------------------------------------------- command line


COMMANDS = {'train': run, 'evaluate': evaluate, 'submit': submit, 'predict': predict, 'export': export, 'check': check,
            'runs': show_runs, 'experiments': run_experiments, 'benchmark': benchmark}


def main(argv=None):
    """Run the command line; returns the exit code: 0, 2 for bad input, 130 after Ctrl-C, 143 after SIGTERM."""
    command, args = options.parse(sys.argv[1:] if argv is None else argv)
    try:
        with stoppable():
            COMMANDS[command](args)
    except (MemoryError, tf.errors.ResourceExhaustedError):
        if args.debug:
            raise
        print(f'Error: out of memory{options.memory_advice(args)}', file=sys.stderr)
        return 2
    except (InputError, OSError) as error:  # OSError: a full disk, a folder that cannot be written; it names the file
        if args.debug:
            raise
        print(f'Error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print('Stopped', file=sys.stderr)
        return 143 if isinstance(stop, Terminated) else 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
