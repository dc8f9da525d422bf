"""How TensorFlow runs here: device, GPU memory, precision of the encoder."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from typing import NamedTuple

import numpy as np

from road.network.tf1 import tf

NVIDIA = '/proc/driver/nvidia'  # exists while the driver is loaded


class Device(NamedTuple):
    """What a run is computed with."""
    config: tf.ConfigProto  # of the training session
    encoder_config: tf.ConfigProto  # of the session that runs the frozen encoder
    name: str  # as in 'GPU, NVIDIA H100' or 'CPU, 2 cores'
    precision: str  # of the encoder: float32, bfloat16 or float16; all else is float32


def find_device(precision='auto', train_encoder='none'):
    """Choose how to run and print it: Device.

    precision 'auto' is bfloat16 on a processor with instructions for it and float32 elsewhere (TF32
    on recent GPUs). TensorFlow's rewriter for bfloat16 changes CPU nodes only, the one for float16
    GPU nodes only. With train_encoder the training session runs blocks of the encoder too.
    """
    gpus = tf.config.list_physical_devices('GPU')
    kind, other, unsuitable = ('GPU', 'CPU', 'bfloat16') if gpus else ('CPU', 'GPU', 'float16')
    name = f'CPU, {os.cpu_count()} cores'
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        name = f'GPU, {details.get("device_name", gpus[0].name)}'
    if precision == 'auto':
        precision = 'bfloat16' if not gpus and cpu_has_bfloat16() else 'float32'
    if precision == unsuitable:
        print(f'Note: --precision {precision} is for {other}s; this {kind} computes in float32')
        precision = 'float32'
    config, encoder_config = tf.ConfigProto(), tf.ConfigProto()
    for each in (config, encoder_config):
        each.gpu_options.allow_growth = True  # otherwise TensorFlow takes the whole card at once
    rewrite = encoder_config.graph_options.rewrite_options
    if precision == 'bfloat16':
        rewrite.auto_mixed_precision_onednn_bfloat16 = rewrite.ON
    elif precision == 'float16':
        rewrite.auto_mixed_precision = rewrite.ON
    if train_encoder != 'none':
        config.CopyFrom(encoder_config)
        # Folding would turn shapes of what is fed in the middle of the encoder into constants that
        # wait for the tensor that is fed over, whose image is not there.
        config.graph_options.rewrite_options.constant_folding = rewrite.OFF
    print(f'Computing on the {name}, {precision}')
    hidden = os.environ.get('CUDA_VISIBLE_DEVICES') in ('', '-1')
    if not gpus and not hidden and os.path.exists(NVIDIA):
        print('Warning: there is an NVIDIA driver, but TensorFlow finds no GPU; install '
              'tensorflow[and-cuda]. TF_CPP_MIN_LOG_LEVEL=0 shows what it misses')
    return Device(config, encoder_config, name, precision)


def cpu_has_bfloat16():
    """Whether the processor multiplies bfloat16 natively; False where that is not known."""
    return bool(re.search(r'\b(avx512_bf16|amx_bf16|bf16)\b', _cpuinfo()))


def environment(device):
    """What scores may depend on besides settings and data: a dict for JSON."""
    processor = re.search(r'model name\s*:\s*(.*)', _cpuinfo())
    return {**git_state(), 'python': platform.python_version(), 'tensorflow': tf.version.VERSION,
            'cuda': tf.sysconfig.get_build_info().get('cuda_version'), 'numpy': np.__version__,
            'device': device.name, 'precision': device.precision,
            'processor': processor[1] if processor else platform.processor(),
            'system': platform.platform()}


def git_state():
    """{'commit': the program's, 'dirty': whether its files differ}; None where git fails."""
    def git(*words):
        folder = os.path.dirname(os.path.abspath(__file__))
        return subprocess.run(['git', '-C', folder, *words], capture_output=True, text=True,
                              check=True, timeout=30).stdout.strip()
    try:
        git('ls-files', '--error-unmatch', os.path.basename(__file__))  # no repository around it
        return {'commit': git('rev-parse', 'HEAD'),
                'dirty': bool(git('status', '--porcelain', '--untracked-files=no'))}
    except (OSError, subprocess.SubprocessError):
        return {'commit': None, 'dirty': None}


def _cpuinfo():
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as file:
            return file.read()
    except OSError:
        return ''
