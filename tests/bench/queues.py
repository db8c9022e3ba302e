"""Rows about the queue: tasks a second from the server to the workers and back, on a Redis that is set up as hm's own."""

import json
import os
import subprocess
import time

from measure import RUNS, median, run
from report import Group, Row

# As src/services/redis_server.rs writes them.
SETTINGS = "port 0\nunixsocketperm 700\ndaemonize no\nsave \"\"\nappendonly yes\nappendfsync everysec\nmaxmemory-policy noeviction\n"


def queue(folder):
    """Tasks a second: the client's code is the library's, so a program of its own measures, examples/queue_speed.rs."""
    group = Group("queue")
    # Built before anything is measured.
    program = os.environ.get("HM_BENCH_QUEUE_SPEED") or built("queue_speed")
    socket = folder / "redis.sock"
    server = subprocess.Popen(["redis-server", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        server.stdin.write(f'unixsocket "{socket}"\ndir "{folder}"\n{SETTINGS}'.encode())
        server.stdin.close()
        ready_by = time.monotonic() + 30
        while not socket.exists():
            if time.monotonic() > ready_by or server.poll() is not None:
                raise RuntimeError("redis-server did not start")
            time.sleep(0.05)
        runs = [json.loads(run([program, f"unix://{socket}"]).out) for _ in range(RUNS)]
    finally:
        server.terminate()
        server.wait()
    tasks, batch = runs[0]["tasks"], runs[0]["batch"]

    def row(words, key):
        group.rows.append(Row(words, f"{median(one[key] for one in runs):,.0f} tasks/s"))

    row(f"{tasks:,} tasks, a server that fills and stores and three workers at once", "together_per_s")
    row("one after the other: enqueued, claimed, answered, taken, settled", "in_turn_per_s")
    row("enqueued", "enqueue_per_s")
    row("claimed and answered by one worker", "claim_answer_per_s")
    row("taken and settled by one server", "take_settle_per_s")
    group.commands.append("queue_speed unix://SOCKET")
    group.remarks.append(
        f"batches of {batch}, answers of 512 numbers as JSON, median of {RUNS} runs; Redis on a unix socket with its file flushed every second; "
        "client and Redis share the cores; the database is left out"
    )
    return group


def built(example):
    """The path of an example, built with optimisation."""
    run(["cargo", "build", "--release", "--locked", "--example", example])
    known = json.loads(run(["cargo", "metadata", "--locked", "--no-deps", "--format-version", "1"]).out)
    return f"{known['target_directory']}/release/examples/{example}"
