#!/usr/bin/env python3
"""hm's networks beside PyTorch: the same weights, the same made-up batch, the same cores, in turns within one run.

    tests/bench/networks.sh [clip] [yolo] [mobile_sam]        default: all

Run by networks.sh, which builds `examples/network_speed` and installs PyTorch in an environment of its own. Each network of real size has weights
from a seed; hm and PyTorch take turns, so that what else the machine does falls on both; the answers are compared before anything is measured.
Prints a table and writes it to tests/bench/NETWORKS.md; as JSON to HM_BENCH_NETWORKS_JSON if that is set.

    HM_BENCH_SECONDS=10   of each turn
    HM_BENCH_TURNS=3      of each; the best call of all turns counts on the wall, the mean of the best turn on the processor
    HM_BENCH_BATCHES=1,8
    HM_BENCH_THREADS=…    default: all cores
"""

import gc
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

THREADS = int(os.environ.get("HM_BENCH_THREADS", len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()))
os.environ.update(CUDA_VISIBLE_DEVICES="", HF_HUB_OFFLINE="1", OMP_NUM_THREADS=str(THREADS))
SECONDS = float(os.environ.get("HM_BENCH_SECONDS", "10"))
TURNS = int(os.environ.get("HM_BENCH_TURNS", "3"))
BATCHES = [int(batch) for batch in os.environ.get("HM_BENCH_BATCHES", "1,8").split(",")]
PROGRAM = os.environ["HM_BENCH_NETWORK_SPEED"]

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import networks_torch as networks

torch.set_num_threads(THREADS)

# How far two right implementations may be apart, as a share of the largest number of the answer.
TOLERANCE = 2e-3


def made_up(count):
    """As examples/network_speed.rs has it."""
    index = np.arange(count, dtype=np.uint32)
    with np.errstate(over="ignore"):
        return ((index * np.uint32(2_654_435_761)) >> np.uint32(8)).astype(np.float32) / np.float32(16_777_216)


class Clip:
    title = "CLIP ViT-B/32, images"

    def __init__(self, folder):
        self.network, config = networks.clip_base_patch32()
        networks.seeded(self.network, 1)
        save(self.network, folder, config)

    def input(self, batch):
        return torch.from_numpy(made_up(batch * 3 * 224 * 224)).view(batch, 3, 224, 224)

    def call(self, x):
        return self.network.visual_projection(self.network.vision_model(pixel_values=x).pooler_output)

    def answer(self, x):
        return {"embeddings": torch.nn.functional.normalize(self.call(x), dim=-1)}


class Yolo:
    title = "YOLOv8n-seg, 640 px, before the boxes"

    def __init__(self, folder):
        self.network = networks.seeded(networks.YoloV8nSeg(), 2)
        save(self.network, folder)
        networks.fold(self.network)

    def input(self, batch):
        return torch.from_numpy(made_up(batch * 640 * 640 * 3)).view(batch, 640, 640, 3).permute(0, 3, 1, 2).contiguous()

    def call(self, x):
        return self.network(x)

    def answer(self, x):
        levels, prototypes = self.call(x)
        return {"predictions": self.network.model[22].predictions(levels), "prototypes": prototypes}


class MobileSam:
    title = "MobileSAM's encoder, 1024 px"

    def __init__(self, folder):
        self.network = networks.seeded(networks.TinyViT(), 3)
        save(self.network, folder, prefix="image_encoder.")
        networks.fold(self.network)

    def input(self, batch):
        return torch.from_numpy(made_up(batch * 1024 * 1024 * 3)).view(batch, 1024, 1024, 3).permute(0, 3, 1, 2).contiguous()

    def call(self, x):
        return self.network(x)

    def answer(self, x):
        # hm has channels last.
        return {"embedding": self.call(x).permute(0, 2, 3, 1)}


SUBJECTS = {"clip": Clip, "yolo": Yolo, "mobile_sam": MobileSam}


def save(network, folder, config=None, prefix=""):
    tensors = {prefix + name: tensor.contiguous().clone() for name, tensor in network.state_dict().items() if tensor.is_floating_point()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))


@torch.inference_mode()
def turn_of_torch(subject, x):
    """(milliseconds of each call, processor time of one)."""
    subject.call(x)
    calls, start, start_processor = [], time.perf_counter(), time.process_time()
    while len(calls) < 3 or time.perf_counter() - start < SECONDS:
        call = time.perf_counter()
        subject.call(x)
        calls.append((time.perf_counter() - call) * 1e3)
    return calls, (time.process_time() - start_processor) * 1e3 / len(calls)


def turn_of_hm(folder, batch, *more):
    environment = os.environ | {"RAYON_NUM_THREADS": str(THREADS)}
    command = [PROGRAM, str(folder), "--batch", str(batch), "--seconds", str(SECONDS), *more]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)
    return said["calls_ms"], said["processor_ms"]


