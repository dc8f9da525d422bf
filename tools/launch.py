"""Start N processes of main.py on this machine, one per GPU, and wait for them.

    python tools/launch.py 2 --train-encoder conv4 --name two      # train as one
    python tools/launch.py 2 --resume runs/two
    python tools/launch.py 2 predict runs/two frames/ --output painted

Each process sees a GPU of its own (CUDA_VISIBLE_DEVICES); without GPUs all share the CPU. The exit
code is the highest of all processes. docs/gpus.md has the commands for several machines.
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
from road.runs.log import stoppable

MAIN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'main.py')
BAR = re.compile(r'\d+%\||\d(image|frame) \[')  # in a line of tqdm
GRACE = 30  # seconds in which the others notice that a process has failed and say so


def environments(number, environ):
    """The environment of each process: its own GPU, and TF_CONFIG with free ports."""
    with ExitStack() as stack:  # hold each port until all are found
        held = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in held:
            each.bind(('localhost', 0))
        workers = [f'localhost:{each.getsockname()[1]}' for each in held]
    gpus = environ.get('CUDA_VISIBLE_DEVICES', ','.join(map(str, range(number))))
    gpus = gpus.split(',') + [''] * number  # a process without a GPU runs on the CPU
    return [{**environ, 'CUDA_VISIBLE_DEVICES': gpu, 'TF_CONFIG': json.dumps(
        {'cluster': {'worker': workers}, 'task': {'type': 'worker', 'index': i}})}
        for i, gpu in enumerate(gpus[:number])]


def start_all(command, number, words):
    """Start the processes of a command; process 0 has the screen.

    The others show their errors, and how many files they have painted.
    """
    def show_painted(i, line):
        if 'files are painted' in line:
            print(f'Process {i}: {line}', flush=True)

    def show_error(i, line):
        if not BAR.search(line):
            print(f'Process {i}: {line}', file=sys.stderr)

    processes = []
    for i, environment in enumerate(environments(number, os.environ)):
        own = words
        if command == 'predict':  # each paints a part of the files, and knows of no other
            del environment['TF_CONFIG']
            own = [*words, f'--share={i + 1}/{number}']
        shown = (show_painted, show_error) if i else (None, None)
        processes.append(start(own, environment, i, *shown))
    return processes


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


def wait(processes, received, together=False):
    """Wait for all processes; returns the highest exit code, 128 + N for signal N.

    received: a list to which signals are added, to pass on. together: when one fails, end the
    others after GRACE seconds.
    """
    codes, deadline = {}, None

    def send(number):
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)

    while len(codes) < len(processes):
        time.sleep(0.1)
        while received:
            send(received.pop())
        for process in processes:
            code = process.poll()
            if code is not None:
                codes.setdefault(process, 128 - code if code < 0 else code)
        if together and not deadline and any(codes.values()):
            deadline = time.monotonic() + GRACE
        if deadline and time.monotonic() > deadline:
            send(signal.SIGTERM)
            codes = {**dict.fromkeys(processes, 0), **codes}  # the failure tells, not its end
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
        # Not an exception, which could come while a process is being started and is not known yet.
        received = []
        former = [(each, signal.signal(each, lambda number, _: received.append(number)))
                  for each in (signal.SIGINT, signal.SIGTERM)]
        try:
            return wait(start_all(command, int(number), words), received, command == 'train')
        finally:
            for each, handler in former:
                signal.signal(each, handler)


if __name__ == '__main__':
    sys.exit(run())
