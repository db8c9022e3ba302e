"""Rows about scanning: new and unchanged libraries, a slow disk, agreement of metadata, memory."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import agreement as agreements
from data import SHARED, linked_tree, sample_library, tiny_tree
from measure import RUNS, Home, median, middle, run, warm
from report import Group, Row, at_least, at_most

EXIFTOOL = shutil.which("exiftool")
# Scans end with 3 where some file could not be read.
SCANNED = (0, 3)
MEMORY_FILES = int(os.environ.get("HM_BENCH_FILES", "1000000"))


@contextmanager
def home_with_services(folder):
    """A data directory whose services are up, and whose server does nothing else."""
    home = Home(folder / "home")
    try:
        home.serve(frozen=True)
        yield home
    finally:
        home.stop()


def scan_once(home, library, watch=False):
    """Scans into the database as it is; the run and hm's summary of it."""
    done = run(home.hm("scan", "--json", library), codes=SCANNED, watch=watch)
    events = [json.loads(line) for line in done.out.splitlines() if line.startswith("{")]
    return done, next(event["summary"] for event in reversed(events) if event.get("event") == "end")


def exiftool_scan(library, runs):
    """Runs exiftool over a library; the median run and how many files it read."""
    done = middle([run([EXIFTOOL, "-fast2", "-r", "-json", library], codes=(0, 1), keep=False) for _ in range(runs)])
    return done, int(re.search(r"(\d+) image files? read", done.err)[1])


def scan(folder):
    """A new library, with the page cache hot."""
    group = Group("scan")
    library = folder / "library"
    words = sample_library(library)
    warm(library)
    with home_with_services(folder) as home:
        runs, read = [], 0
        for _ in range(RUNS):
            home.empty()
            done, summary = scan_once(home, library)
            runs.append(done)
            read = summary["files_read"]
        ours = middle(runs)
    dry = middle([run(home.hm("scan", "--dry-run", "--json", library), codes=SCANNED, keep=False) for _ in range(RUNS)])
    rates = {"into the database": ours, "`--dry-run`": dry}
    peer, peer_files = exiftool_scan(library, min(RUNS, 3)) if EXIFTOOL else (None, 0)
    for kind, done in rates.items():
        rate = read / done.wall_s
        row = Row(f"new library of {read} files, {kind}", f"{rate:,.0f} files/s")
        cpu = Row(f"the same per CPU second, {kind}", f"{read / done.cpu_s:,.0f} files")
        if peer:
            row.peer = f"exiftool -fast2: {peer_files / peer.wall_s:,.0f} files/s"
            ratio = rate / (peer_files / peer.wall_s)
            row.ratio = f"{ratio:.1f}"
            vars(row).update(at_least(ratio, 30))
            cpu.peer = f"{peer_files / peer.cpu_s:,.0f} files"
            cpu.ratio = f"{(read / done.cpu_s) / (peer_files / peer.cpu_s):.1f}"
        group.rows += [row, cpu]
    group.remarks.append(f"library: {words}; median of {RUNS} runs; CPU is that of hm and its metadata children, without PostgreSQL")
    if not peer:
        group.remarks.append("exiftool is not installed: no peer")
    group.commands += ["hm scan --json LIBRARY", "hm scan --dry-run --json LIBRARY", "exiftool -fast2 -r -json LIBRARY"]
    return group


def rescan(folder):
    """Fifty thousand small files: the first scan, and another when nothing changed."""
    group = Group("rescan")
    library, nothing = folder / "library", folder / "nothing"
    tiny_tree(library)
    nothing.mkdir()
    with home_with_services(folder) as home:
        first, summary = scan_once(home, library)
        again = [scan_once(home, library)[0] for _ in range(max(RUNS, 5))]
        empty = median(run(home.hm("scan", nothing), codes=SCANNED).wall_s for _ in range(max(RUNS, 5)))
        rows = int(home.sql("SELECT (SELECT count(*) FROM images) + (SELECT count(*) FROM files)")[0][0])
    find = middle([run(["find", library, "-printf", "%s %T@ %p\\n"], keep=False) for _ in range(max(RUNS, 5))])
    unchanged = middle(again)
    ratio = unchanged.wall_s / find.wall_s
    group.rows += [
        Row(
            f"unchanged library of {summary['files_seen']} files in 520 folders",
            f"{unchanged.wall_s * 1000:,.0f} ms",
            f"find -printf: {find.wall_s * 1000:,.0f} ms",
            f"{ratio:.2f}",
            **at_most(ratio, 2, "×"),
        ),
        Row("the same in CPU seconds", f"{unchanged.cpu_s:.2f}", f"{find.cpu_s:.2f}", f"{unchanged.cpu_s / find.cpu_s:.2f}"),
        Row("scan of an empty folder: process, connection, migrations checked", f"{empty * 1000:,.0f} ms"),
        Row("first scan of it: files of 400 bytes", f"{summary['files_read'] / first.wall_s:,.0f} files/s"),
        Row("rows of images and files written by it", f"{rows / first.wall_s:,.0f} rows/s"),
    ]
    group.remarks.append(f"median of {max(RUNS, 5)} runs, the first scan once; page cache hot")
    group.commands += ["hm scan --json LIBRARY", "find LIBRARY -printf '%s %T@ %p\\n'"]
    return group


