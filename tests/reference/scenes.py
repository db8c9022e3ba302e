#!/usr/bin/env python3
"""Scenes of one to three coloured shapes, with the sentences that are true of them and a mask for each shape.

What the two little networks of this folder are trained and asked about. A scene is a plain value (`Scene`) until it is drawn, so it can be
drawn at any size: 64 px for training, 640 px as a photograph for hm to scan. All of it follows from a seed: the same numbers give the same
scenes on every machine.

    scenes.py FOLDER --count 200 --seed 7      writes 200 JPEGs, named by what they show, and scenes.json

Needs numpy and Pillow.
"""

import argparse
import colorsys
import json
import math
import pathlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

# Hue in degrees and how far it may be off; the rest of a colour is drawn at random.
COLOURS = {
    "red": (0, 7),
    "orange": (28, 5),
    "yellow": (54, 5),
    "green": (125, 18),
    "blue": (222, 14),
    "purple": (285, 11),
}
SHAPES = ["circle", "square", "triangle"]
PLURALS = {"circle": "circles", "square": "squares", "triangle": "triangles"}
NUMBERS = {1: "one", 2: "two", 3: "three"}
MOST = 3

# How often a shape is drawn larger before it is shrunk: its edge is as soft as a camera's.
OVERSAMPLING = 4


@dataclass(frozen=True)
class Thing:
    """One shape. Places and sizes are shares of the shorter side, from the middle of the picture."""

    shape: str
    colour: str
    x: float
    y: float
    radius: float
    turn: float
    rgb: tuple


@dataclass(frozen=True)
class Scene:
    """Shapes on a background; `background` is its kind and the seed of its looks."""

    things: tuple
    background: str
    seed: int

    def counts(self):
        """How many there are of each (colour, shape)."""
        counts = {}
        for thing in self.things:
            counts[thing.colour, thing.shape] = counts.get((thing.colour, thing.shape), 0) + 1
        return counts


def outline(shape, turn):
    """The corners of a shape whose farthest point lies 1 from its middle, turned by `turn` radians; None for a circle."""
    if shape == "circle":
        return None
    corners = 4 if shape == "square" else 3
    start = math.pi / 4 if shape == "square" else math.pi / 2
    polar = [(1.0, start + 2 * math.pi * corner / corners) for corner in range(corners)]
    return [(distance * math.cos(angle + turn), -distance * math.sin(angle + turn)) for distance, angle in polar]


def random_scene(rng, kinds=None):
    """Draws a scene: mostly one kind of thing, one to three times; sometimes two kinds. `kinds` fixes (colour, shape, count)."""
    if kinds is None:
        pair = lambda: (str(rng.choice(list(COLOURS))), str(rng.choice(SHAPES)))
        first = pair()
        if rng.random() < 0.35:
            second = pair()
            while second == first:
                second = pair()
            split = [(1, 1), (1, 2), (2, 1)][rng.integers(3)]
            kinds = [(*first, split[0]), (*second, split[1])]
        else:
            kinds = [(*first, int(rng.integers(1, MOST + 1)))]
    wanted = [(colour, shape) for colour, shape, count in kinds for _ in range(count)]
    places = []
    largest = {1: 0.30, 2: 0.21, 3: 0.18}[len(wanted)]
    while len(places) < len(wanted):
        radius = float(rng.uniform(0.115, largest))
        x, y = rng.uniform(-0.47 + radius, 0.47 - radius, 2)
        if all(math.hypot(x - px, y - py) > radius + pr + 0.03 for px, py, pr in places):
            places.append((float(x), float(y), radius))
        elif rng.random() < 0.05:
            places.clear()
    things = []
    for (colour, shape), (x, y, radius) in zip(wanted, places):
        turn = rng.uniform(-0.3, 0.3)
        hue, off = COLOURS[colour]
        hue = (hue + rng.uniform(-off, off)) % 360
        value = rng.uniform(0.75, 1.0) if colour in ("yellow", "orange") else rng.uniform(0.55, 1.0)
        rgb = colorsys.hsv_to_rgb(hue / 360, rng.uniform(0.78, 1.0), value)
        things.append(Thing(shape, colour, x, y, radius, float(turn), tuple(round(255 * channel) for channel in rgb)))
    background = ["plain", "gradient", "noisy"][rng.integers(3)]
    return Scene(tuple(things), background, int(rng.integers(1 << 31)))


