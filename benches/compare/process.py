"""A work as a whole process, seen from outside: from its start to its end, with what the system says that it took."""

import dataclasses
import os
import subprocess
import sys
import time


@dataclasses.dataclass
class Run:
    """What a process took and printed."""

    wall_s: float
    user_s: float
    system_s: float
    memory_peak_bytes: int
    stdout: str


def run(command, codes=(0,)):
    """Runs a command to its end. One that ends otherwise than with one of these exit codes ends the comparison."""
    # What other programs have written must not be written back at the cost of this one.
    os.sync()
    begun = time.perf_counter()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    stdout = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall_s = time.perf_counter() - begun
    child.stdout.close()
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in codes:
        raise SystemExit(f"`{' '.join(command)}` ended with {child.returncode}: {stdout[-2000:]}")
    # Linux tells the memory in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return Run(wall_s, usage.ru_utime, usage.ru_stime, usage.ru_maxrss * unit, stdout)


def cpu_of_family(parent):
    """User and system seconds of a process, of its children, and of those that it has waited for."""
    tick = os.sysconf("SC_CLK_TCK")
    user = system = 0
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(name) == parent:
            user += int(fields[11]) + int(fields[13])
            system += int(fields[12]) + int(fields[14])
        elif int(fields[1]) == parent:
            user += int(fields[11])
            system += int(fields[12])
    return user / tick, system / tick
