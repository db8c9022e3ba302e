"""What both trainings share: weights in half precision, the figures beside them, the clock."""

import hashlib
import json
import os
import pathlib
import time

# Before torch is imported anywhere: no GPU, nothing fetched.
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from safetensors.torch import save_file

MOST_BYTES = 3 << 20


class Clock:
    """Processor time and time on the wall, so that a figure says what it cost wherever it was made."""

    def __init__(self):
        self.wall, self.processor = time.monotonic(), time.process_time()

    def seconds(self):
        return round(time.monotonic() - self.wall), round(time.process_time() - self.processor)


def threads():
    """As many as OMP_NUM_THREADS says, else two."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))


def round_to_half(model):
    """Makes every weight what its stored half is, so that what is measured is what is shipped."""
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.half().float())


def write(model, folder, config, figures):
    """Writes model.safetensors (f16), config.json and figures.json; the same tensor under two names is stored under both."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().half().contiguous().clone() for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    path = folder / "model.safetensors"
    save_file(tensors, path, metadata={"format": "pt"})
    size = path.stat().st_size
    assert size <= MOST_BYTES, f"{path} has {size} bytes; the repository takes {MOST_BYTES}"
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    figures["parameters"] = sum(tensor.numel() for tensor in tensors.values())
    figures["bytes"] = size
    figures["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(f"{path}: {size} bytes")


def turned(tensor, way):
    """One of the eight ways to lay a square picture, `(…, height, width)`: none of them changes what a sentence says."""
    if way & 4:
        tensor = tensor.transpose(-1, -2)
    return torch.rot90(tensor, way & 3, (-2, -1))
