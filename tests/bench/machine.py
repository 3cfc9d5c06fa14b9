"""What it ran on, and which core is whose."""

import os
import platform
import subprocess
from datetime import datetime, timezone


def cores():
    """The core of servers and PostgreSQL, and the core of the load: two where there are two."""
    free = sorted(os.sched_getaffinity(0))
    return free[0], free[-1]


SERVER, LOAD = cores()
ALL = ",".join(map(str, sorted(os.sched_getaffinity(0))))


def pinned(core, command):
    return ["taskset", "-c", str(core), *command]


def step_aside():
    """Whoever drives this shares the load's core, and leaves the servers' alone."""
    os.sched_setaffinity(0, {LOAD})


def described(root):
    return {
        "machine": {
            "processor": _processor(),
            "cores": ALL.count(",") + 1,
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "kernel": platform.release(),
            "server_core": SERVER,
            "load_core": LOAD,
            "load_average_before": round(os.getloadavg()[0], 2),
        },
        "commit": _said(["git", "-C", root, "describe", "--always", "--dirty", "--abbrev=12"]),
        "began_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def rss(pid):
    """Resident memory of a process, in bytes."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))


def _processor():
    with open("/proc/cpuinfo") as info:
        return next((line.partition(":")[2].strip() for line in info if line.startswith("model name")), platform.machine())


def _said(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    return done.stdout.strip() if done.returncode == 0 else None
