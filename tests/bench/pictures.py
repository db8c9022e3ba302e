"""Rows about thumbnails: how many a second and a CPU second, and in how much memory."""

import shutil
import time

from data import large_jpegs
from measure import RUNS, Home, children, cpu_s, memory_mib, middle, run
from report import Group, Row, at_least

VIPSTHUMBNAIL = shutil.which("vipsthumbnail")
COUNT = 40
LONGEST_S = 600


def make_pictures(home, folder):
    """Scans a folder, lets the server make its pictures; per second, CPU seconds in all, peak MiB of a child."""
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
    finally:
        home.stop()
    if failed:
        raise RuntimeError(f"{failed} pictures could not be made")
    return (COUNT - 1) / span_s, cpu, peak


def thumbs(folder):
    """Both sizes of large JPEGs."""
    group = Group("thumbs")
    if not (VIPSTHUMBNAIL and shutil.which("vips")):
        group.remarks.append("libvips-tools is not installed: left out")
        return group
    source = folder / "large"
    words = large_jpegs(source, COUNT)
    ours = sorted((make_pictures(Home(folder / f"home{number}"), source) for number in range(RUNS)), key=lambda one: one[1])
    rate, cpu, peak = ours[(len(ours) - 1) // 2]
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
    group.commands += [
        "hm serve, hm scan LARGE",
        "vipsthumbnail --size 512x512 -o '%s.webp[Q=78,effort=2]' LARGE/*.jpg",
        "vipsthumbnail --size 2048x2048 -o '%s.jpg[Q=85]' LARGE/*.jpg",
    ]
    return group
