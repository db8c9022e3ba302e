"""Rows about the server: latency of its pages and its memory by the size of the library, and how soon the first page is there."""

import http.client
import json
import math
import os
import random
import time
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import urlencode

from measure import RUNS, Home, median, memory_mib
from report import Group, Row, at_most

SIZES = [int(size) for size in os.environ.get("HM_BENCH_IMAGES", "10000,100000,1000000").split(",")]
SAMPLES = 200
SEARCH_SAMPLES = 60
BATCH = 50_000
# Of the answers that the page's script asks for at once; static/timeline.js has the same.
BLOCK = 200
BIG_MONTH = "2019-08"
# Searches as people write them, the hard ones among them: few and many results, conditions with an index and without.
SEARCHES = [
    "rating:>=3",
    "rating:5 type:raw",
    'camera:"Maker M3"',
    "camera:m1 -tag:vehicle",
    "lens:12 rating:>=4",
    "date:2012..2014-06 type:raw",
    "date:*-12-25",
    "date:*-12-25 rating:>=4",
    "tag:animal",
    "tag:veh* -has:gps",
    "near:48.5,11.5,5km",
    "near:48.5,11.5,500m rating:>=3",
    "file:IMG_12345",
    "file:*12345*",
    'folder:"Trip 77"',
    'folder:"Trip 77" rating:>=3',
    "lake -dog",
    "lake 77",
    '"evening at the lake 77"',
    "(tag:dog OR is:rejected) -has:gps",
    "iso:>=25600",
    "iso:>=51200 rating:5",
    "is:missing",
    "is:final",
    "type:heic",
    "has:sidecar",
    "title:lake rating:5",
]


class Client:
    """One browser's connection, kept open."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.connection = http.client.HTTPConnection(host, int(port), timeout=60)

    def get(self, path):
        """The body and the milliseconds until its end."""
        began = time.perf_counter()
        self.connection.request("GET", path, headers={"HX-Request": "true"} if path.startswith("/days") else {})
        answer = self.connection.getresponse()
        body = answer.read()
        took_ms = (time.perf_counter() - began) * 1000
        if answer.status != 200:
            raise RuntimeError(f"{path} answers {answer.status}: {body[:300]!r}")
        return body, took_ms


def days_of(client):
    """The days of the library with their images, newest first, as the page's script reads them."""
    number, days = 0, []
    for back, count, _ in json.loads(client.get("/timeline.json")[0])["days"]:
        number -= back
        days.append((date(1970, 1, 1) + timedelta(days=number), count))
    return days


def stretch(days, start):
    """The address for the days from one on that fit in one answer."""
    count, end = 0, start
    while end < len(days) and count + days[end][1] <= BLOCK:
        count += days[end][1]
        end += 1
    last = days[max(start, end - 1)]
    query = {"newest": days[start][0], "oldest": last[0]}
    return "/days?" + urlencode(query | ({"limit": BLOCK} if count == 0 else {}))


def questions(home, client, count):
    """Every kind of request with its addresses."""
    days = days_of(client)
    long_days = [index for index, (day, _) in enumerate(days) if f"{day:%Y-%m}" == BIG_MONTH]
    cursors = home.sql(f"SELECT to_char(captured_at, 'YYYYMMDD\"T\"HH24MISS.US'), id FROM images ORDER BY random() LIMIT {SAMPLES}")
    in_month = home.sql(
        "SELECT to_char(captured_at, 'YYYYMMDD\"T\"HH24MISS.US'), id, day FROM images "
        f"WHERE captured_at >= '{BIG_MONTH}-01' AND captured_at < '{BIG_MONTH}-01'::date + interval '1 month' ORDER BY random() LIMIT {SAMPLES}"
    )
    chance = random.Random(1)
    return {
        "`/`": ["/"] * SAMPLES,
        f"`/?at={BIG_MONTH}-…`": [f"/?at={BIG_MONTH}-{chance.randint(1, 31):02}" for _ in range(SAMPLES)],
        "`/days?newest=&oldest=`, anywhere": [stretch(days, chance.randrange(len(days))) for _ in range(SAMPLES)],
        f"`/days?…&after=&limit={BLOCK}`, in {BIG_MONTH}": [
            "/days?" + urlencode({"newest": day, "oldest": day, "after": f"{time}-{id}", "limit": BLOCK}) for time, id, day in in_month
        ],
        f"`/days/marks`, in {BIG_MONTH}": [
            "/days/marks?" + urlencode({"day": days[chance.choice(long_days)][0], "every": BLOCK}) for _ in range(SAMPLES)
        ],
        "`/timeline.json`": ["/timeline.json"] * SAMPLES,
        "`/api/v1/images?limit=200&cursor=`": [f"/api/v1/images?limit=200&cursor={time}-{id}" for time, id in cursors],
        "`/images/{id}`": [f"/images/{chance.randint(1, count)}" for _ in range(SAMPLES)],
    }


