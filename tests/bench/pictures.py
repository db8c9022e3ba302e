"""Rows about thumbnails: how many a second and a CPU second, in how much memory, and how near they come to their originals."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean

from data import large_jpegs
from measure import RUNS, Home, children, cpu_s, memory_mib, middle, run
from report import Group, Row, at_least

VIPSTHUMBNAIL = shutil.which("vipsthumbnail")
COUNT = 40
LONGEST_S = 600
QUALITY = Path(__file__).with_name("quality.py")
# Differences that nobody sees, and that another rounding of the same filter makes.
SAME_PSNR_DB = 0.02
SAME_SSIM = 0.0005


def make_pictures(home, folder):
    """Scans a folder, lets the server make its pictures; per second, CPU seconds in all, peak MiB of a child, keys by file name."""
    home.serve(frozen=True)
    try:
        run(home.hm("scan", folder))
        pid = home.server.pid
        before = cpu_s(pid)
        home.thaw()
        give_up = time.monotonic() + LONGEST_S
        while int(home.sql("SELECT count(*) FROM pictures")[0][0]) < COUNT:
            if time.monotonic() > give_up:
                raise RuntimeError("the pictures were not made in time")
            time.sleep(0.2)
        workers = children(pid)
        cpu = cpu_s(pid) - before + sum(cpu_s(worker) for worker in workers)
        peak = max(memory_mib(worker, "VmHWM") for worker in workers)
        failed = int(home.sql("SELECT count(*) FROM pictures WHERE error IS NOT NULL")[0][0])
        span_s = float(home.sql("SELECT extract(epoch FROM max(made_at) - min(made_at)) FROM pictures")[0][0])
        keys = dict(home.sql("SELECT name, picture_key FROM images JOIN files ON files.id = picture_file_id"))
    finally:
        home.stop()
    if failed:
        raise RuntimeError(f"{failed} pictures could not be made")
    return (COUNT - 1) / span_s, cpu, peak, keys


def python_with_pictures():
    """A Python that has numpy and Pillow, or None."""
    for program in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([program, "-c", "import numpy, PIL"], capture_output=True).returncode == 0:
            return program
    return None


def quality(group, python, files, ours, theirs):
    """Rows about the made pictures: `ours` and `theirs` give the path of one by original and suffix."""
    for what, suffix in (("512 px WebP", "webp"), ("2048 px JPEG", "jpg")):
        pairs = {file: {"hm": str(ours(file, suffix)), "peer": str(theirs(file, suffix))} for file in files}
        jobs = "".join(json.dumps({"original": str(file), "made": made}) + "\n" for file, made in pairs.items())
        done = subprocess.run([python, QUALITY], input=jobs, capture_output=True, text=True, check=True)
        judged = [json.loads(line) for line in done.stdout.splitlines()]

        def of(program, key):
            return mean(one[program][key] for one in judged)

        def size_kib(program):
            return mean(Path(made[program]).stat().st_size for made in pairs.values()) / 1024

        for words, key, form, same in (("PSNR", "psnr", "{:.2f} dB", SAME_PSNR_DB), ("SSIM", "ssim", "{:.4f}", SAME_SSIM)):
            worse = sum(one["hm"][key] < one["peer"][key] - same for one in judged)
            least = min(one["hm"][key] - one["peer"][key] for one in judged)
            group.rows.append(
                Row(
                    f"{what}: mean {words}; files that are worse than the peer's",
                    f"{form.format(of('hm', key))}; {worse} of {len(judged)}",
                    f"vipsthumbnail: {form.format(of('peer', key))}",
                    f"{of('hm', key) - of('peer', key):+.4f}, at least {least:+.4f}",
                    aim="≥ the peer's",
                    met=of("hm", key) >= of("peer", key) and worse == 0,
                )
            )
        sizes = size_kib("hm"), size_kib("peer")
        group.rows.append(Row(f"{what}: mean size", f"{sizes[0]:,.1f} KiB", f"{sizes[1]:,.1f} KiB", f"{sizes[0] / sizes[1]:.2f}"))
    group.remarks.append(
        "PSNR and SSIM against the original decoded whole and reduced by Lanczos in floating point (tests/bench/quality.py); "
        f"a file is worse when it is so by more than {SAME_PSNR_DB} dB or {SAME_SSIM} SSIM"
    )


def thumbs(folder):
    """Both sizes of large JPEGs."""
    group = Group("thumbs")
    if not (VIPSTHUMBNAIL and shutil.which("vips")):
        group.remarks.append("libvips-tools is not installed: left out")
        return group
    source = folder / "large"
    words = large_jpegs(source, COUNT)
    ours = [make_pictures(Home(folder / f"home{number}"), source) for number in range(RUNS)]
    keys = ours[0][3]
    rate, cpu, peak, _ = sorted(ours, key=lambda one: one[1])[(len(ours) - 1) // 2]
    files = sorted(source.glob("*.jpg"))

    def peer(size, target):
        return run([VIPSTHUMBNAIL, "--size", f"{size}x{size}", "-o", folder / target, *files], keep=False, watch=True)

    small = middle([peer(512, "%s.webp[Q=78,effort=2]") for _ in range(RUNS)])
    large = middle([peer(2048, "%s.jpg[Q=85]") for _ in range(RUNS)])
    peer_cpu, peer_wall = small.cpu_s + large.cpu_s, small.wall_s + large.wall_s
    ratio = (COUNT / cpu) / (COUNT / peer_cpu)
    group.rows += [
        Row(
            "pictures (512 px WebP and 2048 px JPEG of 12 MP) per CPU second",
            f"{COUNT / cpu:.1f}",
            f"vipsthumbnail: {COUNT / peer_cpu:.1f}",
            f"{ratio:.2f}",
            **at_least(ratio, 1.6),
        ),
        Row("the same per second", f"{rate:.1f}", f"{COUNT / peer_wall:.1f}", f"{rate / (COUNT / peer_wall):.2f}"),
        Row("peak memory of one decoding process", f"{peak:,.0f} MiB", f"{max(small.peak_mib, large.peak_mib):,.0f} MiB"),
    ]
    group.remarks.append(f"{COUNT} JPEGs enlarged from {words}; hm's CPU is that of `hm serve` and its decoding children; median of {RUNS}")
    python = python_with_pictures()
    if python:
        stored = {"webp": "thumb.webp", "jpg": "proxy.jpg"}

        def made(file, suffix):
            key = keys[file.name]
            return folder / "home0/thumbs" / key[:2] / key[2:4] / f"{key}.{stored[suffix]}"

        quality(group, python, files, made, lambda file, suffix: folder / f"{file.stem}.{suffix}")
    else:
        group.remarks.append("no Python has numpy and Pillow: the quality is left out")
    group.commands += [
        "hm serve, hm scan LARGE",
        "vipsthumbnail --size 512x512 -o '%s.webp[Q=78,effort=2]' LARGE/*.jpg",
        "vipsthumbnail --size 2048x2048 -o '%s.jpg[Q=85]' LARGE/*.jpg",
    ]
    return group
