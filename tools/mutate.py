"""Plant single faults in the program and count how many of them the tests notice.

    python tools/mutate.py                            # 150 faults; half an hour on 2 cores
    python tools/mutate.py --count 40 road/scoring    # in one room

A fault is another operator, comparison or constant, two arguments or returned values swapped, a
condition turned round, or a statement left out. Each goes alone into a copy of the program, whose
tests run up to the first failure. Faults that none notices are printed. The same seed plants the
same faults. TensorFlow is imported once, before all forks (so this does not run on Windows).
"""

import argparse
import ast
import copy
import importlib
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import warnings
from contextlib import suppress
from itertools import chain
from pathlib import Path

import pytest
from tqdm import tqdm

ROOT = Path(__file__).parents[1]
PATHS = ('main.py', 'road/data', 'road/network', 'road/scoring', 'road/runs')
IMPORTED = ('tensorflow.compat.v1', 'scipy.special', 'matplotlib.figure', 'imageio.v3', 'h5py')
LAST = ('main', 'train', 'helper', 'run_folder', 'resume')  # tests/test_*.py that run for any fault
TIMEOUT = 300  # seconds for one fault; what never ends is noticed too

PAIRS = [(ast.Add, ast.Sub), (ast.Mult, ast.Div), (ast.BitOr, ast.BitAnd), (ast.And, ast.Or),
         (ast.Lt, ast.LtE), (ast.Gt, ast.GtE), (ast.Eq, ast.NotEq), (ast.Is, ast.IsNot),
         (ast.In, ast.NotIn), (ast.FloorDiv, ast.Mult), (ast.Mod, ast.Mult), (ast.Pow, ast.Mult)]
OPERATORS = {**{b: a for a, b in reversed(PAIRS)}, **dict(PAIRS)}


def others(node):
    """Yield what may stand in place of a node."""
    value, new = getattr(node, 'value', None), copy.copy(node)
    if type(node) in OPERATORS:
        yield OPERATORS[type(node)]()
    elif isinstance(node, ast.Constant) and isinstance(value, (bool, int, float)):
        yield ast.Constant(not value if isinstance(value, bool) else value + 1)
    elif isinstance(node, ast.Constant) and isinstance(value, str) and ' ' not in value:
        yield ast.Constant(f'{value}x')  # with a space it is a message
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        yield node.operand
    elif isinstance(node, ast.Call) and len(node.args) > 1:
        new.args = [node.args[1], node.args[0], *node.args[2:]]
        yield new
    elif isinstance(node, ast.Return) and isinstance(value, ast.Tuple):
        yield ast.Return(ast.Tuple([*value.elts[1::-1], *value.elts[2:]], ast.Load()))
    elif isinstance(node, (ast.If, ast.IfExp)) and not isinstance(node.test, ast.Compare):
        new.test = ast.UnaryOp(ast.Not(), node.test)
        yield new
    elif isinstance(node, (ast.AugAssign, ast.Raise)) or (
            isinstance(node, ast.Expr) and not isinstance(value, (ast.Constant, ast.Yield))):
        yield ast.Pass()


def places(parent, line=0):
    """Yield (line, node, list or object that holds it, its place there), annotations left out."""
    for field, value in ast.iter_fields(parent):
        holder, items = (value, enumerate(value)) if isinstance(value, list) else (
            vars(parent), [(field, value)])
        for place, node in items if field not in ('annotation', 'returns') else ():
            if isinstance(node, ast.AST):
                at = getattr(node, 'lineno', line)
                if not isinstance(node, ast.Constant) or not isinstance(
                        parent, (ast.JoinedStr, ast.Expr)):  # pieces of messages; docstrings
                    yield at, node, holder, place
                yield from places(node, at)


