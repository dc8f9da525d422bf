"""TensorFlow is imported at its first use, and without noise. (A stand-in for it, but for one.)"""

import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOUD = """
import os
os.write(2, b'noise of a library')
level = os.environ.get('TF_CPP_MIN_LOG_LEVEL')
class logging:
    ERROR = 40
    def set_verbosity(verbosity):
        print('verbosity', verbosity)
def Session():
    print('level', level)
    os.write(2, b'heard\\n')
"""


@pytest.fixture
def run_loud(tmp_path):
    """Run a program that imports main, with another TensorFlow: (exit code, stdout, stderr)."""
    (tmp_path / 'tensorflow' / 'compat').mkdir(parents=True)

    def run(code, tensorflow=LOUD, **variables):
        (tmp_path / 'tensorflow' / 'compat' / 'v1.py').write_text(tensorflow)
        (tmp_path / 'tensorflow' / '__init__.py').touch()
        return run_program(code, PYTHONPATH=str(tmp_path), **variables)
    return run


def run_program(code, **variables):
    environment = {key: value for key, value in os.environ.items() if key != 'TF_CPP_MIN_LOG_LEVEL'}
    result = subprocess.run([sys.executable, '-c', code, '--no-such-option'], cwd=ROOT, text=True,
                            capture_output=True, env={**environment, **variables})
    return result.returncode, result.stdout, result.stderr


def test_command_line_does_without_tensorflow(run_loud, tmp_path):
    """--help, mistakes and `runs` do not wait for TensorFlow, and importing main prints nothing."""
    code, printed, errors = run_loud(f'''
import sys, main
for argv in (['--help'], ['evaluat', 'x'], ['runs', '--runs-dir', {str(tmp_path / 'none')!r}]):
    try:
        main.main(argv)
    except SystemExit:
        pass
assert 'tensorflow' not in sys.modules
print('imported', file=sys.stderr)
main.tf.Session()
main.tf.Session()
''')
    assert code == 0
    assert printed.startswith('usage: main.py')
    assert 'does not clip (default: 0.0)' in printed  # a default of 0 is shown too
    assert printed.endswith('verbosity 40\nlevel 3\nlevel 3\n')
    assert errors.endswith('imported\nheard\nheard\n')  # and no noise


def test_tensorflow_is_heard_where_it_fails_or_is_to_be_heard(run_loud):
    code, _, errors = run_loud('import main; main.tf.Session()', LOUD + 'raise ImportError("bad")')
    assert code == 1
    assert 'noise of a library' in errors
    assert 'ImportError: bad' in errors
    code, printed, errors = run_loud('import main; main.tf.Session()', TF_CPP_MIN_LOG_LEVEL='0')
    assert (code, printed, errors) == (0, 'level 0\n', 'noise of a libraryheard\n')


@pytest.mark.parametrize('chosen, used', [({}, '1'), ({'TF_ENABLE_ONEDNN_OPTS': '0'}, '0')])
def test_onednn_is_on_unless_the_user_turns_it_off(run_loud, monkeypatch, chosen, used):
    monkeypatch.delenv('TF_ENABLE_ONEDNN_OPTS', raising=False)
    see = LOUD + "\nprint('seen', os.environ.get('TF_ENABLE_ONEDNN_OPTS'))"
    code, printed, _ = run_loud('import main; main.tf.Session()', see, **chosen)
    assert code == 0
    assert f'seen {used}\n' in printed


@pytest.mark.slow
def test_tensorflow_prints_nothing():
    assert run_program('import main; main.tf.Session()') == (0, '', '')
