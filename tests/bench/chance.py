"""Networks of real sizes with numbers by chance, where no trained ones are at hand: what a network says costs the same whatever its numbers are."""

import array
import json
import math
import random
import struct
from pathlib import Path


def write_network(path, shapes):
    """A checkpoint of tensors of these shapes by name: scales near 1, everything else small."""
    chance = random.Random(1)
    noise = array.array("f", (chance.uniform(-1, 1) for _ in range(65_537)))
    header, parts, end = {}, [], 0
    for name, shape in shapes.items():
        count, fan = math.prod(shape), math.prod(shape[1:])
        is_scale = len(shape) == 1 and name.endswith(("weight", "running_var"))
        middle, spread = (1, 0.3) if is_scale else (0, 0.1 if len(shape) == 1 else 1.7 / math.sqrt(fan))
        one = array.array("f", (middle + spread * number for number in noise[:count]))
        numbers = (one * (count // len(one) + 1))[:count]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + 4 * count]}
        parts.append(numbers.tobytes())
        end += 4 * count
    text = json.dumps(header).encode()
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def clip_base_patch32(folder):
    """A CLIP of OpenAI's ViT-B/32 sizes, as Hugging Face lays it out."""
    found = {"logit_scale": (), "text_projection.weight": (512, 512), "visual_projection.weight": (512, 768)}

    def linear(name, out, into):
        found[f"{name}.weight"], found[f"{name}.bias"] = (out, into), (out,)

    def norm(name, width):
        found[f"{name}.weight"], found[f"{name}.bias"] = (width,), (width,)

    for tower, width, layers in [("vision_model", 768, 12), ("text_model", 512, 12)]:
        for layer in range(layers):
            name = f"{tower}.encoder.layers.{layer}"
            for part in ["q_proj", "k_proj", "v_proj", "out_proj"]:
                linear(f"{name}.self_attn.{part}", width, width)
            linear(f"{name}.mlp.fc1", 4 * width, width)
            linear(f"{name}.mlp.fc2", width, 4 * width)
            norm(f"{name}.layer_norm1", width)
            norm(f"{name}.layer_norm2", width)
    found["vision_model.embeddings.class_embedding"] = (768,)
    found["vision_model.embeddings.patch_embedding.weight"] = (768, 3, 32, 32)
    found["vision_model.embeddings.position_embedding.weight"] = (50, 768)
    norm("vision_model.pre_layrnorm", 768)
    norm("vision_model.post_layernorm", 768)
    found["text_model.embeddings.token_embedding.weight"] = (49_408, 512)
    found["text_model.embeddings.position_embedding.weight"] = (77, 512)
    norm("text_model.final_layer_norm", 512)
    sizes = {"num_hidden_layers": 12, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}
    vision = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "image_size": 224, "patch_size": 32}
    text = {"hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8, "vocab_size": 49_408, "max_position_embeddings": 77}
    config = {"model_type": "clip", "projection_dim": 512, "vision_config": {**sizes, **vision}, "text_config": {**sizes, **text, "eos_token_id": 49_407}}
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    write_network(folder / "model.safetensors", found)


def mobile_sam(path):
    """The tensors of `mobile_sam.pt`."""
    found = {}

    def linear(name, out, into):
        found[f"{name}.weight"], found[f"{name}.bias"] = (out, into), (out,)

    def norm(name, channels):
        found[f"{name}.weight"], found[f"{name}.bias"] = (channels,), (channels,)

    def folded(name, out, into, kernel):
        found[f"{name}.c.weight"] = (out, into, kernel, kernel)
        norm(f"{name}.bn", out)
        found[f"{name}.bn.running_mean"], found[f"{name}.bn.running_var"] = (out,), (out,)

    def bottleneck(name, into, hidden, out):
        folded(f"{name}.conv1", hidden, into, 1)
        folded(f"{name}.conv2", hidden, 1, 3)
        folded(f"{name}.conv3", out, hidden, 1)

    encoder = "image_encoder"
    folded(f"{encoder}.patch_embed.seq.0", 32, 3, 3)
    folded(f"{encoder}.patch_embed.seq.2", 64, 32, 3)
    dims, depths, heads, windows = [64, 128, 160, 320], [2, 2, 6, 2], [2, 4, 5, 10], [7, 7, 14, 7]
    for block in range(depths[0]):
        bottleneck(f"{encoder}.layers.0.blocks.{block}", 64, 256, 64)
    for stage in range(3):
        bottleneck(f"{encoder}.layers.{stage}.downsample", dims[stage], dims[stage + 1], dims[stage + 1])
    for stage in range(1, 4):
        for block in range(depths[stage]):
            name, dim = f"{encoder}.layers.{stage}.blocks.{block}", dims[stage]
            norm(f"{name}.attn.norm", dim)
            linear(f"{name}.attn.qkv", 3 * dim, dim)
            linear(f"{name}.attn.proj", dim, dim)
            found[f"{name}.attn.attention_biases"] = (heads[stage], windows[stage] ** 2)
            folded(f"{name}.local_conv", dim, 1, 3)
            norm(f"{name}.mlp.norm", dim)
            linear(f"{name}.mlp.fc1", 4 * dim, dim)
            linear(f"{name}.mlp.fc2", dim, 4 * dim)
    found[f"{encoder}.neck.0.weight"], found[f"{encoder}.neck.2.weight"] = (256, 320, 1, 1), (256, 256, 3, 3)
    norm(f"{encoder}.neck.1", 256)
    norm(f"{encoder}.neck.3", 256)

    prompts = "prompt_encoder"
    found[f"{prompts}.pe_layer.positional_encoding_gaussian_matrix"] = (2, 128)
    for point in range(4):
        found[f"{prompts}.point_embeddings.{point}.weight"] = (1, 256)
    found[f"{prompts}.not_a_point_embed.weight"] = found[f"{prompts}.no_mask_embed.weight"] = (1, 256)
    for at, shape in [(0, (4, 1, 2, 2)), (3, (16, 4, 2, 2)), (6, (256, 16, 1, 1))]:
        found[f"{prompts}.mask_downscaling.{at}.weight"], found[f"{prompts}.mask_downscaling.{at}.bias"] = shape, shape[:1]
    norm(f"{prompts}.mask_downscaling.1", 4)
    norm(f"{prompts}.mask_downscaling.4", 16)

    decoder = "mask_decoder"
    found[f"{decoder}.iou_token.weight"], found[f"{decoder}.mask_tokens.weight"] = (1, 256), (4, 256)

    def attention(name, inner):
        for part in ["q_proj", "k_proj", "v_proj"]:
            linear(f"{name}.{part}", inner, 256)
        linear(f"{name}.out_proj", 256, inner)

    for layer in range(2):
        name = f"{decoder}.transformer.layers.{layer}"
        attention(f"{name}.self_attn", 256)
        attention(f"{name}.cross_attn_token_to_image", 128)
        attention(f"{name}.cross_attn_image_to_token", 128)
        linear(f"{name}.mlp.lin1", 2048, 256)
        linear(f"{name}.mlp.lin2", 256, 2048)
        for number in range(1, 5):
            norm(f"{name}.norm{number}", 256)
    attention(f"{decoder}.transformer.final_attn_token_to_image", 128)
    norm(f"{decoder}.transformer.norm_final_attn", 256)
    for at, shape in [(0, (256, 64, 2, 2)), (3, (64, 32, 2, 2))]:
        found[f"{decoder}.output_upscaling.{at}.weight"], found[f"{decoder}.output_upscaling.{at}.bias"] = shape, (shape[1],)
    norm(f"{decoder}.output_upscaling.1", 64)
    for head, out in [(f"output_hypernetworks_mlps.{mask}", 32) for mask in range(4)] + [("iou_prediction_head", 4)]:
        for layer, width in enumerate([256, 256, out]):
            linear(f"{decoder}.{head}.layers.{layer}", width, 256)
    write_network(path, found)