def faults(root, paths, rng):
    """Yield (path, the module with a fault, a line about it), evenly spread over the lines."""
    trees, lines = {}, {}
    files = (sorted((root / path).rglob('*.py')) or [root / path] for path in paths)
    for file in chain(*files):
        path = str(file.relative_to(root))
        trees[path] = ast.parse(file.read_text('utf-8'))
        for line, node, *place in places(trees[path]):
            lines.setdefault((path, line), []).extend((*place, other) for other in others(node))
    for path, line in rng.sample(sorted(lines), len(lines)):
        whole, choices = ast.unparse(trees[path]), lines[path, line]
        for holder, place, other in rng.sample(choices, len(choices)):
            node, holder[place] = holder[place], other
            changed = ast.unparse(trees[path])
            holder[place] = node
            if compile(changed, path, 'exec') != compile(whole, path, 'exec'):
                pair = next(p for p in zip(whole.split('\n'), changed.split('\n')) if p[0] != p[1])
                at = max(0, len(os.path.commonprefix(pair)) - 30)
                before, after = (text[at:at + 70].strip() for text in pair)
                yield path, changed, f'{path}:{line}: {before} => {after}'
                break


def tests_of(root, path):
    """The tests that may notice a fault in a file: its own, those that import it, and LAST."""
    name = Path(path).stem
    imports = re.compile(rf'^(?:from|import) .*\b{name}\b', re.M)
    texts = {file.stem: file.read_text('utf-8') for file in sorted(root.glob('tests/test_*.py'))}
    chosen = [f'test_{name}', *(test for test in texts if imports.search(texts[test])),
              *(f'test_{name}' for name in LAST)]
    return [f'tests/{test}.py' for test in dict.fromkeys(chosen) if test in texts]


def start(program, tests, path=None, source=None):
    """Run tests in a new process, on a copy of the program with another source; the process' id."""
    if process := os.fork():
        return process
    try:
        os.setsid()  # so that what the tests start can be ended with them
        signal.alarm(TIMEOUT)
        if path:
            program = shutil.copytree(program, f'{program}-{os.getpid()}')
            Path(program, path).write_text(source, 'utf-8')
        os.chdir(program)
        sys.path.insert(0, str(program))
        output = os.open('output.txt', os.O_WRONLY | os.O_CREAT)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os._exit(pytest.main(['-x', '-q', '-n', '0', '-p', 'no:cacheprovider', *tests]))
    finally:
        os._exit(70)


def run(argv=None, root=ROOT):
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('paths', nargs='*', default=PATHS, help='files and folders to plant in')
    for name, default, text in (('count', 150, 'faults'), ('seed', 0, 'of the faults'),
                                ('jobs', 2, 'processes'),
                                ('at-least', 0.85, 'exit code 1 if fewer than this share noticed')):
        parser.add_argument(f'--{name}', type=type(default), default=default,
                            help=f'{text} (default: {default})')
    args = parser.parse_args(argv)
    warnings.simplefilter('ignore', SyntaxWarning)  # of compile, about "is not" before a number
    rng, noticed, running = random.Random(args.seed), 0, {}
    waiting = [fault for _, fault in zip(range(args.count), faults(root, args.paths, rng))]
    tqdm.monitor_interval = 0  # a thread, which does not go with forks
    for name in IMPORTED:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as place, tqdm(total=len(waiting), unit='fault') as bar:
        program = shutil.copytree(root, f'{place}/program', ignore=lambda folder, names: [
            name for name in names if name.startswith('.') or
            Path(folder) == root and name in ('data', 'runs')])
        start(program, sorted({test for path, *_ in waiting for test in tests_of(root, path)}))
        if os.wait()[1]:
            sys.exit('The tests fail without a fault:\n' + Path(program, 'output.txt').read_text())
        while waiting or running:
            while waiting and len(running) < args.jobs:
                path, source, line = waiting.pop()
                running[start(program, tests_of(root, path), path, source)] = line
            process, status = os.wait()
            with suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)  # what its tests have left
            shutil.rmtree(f'{program}-{process}', ignore_errors=True)
            line = running.pop(process)
            noticed += status != 0
            if status == 0:
                tqdm.write(line)
            bar.update()
    print(f'{noticed} of {bar.total} faults noticed ({noticed / bar.total:.0%})')
    return noticed < args.at_least * bar.total


if __name__ == '__main__':
    sys.exit(run())
