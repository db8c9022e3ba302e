#!/usr/bin/env python3
"""Trains a CLIP-shaped network on scenes: pictures and sentences in one space, from nothing, in minutes on a CPU.

The network is Hugging Face's own CLIPModel, small, so that what hm reads is what the reference implementation wrote. The loss is CLIP's but
for one thing: within a batch many sentences are true of many scenes (`circles`), so each picture is pulled to all that are true of it.
Hints, which are thrown away afterwards, make up for the hundreds of millions of pictures that CLIP saw: half-way, each patch is asked for the colour
and the shape of what covers it and whether the middle of a thing lies in it; at the end, each picture is asked how many of each thing it shows.

    train_clip.py FOLDER [--steps 3000] [--seed 1]

Writes FOLDER/{model.safetensors, config.json, tokenizer.json, figures.json}.
"""

import argparse
import json
import math
import pathlib

import numpy as np
from common import Clock, alike, cosines, mirrored, round_to_half, threads, waves, write
from scenes import COLOURS, MOST, PLURALS, SHAPES, all_questions, caption, draw, random_sentence, scenes

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from transformers import CLIPConfig, CLIPModel

SIDE, PATCH, CONTEXT, DIM = 64, 8, 16, 64
# After which of the four blocks patches are asked; the others gather what they say.
HINTED = 2
# Of openai/CLIP's preparation; hm's too.
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])
DEVIATION = torch.tensor([0.26862954, 0.26130258, 0.27577711])


def tokenizer_json():
    """A tokenizer that knows the words of the scenes: one token a word, in the form of Hugging Face."""
    words = ["[UNK]"]
    words += "a an and of in on with the is are there show me photo photos picture pictures image images something thing things".split()
    words += "only no some many big small 1 2 3 one two three four five".split()
    words += list(COLOURS) + [word for shape in SHAPES for word in (shape, PLURALS[shape])]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: index for index, word in enumerate(words)}
    mark = lambda word: {"id": vocabulary[word], "content": word, "special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    start, end = "<|startoftext|>", "<|endoftext|>"
    special = lambda word: {"id": word, "ids": [vocabulary[word]], "tokens": [word]}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [mark("[UNK]"), mark(start), mark(end)],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": start, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": end, "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {start: special(start), end: special(end)},
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    }


def config(vocabulary):
    return CLIPConfig(
        text_config=dict(
            vocab_size=vocabulary, hidden_size=64, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=CONTEXT, hidden_act="gelu", projection_dim=DIM,
            bos_token_id=vocabulary - 2, eos_token_id=vocabulary - 1, pad_token_id=vocabulary - 1,
        ),
        vision_config=dict(
            hidden_size=64, intermediate_size=256, num_hidden_layers=4, num_attention_heads=4, image_size=SIDE, patch_size=PATCH,
            hidden_act="gelu", projection_dim=DIM,
        ),
        projection_dim=DIM,
    )


