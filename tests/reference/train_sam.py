#!/usr/bin/env python3
"""Trains a SAM-shaped network on scenes: a click, a box or both → the mask of the shape that is meant, in minutes on a CPU.

The network is Hugging Face's own SamModel, small: 128 px in patches of 8, so that a mask has 64 × 64 logits. All four masks of the decoder learn
the same target (a scene has no parts), each with its score. A hint, thrown away afterwards, asks each patch of the embedding how much of it is covered
and where the middle of what covers it lies.

    train_sam.py FOLDER [--steps 1500] [--seed 1]

Writes FOLDER/{model.safetensors, config.json, figures.json}.
"""

import argparse
import json
import math
import pathlib

import numpy as np
from common import Clock, alike, cosines, round_to_half, threads, waves, write
from scenes import draw, scenes

import torch
import torch.nn.functional as F
from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

SIDE, PATCH = 128, 8
LOW = 4 * SIDE // PATCH
MOST_THINGS = 3
# Of facebookresearch/segment-anything's preparation; hm's too.
MEAN = torch.tensor([123.675, 116.28, 103.53])
DEVIATION = torch.tensor([58.395, 57.12, 57.375])
# Height of the picture in the square, as a share: photographs are rarely square, and what is left is padding.
HEIGHTS = [1.0, 0.75, 0.667]


def config():
    return SamConfig(
        vision_config=SamVisionConfig(
            hidden_size=64, output_channels=64, num_hidden_layers=4, num_attention_heads=4, image_size=SIDE, patch_size=PATCH,
            window_size=8, global_attn_indexes=[1, 3], mlp_dim=256, num_pos_feats=32,
        ).to_dict(),
        prompt_encoder_config=SamPromptEncoderConfig(hidden_size=64, image_size=SIDE, patch_size=PATCH).to_dict(),
        mask_decoder_config=SamMaskDecoderConfig(hidden_size=64, mlp_dim=256, num_attention_heads=4, iou_head_hidden_dim=64).to_dict(),
    )


@torch.no_grad()
def start(model):
    """Sets out from numbers that know what a patch and a place are, not from chance."""
    vision, stated = model.vision_encoder, model.config.vision_config
    width, side = stated.hidden_size, SIDE // PATCH
    vision.patch_embed.projection.weight.copy_(cosines(width, PATCH))
    vision.pos_embed.copy_(0.7 * waves(side, width).reshape(1, side, side, width))
    for layer in vision.layers:
        both = alike(width)
        layer.attn.qkv.weight[:width].copy_(both + 0.02 * torch.randn_like(both))
        layer.attn.qkv.weight[width : 2 * width].copy_(both + 0.02 * torch.randn_like(both))
    # Waves as long as the picture, as in facebookresearch's code: with those that this class starts from, 32 times shorter, no two places
    # would look near each other.
    long = torch.randn(2, stated.num_pos_feats)
    model.shared_image_embedding.positional_embedding.copy_(long)
    model.prompt_encoder.shared_embedding.positional_embedding.copy_(long)


class Pool:
    """Scenes, drawn once, padded to squares: pictures u8 (count, 3, side, side), masks u8 (count, 3, side, side), 0..=255, and how much of
    the square is picture."""

    def __init__(self, count, seed):
        rng = np.random.default_rng(seed + 77)
        self.pictures = torch.zeros((count, 3, SIDE, SIDE), dtype=torch.uint8)
        self.masks = torch.zeros((count, MOST_THINGS, SIDE, SIDE), dtype=torch.uint8)
        self.inside = torch.zeros((count, 1, SIDE, SIDE), dtype=torch.uint8)
        self.things = []
        for index, scene in enumerate(scenes(count, seed)):
            height = round(SIDE * HEIGHTS[rng.integers(len(HEIGHTS))])
            picture, covers = draw(scene, SIDE, height)
            self.pictures[index, :, :height] = torch.from_numpy(picture).permute(2, 0, 1)
            self.masks[index, : len(covers), :height] = torch.from_numpy((covers * 255).astype(np.uint8))
            self.inside[index, :, :height] = 1
            self.things.append(len(covers))

    def batch(self, indices, way):
        """Pixels as the network sees them, and masks, laid in one of four ways that keep the padding at the bottom or the right."""
        inside = self.inside[indices]
        pictures = (self.pictures[indices].float() - MEAN[:, None, None]) / DEVIATION[:, None, None] * inside
        both = (pictures, self.masks[indices])
        if way & 1:
            both = tuple(tensor.flip(-1) for tensor in both)
        if way & 2:
            both = tuple(tensor.transpose(-1, -2) for tensor in both)
        return tuple(tensor.contiguous() for tensor in both)


