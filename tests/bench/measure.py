"""Runs programs and weighs them, and keeps a data directory of hm with its services up.

Apart from what is measured because every row weighs in the same way: wall time, CPU seconds of the program and of the children it
waited for (user and system), peak resident memory.
"""

import http.client
import os
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

HM = os.environ.get("HM_BENCH_PROGRAM", "target/release/hm")
RUNS = int(os.environ.get("HM_BENCH_RUNS", "3"))
TICKS = os.sysconf("SC_CLK_TCK")
LONGEST_RUN_S = 1800


@dataclass
class Run:
    """What one run of a program took."""

    wall_s: float
    cpu_s: float
    out: str
    err: str
    code: int
    peak_mib: float = 0.0
    child_peak_mib: float = 0.0
    together_peak_mib: float = 0.0


def run(command, env=None, codes=(0,), keep=True, watch=False):
    """Runs a command to its end. `keep` keeps what it prints (else it goes to /dev/null), `watch` also looks at its memory."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.monotonic()
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=out if keep else subprocess.DEVNULL,
            stderr=err,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})},
        )
        watcher = Watcher(process.pid) if watch else None
        limit = threading.Timer(LONGEST_RUN_S, process.kill)
        limit.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - began
        limit.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        peaks = watcher.end() if watcher else (0.0, 0.0, 0.0)
        out.seek(0)
        err.seek(0)
        texts = out.read().decode(errors="replace"), err.read().decode(errors="replace")
    if process.returncode not in codes:
        raise RuntimeError(f"`{' '.join(map(str, command))}` ended with {process.returncode}:\n{texts[1][-2000:]}")
    return Run(wall_s, usage.ru_utime + usage.ru_stime, *texts, process.returncode, *peaks)


def middle(runs):
    """The run whose wall time is the median."""
    return sorted(runs, key=lambda one: one.wall_s)[(len(runs) - 1) // 2]


class Watcher(threading.Thread):
    """Looks ten times a second how much memory a process and its children have had at most."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid = pid
        self.own_mib = 0.0
        self.child_mib = 0.0
        self.together_mib = 0.0
        self.ended = threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(0.1):
            self.own_mib = max(self.own_mib, memory_mib(self.pid, "VmHWM"))
            together = memory_mib(self.pid, "VmRSS")
            for child in children(self.pid):
                self.child_mib = max(self.child_mib, memory_mib(child, "VmHWM"))
                together += memory_mib(child, "VmRSS")
            self.together_mib = max(self.together_mib, together)

    def end(self):
        """The peaks in MiB: of the process, of its largest child, and of all of them at one moment."""
        self.ended.set()
        self.join()
        return self.own_mib, self.child_mib, self.together_mib


def memory_mib(pid, key):
    """A line of /proc/PID/status in MiB; 0 when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(key + ":")), 0.0)


def children(pid):
    """Processes that a process started and that live."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:
            continue
    return found


def cpu_s(pid):
    """CPU seconds of a process and of the children it has waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / TICKS


class Home:
    """A data directory of hm. `hm serve` keeps its services up, so that no run pays for starting them."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.server = None
        self.address = None

    def hm(self, *arguments):
        """A command line for this data directory."""
        return [HM, "--data-dir", self.folder, *arguments]

    def serve(self, frozen=False, env=None):
        """Starts `hm serve`; `frozen` stops the process once it stands, so that it makes no pictures meanwhile."""
        began = time.monotonic()
        log = open(f"{self.folder}.log", "ab")
        command = [str(part) for part in self.hm("serve", "--bind", "127.0.0.1:0")]
        # A backup that was missed is made soon after the start, and would run beside what is measured.
        settings = {**os.environ, "HM_BACKUP_AT": "", **(env or {})}
        self.server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=settings)
        log.close()
        line = self.server.stdout.readline().decode()
        if "http://" not in line:
            raise RuntimeError("hm serve did not start:\n" + Path(f"{self.folder}.log").read_text()[-2000:])
        self.address = line.rpartition("http://")[2].strip().strip("/")
        host, _, port = self.address.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"the first page answers {answer.status}")
        if frozen:
            self.server.send_signal(signal.SIGSTOP)
        return time.monotonic() - began

    def thaw(self):
        """Lets a frozen server go on."""
        self.server.send_signal(signal.SIGCONT)

    def sql(self, text=None, file=None, **variables):
        """Rows that a statement or a file of them gives, as lists of texts."""
        psql = ["psql", "-h", self.folder / "run/sockets", "-U", "hm", "-d", "postgres", "-qAtX", "-v", "ON_ERROR_STOP=1"]
        for name, value in variables.items():
            psql += ["-v", f"{name}={value}"]
        done = run([*psql, *(["-f", file] if file else ["-c", text])])
        return [line.split("|") for line in done.out.splitlines()]

    def empty(self):
        """Forgets all that was scanned, as if the database were new."""
        self.sql("TRUNCATE vaults, cameras, lenses, timeline_days, facet_counts, tags, map_cells, place_counts, scans RESTART IDENTITY CASCADE")

    def stop(self):
        """Ends the server and, after their grace, its services."""
        if self.server is None:
            return
        self.thaw()
        self.server.terminate()
        try:
            self.server.wait(60)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()
        self.server = None
        gone_by = time.monotonic() + 60
        while (self.folder / "postgres/postmaster.pid").exists() and time.monotonic() < gone_by:
            time.sleep(0.1)


def warm(folder):
    """Reads everything once, so that the page cache holds it."""
    for path in Path(folder).rglob("*"):
        if path.is_file():
            path.read_bytes()


def chill():
    """Empties the system's page cache, as after a start of the machine; False where that is not allowed."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


__all__ = ["HM", "RUNS", "Home", "Run", "children", "chill", "cpu_s", "median", "memory_mib", "middle", "run", "warm"]