@torch.inference_mode()
def apart(subject, folder, batch):
    """The largest difference of any answer, as a share of its largest number."""
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch, "output.safetensors")
        subprocess.run([PROGRAM, str(folder), "--batch", str(batch), "--seconds", "0", "--output", str(path)], check=True, capture_output=True)
        ours = load_file(path)
    theirs = subject.answer(subject.input(batch))
    worst = 0.0
    for name, expected in theirs.items():
        assert ours[name].shape == expected.shape, f"{name}: {tuple(ours[name].shape)} instead of {tuple(expected.shape)}"
        worst = max(worst, ((ours[name] - expected).abs().max() / expected.abs().max()).item())
    return worst


def others_running():
    """Processes that want a core beside this one, as the system counts them; what a busy machine says is marked."""
    return float(os.getloadavg()[0])


def measure(name, folder):
    subject = SUBJECTS[name](folder)
    difference = apart(subject, folder, 2)
    assert difference < TOLERANCE, f"{name}: hm and PyTorch are {difference:.1e} apart: they are not the same network"
    rows = []
    for batch in BATCHES:
        plain = subject.input(batch)
        last = plain.contiguous(memory_format=torch.channels_last)
        turns = {"hm": [], "torch": [], "torch, channels last": []}
        for _ in range(TURNS):
            turns["torch"].append(turn_of_torch(subject, plain))
            turns["hm"].append(turn_of_hm(folder, batch))
            if name != "clip":
                turns["torch, channels last"].append(turn_of_torch(subject, last))
        row = {"network": subject.title, "batch": batch, "threads": THREADS, "apart": difference, "load": others_running()}
        for who, took in turns.items():
            if took:
                calls = sorted(call for calls, _ in took for call in calls)
                row[who] = {
                    "best_ms": calls[0], "median_ms": statistics.median(calls), "processor_ms": min(processor for _, processor in took),
                    "images_per_s": batch * 1e3 / calls[0],
                }
        theirs = [row[who] for who in turns if who != "hm" and who in row]
        row["ratio_wall"] = row["hm"]["best_ms"] / min(one["best_ms"] for one in theirs)
        row["ratio_processor"] = row["hm"]["processor_ms"] / min(one["processor_ms"] for one in theirs)
        rows.append(row)
        print(line_of(row), flush=True)
    del subject
    gc.collect()
    return rows


HEADINGS = "| network | batch | threads | hm ms | hm images/s | PyTorch ms | channels last ms | wall hm/PyTorch | processor hm/PyTorch | load |"


def line_of(row):
    last = row.get("torch, channels last")
    cells = [
        row["network"], row["batch"], row["threads"], f"{row['hm']['best_ms']:.0f}", f"{row['hm']['images_per_s']:.1f}",
        f"{row['torch']['best_ms']:.0f}", f"{last['best_ms']:.0f}" if last else "–", f"{row['ratio_wall']:.2f}", f"{row['ratio_processor']:.2f}",
        f"{row['load']:.1f}",
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def processor():
    """What the system calls it."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def told(rows):
    """The table, with what it needs to be read."""
    most = max(row["load"] for row in rows)
    quiet = most < THREADS + 0.7
    return [
        "# Networks beside PyTorch",
        "",
        f"`tests/bench/networks.sh`, {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC: {processor()}, {THREADS} threads, PyTorch {torch.__version__}.",
        f"Best call of {TURNS} turns of {SECONDS:g} s each, hm and PyTorch in turns on the same weights (from a seed) and the same made-up batch, answers",
        f"compared first (at most {max(row['apart'] for row in rows):.0e} of the largest number apart). PyTorch has its batch norms folded. Ratios are to the faster of",
        "PyTorch's two layouts; 1 or less is the aim. Load is the system's count of processes that wanted a core, this one included.",
        "The machine was quiet." if quiet else "**The machine was not quiet**: wall times say little, ratios of processor time more.",
        "",
        HEADINGS,
        "| --- " * 10 + "|",
        *map(line_of, rows),
    ]


def main():
    names = sys.argv[1:] or list(SUBJECTS)
    if unknown := set(names) - set(SUBJECTS):
        sys.exit(f"{', '.join(unknown)}: known are {', '.join(SUBJECTS)}")
    print(f"PyTorch {torch.__version__}, {THREADS} threads, best of {TURNS} turns of {SECONDS:g} s; ratios are to the faster PyTorch, 1 or less is the aim")
    print(HEADINGS + "\n" + "| --- " * 10 + "|")
    rows = []
    for name in names:
        with tempfile.TemporaryDirectory(prefix="hm-networks-") as folder:
            rows += measure(name, pathlib.Path(folder))
    report = pathlib.Path(__file__).with_name("NETWORKS.md")
    report.write_text("\n".join(told(rows)) + "\n")
    if path := os.environ.get("HM_BENCH_NETWORKS_JSON"):
        pathlib.Path(path).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