def click(mask, rng):
    """A pixel of a mask (side, side) u8, seldom at its very edge: (x, y)."""
    inner = np.flatnonzero(mask.numpy().ravel() > 250)
    at = int(inner[rng.integers(len(inner))])
    return [float(at % SIDE), float(at // SIDE)]


def bounds(mask, rng, off=2.0):
    """A box drawn by a hand that is `off` px unsure: (left, top, right, bottom)."""
    rows, columns = np.flatnonzero(mask.numpy().max(1) > 127), np.flatnonzero(mask.numpy().max(0) > 127)
    corners = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float) + rng.normal(0, off / 2, 4)
    return [float(corner) for corner in np.clip(corners, 0, SIDE)]


def prompts(masks, things, kind, rng):
    """Three objects of each picture (with less, some twice) and how each is asked for.

    Returns the targets' indices and the arguments of SamModel: points (batch, 3, n, 2), labels (batch, 3, n), boxes (batch, 3, 4).
    """
    targets, points, labels, boxes = [], [], [], []
    for picture, count in zip(masks, things):
        order = [index % count for index in range(MOST_THINGS)]
        targets.append(order)
        points.append([])
        labels.append([])
        boxes.append([])
        for target in order:
            here = [click(picture[target], rng)]
            label = [1]
            if kind == "two clicks":
                here.append(click(picture[target], rng))
                label.append(1)
            if kind == "not there":
                others = [other for other in range(count) if other != target]
                there = click(picture[others[rng.integers(len(others))]], rng) if others else outside(picture[target], rng)
                here.append(there)
                label.append(0)
            points[-1].append(here)
            labels[-1].append(label)
            boxes[-1].append(bounds(picture[target], rng))
    asked = {}
    if kind != "box":
        asked.update(input_points=torch.tensor(points), input_labels=torch.tensor(labels))
    if kind in ("box", "box and click"):
        asked.update(input_boxes=torch.tensor(boxes))
    return torch.tensor(targets), asked


def outside(mask, rng):
    empty = np.flatnonzero(mask.numpy().ravel() == 0)
    at = int(empty[rng.integers(len(empty))])
    return [float(at % SIDE), float(at // SIDE)]


class Answers:
    """All four masks of a SamModel, which itself gives either the first or the other three: what goes into its last product is noted down."""

    def __init__(self, model):
        self.model, self.kept = model, {}
        decoder = model.mask_decoder
        note = lambda name: lambda module, inputs, output: self.kept.__setitem__(name, output)
        decoder.upscale_conv2.register_forward_hook(note("pixels"))
        decoder.iou_prediction_head.register_forward_hook(note("scores"))
        for index, mlp in enumerate(decoder.output_hypernetworks_mlps):
            mlp.register_forward_hook(note(index))

    def __call__(self, pictures, asked):
        """Logits (batch, 3, 4, low, low) and scores (batch, 3, 4); `embedding` (batch, 64, side, side) is kept."""
        model = self.model
        embedding = self.kept["embedding"] = model.vision_encoder(pictures).last_hidden_state
        places = model.get_image_wide_positional_embeddings().repeat(len(pictures), 1, 1, 1)
        sparse, dense = model.prompt_encoder(
            input_points=asked.get("input_points"), input_labels=asked.get("input_labels"), input_boxes=asked.get("input_boxes"), input_masks=None
        )
        model.mask_decoder(
            image_embeddings=embedding, image_positional_embeddings=places, sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense, multimask_output=True,
        )
        weights = torch.stack([self.kept[index] for index in range(4)], 2)
        pixels = F.gelu(self.kept["pixels"]).reshape(len(pictures), MOST_THINGS, -1, LOW * LOW)
        return (weights @ pixels).unflatten(-1, (LOW, LOW)), self.kept["scores"]


def overlap(logits, target):
    """Share of the union that both have; (…, height, width) each."""
    mine, theirs = logits > 0, target > 0.5
    return (mine & theirs).flatten(-2).sum(-1) / (mine | theirs).flatten(-2).sum(-1).clamp(min=1)


def chosen_masks(masks, targets):
    """(batch, things, …), (batch, 3) → (batch, 3, …) f32 in 0..=1."""
    rows = torch.arange(len(masks))[:, None]
    return masks[rows, targets].float() / 255


def hinted(said, masks):
    """What the hint says (batch, 6, side, side) beside what the masks (batch, things, side, side) know: covered quarters, way to the middle."""
    masks = masks.float() / 255
    quarters = F.pixel_unshuffle(F.avg_pool2d(masks.amax(1, keepdim=True), PATCH // 2), 2)
    covered = F.binary_cross_entropy_with_logits(said[:, :4], quarters)
    shares = F.avg_pool2d(masks, PATCH)
    axis = (torch.arange(SIDE // PATCH) + 0.5) * PATCH / SIDE
    sums = shares.sum((-2, -1)).clamp(min=1e-3)
    across = (shares * axis).sum((-2, -1)) / sums
    down = (shares * axis[:, None]).sum((-2, -1)) / sums
    most, which = shares.max(1)
    way = torch.stack([across.gather(1, which.flatten(1)).reshape(which.shape) - axis, down.gather(1, which.flatten(1)).reshape(which.shape) - axis[:, None]], 1)
    there = (most > 0.25).float()[:, None]
    return covered, (F.smooth_l1_loss(10 * way, said[:, 4:], reduction="none") * there).sum() / there.sum().clamp(min=1)


@torch.no_grad()
def measure(model, ask, pool, kind, seed=5):
    """Mean overlap at the full 128 px, of the mask that hm would give: of one click the best of three by score, else the first."""
    model.eval()
    rng = np.random.default_rng(seed)
    got = []
    for indices in torch.arange(len(pool.things)).split(20):
        pictures, masks = pool.batch(indices, 0)
        targets, asked = prompts(masks, [pool.things[index] for index in indices], kind, rng)
        logits, scores = ask(pictures, asked)
        best = 1 + scores[..., 1:].argmax(-1) if kind == "click" else torch.zeros_like(targets)
        logits = logits.gather(2, best[..., None, None, None].expand(-1, -1, 1, LOW, LOW)).flatten(0, 1)
        large = F.interpolate(logits, size=(SIDE, SIDE), mode="bilinear", align_corners=False)[:, 0]
        got.append(overlap(large, chosen_masks(masks, targets).flatten(0, 1)))
    got = torch.cat(got)
    model.train()
    return round(got.mean().item(), 4), round((got > 0.8).float().mean().item(), 4)


KINDS = ["click", "two clicks", "not there", "box", "box and click"]


def main():
    parser = argparse.ArgumentParser(description="Trains the SAM-shaped network.")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--pool", type=int, default=4000)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=int, default=100)
    arguments = parser.parse_args()
    threads()
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    clock = Clock()
    stated = config()
    model = SamModel(stated)
    start(model)
    hint = torch.nn.Conv2d(stated.vision_config.output_channels, 6, 1)
    ask = Answers(model)
    pool, unseen = Pool(arguments.pool, arguments.seed), Pool(160, arguments.seed + 1_000_000)
    print(f"{arguments.pool} scenes drawn after {clock.seconds()} s (wall, processor)", flush=True)

    weights = [weight for name, weight in model.named_parameters() if not name.startswith("prompt_encoder.mask_embed")] + [*hint.parameters()]
    optimizer = torch.optim.AdamW(weights, weight_decay=0.02, betas=(0.9, 0.98))
    for step in range(arguments.steps):
        share = step / arguments.steps
        rate = arguments.rate * min(1.0, (step + 1) / 60) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        indices = torch.from_numpy(rng.integers(0, arguments.pool, arguments.batch))
        pictures, masks = pool.batch(indices, int(rng.integers(4)))
        kind = KINDS[0] if rng.random() < 0.6 else KINDS[rng.integers(1, len(KINDS))]
        targets, asked = prompts(masks, [pool.things[index] for index in indices], kind, rng)
        logits, scores = ask(pictures, asked)
        target = F.avg_pool2d(chosen_masks(masks, targets), SIDE // LOW)[:, :, None].expand_as(logits)
        pixels = F.binary_cross_entropy_with_logits(logits, target)
        shares = logits.sigmoid()
        dice = 1 - (2 * (shares * target).flatten(-2).sum(-1) + 1) / (shares.flatten(-2).sum(-1) + target.flatten(-2).sum(-1) + 1)
        truth = overlap(logits.detach(), target)
        covered, middles = hinted(hint(ask.kept["embedding"]), masks)
        loss = 10 * pixels + dice.mean() + F.mse_loss(scores, truth) + 2 * covered + middles
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        if (step + 1) % arguments.every == 0:
            print(f"step {step + 1}: pixels {pixels:.4f} dice {dice.mean():.3f} hint {covered:.3f} {middles:.3f} {measure(model, ask, unseen, 'click')} {clock.seconds()} s", flush=True)
    round_to_half(model)
    wall, processor = clock.seconds()
    figures = {"seed": arguments.seed, "steps": arguments.steps, "batch": arguments.batch, "scenes": arguments.pool,
               "seconds_wall": wall, "seconds_processor": processor, "torch": torch.__version__, "unseen_scenes": len(unseen.things)}
    for kind in KINDS:
        mean, good = measure(model, ask, unseen, kind)
        figures[kind] = {"mean_overlap": mean, "share_above_0.8": good}
    print(json.dumps(figures, indent=1))
    stated.architectures = ["SamModel"]
    write(model, arguments.folder, stated.to_dict(), figures)


if __name__ == "__main__":
    main()
