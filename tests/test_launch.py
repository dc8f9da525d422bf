"""tools/launch.py: what each process is given, what is shown, and how it ends."""

import json
import os
import signal

import pytest

from tools import launch

SCRIPT = """
import os, sys, time
rank = int(os.environ['CUDA_VISIBLE_DEVICES']) - 4
print('to stdout', rank, flush=True)
for line in ('images:  50%|#####     | 1/2 [00:10<00:10,  1.0image/s]', 'to stderr'):
    print(line, rank, file=sys.stderr, flush=True)
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """program(lines): what runs in place of main.py, on the GPUs 4 and 5."""
    monkeypatch.setattr(launch, 'MAIN', str(tmp_path / 'program.py'))
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '4,5')
    return lambda lines: (tmp_path / 'program.py').write_text(SCRIPT + lines)


@pytest.mark.parametrize('environ, gpus', [
    ({}, ['0', '1']), ({'CUDA_VISIBLE_DEVICES': '3'}, ['3', '']),
    ({'CUDA_VISIBLE_DEVICES': ''}, ['', '']), ({'CUDA_VISIBLE_DEVICES': '2,5,7'}, ['2', '5'])])
def test_each_process_has_an_address_and_a_gpu_of_the_visible_ones(environ, gpus):
    made = launch.environments(2, environ)
    assert [each['CUDA_VISIBLE_DEVICES'] for each in made] == gpus
    configs = [json.loads(each['TF_CONFIG']) for each in made]
    assert [each['task']['index'] for each in configs] == [0, 1]
    workers, same = (each['cluster']['worker'] for each in configs)
    assert workers == same and len(set(workers)) == 2


@pytest.mark.parametrize('words', [[], ['x'], ['0', '--sample'], ['2', 'evaluate', 'runs/x']])
def test_mistakes(words):
    assert launch.run(words) == 2


def test_training_shows_process_0_and_errors_of_the_others(program, capfd):
    program("sys.exit([0, 3][rank])")
    assert launch.run(['2', '--seed', '1']) == 3
    shown = capfd.readouterr()
    assert shown.out == 'to stdout 0\n'
    assert 'image/s] 0\nto stderr 0\n' in shown.err
    assert 'Process 1: to stderr 1\n' in shown.err and 'image/s] 1' not in shown.err


@pytest.mark.parametrize('process, number, code', [
    ('pid', signal.SIGKILL, 137), ('ppid', signal.SIGINT, 130), ('ppid', signal.SIGTERM, 143)])
def test_others_are_ended_after_a_failure_and_signals_passed_on(
        program, monkeypatch, process, number, code):
    monkeypatch.setattr(launch, 'GRACE', 0.2 if process == 'pid' else 60)
    program(f'if rank:\n    os.kill(os.get{process}(), {number})\ntime.sleep(30)\nsys.exit(255)')
    assert launch.run(['2']) == code


def test_prediction_splits_the_files_and_shows_what_each_process_painted(program, capfd):
    program("""
assert 'TF_CONFIG' not in os.environ and sys.argv[-1] == f'--share={rank + 1}/2'
print(f'{2 + rank} of 3 files are painted, in out')
sys.exit(2 * (rank == 0))""")
    assert launch.run(['2', 'predict', 'runs/x', 'folder']) == 2
    shown = capfd.readouterr()
    assert '\n2 of 3 files are painted' in shown.out
    assert 'Process 1: 3 of 3 files are painted' in shown.out
    assert 'to stdout 1' not in shown.out


@pytest.mark.slow
def test_trains_and_predicts(scenes_dir, vgg_dir, tmp_path, capfd):
    words = ['--dataset-dir', scenes_dir, '--vgg-dir', vgg_dir, '--data-dir', str(tmp_path),
             '--runs-dir', str(tmp_path), '--name', 'run', '--image-size', '64x192',
             '--val-frames', '1', '--train-encoder', 'all', '--epochs', '1']
    assert launch.run(['2', *words]) == 0
    assert capfd.readouterr().out.count('Best on validation') == 1
    pictures = os.path.join(scenes_dir, 'testing', 'image_2')
    assert launch.run(['2', 'predict', str(tmp_path / 'run'), pictures]) == 0
    painted = (tmp_path / 'run' / 'predictions').glob('[!.]*')
    assert sorted(path.name for path in painted) == sorted(os.listdir(pictures))
