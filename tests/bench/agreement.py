"""How often hm and exiftool say the same of an image, field by field.

exiftool speaks of files, hm of images. So the files' values are put together first, as the decisions of the project say: the original
speaks, its companions fill gaps, a sidecar (XMP before Google Takeout's JSON) has the last word on time, place, words and rating.
"""

import json
import re
from collections import Counter

TAGS = {
    "captured_at": ["ExifIFD:DateTimeOriginal", "RIFF:DateTimeOriginal", "XMP-exif:DateTimeOriginal", "XMP-photoshop:DateCreated"],
    "make": ["IFD0:Make", "XMP-tiff:Make"],
    "model": ["IFD0:Model", "XMP-tiff:Model"],
    "lens": ["ExifIFD:LensModel", "Canon:LensModel", "XMP-aux:Lens", "XMP-exifEX:LensModel"],
    "iso": ["ExifIFD:ISO", "XMP-exif:ISO"],
    "f_number": ["ExifIFD:FNumber", "XMP-exif:FNumber"],
    "exposure_s": ["ExifIFD:ExposureTime", "XMP-exif:ExposureTime"],
    "focal_length_mm": ["ExifIFD:FocalLength", "XMP-exif:FocalLength"],
    "orientation": ["IFD0:Orientation", "XMP-tiff:Orientation"],
    "title": ["XMP-dc:Title", "IPTC:ObjectName", "IFD0:XPTitle"],
    "description": ["XMP-dc:Description", "IPTC:Caption-Abstract", "IFD0:ImageDescription", "IFD0:XPComment", "JSON:Description"],
    "rating": ["XMP-xmp:Rating", "IFD0:Rating"],
}
FIELDS = [
    "captured_at", "offset", "make", "model", "lens", "iso", "f_number", "exposure_s", "focal_length_mm", "gps", "altitude", "orientation",
    "title", "description", "rating", "keywords",
]
FROM_SIDECAR = {"captured_at", "offset", "gps", "altitude", "title", "description", "rating", "keywords"}
# The pixels' own: a sidecar says nothing about them.
OF_THE_PICTURE = {"orientation"}
ROLES = ["ORIGINAL", "COVER", "EXPORT", "DERIVATIVE", "UNKNOWN"]
RAW = set("cr2 cr3 crw nef nrw arw dng raf orf rw2 rwl pef srw x3f 3fr iiq gpr".split())
# What a device writes into every file is nobody's word.
NO_WORDS = re.compile(r"(OLYMPUS DIGITAL CAMERA|SONY DSC|(\w+ )*DIGITAL CAMERA|SAMSUNG.*|Exif_JPEG_PICTURE|Default|Untitled|DCIM[\\/].*|\W*)", re.I)
# A sidecar's place this close is the picture's own, written with fewer digits.
SAME_PLACE_DEG = 0.0005


def of_exiftool(tags):
    """The fields of one file as exiftool reads them."""
    found = {}
    for field, names in TAGS.items():
        value = next((tags[name] for name in names if tags.get(name) not in (None, "")), None)
        if value is not None:
            found[field] = value
    for field in ("title", "description"):
        if field in found and NO_WORDS.fullmatch(str(found[field]).strip()):
            del found[field]
    if "lens" in found and not re.search(r"\w", str(found["lens"])):
        del found["lens"]
    if "captured_at" in found:
        offset = re.search(r"([+-])(\d\d):(\d\d)$|Z$", str(found["captured_at"])) or re.fullmatch(
            r"([+-])(\d\d):(\d\d)", str(tags.get("ExifIFD:OffsetTimeOriginal", ""))
        )
        found["captured_at"] = re.sub(r"^(\d{4}):(\d\d):(\d\d) ", r"\1-\2-\3T", str(found["captured_at"]))[:19]
        if not re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", found["captured_at"]) or found["captured_at"].startswith("0000"):
            del found["captured_at"]
        elif offset:
            sign, hours, minutes = offset.groups()
            found["offset"] = 0 if sign is None else int(sign + "1") * (int(hours) * 60 + int(minutes))
    if found.get("orientation") not in range(1, 9):
        found.pop("orientation", None)
    place = [tags.get("Composite:GPSLatitude"), tags.get("Composite:GPSLongitude")]
    if "JSON:GeoDataLatitude" in tags:
        place = [tags.get("JSON:GeoDataLatitude"), tags.get("JSON:GeoDataLongitude")]
    if all(isinstance(part, (int, float)) for part in place) and any(place):
        found["gps"] = place
        altitude = tags.get("Composite:GPSAltitude", tags.get("JSON:GeoDataAltitude"))
        if isinstance(altitude, (int, float)) and (altitude or "JSON:GeoDataLatitude" not in tags):
            found["altitude"] = altitude
    words = tags.get("XMP-dc:Subject") or tags.get("IPTC:Keywords")
    if words:
        found["keywords"] = sorted(str(word) for word in (words if isinstance(words, list) else [words]))
    return found


def expected(files):
    """The fields of an image from those of its files: pairs of a row of `files.jsonl` and what exiftool found."""
    def rank(pair):
        row, _ = pair
        return (ROLES.index(row["role"]) if row["role"] in ROLES else 9, row["format"] not in RAW, row["filename"])

    def extension(pair):
        return pair[0]["extension"].lower().lstrip(".")

    pictures = sorted((pair for pair in files if pair[0]["role"] != "SIDECAR"), key=rank)
    # The last word is the one said last.
    sidecars = [pair for pair in files if pair[0]["role"] == "SIDECAR" and extension(pair) in ("json", "xmp")]
    sidecars.sort(key=lambda pair: extension(pair) == "xmp")
    found = {}
    for row, values in pictures:
        if row["role"] in ("DERIVATIVE", "UNKNOWN") and row is not pictures[0][0]:
            continue
        for field, value in values.items():
            found.setdefault(field, value)
    for pair in sidecars:
        values = dict(pair[1])
        own, other = found.get("gps"), values.get("gps")
        if own and other and all(abs(one - two) < SAME_PLACE_DEG for one, two in zip(own, other)):
            values["gps"] = own
            values["altitude"] = found.get("altitude", values.get("altitude"))
            if values["altitude"] is None:
                del values["altitude"]
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
    found |= {"title": image["title"], "description": image["description"], "offset": image["captured_offset_minutes"]}
    found["keywords"] = sorted(image["keywords"])
    found["gps"] = [image["gps_latitude"], image["gps_longitude"]]
    found["altitude"] = image["gps_altitude_m"]
    return found


def same(field, ours, theirs):
    """Whether two values mean the same."""
    if ours is None:
        return False
    if field == "gps":
        return None not in ours and all(abs(one - other) < 1e-5 for one, other in zip(ours, theirs))
    if field in ("offset", "iso", "f_number", "exposure_s", "focal_length_mm", "altitude", "orientation", "rating"):
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
