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
from data import SHARED, linked_tree, mixed_tree, sample_library, tiny_tree
from measure import RUNS, Home, chill, median, middle, run, warm
from report import Group, Row, at_least, at_most

EXIFTOOL = shutil.which("exiftool")
# Scans end with 3 where some file could not be read.
SCANNED = (0, 3)
SLOW_MOMENTS = 1000
MIXED_FILES = int(os.environ.get("HM_BENCH_MIXED_FILES", "100000"))
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


def exiftool_scan(library, runs, before=lambda: None):
    """Runs exiftool over a library; the median run and how many files it read. `before` is called before each run."""
    done = []
    for _ in range(runs):
        before()
        done.append(run([EXIFTOOL, "-fast2", "-r", "-json", library], codes=(0, 1), keep=False))
    done = middle(done)
    return done, int(re.search(r"(\d+) image files? read", done.err)[1])


def scan(folder):
    """A new library, with the page cache hot and cold."""
    group = Group("scan")
    library = folder / "library"
    words = sample_library(library)
    with home_with_services(folder) as home:
        cold = scans_of_new(home, library, before=chill) if chill() else None
        cold_peer = exiftool_scan(library, 1, before=chill) if cold and EXIFTOOL else None
        warm(library)
        ours = scans_of_new(home, library)
        rows = int(home.sql("SELECT (SELECT count(*) FROM images) + (SELECT count(*) FROM files)")[0][0])
    read = ours[1]["files_read"]
    dry = middle([run(home.hm("scan", "--dry-run", "--json", library), codes=SCANNED, keep=False) for _ in range(RUNS)])
    peer = exiftool_scan(library, RUNS) if EXIFTOOL else None
    group.rows += rows_of_scan(f"new library of {read} files, into the database", ours[0], read, peer, 30)
    group.rows += rows_of_scan(f"new library of {read} files, `--dry-run`", dry, read, peer, 30)
    if cold:
        group.rows += rows_of_scan(f"new library of {read} files, into the database, page cache emptied", cold[0], read, cold_peer)
    else:
        group.remarks.append("no row with an empty page cache: /proc/sys/vm/drop_caches may not be written")
    group.rows.append(Row("rows of images and files written by the scan into the database", f"{rows / ours[0].wall_s:,.0f} rows/s"))
    group.remarks.append(f"library: {words}; median of {RUNS} runs; CPU is that of hm and its metadata children, without PostgreSQL")
    if cold_peer:
        group.remarks.append("exiftool ran once with the page cache emptied; programs and PostgreSQL's own files are then read from the disk, too")
    if not peer:
        group.remarks.append("exiftool is not installed: no peer")
    group.commands += ["hm scan --json LIBRARY", "hm scan --dry-run --json LIBRARY", "exiftool -fast2 -r -json LIBRARY"]
    return group


def scans_of_new(home, library, before=lambda: None):
    """Scans into an empty database, several times; the median run and a summary. `before` is called before each run."""
    runs = []
    for _ in range(RUNS):
        home.empty()
        before()
        done, summary = scan_once(home, library)
        runs.append(done)
    return middle(runs), summary


def rows_of_scan(what, ours, read, peer, aim=None):
    """A row about wall time and one about CPU, beside exiftool's run where there is one."""
    rate = read / ours.wall_s
    rows = [Row(what, f"{rate:,.0f} files/s"), Row("the same per CPU second", f"{read / ours.cpu_s:,.0f} files")]
    if peer:
        theirs, files = peer
        ratio = rate / (files / theirs.wall_s)
        rows[0].peer, rows[0].ratio = f"exiftool -fast2: {files / theirs.wall_s:,.0f} files/s", f"{ratio:.1f}"
        vars(rows[0]).update(at_least(ratio, aim) if aim else {})
        rows[1].peer, rows[1].ratio = f"{files / theirs.cpu_s:,.0f} files", f"{(read / ours.cpu_s) / (files / theirs.cpu_s):.1f}"
    return rows


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
def slow_mount(program, folder, mount, us, *mode):
    """The folder as a slow disk, read-only unless the mode is `rw`; unmounted and forgotten afterwards."""
    mount.mkdir(exist_ok=True)
    process = subprocess.Popen([program, folder, mount, str(us), *mode])
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


