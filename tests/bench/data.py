"""What is measured upon: libraries made for the purpose, none of them anybody's photographs."""

import os
import shutil
import struct
import subprocess
from pathlib import Path

from measure import HM, run

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
# A grey JPEG of 8 × 8 pixels.
TINY = bytes.fromhex(
    "ffd8ffe000104a46494600010100000100010000ffdb00430050373c463c32504641465a55505f78c882786e6e78f5afb991c8ffffffffffffff"
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffc0000b080008000801011100ffc40014000100000000000000"
    "000000000000000000ffc40014100100000000000000000000000000000000ffda0008010100003f003fffd9"
)


def sample_library(folder, moments=3000):
    """A library of many kinds of files; returns what it is in words."""
    tool = SHARED / "tools/make_library.py"
    pillow = subprocess.run(["/usr/bin/python3", "-c", "import PIL"], capture_output=True)
    if tool.exists() and (SHARED / "corpus/photos").is_dir() and pillow.returncode == 0:
        run(["/usr/bin/python3", tool, "--out", folder, "--n", moments, "--bodies", 300])
        # Its truth is no photograph.
        (folder / "library.jsonl").unlink(missing_ok=True)
        return f"`make_library.py --n {moments}`"
    run([HM, "demo", folder, "--count", 1000])
    return "`hm demo --count 1000`"


def exif(minute, camera, note=b""):
    """An EXIF block: camera, time, exposure. With a maker's `note` the camera is one that names its lens nowhere else."""
    day, hour = divmod(minute, 24 * 60)
    year, day = divmod(day, 336)
    time = f"{2005 + year % 20}:{1 + day // 28:02}:{1 + day % 28:02} {hour // 60:02}:{hour % 60:02}:{minute * 7 % 60:02}"
    make, model = (b"Canon\0", b"Canon EOS %dD\0" % (20 + 10 * camera)) if note else (b"Bench\0", b"Model %d\0" % camera)
    first = [(0x010F, 2, make), (0x0110, 2, model)]
    inner = [
        (0x829A, 5, struct.pack("<II", 1, 125)),
        (0x829D, 5, struct.pack("<II", 28, 10)),
        (0x8827, 3, struct.pack("<H", 200)),
        (0x9003, 2, time.encode() + b"\0"),
        (0x920A, 5, struct.pack("<II", 35, 1)),
        *([(0x927C, 7, note)] if note else []),
    ]
    # The pointer to the inner directory comes last, and the directory right behind the outer one.
    start = 8 + directory_length([*first, (0x8769, 4, bytes(4))])
    outer = directory([*first, (0x8769, 4, struct.pack("<I", start))], 8)
    tiff = b"II*\0\x08\0\0\0" + outer + directory(inner, start)
    return b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff


SIZES = {2: 1, 3: 2, 4: 4, 5: 8, 7: 1}


def directory_length(entries):
    return 6 + 12 * len(entries) + sum(len(raw) + len(raw) % 2 for _, _, raw in entries if len(raw) > 4)


def directory(entries, start):
    """A TIFF directory that stands at an offset."""
    head = struct.pack("<H", len(entries))
    data = b""
    at = start + 6 + 12 * len(entries)
    for tag, kind, raw in entries:
        head += struct.pack("<HHI", tag, kind, len(raw) // SIZES[kind])
        if len(raw) <= 4:
            head += raw.ljust(4, b"\0")
        else:
            head += struct.pack("<I", at + len(data))
            data += raw + bytes(len(raw) % 2)
    return head + bytes(4) + data


def tiny_tree(folder, folders=500, each=100, note=b""):
    """JPEGs of a few hundred bytes, each with facts of its own."""
    for number in range(folders):
        place = folder / f"{2005 + number % 20}" / f"{number:04}"
        place.mkdir(parents=True)
        for index in range(each):
            block = exif((number * each + index) * 37, index % 7, note)
            (place / f"IMG_{index:04}.jpg").write_bytes(TINY[:2] + block + TINY[2:])


def linked_tree(source, folder, count, folders=2000):
    """Hard links to the files of another tree, `count` of them, each under a path of its own."""
    files = [str(path) for path in source.rglob("*.jpg")]
    for number in range(folders):
        place = folder / f"{number % 40:02}" / f"{number:04}"
        place.mkdir(parents=True)
        for index in range(number, count, folders):
            os.link(files[index % len(files)], f"{place}/IMG_{index:07}.jpg")


def mixed_tree(source, folder, count):
    """Hard links to files of all kinds that lie in `folder` `count` times over, those of one moment beside one another.

    A third of the sources are JPEGs whose lens only a metadata child can find, as those of older cameras.
    """
    words = sample_library(source / "made", 1000)
    # An empty directory of notes: read whole, and in vain.
    tiny_tree(source / "noted", folders=10, each=70, note=bytes(16))
    corpus = SHARED / "corpus/library"
    if corpus.is_dir():
        shutil.copytree(corpus, source / "real")
        words += " and real files of many cameras"
    files = sorted((path.relative_to(source).parts, path) for path in source.rglob("*") if path.is_file())
    made = copy = 0
    while made < count:
        for parts, path in files[: count - made]:
            place = folder / f"{copy:04}" / parts[0] / (parts[1] if len(parts) > 2 else "")
            place.mkdir(parents=True, exist_ok=True)
            target = place / parts[-1]
            # Folders below a year are put together, and some names meet.
            if not target.exists():
                os.link(path, target)
                made += 1
        copy += 1
    return words


def large_jpegs(folder, count=40):
    """JPEGs of 12 megapixels, made of smaller pictures; returns of which."""
    corpus = SHARED / "corpus/photos"
    source, words = corpus, "corpus photographs"
    if not corpus.is_dir():
        source, words = folder.with_suffix(".demo"), "pictures of `hm demo`"
        run([HM, "demo", source, "--count", 60])
    small = sorted(path for path in source.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    folder.mkdir(parents=True)
    for index in range(count):
        target = folder / f"IMG_{index:04}.jpg"
        run(["vips", "thumbnail", small[index % len(small)], f"{target}[Q=90]", 4000, "--height", 3000, "--size", "force", "--crop", "none"])
    if source != corpus:
        shutil.rmtree(source)
    return words
