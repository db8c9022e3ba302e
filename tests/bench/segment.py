"""Rows about cutting out what is pointed at: the first click on a picture and the next ones, over HTTP, with MobileSAM's sizes and
numbers by chance. What a network says costs the same whatever its numbers are."""

import json
import os
import time
from statistics import median

from chance import mobile_sam
from measure import HM, Home, run
from pages import Client
from report import Group, Row, at_most

PICTURES = 7
CLICKS = 20


def segment(folder):
    """The first click and the next ones."""
    group = Group("segment")
    home, photos, network = Home(folder / "home"), folder / "photos", folder / "mobile_sam.safetensors"
    run([HM, "demo", photos, "--count", 12])
    mobile_sam(network)
    run(home.hm("models", "import", network))
    home.serve()
    try:
        run(home.hm("scan", photos))
        measure(group, home)
    finally:
        home.stop()
    group.remarks.append(
        f"medians; the proxies are made before, the processor has {os.cpu_count()} cores; each picture is embedded once and then asked {CLICKS} times; an answer "
        "to one place has three masks; the network is of MobileSAM's sizes with numbers by chance"
    )
    group.commands.append("hm serve --bind 127.0.0.1:0, POST /api/v1/images/{id}/segment")
    return group


def measure(group, home):
    """The rows."""
    client = Client(home.address)
    listed = [image["id"] for image in json.loads(client.get("/api/v1/images?type=jpeg&limit=50")[0])["images"] if not image["is_video"]]
    images = listed[: PICTURES + 1]
    for image in images:
        client.get(f"/pictures/{image}/proxy")

    def ask(image, **asked):
        body = json.dumps(asked)
        began = time.perf_counter()
        client.connection.request("POST", f"/api/v1/images/{image}/segment", body, {"Content-Type": "application/json"})
        answer = client.connection.getresponse()
        text = answer.read()
        took_ms = (time.perf_counter() - began) * 1000
        if answer.status != 200:
            raise RuntimeError(f"segment answers {answer.status}: {text[:300]!r}")
        return took_ms

    click = lambda at: {"points": [{"x": 0.1 + 0.04 * (at % 20), "y": 0.45}]}
    opening = ask(images[0], **click(9))
    first = median(ask(image, **click(9)) for image in images[1:])
    clicks = median(ask(images[at % len(images)], **click(at)) for at in range(CLICKS * 3))
    boxes = median(ask(images[at % len(images)], boxes=[{"left": 0.2, "top": 0.2, "right": 0.7, "bottom": 0.8}]) for at in range(CLICKS))
    group.rows.append(Row("the first click of all, the network opened for it", f"{opening:,.0f} ms"))
    group.rows.append(Row("the first click on a picture", f"{first:,.0f} ms", **at_most(first, 1500, "ms")))
    group.rows.append(Row("the next clicks on it", f"{clicks:,.0f} ms", **at_most(clicks, 150, "ms")))
    group.rows.append(Row("a box around something on it", f"{boxes:,.0f} ms", **at_most(boxes, 150, "ms")))
