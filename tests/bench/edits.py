"""Rows about curation: an edit of ten thousand images at once, and how fast changes reach sidecars on a fast and on a slow disk."""

import json
import os
import shutil
import subprocess
import time
from contextlib import nullcontext
from pathlib import Path

from data import sample_library
from measure import RUNS, Home, median, run
from pages import Client
from report import Group, Row
from scans import EXIFTOOL, SCANNED, built_slow_fs, slow_mount

IMAGES = 100_000
EDITED = 10_000
MOMENTS = int(os.environ.get("HM_BENCH_SIDECARS", "300"))
DELAY_US = 5000
LONGEST_WAIT_S = 900


def post(client, path, body=None):
    """Sends JSON; the answer and the seconds until its end."""
    began = time.perf_counter()
    client.connection.request("POST", path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
    answer = client.connection.getresponse()
    text = answer.read()
    took_s = time.perf_counter() - began
    if answer.status != 200:
        raise RuntimeError(f"{path} answers {answer.status}: {text[:300]!r}")
    return json.loads(text), took_s


def edits(folder):
    """One action on ten thousand chosen images, and taking it back."""
    group = Group("edits")
    home = Home(folder / "home")
    home.serve(frozen=True)
    try:
        home.sql(file=Path(__file__).with_name("images.sql"), first=1, last=IMAGES)
        home.stop()
        home.serve()
        home.sql("VACUUM ANALYZE")
        client = Client(home.address)
        chosen = list(range(1, IMAGES + 1, IMAGES // EDITED))
        took = {}
        for number in range(RUNS):
            acts = {"rating": {"set": {"rating": 2 + number % 2}}, "keywords": {"add_keywords": [f"bench|run {number}"]}}
            for name, act in acts.items():
                done, seconds = post(client, "/api/v1/edits", {"images": chosen} | act)
                assert done["changed"] > 0.8 * EDITED, done
                took.setdefault(name, []).append(seconds)
                undone, seconds = post(client, f"/api/v1/edits/{done['batch']}/undo")
                assert undone == {"changed": done["changed"], "skipped": 0}, undone
                took.setdefault(f"undo of {name}", []).append(seconds)
    finally:
        home.stop()
    names = {"rating": "a rating set", "undo of rating": "that taken back", "keywords": "a keyword of two levels added", "undo of keywords": "that taken back"}
    for name, words in names.items():
        seconds = median(took[name])
        group.rows.append(Row(f"{EDITED:,} of {IMAGES:,} images: {words}", f"{seconds:.2f} s, {EDITED / seconds:,.0f} images/s"))
    group.remarks.append(
        f"the images are listed by id; each action is one transaction with its history, outbox and search words; median of {RUNS}"
    )
    group.commands += ["POST /api/v1/edits", "POST /api/v1/edits/{batch}/undo"]
    return group


def settle(home):
    """Waits until the server makes no more pictures."""
    count, since = None, time.monotonic()
    while time.monotonic() - since < 4:
        now = home.sql("SELECT count(*) FROM pictures")
        if now != count:
            count, since = now, time.monotonic()
        time.sleep(0.5)


def written(home, client, rating):
    """Rates all images, waits until their sidecars say so; sidecars, and seconds from the first to the last."""
    client.connection.close()
    done, _ = post(client, "/api/v1/edits", {"filter": {}, "set": {"rating": rating}})
    give_up = time.monotonic() + LONGEST_WAIT_S
    while True:
        outbox = json.loads(client.get("/api/v1/outbox?limit=1")[0])
        if outbox["failed"] or outbox["conflict"] or time.monotonic() > give_up:
            raise RuntimeError(f"the outbox is stuck: {outbox}")
        if outbox["pending"] == 0:
            break
        time.sleep(0.5)
    count, span_s = home.sql("SELECT count(*), extract(epoch FROM max(written_at) - min(written_at)) FROM image_edits WHERE state = 'written'")[0]
    assert int(count) == done["changed"], (count, done)
    return int(count), float(span_s)


def peers(library, words):
    """exiftool writes as many sidecars, new ones and then the same again; seconds of each."""
    images = [path for path in library.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg")]
    listed = library.parent / f"{words}.txt"
    listed.write_text("\n".join(map(str, images)))
    began = time.monotonic()
    run([EXIFTOOL, "-q", "-m", "-XMP:Rating=4", "-o", "%d%f.%e.peer.xmp", "-@", listed], codes=(0, 1))
    new_s = time.monotonic() - began
    sidecars = list(library.rglob("*.peer.xmp"))
    listed.write_text("\n".join(map(str, sidecars)))
    began = time.monotonic()
    run([EXIFTOOL, "-q", "-m", "-overwrite_original", "-XMP:Rating=5", "-@", listed], codes=(0, 1))
    return len(sidecars), new_s, time.monotonic() - began


def outbox(folder):
    """Sidecars a second: on the disk as it is, and through a mount on which every request takes five milliseconds."""
    group = Group("outbox")
    source = folder / "source"
    made = sample_library(source, MOMENTS)
    slow_fs, lack = built_slow_fs(folder)
    disks = [("a local disk", False)] + ([("a mount with 5 ms a request", True)] if slow_fs else [])
    if lack:
        group.remarks.append(f"no slow disk: {lack}")
    for words, is_slow in disks:
        place = folder / ("slow" if is_slow else "local")
        library, theirs, mount = place / "library", place / "theirs", place / "mount"
        for copy in (library, theirs):
            shutil.copytree(source, copy)
        disk = lambda files: slow_mount(slow_fs, files, mount, DELAY_US, "rw") if is_slow else nullcontext(files)
        with disk(library) as vault:
            rows = ours(place, vault)
        peer = None
        if EXIFTOOL:
            with disk(theirs) as files:
                peer = peers(files, words)
        for index, (what, (count, seconds)) in enumerate(rows.items()):
            rate = (count - 1) / seconds
            their_rate = peer and peer[0] / peer[1 + index]
            group.rows.append(
                Row(
                    f"{words}: {count} images rated, {what}",
                    f"{rate:,.0f} sidecars/s",
                    f"exiftool {their_rate:,.0f} sidecars/s" if peer else "",
                    f"{rate / their_rate:.2f}" if peer else "",
                )
            )
    group.remarks += [
        f"library: {made}; from the first sidecar recorded as written to the last; hm compares, flushes, reads back, renames, flushes the "
        "folder and records each in the database, exiftool (one process for all) renames without a flush; one run",
        "tests/bench/slow_fs.c lets requests wait side by side",
    ]
    group.commands += [
        "POST /api/v1/edits {filter: {}, set: {rating}}",
        "exiftool -XMP:Rating=4 -o %d%f.%e.peer.xmp -@ LIST",
        "exiftool -overwrite_original -XMP:Rating=5 -@ LIST",
        "slow_fs LIBRARY MOUNT 5000 rw",
    ]
    return group


def ours(place, vault):
    """hm's two rows of one disk."""
    config = place / "local.toml"
    config.write_text(f"[vaults.bench]\npath = {json.dumps(str(vault))}\nwrite_back = true\n")
    env = {"HM_CONFIG": str(config), "HM_THUMBS_WORKERS": "1"}
    home = Home(place / "home")
    try:
        home.serve(frozen=True, env=env)
        run(home.hm("scan", vault), env=env, codes=SCANNED, keep=False)
        home.thaw()
        settle(home)
        client = Client(home.address)
        return {"most sidecars new": written(home, client, 4), "all sidecars there": written(home, client, 5)}
    finally:
        home.stop()