def draw_background(scene, width, height):
    """(height, width, 3) f32: greys and pale or dark tints, never a colour that has a name here."""
    rng = np.random.default_rng(scene.seed)
    tint = lambda: np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 0.22), rng.uniform(0.12, 0.95)), np.float32) * 255
    first = tint()
    if scene.background == "gradient":
        angle = rng.uniform(0, 2 * math.pi)
        across = np.linspace(-1, 1, width, dtype=np.float32)[None, :] * math.cos(angle)
        down = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * math.sin(angle)
        share = np.clip((across + down) / 2.8 + 0.5, 0, 1)[..., None]
        return first * (1 - share) + tint() * share
    picture = np.broadcast_to(first, (height, width, 3)).copy()
    if scene.background == "noisy":
        # Blotches of a size, and grain on top.
        blotches = Image.fromarray(rng.uniform(-28, 28, (7, 7)).astype(np.float32)).resize((width, height), Image.BILINEAR)
        picture += np.asarray(blotches)[..., None]
        grain = rng.normal(0, rng.uniform(4, 14), (height // 2 + 1, width // 2 + 1, 3)).astype(np.float32)
        picture += grain.repeat(2, 0).repeat(2, 1)[:height, :width]
    return picture


def draw(scene, width, height):
    """The picture (height, width, 3) u8, and how much each pixel belongs to each thing (things, height, width) f32 in 0..=1."""
    picture = draw_background(scene, width, height)
    short = min(width, height)
    covers = np.zeros((len(scene.things), height, width), np.float32)
    for thing, cover in zip(scene.things, covers):
        middle_x, middle_y, radius = width / 2 + thing.x * short, height / 2 + thing.y * short, thing.radius * short
        left, top = max(0, math.floor(middle_x - radius)), max(0, math.floor(middle_y - radius))
        right, bottom = min(width, math.ceil(middle_x + radius)), min(height, math.ceil(middle_y + radius))
        canvas = Image.new("L", ((right - left) * OVERSAMPLING, (bottom - top) * OVERSAMPLING))
        pen = ImageDraw.Draw(canvas)
        corners = outline(thing.shape, thing.turn)
        place = lambda x, y: ((middle_x + radius * x - left) * OVERSAMPLING - 0.5, (middle_y + radius * y - top) * OVERSAMPLING - 0.5)
        if corners is None:
            pen.ellipse((*place(-1, -1), *place(1, 1)), fill=255)
        else:
            pen.polygon([place(x, y) for x, y in corners], fill=255)
        share = np.asarray(canvas.reduce(OVERSAMPLING), np.float32) / 255
        cover[top:bottom, left:right] = share
        part = picture[top:bottom, left:right]
        part += (np.array(thing.rgb, np.float32) - part) * share[..., None]
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8), covers


def phrase(count, colour, shape, number=None):
    """`two red circles`, `an orange star`."""
    if count == 1:
        article = "an" if colour[0] in "aeiou" else "a"
        return f"{number or article} {colour} {shape}"
    return f"{number or NUMBERS[count]} {colour} {PLURALS[shape]}"


def caption(scene):
    """Says all that is in a scene: `two red circles and a blue star`."""
    return " and ".join(phrase(count, colour, shape) for (colour, shape), count in scene.counts().items())


@dataclass(frozen=True)
class Sentence:
    """Words, and what they claim: (colour or None, shape or None, count or None for any) each."""

    words: str
    claims: tuple

    def is_true_of(self, counts):
        """Whether a scene with these `Scene.counts()` is as the sentence says."""
        for colour, shape, count in self.claims:
            there = sum(n for (c, s), n in counts.items() if colour in (None, c) and shape in (None, s))
            if (count is None and there == 0) or (count is not None and there != count):
                return False
        return True


PREFIXES = ["", "", "", "a photo of ", "a picture of ", "an image of ", "a photo with ", "there are ", "photo of ", "show me "]


def random_sentence(scene, rng):
    """Something true of a scene, said in one of many ways: all of it, a part, or no more than a shape or a colour."""
    counts = list(scene.counts().items())
    rng.shuffle(counts)
    (colour, shape), count = counts[0]
    kind = rng.random()
    if kind < 0.10:
        words, claims = f"{colour} {PLURALS[shape]}", ((colour, shape, None),)
    elif kind < 0.15:
        words, claims = PLURALS[shape], ((None, shape, None),)
    elif kind < 0.20:
        words, claims = f"something {colour}", ((colour, None, None),)
    else:
        if kind < 0.45:
            counts = counts[:1]
        number = lambda count: [None, str(count), NUMBERS[count]][rng.integers(3)]
        words = " and ".join(phrase(count, colour, shape, number(count)) for (colour, shape), count in counts)
        claims = tuple((colour, shape, count) for (colour, shape), count in counts)
    words = PREFIXES[rng.integers(len(PREFIXES))] + words
    return Sentence(words, claims)


def all_questions():
    """`a red circle`, `two red circles` … for every colour, shape and number: what a held-out library is asked."""
    return [
        Sentence(phrase(count, colour, shape), ((colour, shape, count),))
        for colour in COLOURS
        for shape in SHAPES
        for count in range(1, MOST + 1)
    ]


def scenes(count, seed):
    """So many scenes of a seed."""
    rng = np.random.default_rng(seed)
    return [random_scene(rng) for _ in range(count)]


def main():
    parser = argparse.ArgumentParser(description="Writes scenes as JPEGs for a folder of photographs.")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    told = []
    for index, scene in enumerate(scenes(arguments.count, arguments.seed)):
        picture, covers = draw(scene, arguments.width, arguments.height)
        name = f"{index:04}-{caption(scene).replace(' ', '-')}.jpg"
        Image.fromarray(picture).save(arguments.folder / name, quality=90)
        things = [
            {"colour": thing.colour, "shape": thing.shape, "area_px": int((cover >= 0.5).sum()),
             "x_px": round(arguments.width / 2 + thing.x * min(picture.shape[:2]), 1),
             "y_px": round(arguments.height / 2 + thing.y * min(picture.shape[:2]), 1)}
            for thing, cover in zip(scene.things, covers)
        ]
        told.append({"file": name, "caption": caption(scene), "background": scene.background, "things": things})
    (arguments.folder / "scenes.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