def agreement(folder):
    """Field by field against exiftool."""
    group = Group("agreement")
    if not EXIFTOOL:
        group.remarks.append("exiftool is not installed: left out")
        return group
    library = folder / "library"
    libraries = {sample_library(library, 1000): library.resolve()}
    if (SHARED / "corpus/library").is_dir():
        libraries["real files of many cameras"] = (SHARED / "corpus/library").resolve()
    for number, (words, library) in enumerate(libraries.items()):
        tables = folder / f"tables{number}"
        home = Home(folder / "home")
        run(home.hm("scan", "--dry-run", "--export", tables, "--format", "jsonl", library), codes=SCANNED)
        theirs = json.loads(run([EXIFTOOL, "-json", "-n", "-G1", "-r", library], codes=(0, 1)).out)
        agreed, known, differences = agreements.compare(tables / "images.jsonl", tables / "files.jsonl", theirs)
        for name in (name for name in agreements.FIELDS if known[name]):
            group.rows.append(Row(f"{words}: {name}", f"{100 * agreed[name] / known[name]:.2f} %", f"exiftool knows {known[name]}"))
        group.rows.append(Row(f"{words}: all fields", f"{100 * agreed.total() / known.total():.2f} %", f"exiftool knows {known.total()}"))
        for difference in differences[:100]:
            print(f"  differs: {difference}", file=sys.stderr)
    group.remarks.append("share of the images where hm says what exiftool says; stderr tells the first hundred that differ")
    group.commands += ["hm scan --dry-run --export DIR --format jsonl LIBRARY", "exiftool -json -n -G1 -r LIBRARY"]
    return group


@contextmanager
def slow_mount(program, folder, mount, us):
    """The folder as a slow disk; unmounted and forgotten afterwards."""
    mount.mkdir(exist_ok=True)
    process = subprocess.Popen([program, folder, mount, str(us)])
    try:
        give_up = time.monotonic() + 10
        while not os.path.ismount(mount):
            if process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError("the slow file system could not be mounted")
            time.sleep(0.05)
        yield mount
    finally:
        subprocess.run(["fusermount3", "-u", mount], check=False)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def slow(folder):
    """A disk where every request takes two milliseconds."""
    group = Group("slow")
    program = folder / "slow_fs"
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "fuse3"], capture_output=True, text=True)
    compiler = shutil.which("cc")
    if flags.returncode or not (compiler and EXIFTOOL and shutil.which("fusermount3") and os.access("/dev/fuse", os.W_OK)):
        group.remarks.append("left out: needs exiftool, fuse3 with its headers (libfuse3-dev), and /dev/fuse that may be opened")
        return group
    run([compiler, "-O2", "-o", program, Path(__file__).with_name("slow_fs.c"), *flags.stdout.split()])
    library, mount = folder / "library", folder / "mount"
    words = sample_library(library, 300)
    ours, theirs = [], []
    home = Home(folder / "home")
    for _ in range(RUNS):
        # A fresh mount has nothing in the page cache.
        with slow_mount(program, library, mount, 2000):
            done = run(home.hm("scan", "--dry-run", "--json", mount), codes=SCANNED)
            ours.append(done)
            read = json.loads(done.out.splitlines()[-1])["summary"]["files_read"]
        with slow_mount(program, library, mount, 2000):
            done, peer_files = exiftool_scan(mount, 1)
            theirs.append(done)
    rate, peer = read / middle(ours).wall_s, peer_files / middle(theirs).wall_s
    group.rows.append(
        Row(
            f"new library of {read} files, 2 ms a request, nothing cached, `--dry-run`",
            f"{rate:,.0f} files/s",
            f"exiftool -fast2: {peer:,.0f} files/s",
            f"{rate / peer:.1f}",
            **at_least(rate / peer, 10),
        )
    )
    group.remarks.append(f"library: {words}; tests/bench/slow_fs.c mounted anew before every run; median of {RUNS}")
    group.commands += ["slow_fs LIBRARY MOUNT 2000", "hm scan --dry-run --json MOUNT", "exiftool -fast2 -r -json MOUNT"]
    return group


def memory(folder):
    """A very large library."""
    group = Group("memory")
    library = folder / "library"
    tiny_tree(folder / "source")
    linked_tree(folder / "source", library, MEMORY_FILES)
    with home_with_services(folder) as home:
        done, summary = scan_once(home, library, watch=True)
        again, _ = scan_once(home, library, watch=True)
    group.rows += [
        Row(f"peak memory of `hm scan`, {summary['files_seen']:,} new files", f"{done.peak_mib:,.0f} MiB", **at_most(done.peak_mib, 400, "MiB")),
        Row("largest of its children meanwhile", f"{done.child_peak_mib:,.0f} MiB"),
        Row("peak memory, nothing changed", f"{again.peak_mib:,.0f} MiB", **at_most(again.peak_mib, 400, "MiB")),
        Row("the new scan", f"{summary['files_read'] / done.wall_s:,.0f} files/s"),
        Row("the unchanged scan", f"{summary['files_seen'] / again.wall_s:,.0f} files/s"),
    ]
    group.remarks.append("50,000 different JPEGs of 400 bytes, hard-linked into 2,000 folders; one run")
    group.commands.append("hm scan --json LIBRARY")
    return group
