"""Rows about finding by likeness: how soon the nearest of a million vectors are found, within filters too, and how many of them."""

import itertools
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

from measure import Home, median
from pages import BATCH
from report import Group, Row, at_least

COUNT = int(os.environ.get("HM_BENCH_VECTORS", "1000000"))
WARM_UP, SAMPLES = 20, 200
NETWORK = "bench"
# As the search language writes it, the same for PostgreSQL, and the share of tests/bench/images.sql that passes.
FILTERS = [
    ("", None, "no filter"),
    ("tag:animal", "'animal|dog' = ANY (hierarchical_keywords)", "`tag:animal`, 1 %"),
    ("rating:>=1", "rating >= 1", "`rating:>=1`, 10 %"),
    ("type:raw", "has_raw", "`type:raw`, 30 %"),
]
QUESTIONS = [("pictures", "like a picture"), ("texts", "by words")]
DIRECTIONS = Path(__file__).with_name("directions.py")
ROOT = Path(__file__).resolve().parents[2]


def python_with_numpy():
    """A Python that has it, or None."""
    has = lambda python: subprocess.run([python, "-c", "import numpy"], capture_output=True).returncode == 0
    return next((python for python in (sys.executable, "/usr/bin/python3") if Path(python).exists() and has(python)), None)


def nearest(folder):
    """Latency and recall at one size of the library."""
    group = Group("nearest")
    python = python_with_numpy()
    home = Home(folder / "home")
    home.serve(frozen=True)
    try:
        if home.sql("SELECT to_regclass('embeddings') IS NOT NULL") != [["t"]] or python is None:
            group.remarks.append("needs pgvector and a Python with numpy: nothing was measured")
            return group
        fill(home, python, folder)
        # A frozen server may be in the midst of a transaction.
        home.stop()
        home.serve()
        home.sql("VACUUM ANALYZE")
        measure(group, home, python, folder)
    finally:
        home.stop()
    group.remarks += [
        f"{SAMPLES} questions a row after {WARM_UP} to warm up, one connection; the function that pages call (ten nearest), in the tests' build of hm",
        "vectors of 512 numbers at half precision in 2,000 clusters of unequal size, each spread along 48 directions of its own, all with a common part "
        "(tests/bench/directions.py); questions like a picture are of the same making and not in the library, those by words lie apart from all pictures, the "
        "cosine to the nearest about 0.3; what passes a filter does not depend on the vectors",
        "recall is the share of the ten nearest by comparing with all, in numpy",
    ]
    group.commands.append("hm::db::nearest::nearest(filter, limit 10)")
    return group


def fill(home, python, folder):
    """Images with a vector each."""
    for first in range(1, COUNT + 1, BATCH):
        home.sql(file=Path(__file__).with_name("images.sql"), first=first, last=min(first + BATCH - 1, COUNT))
    new = f"INSERT INTO networks (kind, name, version, family, title, dimensions) VALUES ('embed', '{NETWORK}', '1', 'clip', 'Bench', 512) RETURNING id"
    network = home.sql(new)[0][0]
    subprocess.run([python, str(DIRECTIONS), "make", str(folder), str(COUNT), str(WARM_UP + SAMPLES), network], check=True)
    copy = "COPY embeddings (network_id, image_id, vector) FROM STDIN WITH (FORMAT binary)"
    psql = ["psql", "-h", str(home.folder / "run/sockets"), "-U", "hm", "-d", "postgres", "-qX", "-v", "ON_ERROR_STOP=1", "-c", copy]
    with open(folder / "copy.bin", "rb") as rows:
        subprocess.run(psql, stdin=rows, check=True)
    (folder / "copy.bin").unlink()
    home.sql(f"INSERT INTO image_results (network_id, image_id, picture_key) SELECT {network}, id, picture_key FROM images")


