#!/usr/bin/env python3
"""Lets torch's CUDA build run on a machine with neither a GPU nor CUDA's libraries: 8 MB instead of 2.5 GB.

The registry's torch for Linux on x86-64 is linked to a dozen libraries of CUDA that a CPU never enters, but the loader wants each of them, with every
name that torch asks it for. This writes empty ones: what torch's libraries need and nobody has, under the names and versions they ask for. They
hold no code; a call into one would end the program, and with no GPU none is made.

    stub_cuda.py VENV

Needs readelf and gcc.
"""

import pathlib
import re
import subprocess
import sys
import tempfile


def lines_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def needs(library):
    """The libraries that one asks the loader for."""
    return re.findall(r"\(NEEDED\).*\[(.+?)\]", "\n".join(lines_of("readelf", "-dW", str(library))))


def versions(library):
    """Which library each versioned name is asked of: version → soname."""
    asked, soname = {}, None
    for line in lines_of("readelf", "-VW", str(library)):
        if match := re.search(r"File: (\S+)", line):
            soname = match[1]
        elif soname and (match := re.search(r"Name: (\S+)\s+Flags", line)):
            asked[match[1]] = soname
    return asked


def missing_names(library):
    """(name, version or None) of what a library uses and does not define."""
    for line in lines_of("readelf", "--dyn-syms", "-W", str(library)):
        words = line.split()
        if len(words) >= 8 and words[6] == "UND" and words[4] != "WEAK":
            name, _, version = words[7].partition("@")
            yield name, version or None


def defined_names(library):
    for line in lines_of("readelf", "--dyn-syms", "-W", str(library)):
        words = line.split()
        if len(words) >= 8 and words[6] != "UND":
            yield words[7].partition("@")[0]


def build(path, soname, names):
    """Writes a library of that soname; names: {version or None: set of names}."""
    with tempfile.TemporaryDirectory() as folder:
        source, script = pathlib.Path(folder, "stub.c"), pathlib.Path(folder, "stub.map")
        every = sorted(set().union(*names.values()) if names else set())
        source.write_text("".join(f"char {name}[256];\n" for name in every) or "char hm_nothing;\n")
        nodes = [f"{version} {{ global: {'; '.join(sorted(of))}; }};" for version, of in names.items() if version and of]
        script.write_text("\n".join(nodes) + "\n")
        command = ["gcc", "-shared", "-fPIC", "-x", "c", str(source), "-o", str(path), f"-Wl,-soname,{soname}"]
        subprocess.run(command + ([f"-Wl,--version-script={script}"] if nodes else []), check=True)
    print(f"{soname}: {len(every)} names")


def main(venv):
    packages = next(pathlib.Path(venv).glob("lib/python3*/site-packages"))
    own = sorted((packages / "torch" / "lib").glob("*.so*"))
    real = [path for path in (packages / "nvidia").rglob("*.so*")] if (packages / "nvidia").is_dir() else []
    home = packages / "nvidia" / "cu13" / "lib"
    home.mkdir(parents=True, exist_ok=True)
    present = {path.name for path in own} | {path.name for path in real}
    wanted = {soname for library in own for soname in needs(library)} - present
    # The system's own, by the loader's list; everything else is CUDA's.
    system = {line.split()[0] for line in lines_of("ldconfig", "-p") if "=>" in line}
    wanted -= system
    wanted = {soname for soname in wanted if re.match(r"lib(cu|nv|nccl|cupti)", soname)}
    there = {name for library in own for name in defined_names(library)}
    stubs = {soname: {} for soname in sorted(wanted)}
    loose = set()
    for library in own:
        whose = versions(library)
        for name, version in missing_names(library):
            soname = whose.get(version)
            if soname in stubs:
                stubs[soname].setdefault(version, set()).add(name)
            elif version is None and name not in there and re.match(r"(cu|nv|p?nccl)", name, re.IGNORECASE):
                loose.add(name)
    # A name without a version may be found in any library: it goes to the one whose own name it begins with, the longest first.
    stem = lambda soname: re.match(r"lib([a-zA-Z]+)", soname)[1].lower()
    for soname in sorted(stubs, key=lambda soname: -len(stem(soname))):
        mine = {name for name in loose if name.lower().lstrip("p").startswith(stem(soname))}
        stubs[soname].setdefault(None, set()).update(mine)
        loose -= mine
    if stubs and loose:
        next(iter(stubs.values())).setdefault(None, set()).update(loose)
    for soname, names in stubs.items():
        build(home / soname, soname, {version: of for version, of in names.items() if of})


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
