"""How TensorFlow runs on the machine at hand: device, GPU memory, the precision of the frozen encoder."""

import os
import platform
import re
import subprocess

import numpy as np

from road.tf1 import tf

PRECISIONS = ('auto', 'float32', 'bfloat16', 'float16')


def session_config(precision, xla=False, train_encoder='none'):
    """Choose how to run, and say so in a line; without a GPU a second line says what that costs.

    Args:
        precision: of the frozen encoder; everything else is float32. 'auto' is bfloat16 on a processor with
            instructions for it and float32 elsewhere (on recent GPUs TensorFlow then multiplies in TF32).
        xla: compile encoder and decoder with XLA.
        train_encoder: where it is not 'none', the training session runs blocks of the encoder, in the same precision.
    Returns:
        (configuration for training, configuration for the encoder, the device in words, the encoder's precision).
    """
    gpus = tf.config.list_physical_devices('GPU')
    if gpus:
        name = tf.config.experimental.get_device_details(gpus[0]).get('device_name', gpus[0].name)
        device = f'GPU ({name})'
    else:
        device = f'CPU ({os.cpu_count()} cores)'
    if precision == 'auto':
        precision = 'bfloat16' if not gpus and cpu_has_bfloat16() else 'float32'
    config, encoder_config = tf.ConfigProto(), tf.ConfigProto()
    for each in (config, encoder_config):
        each.gpu_options.allow_growth = True  # else TensorFlow takes the whole card at once
        if xla:
            each.graph_options.optimizer_options.global_jit_level = tf.OptimizerOptions.ON_2
    rewrite = encoder_config.graph_options.rewrite_options
    if precision == 'bfloat16':
        rewrite.auto_mixed_precision_onednn_bfloat16 = rewrite.ON
    elif precision == 'float16':
        rewrite.auto_mixed_precision = rewrite.ON
    if train_encoder != 'none':
        config.CopyFrom(encoder_config)
        # It would make shapes of what is fed in the encoder's middle into constants that wait for the tensor that is fed
        # over, whose image is not there.
        config.graph_options.rewrite_options.constant_folding = rewrite.OFF
    print(f'TensorFlow {tf.version.VERSION} on {device}, encoder in {precision}' + (', compiled with XLA' if xla else ''))
    if not gpus:
        print('Warning: no GPU found; the encoder takes tens of times longer on a CPU')
    return config, encoder_config, device, precision


def cpu_has_bfloat16():
    """Whether the processor multiplies bfloat16 natively; where that cannot be read (not Linux), no."""
    try:
        with open('/proc/cpuinfo') as file:
            return re.search(r'\b(avx512_bf16|amx_bf16|bf16)\b', file.read()) is not None
    except OSError:
        return False


def environment(device, precision):
    """What figures may depend on besides settings and data, for the record: a dict for JSON.

    Args:
        device, precision: as session_config returns them.
    """
    return {**git_state(), 'python': platform.python_version(), 'tensorflow': tf.version.VERSION,
            'cuda': tf.sysconfig.get_build_info().get('cuda_version'), 'numpy': np.__version__, 'device': device,
            'precision': precision, 'processor': processor(), 'system': platform.platform()}


def git_state():
    """{'commit': the program's, 'dirty': whether its files differ from it}; None where git cannot tell."""
    def git(*words):
        return subprocess.run(['git', '-C', os.path.dirname(os.path.abspath(__file__)), *words], capture_output=True,
                              text=True, check=True, timeout=30).stdout.strip()
    try:
        return {'commit': git('rev-parse', 'HEAD'), 'dirty': bool(git('status', '--porcelain'))}
    except (OSError, subprocess.SubprocessError):
        return {'commit': None, 'dirty': None}


def processor():
    """The processor's name."""
    try:
        with open('/proc/cpuinfo') as file:
            return re.search(r'model name\s*:\s*(.*)', file.read())[1]
    except (OSError, TypeError):
        return platform.processor()
