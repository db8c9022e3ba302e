"""Rows about the whole way of a picture through a worker: claimed, fetched, decoded, prepared, computed, answered, stored; and how much of
that time the networks compute."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from statistics import median

from chance import clip_base_patch32
from data import SHARED, large_jpegs
from measure import HM, Home, run
from queues import built
from report import Group, Row

COUNT = int(os.environ.get("HM_BENCH_PROXIES", "240"))
LONGEST_S = 900
BATCH = 8
YOLO = SHARED / "weights/yolo/yolov8n-seg_from_int8.safetensors"
# What `hm work` says at its end.
ENDED = re.compile(r"ended: (\d+) answers, (\d+) of them failures; .*the device computed for ([\d.]+) s, (\d+) % of the time")


def worker(folder):
    """Images a second from proxies, by a worker on the server's machine and by one that fetches them over HTTP."""
    group = Group("worker")
    if not shutil.which("vips"):
        group.remarks.append("libvips-tools is not installed: left out")
        return group
    speed = os.environ.get("HM_BENCH_NETWORK_SPEED") or built("network_speed")
    words = large_jpegs(folder / "large", COUNT)
    home = Home(folder / "home")
    home.serve(env={"HM_WORK_LOCAL": "false"})
    try:
        run(home.hm("scan", folder / "large"))
        wait(home, "SELECT count(*) FROM pictures WHERE error IS NULL")
        clip_base_patch32(folder / "clip")
        measure(group, home, speed, "CLIP ViT-B/32", "clip-b32", folder / "clip")
        if YOLO.exists():
            measure(group, home, speed, "YOLOv8n-seg, 640 px", "yolov8n-seg", YOLO)
    finally:
        home.stop()
    group.remarks.append(
        f"{COUNT} proxies of 2048 px, of JPEGs enlarged from {words}; one run, from the first batch to the end of the last; server, PostgreSQL, Redis and worker "
        f"share {os.cpu_count()} cores; the peer is the network alone on made-up numbers, {BATCH} at a time, on all cores (examples/network_speed.rs)"
    )
    group.commands += ["hm work", "hm worker invite bench --address ADDRESS; hm work --join WORD"]
    return group


def wait(home, count):
    """Until so many are there."""
    give_up = time.monotonic() + LONGEST_S
    while int(home.sql(count)[0][0]) < COUNT:
        if time.monotonic() > give_up:
            raise RuntimeError(f"not {COUNT} in time: {count}")
        time.sleep(0.25)


def measure(group, home, speed, title, name, weights):
    """The rows of one network."""
    alone = None
    for place, work in (("on the server's machine", here), ("over HTTP", joined)):
        run(home.hm("models", "import", weights, "--name", name))
        if alone is None:
            said = json.loads(run([speed, home.folder / "models" / name, "--batch", BATCH, "--seconds", 8]).out)
            alone = BATCH / (median(said["calls_ms"]) / 1e3)
        with work(home) as command:
            per_s, busy_percent = worked(home, command)
        ratio = per_s / alone
        group.rows.append(Row(f"{title}, {place}: images a second", f"{per_s:.1f}", f"the network alone: {alone:.1f}", f"{ratio:.2f}"))
        group.rows.append(Row(f"{title}, {place}: of that time the network computes", f"{busy_percent} %"))
        run(home.hm("models", "remove", name, "--yes"))
        run(home.hm("models", "forget", name, "--yes"))


def worked(home, command):
    """Lets a worker do all there is; images a second, and percent of the time that its device computed."""
    with open(f"{home.folder}.work.log", "w+") as log:
        process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait(home, "SELECT count(*) FROM image_results")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        log.seek(0)
        text = log.read()
    ended = ENDED.search(text)
    if ended is None or ended[2] != "0":
        raise RuntimeError("the worker did not end well:\n" + text[-2000:])
    answers, busy_s, busy_percent = int(ended[1]), float(ended[3]), int(ended[4])
    return answers / (busy_s / (busy_percent / 100)), busy_percent


@contextlib.contextmanager
def here(home):
    """A worker that reads the server's proxies from its disk."""
    yield home.hm("work")


@contextlib.contextmanager
def joined(home):
    """A worker as on another machine."""
    said = run(home.hm("worker", "invite", "bench", "--address", home.address)).out
    word = re.search(r"--join (\S+)", said)[1]
    yield [HM, "--data-dir", f"{home.folder}-away", "work", "--join", word]
    run(home.hm("worker", "revoke", "bench"))