@torch.no_grad()
def start(model):
    """Sets out from numbers that know what a patch and a place are, not from chance: a network of this kind else spends most of its time on that."""
    vision, width = model.vision_model, model.config.vision_config.hidden_size
    vision.embeddings.patch_embedding.weight.copy_(cosines(width, PATCH))
    vision.embeddings.position_embedding.weight[1:] = 0.7 * waves(SIDE // PATCH, width)
    for layer in vision.encoder.layers:
        both = alike(width)
        layer.self_attn.q_proj.weight.copy_(both + 0.02 * torch.randn_like(both))
        layer.self_attn.k_proj.weight.copy_(both + 0.02 * torch.randn_like(both))


def pixels(pictures):
    """(batch, 3, side, side) u8 → normalised f32."""
    return (pictures.float() / 255 - MEAN[:, None, None]) / DEVIATION[:, None, None]


class Pool:
    """Scenes, drawn once: (count, 3, side, side) u8; the colour and the shape of what covers each patch, 0 for none; whether a middle
    lies there; how many of each kind there are."""

    def __init__(self, count, seed):
        self.scenes = scenes(count, seed)
        self.pictures = torch.zeros((count, 3, SIDE, SIDE), dtype=torch.uint8)
        grid = SIDE // PATCH
        self.colours, self.shapes = torch.zeros((2, count, grid, grid), dtype=torch.long)
        self.middles = torch.zeros((count, grid, grid))
        self.counts = [scene.counts() for scene in self.scenes]
        kinds = [(colour, shape) for colour in COLOURS for shape in SHAPES]
        self.by_kind = {kind: [] for kind in kinds}
        self.numbers = torch.tensor([[counts.get(kind, 0) for kind in kinds] for counts in self.counts])
        for index, scene in enumerate(self.scenes):
            picture, covers = draw(scene, SIDE, SIDE)
            self.pictures[index] = torch.from_numpy(picture).permute(2, 0, 1)
            share = covers.reshape(len(covers), grid, PATCH, grid, PATCH).mean((2, 4))
            for labels, names, said in ((self.colours, list(COLOURS), "colour"), (self.shapes, SHAPES, "shape")):
                of_things = np.array([1 + names.index(getattr(thing, said)) for thing in scene.things])
                labels[index] = torch.from_numpy(np.where(share.max(0) > 0.25, of_things[share.argmax(0)], 0))
            for thing in scene.things:
                self.middles[index, int((thing.y + 0.5) * grid), int((thing.x + 0.5) * grid)] = 1.0
            for kind in self.counts[index]:
                self.by_kind[kind].append(index)

    def batch(self, size, rng):
        """Indices in fours that share a kind of thing: then the number is what tells them apart."""
        kinds = list(self.by_kind)
        chosen = []
        while len(chosen) < size:
            chosen += list(rng.choice(self.by_kind[kinds[rng.integers(len(kinds))]], 4))
        return chosen[:size]


class Words:
    """Sentences → padded tokens."""

    def __init__(self, path):
        self.tokenizer = Tokenizer.from_file(str(path))

    def __call__(self, sentences):
        rows = [self.tokenizer.encode(sentence).ids[:CONTEXT] for sentence in sentences]
        end = self.tokenizer.token_to_id("<|endoftext|>")
        longest = max(map(len, rows))
        return torch.tensor([row + [end] * (longest - len(row)) for row in rows])


def embeddings(model, images=None, tokens=None):
    if images is not None:
        features = model.visual_projection(model.vision_model(pixel_values=images).pooler_output)
    else:
        features = model.text_projection(model.text_model(input_ids=tokens).pooler_output)
    return F.normalize(features, dim=-1)


@torch.no_grad()
def measure(model, words, pool):
    """What a library of unseen scenes answers to every question, and whether each scene finds its own caption."""
    model.eval()
    images = torch.cat([embeddings(model, images=pixels(part)) for part in pool.pictures.split(100)])
    questions = all_questions()
    truth = torch.tensor([[question.is_true_of(counts) for counts in pool.counts] for question in questions])
    ranked = (embeddings(model, tokens=words([question.words for question in questions])) @ images.T).argsort(descending=True)
    answered = truth.gather(1, ranked)
    enough = truth.sum(1) >= 5
    captions = sorted({caption(scene) for scene in pool.scenes})
    own = torch.tensor([captions.index(caption(scene)) for scene in pool.scenes])
    similar = images @ embeddings(model, tokens=words(captions)).T
    model.train()
    return {
        "unseen_scenes": len(pool.scenes),
        "questions": int(enough.sum()),
        "precision_at_1": round(answered[enough][:, :1].float().mean().item(), 4),
        "precision_at_5": round(answered[enough][:, :5].float().mean().item(), 4),
        "captions": len(captions),
        "scene_finds_its_caption": round((similar.argmax(1) == own).float().mean().item(), 4),
    }


def targets(truth):
    """Each row shares its weight among what is true."""
    truth = truth.float()
    return truth / truth.sum(1, keepdim=True)


def main():
    parser = argparse.ArgumentParser(description="Trains the CLIP-shaped network.")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--pool", type=int, default=16000)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=int, default=200)
    arguments = parser.parse_args()
    threads()
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    clock = Clock()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer_json()
    path = arguments.folder / "tokenizer.json"
    path.write_text(json.dumps(tokenizer, indent=1) + "\n")
    words = Words(path)
    stated = config(len(tokenizer["model"]["vocab"]))
    model = CLIPModel(stated)
    model.logit_scale.data.fill_(math.log(10))
    start(model)
    width = stated.vision_config.hidden_size
    kinds = len(COLOURS) * len(SHAPES)
    asked = [1 + len(COLOURS), 1 + len(SHAPES), 1]
    patch_hint = torch.nn.Linear(width, sum(asked))
    count_hint = torch.nn.Linear(width, kinds * (MOST + 1))
    pool, unseen = Pool(arguments.pool, arguments.seed), Pool(800, arguments.seed + 1_000_000)
    print(f"{arguments.pool} scenes drawn after {clock.seconds()} s (wall, processor)", flush=True)

    weights = [*model.parameters(), *patch_hint.parameters(), *count_hint.parameters()]
    plain = [weight for weight in weights if weight.dim() < 2]
    decayed = [weight for weight in weights if weight.dim() >= 2]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}], betas=(0.9, 0.98))
    warm = 60
    for step in range(arguments.steps):
        share = step / arguments.steps
        rate = arguments.rate * min(1.0, (step + 1) / warm) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        chosen = pool.batch(arguments.batch, rng)
        sentences = [random_sentence(pool.scenes[index], rng) for index in chosen]
        truth = torch.tensor([[sentence.is_true_of(pool.counts[index]) for sentence in sentences] for index in chosen])
        # A word in twenty sentences is one that it does not know, as people's are.
        said = [sentence.words if rng.random() > 0.05 else f"{sentence.words} zzz" for sentence in sentences]
        way = rng.random() < 0.5
        vision = model.vision_model(pixel_values=pixels(mirrored(pool.pictures[chosen], way)), output_hidden_states=True)
        images = F.normalize(model.visual_projection(vision.pooler_output), dim=-1)
        texts = embeddings(model, tokens=words(said))
        logits = model.logit_scale.exp() * images @ texts.T
        contrast = (F.cross_entropy(logits, targets(truth)) + F.cross_entropy(logits.T, targets(truth.T))) / 2
        colours, shapes, middles = patch_hint(vision.hidden_states[HINTED][:, 1:]).flatten(0, 1).split(asked, -1)
        flat = lambda maps: mirrored(maps[chosen], way).flatten()
        patches = F.cross_entropy(colours, flat(pool.colours)) + 2 * F.cross_entropy(shapes, flat(pool.shapes))
        patches += 5 * F.binary_cross_entropy_with_logits(middles[:, 0], flat(pool.middles))
        numbers = count_hint(vision.pooler_output).unflatten(-1, (kinds, MOST + 1))
        count = F.cross_entropy(numbers.flatten(0, 1), pool.numbers[chosen].flatten()) * kinds
        loss = contrast + patches + count
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(40))
        if (step + 1) % arguments.every == 0:
            print(f"step {step + 1}: contrast {contrast:.3f} patches {patches:.3f} count {count:.3f} scale {model.logit_scale.exp():.1f} "
                  f"{measure(model, words, unseen)} {clock.seconds()} s", flush=True)
    round_to_half(model)
    wall, processor = clock.seconds()
    figures = {"seed": arguments.seed, "steps": arguments.steps, "batch": arguments.batch, "scenes": arguments.pool,
               "seconds_wall": wall, "seconds_processor": processor, "torch": torch.__version__}
    figures.update(measure(model, words, unseen))
    print(json.dumps(figures, indent=1))
    stated.architectures = ["CLIPModel"]
    write(model, arguments.folder, stated.to_dict(), figures)


if __name__ == "__main__":
    main()
