"""Rows about cutting out what is pointed at: the first click on a picture and the next ones, over HTTP, with MobileSAM's sizes and
numbers by chance. What a network says costs the same whatever its numbers are."""

import array
import json
import math
import os
import random
import struct
import time
from pathlib import Path
from statistics import median

from measure import HM, Home, run
from pages import Client
from report import Group, Row, at_most

PICTURES = 7
CLICKS = 20


def shapes():
    """The tensors of `mobile_sam.pt` by name."""
    found = {}

    def linear(name, out, into):
        found[f"{name}.weight"], found[f"{name}.bias"] = (out, into), (out,)

    def norm(name, channels):
        found[f"{name}.weight"], found[f"{name}.bias"] = (channels,), (channels,)

    def folded(name, out, into, kernel):
        found[f"{name}.c.weight"] = (out, into, kernel, kernel)
        norm(f"{name}.bn", out)
        found[f"{name}.bn.running_mean"], found[f"{name}.bn.running_var"] = (out,), (out,)

    def bottleneck(name, into, hidden, out):
        folded(f"{name}.conv1", hidden, into, 1)
        folded(f"{name}.conv2", hidden, 1, 3)
        folded(f"{name}.conv3", out, hidden, 1)

    encoder = "image_encoder"
    folded(f"{encoder}.patch_embed.seq.0", 32, 3, 3)
    folded(f"{encoder}.patch_embed.seq.2", 64, 32, 3)
    dims, depths, heads, windows = [64, 128, 160, 320], [2, 2, 6, 2], [2, 4, 5, 10], [7, 7, 14, 7]
    for block in range(depths[0]):
        bottleneck(f"{encoder}.layers.0.blocks.{block}", 64, 256, 64)
    for stage in range(3):
        bottleneck(f"{encoder}.layers.{stage}.downsample", dims[stage], dims[stage + 1], dims[stage + 1])
    for stage in range(1, 4):
        for block in range(depths[stage]):
            name, dim = f"{encoder}.layers.{stage}.blocks.{block}", dims[stage]
            norm(f"{name}.attn.norm", dim)
            linear(f"{name}.attn.qkv", 3 * dim, dim)
            linear(f"{name}.attn.proj", dim, dim)
            found[f"{name}.attn.attention_biases"] = (heads[stage], windows[stage] ** 2)
            folded(f"{name}.local_conv", dim, 1, 3)
            norm(f"{name}.mlp.norm", dim)
            linear(f"{name}.mlp.fc1", 4 * dim, dim)
            linear(f"{name}.mlp.fc2", dim, 4 * dim)
    found[f"{encoder}.neck.0.weight"], found[f"{encoder}.neck.2.weight"] = (256, 320, 1, 1), (256, 256, 3, 3)
    norm(f"{encoder}.neck.1", 256)
    norm(f"{encoder}.neck.3", 256)

    prompts = "prompt_encoder"
    found[f"{prompts}.pe_layer.positional_encoding_gaussian_matrix"] = (2, 128)
    for point in range(4):
        found[f"{prompts}.point_embeddings.{point}.weight"] = (1, 256)
    found[f"{prompts}.not_a_point_embed.weight"] = found[f"{prompts}.no_mask_embed.weight"] = (1, 256)
    for at, shape in [(0, (4, 1, 2, 2)), (3, (16, 4, 2, 2)), (6, (256, 16, 1, 1))]:
        found[f"{prompts}.mask_downscaling.{at}.weight"], found[f"{prompts}.mask_downscaling.{at}.bias"] = shape, shape[:1]
    norm(f"{prompts}.mask_downscaling.1", 4)
    norm(f"{prompts}.mask_downscaling.4", 16)

    decoder = "mask_decoder"
    found[f"{decoder}.iou_token.weight"], found[f"{decoder}.mask_tokens.weight"] = (1, 256), (4, 256)

    def attention(name, inner):
        for part in ["q_proj", "k_proj", "v_proj"]:
            linear(f"{name}.{part}", inner, 256)
        linear(f"{name}.out_proj", 256, inner)

    for layer in range(2):
        name = f"{decoder}.transformer.layers.{layer}"
        attention(f"{name}.self_attn", 256)
        attention(f"{name}.cross_attn_token_to_image", 128)
        attention(f"{name}.cross_attn_image_to_token", 128)
        linear(f"{name}.mlp.lin1", 2048, 256)
        linear(f"{name}.mlp.lin2", 256, 2048)
        for number in range(1, 5):
            norm(f"{name}.norm{number}", 256)
    attention(f"{decoder}.transformer.final_attn_token_to_image", 128)
    norm(f"{decoder}.transformer.norm_final_attn", 256)
    for at, shape in [(0, (256, 64, 2, 2)), (3, (64, 32, 2, 2))]:
        found[f"{decoder}.output_upscaling.{at}.weight"], found[f"{decoder}.output_upscaling.{at}.bias"] = shape, (shape[1],)
    norm(f"{decoder}.output_upscaling.1", 64)
    for head, out in [(f"output_hypernetworks_mlps.{mask}", 32) for mask in range(4)] + [("iou_prediction_head", 4)]:
        for layer, width in enumerate([256, 256, out]):
            linear(f"{decoder}.{head}.layers.{layer}", width, 256)
    return found


def write_network(path):
    """A checkpoint of these sizes: scales near 1, everything else small."""
    chance = random.Random(1)
    noise = array.array("f", (chance.uniform(-1, 1) for _ in range(65_537)))
    header, parts, end = {}, [], 0
    for name, shape in shapes().items():
        count, fan = math.prod(shape), math.prod(shape[1:])
        is_scale = len(shape) == 1 and name.endswith(("weight", "running_var"))
        middle, spread = (1, 0.3) if is_scale else (0, 0.1 if len(shape) == 1 else 1.7 / math.sqrt(fan))
        one = array.array("f", (middle + spread * number for number in noise[:count]))
        numbers = (one * (count // len(one) + 1))[:count]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + 4 * count]}
        parts.append(numbers.tobytes())
        end += 4 * count
    text = json.dumps(header).encode()
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def segment(folder):
    """The first click and the next ones."""
    group = Group("segment")
    home, photos, network = Home(folder / "home"), folder / "photos", folder / "mobile_sam.safetensors"
    run([HM, "demo", photos, "--count", 12])
    write_network(network)
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
