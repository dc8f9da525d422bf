"""tools/mutate.py on a made-up program: what it plants, and what it counts."""

import os
import random
import subprocess
import sys

import pytest

from tools import mutate

PROGRAM = '''"""A docstring, 1."""
LIMIT = 3


def choose(a: 'int | None', b):
    """Another."""
    if not a and -b > LIMIT:
        return a, b
    print(f'{a} is too much', 'end')
    return max(a, b) + LIMIT
'''
FAULTS = {
    'LIMIT = 3 => LIMIT = 4', 'if not a and -b > LIMIT: => if not a or -b > LIMIT:',
    'if not a and -b > LIMIT: => if a and -b > LIMIT:',
    'if not a and -b > LIMIT: => if not (not a and -b > LIMIT):',
    'if not a and -b > LIMIT: => if not a and b > LIMIT:',
    'if not a and -b > LIMIT: => if not a and -b >= LIMIT:', 'return (a, b) => return (b, a)',
    "print(f'{a} is too much', 'end') => pass",
    "print(f'{a} is too much', 'end') => print(f'{a} is too much', 'endx')",
    "print(f'{a} is too much', 'end') => print('end', f'{a} is too much')",
    'return max(a, b) + LIMIT => return max(a, b) - LIMIT',
    'return max(a, b) + LIMIT => return max(b, a) + LIMIT'}


@pytest.fixture
def program(tmp_path):
    """A program whose tests notice all faults but those in print and the arguments of max."""
    (tmp_path / 'main.py').write_text(PROGRAM)
    (tmp_path / 'tests').mkdir()
    (tmp_path / 'tests' / 'test_main.py').write_text(
        'import main\n\n\ndef test_choose():\n    assert main.choose(0, -4) == (0, -4)\n'
        '    assert main.choose(0, -3) == main.choose(0, 0) == main.choose(0, 0) == 3\n'
        '    assert main.choose(0, 4) == 7 and main.choose(1, -4) == 4\n')
    return tmp_path


def test_every_kind_of_fault_is_planted_and_nothing_else(program):
    found = {}
    for seed in range(40):
        for path, source, line in mutate.faults(program, ['main.py'], random.Random(seed)):
            assert path == 'main.py'
            found[line.split(': ', 1)[1]] = source
    assert set(found) == FAULTS and len(set(found.values())) == len(FAULTS)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, 'fork'), reason='forks')
def test_noticed_faults_are_counted_and_the_others_named(program):
    def run(*options):
        code = ('import pathlib, sys; from tools import mutate; mutate.IMPORTED = (); '
                'sys.exit(mutate.run(sys.argv[2:], pathlib.Path(sys.argv[1])))')
        result = subprocess.run([sys.executable, '-c', code, str(program), *options, 'main.py'],
                                cwd=mutate.ROOT, capture_output=True, text=True,
                                env={**os.environ, 'PYTEST_DISABLE_PLUGIN_AUTOLOAD': '1',
                                     'PYTEST_PLUGINS': 'xdist.plugin'})
        return result.returncode, result.stdout, result.stderr

    planted = [line for *_, line in mutate.faults(program, ['main.py'], random.Random(0))]
    harmless = {line for line in planted if 'print' in line or 'max(b, a)' in line}
    assert len(planted) == 5 and 0 < len(harmless) < 3
    code, printed, _ = run('--at-least', str((5 - len(harmless)) / 5))
    *lines, last = printed.splitlines()
    noticed = 5 - len(harmless)
    assert set(lines) == harmless and last == f'{noticed} of 5 faults noticed ({noticed / 5:.0%})'
    assert code == 0 and (program / 'main.py').read_text() == PROGRAM
    code, printed, _ = run('--at-least', '1.1', '--count', '1', '--jobs', '1')
    assert code == 1 and ' of 1 faults noticed' in printed
    (program / 'tests' / 'test_main.py').write_text('def test_nothing():\n    assert False\n')
    code, _, error = run()
    assert code == 1 and 'The tests fail without a fault:' in error and 'test_nothing' in error
