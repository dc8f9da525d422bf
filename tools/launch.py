"""Start N processes of main.py on this machine, one per GPU, and wait for them.

    python tools/launch.py 2 --train-encoder conv4 --name two      # train as one
    python tools/launch.py 2 --resume runs/two
    python tools/launch.py 2 predict runs/two frames/ --output painted

Each process sees a GPU of its own (CUDA_VISIBLE_DEVICES); without GPUs all share the CPU. The exit
code is the highest of all processes. docs/several.md has the commands for several machines.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from road import settings
from road.progress import tqdm
from road.runs.log import Terminated, stoppable

MAIN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'main.py')
BAR = re.compile(r'(\S.*): +\d+%\|.*\| (\d+)/(\d+) \[')  # a line of tqdm
ANY_BAR = re.compile(r'\d+%\||\d(image|frame) \[')
PAINTED = re.compile(r'(\d+) of (\d+) files are painted')
GRACE = 30  # seconds in which the others notice that a process has failed and say so


def environments(number, environ):
    """The environment of each process: its own GPU, and TF_CONFIG with free ports."""
    with ExitStack() as stack:  # hold each port until all are found
        held = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in held:
            each.bind(('localhost', 0))
        workers = [f'localhost:{each.getsockname()[1]}' for each in held]
    gpus = environ.get('CUDA_VISIBLE_DEVICES') or ','.join(map(str, range(number)))
    gpus = gpus.split(',') + [''] * number  # a process without a GPU runs on the CPU
    return [{**environ, 'CUDA_VISIBLE_DEVICES': gpu, 'TF_CONFIG': json.dumps(
        {'cluster': {'worker': workers}, 'task': {'type': 'worker', 'index': i}})}
        for i, gpu in enumerate(gpus[:number])]


def train(number, words):
    """Train in processes that share each batch; process 0 prints, the others show errors alone."""
    def show(i, line):
        if not ANY_BAR.search(line):
            print(f'Process {i}: {line}', file=sys.stderr)

    processes = [start(words, environment, i, *((lambda *_: None, show) if i else (None, None)))
                 for i, environment in enumerate(environments(number, os.environ))]
    return wait(processes, together=True)


def predict(number, words):
    """Paint in processes that each take a share of the files; prints a progress line and a sum."""
    bars, painted = {}, {}

    def count(i, line):
        if found := BAR.match(line):
            bars[i, found[1]] = int(found[2]), int(found[3])
            done, bar.total = map(sum, zip(*bars.values()))
            bar.update(done - bar.n)
        elif not ANY_BAR.search(line):
            tqdm.write(line, file=sys.stderr)

    def add(i, line):
        if found := PAINTED.match(line):
            painted[i] = int(found[1]), int(found[2])
        elif i == 0:  # the others say the same
            tqdm.write(line)

    with tqdm(desc='images and frames', unit='image') as bar:
        processes = []
        for i, environment in enumerate(environments(number, os.environ)):
            del environment['TF_CONFIG']
            share = [*words, f'--share={i + 1}/{number}']
            processes.append(start(share, environment, i, add, count))
        code = wait(processes)
    done, files = map(sum, zip((0, 0), *painted.values()))
    print(f'{done} of {files} files are painted, by {len(painted)} processes')
    return code


def start(words, environment, i, use_output, use_errors):
    """Start process i. A function use(i, line) takes each of its lines; None: the screen.

    The process is in a session of its own: Ctrl-C reaches it once, through `wait`.
    """
    process = subprocess.Popen(
        [sys.executable, MAIN, *words], env=environment, start_new_session=True, text=True,
        errors='replace', stdout=use_output and subprocess.PIPE,
        stderr=use_errors and subprocess.PIPE)

    def read(stream, use):
        for line in stream:
            if line.strip():
                use(i, line.rstrip())

    process.readers = [threading.Thread(target=read, args=pair) for pair in (
        (process.stdout, use_output), (process.stderr, use_errors)) if pair[0]]
    for reader in process.readers:
        reader.start()
    return process


def wait(processes, together=False):
    """Wait for all processes; returns the highest exit code, 128 + N for signal N.

    Passes SIGINT and SIGTERM on. together: when one fails, end the others after GRACE seconds.
    """
    codes, deadline = {}, None

    def send(number):
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)

    while len(codes) < len(processes):
        try:
            time.sleep(0.1)
            for process in processes:
                code = process.poll()
                if code is not None:
                    codes.setdefault(process, 128 - code if code < 0 else code)
            if together and not deadline and any(codes.values()):
                deadline = time.monotonic() + GRACE
            if deadline and time.monotonic() > deadline:
                send(signal.SIGTERM)
                codes = {**dict.fromkeys(processes, 0), **codes}  # the failure tells, not its end
        except KeyboardInterrupt as stop:
            send(signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)
    for process in processes:
        process.wait()
        for reader in process.readers:
            reader.join()
    return max(codes.values())


def run(argv=None):
    """Run the command line; returns the exit code."""
    number, *words = (sys.argv[1:] if argv is None else argv) or ['']
    if not number.isdigit() or not 1 <= int(number) <= 1000:
        print(__doc__)
        return 0 if number in ('-h', '--help') else 2
    command, _ = settings.parse(words)  # a mistake ends here, once
    if command not in ('train', 'predict'):
        print(f'Error: {command}: one process does it all; use main.py', file=sys.stderr)
        return 2
    with stoppable():
        return (train if command == 'train' else predict)(int(number), words)


if __name__ == '__main__':
    sys.exit(run())
