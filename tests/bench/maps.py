"""Rows about the map: clusters of a million placed images at every zoom, of all and within filters, and the page beside them."""

import math
import os
import random
from pathlib import Path
from urllib.parse import urlencode

from measure import Home, median
from pages import BATCH, Client
from report import Group, Row, at_most

COUNT = int(os.environ.get("HM_BENCH_PLACED", "1000000"))
SAMPLES = 60
# The window of a desktop, in pixels.
WIDE, HIGH = 1100, 840
# Half of all lie in one city, as a household's do; the other half on journeys.
HOME_CITY = (47.37, 8.54)
LATITUDE = f"CASE WHEN light < 0.5 THEN {HOME_CITY[0]} + (chance - 0.5) * 0.15 ELSE -35 + folder_id * 7919 % 9500 / 100.0 + (chance - 0.5) * 0.4 END"
LONGITUDE = f"CASE WHEN light < 0.5 THEN {HOME_CITY[1]} + (light - 0.25) * 0.4 ELSE -120 + folder_id * 104729 % 26000 / 100.0 + (light - 0.75) * 0.8 END"
ZOOMS = [(2, "world"), (6, "country"), (12, "city"), (16, "street")]
# One that few pass, one that many pass, words, and a mixture; each with another beginning, so that no answer is one that was kept.
FILTERS = ["rating:>=4", "type:raw", 'camera:"Maker M3"', "lake -tag:animal"]


def box(zoom, latitude, longitude):
    """West, south, east and north of a window on the map."""
    wide = 360 / 2**zoom * WIDE / 256
    high = 360 / 2**zoom * HIGH / 256 * math.cos(math.radians(latitude))
    if wide >= 360:
        return "-180,-85,180,85"
    turn = lambda degrees: (degrees + 180) % 360 - 180
    return f"{turn(longitude - wide / 2):.5f},{max(-85, latitude - high / 2):.5f},{turn(longitude + wide / 2):.5f},{min(85, latitude + high / 2):.5f}"


def row(group, words, client, addresses):
    """Latency of some addresses after a few to warm up."""
    for address in addresses[:5]:
        client.get(address)
    answers = [client.get(address) for address in addresses[5:]]
    took = sorted(took for _, took in answers)
    p99 = took[math.ceil(0.99 * len(took)) - 1]
    size_kib = median(len(body) for body, _ in answers) / 1024
    group.rows.append(Row(f"{words}, p50 / p99 ({size_kib:,.0f} KiB)".replace("|", "\\|"), f"{median(took):.1f} / {p99:.1f} ms", **at_most(p99, 100, "ms")))


def maps(folder):
    """Latency of the map at one size of the library."""
    group = Group("map")
    home = Home(folder / "home")
    home.serve(frozen=True)
    try:
        for first in range(1, COUNT + 1, BATCH):
            last = min(first + BATCH - 1, COUNT)
            home.sql(file=Path(__file__).with_name("images.sql"), first=first, last=last, placed="1", latitude=LATITUDE, longitude=LONGITUDE)
        home.stop()
        home.serve()
        # Only now: a frozen server may be in the midst of a transaction, which keeps rows from being marked as seen by all.
        home.sql("VACUUM ANALYZE")
        measure(group, home)
    finally:
        home.stop()
    group.remarks.append(
        f"{SAMPLES} windows of {WIDE} × {HIGH} pixels a row, around images chosen by chance; half of the images lie in one city, the others "
        "around 2,000 places of the earth; clusters of all images are counted by trigger, within a filter every image that passes is read; "
        "every filtered question has another first year, so that no kept answer serves"
    )
    group.commands.append("hm serve --bind 127.0.0.1:0, GET /api/v1/map?bbox=&zoom=&q=")
    return group


def measure(group, home):
    """The rows."""
    client = Client(home.address)
    chance = random.Random(3)
    places = [tuple(map(float, place)) for place in home.sql(f"SELECT latitude_deg, longitude_deg FROM images ORDER BY random() LIMIT {SAMPLES}")]
    for zoom, words in ZOOMS:
        windows = [{"bbox": box(zoom, *place), "zoom": zoom} for place in places]
        row(group, f"{COUNT:,} placed images: zoom {zoom} ({words}), all", client, ["/api/v1/map?" + urlencode(window) for window in windows])
        for search in FILTERS:
            asked = [window | {"q": f"{search} date:>{1900 + number}"} for number, window in enumerate(windows)]
            chance.shuffle(asked)
            row(group, f"the same, `{search}`", client, ["/api/v1/map?" + urlencode(window) for window in asked])
    row(group, "the page `/map`, of all", client, ["/map"] * 25)
    row(group, "the page `/map` of a filter, its countries and towns counted anew", client, ["/map?" + urlencode({"q": f"date:>{1900 + number}"}) for number in range(25)])
