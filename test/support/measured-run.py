"""Runs a program and writes what it used to a report: measured-run.py REPORT WALL_SECONDS CPU_SECONDS PROGRAM [ARGUMENT...]

The report is JSON: peak memory in bytes, CPU seconds, whether it outlived its time. Ends as the program did, 137 when it was killed.
"""
import json
import os
import resource
import signal
import sys

report, wall_seconds, cpu_seconds, *program = sys.argv[1:]
child = os.fork()
if child == 0:
    limit = int(cpu_seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    os.execvp(program[0], program)

timed_out = False


def on_alarm(_signal, _frame):
    global timed_out
    timed_out = True
    os.kill(child, signal.SIGKILL)


signal.signal(signal.SIGALRM, on_alarm)
signal.alarm(int(wall_seconds))
_, status, usage = os.wait4(child, 0)
signal.alarm(0)
with open(report, "w") as out:
    json.dump(
        {
            "peakBytes": usage.ru_maxrss * 1024,
            "cpuSeconds": usage.ru_utime + usage.ru_stime,
            "timedOut": timed_out,
        },
        out,
    )
code = os.waitstatus_to_exitcode(status)
sys.exit(code if code >= 0 else 128 - code)
