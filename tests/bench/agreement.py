"""How often hm and exiftool say the same of an image, field by field.

exiftool speaks of files, hm of images. So the files' values are put together first, as the decisions of the project say: the original
speaks, its companions fill gaps, an XMP sidecar has the last word on time, place, rating and keywords.
"""

import json
import re
from collections import Counter

FIELDS = ["captured_at", "make", "model", "lens", "iso", "f_number", "exposure_s", "focal_length_mm", "gps", "orientation", "rating", "keywords"]
FROM_SIDECAR = {"captured_at", "gps", "rating", "keywords"}
# The pixels' own: a sidecar says nothing about them.
OF_THE_PICTURE = {"orientation"}
TAGS = {
    "make": ["IFD0:Make", "XMP-tiff:Make"],
    "model": ["IFD0:Model", "XMP-tiff:Model"],
    "lens": ["ExifIFD:LensModel", "XMP-exifEX:LensModel", "XMP-aux:Lens"],
    "iso": ["ExifIFD:ISO", "XMP-exif:ISO"],
    "f_number": ["ExifIFD:FNumber", "XMP-exif:FNumber"],
    "exposure_s": ["ExifIFD:ExposureTime", "XMP-exif:ExposureTime"],
    "focal_length_mm": ["ExifIFD:FocalLength", "XMP-exif:FocalLength"],
    "orientation": ["IFD0:Orientation", "XMP-tiff:Orientation"],
    "rating": ["XMP-xmp:Rating", "IFD0:Rating"],
    "captured_at": ["ExifIFD:DateTimeOriginal", "XMP-exif:DateTimeOriginal", "XMP-photoshop:DateCreated"],
}
ROLES = ["ORIGINAL", "COVER", "EXPORT", "DERIVATIVE", "UNKNOWN"]
RAW = set("cr2 cr3 crw nef nrw arw dng raf orf rw2 rwl pef srw x3f 3fr iiq gpr".split())


def of_exiftool(tags):
    """The fields of one file as exiftool reads them."""
    found = {}
    for field, names in TAGS.items():
        value = next((tags[name] for name in names if tags.get(name) not in (None, "")), None)
        if value is not None:
            found[field] = value
    if "captured_at" in found:
        found["captured_at"] = re.sub(r"^(\d{4}):(\d\d):(\d\d) ", r"\1-\2-\3T", str(found["captured_at"]))[:19]
        if not re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", found["captured_at"]) or found["captured_at"].startswith("0000"):
            del found["captured_at"]
    if found.get("orientation") not in range(1, 9):
        found.pop("orientation", None)
    place = [tags.get("Composite:GPSLatitude"), tags.get("Composite:GPSLongitude")]
    if all(isinstance(part, (int, float)) for part in place):
        found["gps"] = place
    words = tags.get("XMP-dc:Subject") or tags.get("IPTC:Keywords")
    if words:
        found["keywords"] = sorted(str(word) for word in (words if isinstance(words, list) else [words]))
    return found


def expected(files):
    """The fields of an image from those of its files: pairs of a row of `files.jsonl` and what exiftool found."""
    def rank(pair):
        row, _ = pair
        return (ROLES.index(row["role"]) if row["role"] in ROLES else 9, row["format"] not in RAW, row["filename"])

    pictures = sorted((pair for pair in files if pair[0]["role"] != "SIDECAR"), key=rank)
    sidecars = [pair for pair in files if pair[0]["role"] == "SIDECAR" and pair[0]["extension"].lower().lstrip(".") == "xmp"]
    found = {}
    for row, values in pictures:
        if row["role"] in ("DERIVATIVE", "UNKNOWN") and row is not pictures[0][0]:
            continue
        for field, value in values.items():
            found.setdefault(field, value)
    for _, values in sidecars:
        for field, value in values.items():
            if field in FROM_SIDECAR:
                found[field] = value
            elif field not in OF_THE_PICTURE:
                found.setdefault(field, value)
    return found


def of_hm(image):
    """The same fields of a row of `images.jsonl`."""
    found = {"make": image["camera_make"], "model": image["camera_model"], "captured_at": image["captured_at"][:19]}
    found |= {field: image[field] for field in ("lens", "iso", "f_number", "exposure_s", "focal_length_mm", "orientation", "rating")}
    found["keywords"] = sorted(image["keywords"])
    found["gps"] = [image["gps_latitude"], image["gps_longitude"]]
    return found


def same(field, ours, theirs):
    """Whether two values mean the same."""
    if ours is None:
        return False
    if field == "gps":
        return None not in ours and all(abs(one - other) < 1e-5 for one, other in zip(ours, theirs))
    if field in ("iso", "f_number", "exposure_s", "focal_length_mm", "orientation", "rating"):
        try:
            ours, theirs = float(ours), float(theirs)
        except (TypeError, ValueError):
            return False
        return abs(ours - theirs) <= 1e-3 * max(1e-9, abs(theirs))
    if isinstance(ours, str):
        return ours.strip() == str(theirs).strip()
    return ours == theirs


def compare(images_file, files_file, exiftool_json):
    """Counts agreements: per field (same, all that exiftool knows), and some of the differences."""
    by_path = {entry["SourceFile"]: of_exiftool(entry) for entry in exiftool_json}
    of_image = {}
    for row in map(json.loads, open(files_file)):
        if row["image_index"] is not None:
            of_image.setdefault(row["image_index"], []).append((row, by_path.get(row["file_path"], {})))
    agreed, known, differences = Counter(), Counter(), []
    for image in map(json.loads, open(images_file)):
        ours = of_hm(image)
        theirs = expected(of_image.get(image["image_index"], []))
        for field, value in theirs.items():
            known[field] += 1
            if same(field, ours[field], value):
                agreed[field] += 1
            else:
                differences.append(f"{image['subdirectory']}/{image['base_name']}: {field}: hm {ours[field]!r}, exiftool {value!r}")
    return agreed, known, differences