def pages(folder):
    """Latency and memory at three sizes of the library."""
    group = Group("pages")
    home = Home(folder / "home")
    home.serve(frozen=True)
    made = 0
    try:
        for count in SIZES:
            home.thaw()
            home.stop()
            home.serve(frozen=True)
            for first in range(made + 1, count + 1, BATCH):
                home.sql(file=Path(__file__).with_name("images.sql"), first=first, last=min(first + BATCH - 1, count))
            home.sql("VACUUM ANALYZE")
            made = count
            home.stop()
            home.serve()
            measure_pages(group, home, count)
    finally:
        home.stop()
    group.remarks.append(
        f"{SAMPLES} samples a row after 20 to warm up, one client on one connection kept open; rows of twenty years in random heap order, "
        f"7 % of them in {BIG_MONTH}, 2,000 folders; the pictures are in the database only"
    )
    group.commands.append("hm serve --bind 127.0.0.1:0")
    return group


def measure_pages(group, home, count):
    """The rows of one size."""
    client = Client(home.address)
    month = int(home.sql(f"SELECT sum(image_count) FROM timeline_days WHERE to_char(day, 'YYYY-MM') = '{BIG_MONTH}'")[0][0])
    for kind, addresses in questions(home, client, count).items():
        for address in addresses[:20]:
            client.get(address)
        answers = [client.get(address) for address in addresses]
        took = sorted(took for _, took in answers)
        p99 = took[math.ceil(0.99 * len(took)) - 1]
        size_kib = median(len(body) for body, _ in answers) / 1024
        words = f"{count:,} images: {kind}, p50 / p99 ({size_kib:,.0f} KiB)"
        group.rows.append(Row(words, f"{median(took):.1f} / {p99:.1f} ms", **at_most(p99, 25, "ms")))
    if count == max(SIZES):
        measure_searches(group, client, count)
    resident = memory_mib(home.server.pid, "VmRSS")
    group.rows.append(Row(f"{count:,} images: memory of `hm serve`, {month:,} of them in {BIG_MONTH}", f"{resident:,.0f} MiB", **at_most(resident, 150, "MiB")))


def measure_searches(group, client, count):
    """A row for each search: its first page, and pages that begin anywhere."""
    chance = random.Random(2)
    for search in SEARCHES:
        anywhere = [{"q": search, "at": f"{chance.randint(2006, 2024)}-{chance.randint(1, 12):02}"} for _ in range(SEARCH_SAMPLES // 2)]
        addresses = ["/?" + urlencode(query) for query in [{"q": search}] * (SEARCH_SAMPLES // 2) + anywhere]
        for address in addresses[:: SEARCH_SAMPLES // 4]:
            client.get(address)
        took = sorted(client.get(address)[1] for address in addresses)
        p99 = took[math.ceil(0.99 * len(took)) - 1]
        words = f"{count:,} images: `/?q={search}`, p50 / p99".replace("|", "\\|")
        group.rows.append(Row(words, f"{median(took):.1f} / {p99:.1f} ms", **at_most(p99, 25, "ms")))


def start(folder):
    """From the command to the first page."""
    group = Group("start")
    first, second = [], []
    for number in range(RUNS):
        home = Home(folder / f"home{number}")
        try:
            first.append(home.serve())
            home.stop()
            second.append(home.serve())
        finally:
            home.stop()
    group.rows += [
        Row("first start: empty data directory to the first page", f"{median(first):.1f} s", **at_most(median(first), 5, "s")),
        Row("second start", f"{median(second):.1f} s", **at_most(median(second), 5, "s")),
    ]
    group.remarks.append(f"median of {RUNS}; making PostgreSQL's cluster and all migrations are in the first")
    group.commands.append("hm --data-dir NEW serve --bind 127.0.0.1:0, GET /")
    return group
