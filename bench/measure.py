"""Runs a command and prints what it and everything that it started took, as one JSON document.

CPU seconds are the kernel's count for all descendants that were waited for. Memory is the larger of two numbers: the kernel's peak of the
largest process, and the sum over the tree, sampled every 20 ms.
Usage: measure.py TIMEOUT_SECONDS STDOUT_FILE COMMAND [ARGUMENT ...] (0: no timeout; -: output is shown only when the command fails)
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

SAMPLE_SECONDS = 0.02
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:  # it has ended
        return ""


def children(pid):
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [int(child) for thread in threads for child in read(f"/proc/{pid}/task/{thread}/children").split()]


def tree_bytes(pid):
    fields = read(f"/proc/{pid}/statm").split()
    return (int(fields[1]) * PAGE_BYTES if fields else 0) + sum(map(tree_bytes, children(pid)))


class Watcher(threading.Thread):
    """Samples the memory of a process and its descendants. Ends it when its time is over, or nobody is left to hear of it."""

    def __init__(self, pid, timeout_seconds):
        super().__init__(daemon=True)
        self.pid = pid
        self.caller = os.getppid()
        self.deadline = time.monotonic() + timeout_seconds if timeout_seconds > 0 else None
        self.peak_bytes = 0
        self.timed_out = False
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(SAMPLE_SECONDS):
            self.peak_bytes = max(self.peak_bytes, tree_bytes(self.pid))
            if self.deadline is not None and time.monotonic() > self.deadline:
                self.timed_out = True
            if self.timed_out or os.getppid() != self.caller:
                os.kill(self.pid, signal.SIGKILL)
                return


def main():
    timeout_seconds, stdout_path, *command = sys.argv[1:]
    with tempfile.TemporaryFile() as output:
        stdout = output if stdout_path == "-" else open(stdout_path, "wb")
        start = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=output)
        watcher = Watcher(process.pid, float(timeout_seconds))
        watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        watcher.ended.set()
        watcher.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0, os.SEEK_END)
        output.seek(max(0, output.tell() - 4000))
        print(
            json.dumps(
                {
                    "wallSeconds": wall,
                    "cpuSeconds": usage.ru_utime + usage.ru_stime,
                    "peakBytes": max(usage.ru_maxrss * 1024, watcher.peak_bytes),
                    "exitCode": process.returncode,
                    "timedOut": watcher.timed_out,
                    "output": output.read().decode(errors="replace") if process.returncode != 0 else "",
                }
            )
        )


main()
