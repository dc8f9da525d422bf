"""TensorFlow is imported at its first use, and without noise. (A stand-in for it, but for one.)"""

import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VARIABLES = 'TF_CPP_MIN_LOG_LEVEL', 'TF_ENABLE_ONEDNN_OPTS'
LOUD = f"""
import os
os.write(2, b'noise of a library')
seen = [os.environ.get(name) for name in {VARIABLES}]
class logging:
    ERROR = 40
    def set_verbosity(verbosity):
        print('verbosity', verbosity)
def Session():
    print('level {{}}, oneDNN {{}}'.format(*seen))
    os.write(2, b'heard\\n')
"""


@pytest.fixture
def loud(tmp_path):
    """The text of a TensorFlow for programs with PYTHONPATH=tmp_path."""
    (tmp_path / 'tensorflow' / 'compat').mkdir(parents=True)
    (tmp_path / 'tensorflow' / '__init__.py').touch()
    path = tmp_path / 'tensorflow' / 'compat' / 'v1.py'
    path.write_text(LOUD)
    return path


def run_program(code, folder='', **variables):
    """Run a program: (exit code, stdout, stderr)."""
    environment = {key: value for key, value in os.environ.items() if key not in VARIABLES}
    result = subprocess.run([sys.executable, '-c', code], cwd=ROOT, text=True, capture_output=True,
                            env={**environment, **variables, 'PYTHONPATH': str(folder)})
    return result.returncode, result.stdout, result.stderr


@pytest.mark.usefixtures('loud')
def test_command_line_does_without_tensorflow(trained_run, tmp_path):
    """--help, mistakes and `runs` do not wait for TensorFlow, and importing main prints nothing."""
    code, printed, errors = run_program(f'''
import sys, main
runs_dir = {os.path.dirname(trained_run)!r}
for argv in (['--help-all'], ['evaluat', 'x'], ['runs', '--runs-dir', runs_dir]):
    try:
        main.main(argv)
    except SystemExit:
        pass
assert 'tensorflow' not in sys.modules
print('imported', file=sys.stderr)
main.tf.Session()
main.tf.Session()
''', tmp_path)
    assert code == 0
    assert printed.startswith('usage: main.py')
    assert 'does not clip (default: 0.0)' in printed  # a default of 0 is shown too
    assert f'\n{os.path.basename(trained_run)} ' in printed
    assert printed.endswith('verbosity 40\n' + 2 * 'level 3, oneDNN 1\n')
    assert errors.endswith('imported\nheard\nheard\n')  # and no noise


def test_tensorflow_is_heard_where_it_fails_or_is_to_be_heard(loud, tmp_path):
    heard = run_program('import main; main.tf.Session()', tmp_path, **dict.fromkeys(VARIABLES, '0'))
    assert heard == (0, 'level 0, oneDNN 0\n', 'noise of a libraryheard\n')
    loud.write_text(LOUD + 'raise ImportError("bad")')
    code, _, errors = run_program('import main; main.tf.Session()', tmp_path)
    assert code == 1
    assert 'noise of a library' in errors
    assert 'ImportError: bad' in errors


@pytest.mark.slow
def test_tensorflow_prints_nothing():
    assert run_program('import main; main.tf.Session()') == (0, '', '')