def asked(home, folder, mode, query="", questions="pictures"):
    """What the function that pages call says, in the tests' binary: a line each."""
    settings = {
        "HM_BENCH_DATABASE_URL": f"postgres:///postgres?host={home.folder}/run/sockets&user=hm",
        "HM_BENCH_NETWORK": NETWORK,
        "HM_BENCH_QUESTIONS": str(folder / f"{questions}.json"),
        "HM_BENCH_FILTER": query,
        "HM_BENCH_MODE": mode,
    }
    command = ["cargo", "test", "--locked", "--quiet", "--test", "it", "--", "--ignored", "--exact", "db::nearest::measured", "--nocapture"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **settings}, check=True, capture_output=True, text=True)
    return [json.loads(line.partition("MEASURED ")[2]) for line in done.stdout.splitlines() if "MEASURED " in line]


def measure(group, home, python, folder):
    count = f"{COUNT:,} vectors"
    took = [answer["took_ms"] for answer in asked(home, folder, "ask")[WARM_UP:]]
    group.rows.append(Row(f"{count}, before there is an index: the ten nearest, p50", f"{median(took):.0f} ms"))
    built = asked(home, folder, "build")[0]
    group.rows.append(Row(f"{count}: building the index, in one process", f"{built['took_s']:,.0f} s"))
    sizes = "SELECT pg_relation_size(indexrelid) >> 20, pg_relation_size('embeddings') >> 20 FROM pg_stat_user_indexes WHERE indexrelname LIKE 'embeddings_network_%'"
    index_mib, vectors_mib = home.sql(sizes)[0]
    group.rows.append(Row(f"{count}: size of the index / of the vectors", f"{int(index_mib):,} / {int(vectors_mib):,} MiB"))
    for (questions, how), (query, condition, words) in itertools.product(QUESTIONS, FILTERS):
        answers = asked(home, folder, "ask", query, questions)[WARM_UP:]
        took = sorted(answer["took_ms"] for answer in answers)
        p99 = took[math.ceil(0.99 * len(took)) - 1]
        what = f"{count}, {how}, {words}"
        group.rows.append(Row(f"{what}: the ten nearest, p50 / p99", f"{median(took):.1f} / {p99:.1f} ms"))
        passing = [int(row[0]) for row in home.sql(f"SELECT id FROM images WHERE {condition}")] if condition else None
        given = json.dumps({"questions": questions, "passing": passing, "answers": [answer["ids"] for answer in answers]})
        done = subprocess.run([python, str(DIRECTIONS), "recall", str(folder)], input=given, check=True, capture_output=True, text=True)
        counted = json.loads(done.stdout)
        recall = counted["found"] / counted["wanted"]
        group.rows.append(Row(f"{what}: recall@10", f"{recall:.4f}", **at_least(recall, 0.98)))
    walk(group, home, folder, count)
    # Answers that come while the index is there are put into it one by one.
    batch = 500
    began = time.monotonic()
    home.sql(f"UPDATE embeddings SET vector = vector WHERE image_id <= {batch}")
    group.rows.append(Row(f"{count}: vectors put into the index", f"{batch / (time.monotonic() - began):,.0f} a second"))


def walk(group, home, folder, count):
    """Steps of the walks along the timeline: in search of look-alikes, and of images whose answer is lacking (none is)."""
    steps = asked(home, folder, "walk")
    for of, words in (("alike", "a step in search of look-alikes, 2,000 images"), ("lacking", "a step in search of what lacks an answer, 10,000 images")):
        took = sorted(step["took_ms"] for step in steps if step["of"] == of)
        p99 = took[math.ceil(0.99 * len(took)) - 1]
        group.rows.append(Row(f"{count}: {words}, p50 / p99", f"{median(took):.1f} / {p99:.1f} ms"))
    counted = next(step for step in steps if step["of"] == "counted")
    if counted["found"]:
        raise RuntimeError(f"{counted['found']} lack an answer")
    group.rows.append(Row(f"{count}: counting what lacks an answer", f"{counted['took_ms']:,.0f} ms"))
