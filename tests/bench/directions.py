"""Vectors as networks make them of photographs, and which of them are nearest; run by a Python that has numpy.

    directions.py make FOLDER COUNT QUESTIONS NETWORK   vectors.npy, copy.bin (PostgreSQL's binary COPY of network, image, vector), pictures.json, texts.json
    directions.py recall FOLDER < JSON                  {"questions": NAME, "passing": [image…] or null, "answers": [[image…]…]} → {"found": …, "wanted": …}

Clusters of directions: some thousand subjects, a few of which many pictures show; each varies along some dozen directions of its own, and all
have something in common. Numbers drawn evenly would be as far from each other as can be, and no search finds those well. Images are numbered
from 1 in the order of the vectors.

Questions are of two kinds: other pictures, and texts. A text's vector lies apart from those of all pictures, in a direction that texts have in
common, with a good part that no picture knows; the cosine to the nearest picture is about 0.3, as it is for CLIP.
"""

import json
import math
import sys
from pathlib import Path

import numpy

DIMENSIONS = 512
CLUSTERS = 2_000
OWN_DIRECTIONS = 48
SPREAD = 0.55
# The n-th cluster has as many as n to this.
SKEW = -0.8
NEAREST = 10
BATCH = 50_000


def unit(vectors):
    return vectors / numpy.linalg.norm(vectors, axis=-1, keepdims=True)


class Directions:
    """Draws vectors of unit length, in half precision."""

    def __init__(self):
        self.chance = numpy.random.default_rng(7)
        self.centres = unit(unit(self.normal(CLUSTERS, DIMENSIONS)) + 0.5 * unit(self.normal(1, DIMENSIONS)))
        self.own = self.normal(CLUSTERS, OWN_DIRECTIONS, DIMENSIONS) / math.sqrt(DIMENSIONS * OWN_DIRECTIONS)
        shares = numpy.arange(1, CLUSTERS + 1) ** SKEW
        self.shares = shares / shares.sum()

    def normal(self, *shape):
        return self.chance.standard_normal(shape, dtype=numpy.float32)

    def draw(self, count):
        of = numpy.sort(self.chance.choice(CLUSTERS, count, p=self.shares))
        vectors = numpy.empty((count, DIMENSIONS), numpy.float32)
        for cluster, first in zip(*numpy.unique(of, return_index=True)):
            here = slice(first, numpy.searchsorted(of, cluster, "right"))
            vectors[here] = self.centres[cluster] + SPREAD * (self.normal(here.stop - here.start, OWN_DIRECTIONS) @ self.own[cluster])
        return unit(vectors)[self.chance.permutation(count)].astype(numpy.float16)


def copy_rows(network, first, vectors):
    """Rows of PostgreSQL's binary COPY."""
    fields = [("columns", ">i2"), ("length1", ">i4"), ("network", ">i8"), ("length2", ">i4"), ("image", ">i8"), ("length3", ">i4")]
    rows = numpy.zeros(len(vectors), numpy.dtype([*fields, ("dimensions", ">i2"), ("unused", ">i2"), ("vector", ">f2", (DIMENSIONS,))]))
    rows["columns"], rows["length1"], rows["length2"], rows["length3"] = 3, 8, 8, 4 + 2 * DIMENSIONS
    rows["network"], rows["image"] = network, numpy.arange(first, first + len(vectors))
    rows["dimensions"], rows["vector"] = DIMENSIONS, vectors
    return rows.tobytes()


def make(folder, count, questions, network):
    directions = Directions()
    vectors = directions.draw(count)
    numpy.save(folder / "vectors.npy", vectors)
    with open(folder / "copy.bin", "wb") as copy:
        copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
        for first in range(0, count, BATCH):
            copy.write(copy_rows(network, first + 1, vectors[first : first + BATCH]))
        copy.write(b"\xff\xff")
    pictures = directions.draw(questions).astype(numpy.float32)
    apart, unknown = unit(directions.normal(1, DIMENSIONS)), unit(directions.normal(questions, DIMENSIONS))
    for name, asked in (("pictures", pictures), ("texts", unit(0.3 * pictures + 0.8 * apart + 0.4 * unknown))):
        (folder / f"{name}.json").write_text(json.dumps(asked.astype(float).tolist()))


def recall(folder):
    """How many of the nearest that pass were found, and how many there are."""
    given = json.load(sys.stdin)
    vectors = numpy.load(folder / "vectors.npy", mmap_mode="r")
    questions = numpy.array(json.loads((folder / f"{given['questions']}.json").read_text()), numpy.float32)[-len(given["answers"]) :]
    passing = numpy.arange(1, len(vectors) + 1) if given["passing"] is None else numpy.sort(numpy.array(given["passing"]))
    best = numpy.full((len(questions), NEAREST), -2, numpy.float32)
    images = numpy.zeros((len(questions), NEAREST), int)
    for first in range(0, len(passing), BATCH):
        here = passing[first : first + BATCH]
        near = numpy.hstack([best, questions @ vectors[here - 1].astype(numpy.float32).T])
        candidates = numpy.hstack([images, numpy.broadcast_to(here, (len(questions), len(here)))])
        order = numpy.argpartition(-near, NEAREST, axis=1)[:, :NEAREST] if near.shape[1] > NEAREST else numpy.argsort(-near, axis=1)
        best, images = numpy.take_along_axis(near, order, 1), numpy.take_along_axis(candidates, order, 1)
    wanted = [set(row[row > 0].tolist()) for row in images]
    found = sum(len(set(answer) & nearest) for answer, nearest in zip(given["answers"], wanted))
    print(json.dumps({"found": found, "wanted": sum(map(len, wanted))}))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]), *map(int, sys.argv[3:]))
    else:
        recall(Path(sys.argv[2]))
