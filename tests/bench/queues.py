"""Rows about the queue: tasks a second from the server to the workers and back, on a Redis that is set up as hm's own."""

import json
import subprocess
import time

from measure import RUNS, median, run
from report import Group, Row

TEST = ["cargo", "test", "--release", "--locked", "--test", "it", "--"]
NAME = "queue::throughput::tasks_per_second"
# As src/services/redis_server.rs writes them.
SETTINGS = "port 0\nunixsocketperm 700\ndaemonize no\nsave \"\"\nappendonly yes\nappendfsync everysec\nmaxmemory-policy noeviction\n"


def queue(folder):
    """Tasks a second: the client's code is the library's, so a test that is left out otherwise does the measuring."""
    group = Group("queue")
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
        env = {"HM_TEST_REDIS_URL": f"unix://{socket}"}
        # Built before anything is measured.
        run([*TEST, "--list"], env=env)
        runs = [figures(env) for _ in range(RUNS)]
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
    group.commands.append(" ".join([*TEST, "--ignored", "--exact", NAME, "--nocapture"]))
    group.remarks.append(
        f"batches of {batch}, answers of 512 numbers as JSON, median of {RUNS} runs; Redis on a unix socket with its file flushed every second; "
        "client and Redis share the cores; the database is left out"
    )
    return group


def figures(env):
    """What one run prints."""
    done = run([*TEST, "--ignored", "--exact", NAME, "--nocapture"], env=env)
    lines = [line for line in done.out.splitlines() if line.startswith("{")]
    if not lines:
        raise RuntimeError(f"the measurement printed no figures:\n{done.out[-2000:]}")
    return json.loads(lines[-1])
