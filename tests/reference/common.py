"""What both trainings share: weights in half precision, the figures beside them, the clock."""

import hashlib
import json
import math
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


def mirrored(tensor, is_mirrored):
    """Left and right exchanged, or not; (…, height, width). Neither changes what a sentence says."""
    return tensor.flip(-1) if is_mirrored else tensor


def waves(side, width):
    """(side², width): what a place is called, in sines and cosines of its row and column, so that near places have like names from the start."""
    quarter = width // 4
    rates = math.pi * torch.logspace(-1, 0, quarter, 8) * 8 / side
    along = torch.arange(side)[:, None] * rates
    axis = torch.cat([along.sin(), along.cos()], 1)
    return torch.cat([axis[:, None].expand(-1, side, -1), axis[None].expand(side, -1, -1)], -1).reshape(side * side, -1)


def cosines(width, patch):
    """(width, 3, patch, patch): the slowest cosines over a patch, of brightness and of two differences of colour, a third each: with these
    numbers a patch can be told from another before anything is learned."""
    grid = torch.arange(patch) + 0.5
    basis = torch.stack([(math.pi * rate * grid / patch).cos() for rate in range(patch)])
    basis = basis / basis.norm(dim=1, keepdim=True)
    order = sorted((down + across, down, across) for down in range(patch) for across in range(patch))
    colours = torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, 0.0], [1.0, 1.0, -2.0]])
    colours = colours / colours.norm(dim=1, keepdim=True)
    planes = []
    for index in range(width):
        _, down, across = order[index // 3]
        # A flat patch says eight times as much as its least ripple; here all speak about as loud.
        loud = 1 / patch if down + across == 0 else 0.35
        planes.append(loud * colours[index % 3][:, None, None] * basis[down][:, None] * basis[across])
    return torch.stack(planes)


def alike(width):
    """(width, width) for questions and keys both: each head looks at what resembles it in some directions, places among them."""
    return torch.linalg.qr(torch.randn(width, width)).Q
