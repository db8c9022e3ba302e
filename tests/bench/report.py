"""The table: rows for people on stdout and in RESULTS.md, where each group of rows keeps its section until it is measured again."""

import datetime
import os
import platform
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
HEAD = """# What hm takes, beside others

Written by `make bench` (or `tests/bench/run.sh GROUP…` for some groups). Figures of one section were taken in one run on one machine,
with the peer's beside them; medians unless said. Look at the ratios: the bare figures are the machine's.
"""
NOTES = "## Notes"


@dataclass
class Row:
    """One line of the table: `aim` is its words, `met` whether it is met, None where there is none."""

    what: str
    ours: str
    peer: str = ""
    ratio: str = ""
    aim: str = ""
    met: bool | None = None
    short_by: str = ""

    def cells(self):
        verdict = {None: "", True: "met", False: f"**no**, {self.short_by}" if self.short_by else "**no**"}[self.met]
        return [self.what, self.ours, self.peer, self.ratio, self.aim, verdict]


@dataclass
class Group:
    """Rows measured together, the commands behind them, and what a reader must know."""

    name: str
    rows: list[Row] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def at_least(value, least):
    """Aim, verdict and how far off, for a value that should be large."""
    return {"aim": f"≥ {least:g}", "met": value >= least, "short_by": f"{value / least:.2f} of the aim"}


def at_most(value, most, unit):
    """Aim, verdict and how far off, for a value that should be small."""
    return {"aim": f"≤ {most:g} {unit}", "met": value <= most, "short_by": f"{value / most:.2f} × the aim"}


def machine():
    """The machine in a line."""
    facts = read("/proc/cpuinfo")
    cpu = re.search(r"model name\s*:\s*(.*)", facts)
    # What networks run on.
    vectors = next((f", {words}" for flag, words in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if re.search(rf"\b{flag}\b", facts)), "")
    memory = re.search(r"MemTotal:\s*(\d+)", read("/proc/meminfo"))
    memory_gib = f"{int(memory[1]) / 2**20:.0f} GiB" if memory else "memory unknown"
    return f"{os.cpu_count()} cores, {cpu[1].strip() if cpu else platform.processor()}{vectors}, {memory_gib}, {platform.system()} {platform.release().split('-')[0]}"


def read(path):
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def commit():
    """The commit, and whether the tree differs from it."""
    def git(*arguments):
        done = subprocess.run(["git", "-C", str(RESULTS.parent), *arguments], capture_output=True, text=True)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--", "../../src", "../../Cargo.toml", "../../migrations")
    return (git("rev-parse", "--short=10", "HEAD") or "unknown") + (" with changes" if changed else "") + os.environ.get("HM_BENCH_REMARK", "")


def table(group):
    rows = [["what", "hm", "peer", "ratio", "aim", "met"], *(row.cells() for row in group.rows)]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines)


def section(group, load):
    now = datetime.datetime.now(datetime.timezone.utc)
    text = f"## {group.name}\n\n{now:%Y-%m-%d %H:%M} UTC, commit {commit()}, {machine()}; load average at the start {load:.1f}\n\n{table(group)}\n"
    if group.remarks:
        text += "\n" + "\n".join(f"- {remark}" for remark in group.remarks) + "\n"
    if group.commands:
        text += "\nCommands: " + "; ".join(f"`{command}`" for command in group.commands) + "\n"
    return text


def write(group, load, order):
    """Prints a group, and puts it in the place of its older section; notes at the end stay."""
    text = section(group, load)
    print(text, flush=True)
    old = read(RESULTS)
    body, mark, notes = old.partition(NOTES)
    sections = {part.split("\n", 1)[0].strip(): "## " + part.rstrip() + "\n" for part in body.split("\n## ")[1:]}
    sections[group.name] = text
    known = [sections[name] for name in order if name in sections]
    RESULTS.write_text("\n".join([HEAD, *known]) + (f"\n{NOTES}{notes}" if mark else ""))
