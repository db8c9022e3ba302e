"""Measures hm beside its peers: `bench.py [GROUP…]`. tests/bench/run.sh builds hm and calls this."""

import os
import signal
import sys
import tempfile
import traceback
from pathlib import Path

import edits
import maps
import nearest
import pages
import pictures
import queues
import report
import scans
import segment
import worker

GROUPS = {
    "scan": scans.scan,
    "rescan": scans.rescan,
    "agreement": scans.agreement,
    "slow": scans.slow,
    "thumbs": pictures.thumbs,
    "pages": pages.pages,
    "map": maps.maps,
    "nearest": nearest.nearest,
    "edits": edits.edits,
    "outbox": edits.outbox,
    "segment": segment.segment,
    "queue": queues.queue,
    "worker": worker.worker,
    "start": pages.start,
    "memory": scans.memory,
}


def main():
    names = sys.argv[1:] or list(GROUPS)
    unknown = [name for name in names if name not in GROUPS]
    if unknown:
        sys.exit(f"unknown group `{unknown[0]}`; there are {' '.join(GROUPS)}")
    # An end asked for takes the servers along, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    failed = []
    with tempfile.TemporaryDirectory(prefix="hm-bench.") as work:
        # As root, PostgreSQL runs as another user, who must find the way to its data.
        os.chmod(work, 0o755)
        for name in names:
            load = os.getloadavg()[0]
            folder = Path(work) / name
            folder.mkdir()
            print(f"measuring: {name}", file=sys.stderr, flush=True)
            try:
                report.write(GROUPS[name](folder), load, list(GROUPS))
            except Exception:
                traceback.print_exc()
                failed.append(name)
    if failed:
        sys.exit(f"could not measure: {' '.join(failed)}")


if __name__ == "__main__":
    main()