def built_slow_fs(folder):
    """The program that makes a disk slow, or None and what is lacking for it."""
    program = folder / "slow_fs"
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "fuse3"], capture_output=True, text=True)
    compiler = shutil.which("cc")
    if flags.returncode or not (compiler and shutil.which("fusermount3") and os.access("/dev/fuse", os.W_OK)):
        return None, "needs fuse3 with its headers (libfuse3-dev), and /dev/fuse that may be opened"
    run([compiler, "-O2", "-o", program, Path(__file__).with_name("slow_fs.c"), *flags.stdout.split()])
    return program, None


def slow(folder):
    """A disk where every request takes two milliseconds."""
    group = Group("slow")
    program, lack = built_slow_fs(folder)
    if lack or not EXIFTOOL:
        group.remarks.append(f"left out: {lack or 'needs exiftool'}")
        return group
    library, mount = folder / "library", folder / "mount"
    words = sample_library(library, SLOW_MOMENTS)
    with home_with_services(folder) as home:
        written, dry = [], []
        for _ in range(RUNS):
            # A fresh mount has nothing in the page cache.
            home.empty()
            with slow_mount(program, library, mount, 2000):
                done, summary = scan_once(home, mount)
                written.append(done)
            with slow_mount(program, library, mount, 2000):
                dry.append(run(home.hm("scan", "--dry-run", "--json", mount), codes=SCANNED, keep=False))
    # It would take minutes to run it more often, and the disk's waiting hardly varies.
    with slow_mount(program, library, mount, 2000):
        peer = exiftool_scan(mount, 1)
    read = summary["files_read"]
    for kind, runs in {"into the database": written, "`--dry-run`": dry}.items():
        group.rows += rows_of_scan(f"new library of {read} files, 2 ms a request, nothing cached, {kind}", middle(runs), read, peer, 10)[:1]
    group.remarks.append(f"library: {words}; tests/bench/slow_fs.c mounted anew before every run; median of {RUNS}, exiftool once")
    group.commands += ["slow_fs LIBRARY MOUNT 2000", "hm scan --json MOUNT", "hm scan --dry-run --json MOUNT", "exiftool -fast2 -r -json MOUNT"]
    return group


def memory(folder):
    """A very large library, and one that makes the metadata children work."""
    group = Group("memory")
    library, mixed = folder / "library", folder / "mixed"
    tiny_tree(folder / "source")
    linked_tree(folder / "source", library, MEMORY_FILES)
    words = mixed_tree(folder / "sources", mixed, MIXED_FILES)
    with home_with_services(folder) as home:
        done, summary = scan_once(home, library, watch=True)
        again, _ = scan_once(home, library, watch=True)
        asked, of_mixed = scan_once(home, mixed, watch=True)
    peaks = {f"{summary['files_seen']:,} new files": done, "nothing changed": again, f"{of_mixed['files_seen']:,} new files of all kinds": asked}
    for what, one in peaks.items():
        group.rows.append(Row(f"peak memory of `hm scan`, {what}", f"{one.peak_mib:,.0f} MiB", **at_most(one.peak_mib, 400, "MiB")))
        if one.child_peak_mib:
            group.rows.append(Row("largest of its metadata children meanwhile", f"{one.child_peak_mib:,.0f} MiB"))
            group.rows.append(Row("all together at most", f"{one.together_peak_mib:,.0f} MiB", **at_most(one.together_peak_mib, 400, "MiB")))
    group.rows += [
        Row("the new scan", f"{summary['files_read'] / done.wall_s:,.0f} files/s"),
        Row("the unchanged scan", f"{summary['files_seen'] / again.wall_s:,.0f} files/s"),
        Row("the scan of all kinds", f"{of_mixed['files_read'] / asked.wall_s:,.0f} files/s"),
    ]
    group.remarks += [
        "50,000 different JPEGs of 400 bytes, hard-linked into 2,000 folders; one run; their facts are read in the process itself, without children",
        f"all kinds: hard links to {words} and to 700 JPEGs whose lens only a child could find; together: resident memory at one moment",
    ]
    group.commands.append("hm scan --json LIBRARY")
    return group
