//! One set of names for each network, whoever saved it. Apart, because checkpoints of one network come in up to three sets of names, some
//! with matrices joined or turned; what networks read is decided here once. Nothing is read but names and shapes.
//!
//! The names kept are Hugging Face's (transformers 5) for CLIP, SigLIP, DINOv2 and SAM 2, the first implementation's for SAM, MobileSAM and YOLO.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Family, Kind, Names, Weights, bad, source::Source};
use crate::infer::Result;

/// Weights in the names that our networks read.
#[derive(Debug, Clone)]
pub struct Normalised {
    /// Which network it is.
    pub kind: Kind,
    /// The weights; their configuration is as Hugging Face's `config.json`, given or made, where the network needs one.
    pub weights: Weights,
}

/// Gives weights the names that our networks read, and leaves out what is only for training.
///
/// # Errors
/// As [`Kind::of`]; [`crate::infer::InferError::BadFile`] when two tensors would get one name, or one has a shape that cannot be taken apart.
pub fn normalise(weights: Weights) -> Result<Normalised> {
    let kind = Kind::of(&weights)?;
    let weights = match (kind.family, kind.names) {
        (Family::Clip, Names::OpenClip) => from_open_clip(weights)?,
        (Family::Dinov2, Names::Original) => dinov2_from_original(weights)?,
        (Family::Dinov2, Names::HuggingFace) => dinov2_from_older(weights)?,
        (Family::Sam2, Names::Original) => sam2_from_original(weights)?,
        (Family::Sam, Names::HuggingFace) => sam_to_original_names(weights)?,
        _ => weights,
    };
    let tensors = weights
        .tensors
        .into_iter()
        // Counters of batches seen, and ranges of numbers that some versions stored.
        .filter(|(name, _)| !name.ends_with("num_batches_tracked") && !name.ends_with("position_ids"))
        .collect();
    Ok(Normalised { kind, weights: Weights { tensors, ..weights } })
}

/// Renames every tensor; `None` leaves it out.
fn renamed(weights: Weights, rename: impl Fn(&str) -> Option<String>) -> Result<Weights> {
    let mut tensors = BTreeMap::new();
    for (name, source) in weights.tensors {
        if let Some(new) = rename(&name) {
            insert(&mut tensors, new, source, &weights.path)?;
        }
    }
    Ok(Weights { tensors, ..weights })
}

fn insert(tensors: &mut BTreeMap<String, Source>, name: String, source: Source, path: &std::path::Path) -> Result<()> {
    match tensors.insert(name.clone(), source) {
        Some(_) => Err(bad(path, format!("two of its tensors would be called `{name}`"))),
        None => Ok(()),
    }
}

/// Three equal parts of a joined matrix or bias of queries, keys and values.
fn thirds(source: &Source, name: &str, path: &std::path::Path) -> Result<[Source; 3]> {
    match source.shape().first() {
        Some(&rows) if rows > 0 && rows.is_multiple_of(3) => {
            let count = rows / 3;
            Ok([0, 1, 2].map(|index| Source::Rows { of: Box::new(source.clone()), start: index * count, count }))
        }
        _ => Err(bad(path, format!("`{name}` of shape {:?} does not hold queries, keys and values", source.shape()))),
    }
}

fn turned(source: Source, name: &str, path: &std::path::Path) -> Result<Source> {
    match source.shape().len() {
        2 => Ok(Source::Turned(Box::new(source))),
        _ => Err(bad(path, format!("`{name}` of shape {:?} is no matrix", source.shape()))),
    }
}

/// From the names of open_clip, which are those of OpenAI's own code.
///
/// # Source
/// `convert_original_clip_checkpoint` of transformers states the correspondence; open_clip's `transformer.py` the names.
fn from_open_clip(weights: Weights) -> Result<Weights> {
    let config = open_clip_config(&weights)?;
    let path = weights.path.clone();
    let mut tensors = BTreeMap::new();
    for (name, source) in weights.tensors {
        // Some of its networks keep the text half in a module of its own.
        let name = name.strip_prefix("text.").unwrap_or(&name);
        let fixed = match name {
            "visual.class_embedding" => "vision_model.embeddings.class_embedding",
            "visual.positional_embedding" => "vision_model.embeddings.position_embedding.weight",
            "visual.conv1.weight" => "vision_model.embeddings.patch_embedding.weight",
            "visual.ln_pre.weight" => "vision_model.pre_layrnorm.weight",
            "visual.ln_pre.bias" => "vision_model.pre_layrnorm.bias",
            "visual.ln_post.weight" => "vision_model.post_layernorm.weight",
            "visual.ln_post.bias" => "vision_model.post_layernorm.bias",
            "token_embedding.weight" => "text_model.embeddings.token_embedding.weight",
            "positional_embedding" => "text_model.embeddings.position_embedding.weight",
            "ln_final.weight" => "text_model.final_layer_norm.weight",
            "ln_final.bias" => "text_model.final_layer_norm.bias",
            "logit_scale" => "logit_scale",
            // Stored as (dim, projection_dim), which a linear layer has the other way round.
            "visual.proj" => {
                insert(&mut tensors, "visual_projection.weight".into(), turned(source, name, &path)?, &path)?;
                continue;
            }
            "text_projection" => {
                insert(&mut tensors, "text_projection.weight".into(), turned(source, name, &path)?, &path)?;
                continue;
            }
            "text_projection.weight" => "text_projection.weight",
            _ => "",
        };
        if !fixed.is_empty() {
            insert(&mut tensors, fixed.into(), source, &path)?;
            continue;
        }
        let (half, rest) = match (name.strip_prefix("visual.transformer.resblocks."), name.strip_prefix("transformer.resblocks.")) {
            (Some(rest), _) => ("vision_model", rest),
            (None, Some(rest)) => ("text_model", rest),
            // The mask, and sizes that OpenAI stores as tensors.
            (None, None) => continue,
        };
        let Some((block, part)) = rest.split_once('.') else { continue };
        let block = format!("{half}.encoder.layers.{block}");
        if let Some(kind) = part.strip_prefix("attn.in_proj_") {
            for (letter, third) in ["q", "k", "v"].into_iter().zip(thirds(&source, name, &path)?) {
                insert(&mut tensors, format!("{block}.self_attn.{letter}_proj.{kind}"), third, &path)?;
            }
            continue;
        }
        let part = replaced(
            part,
            &[
                ("attn.out_proj", "self_attn.out_proj"),
                ("ln_1", "layer_norm1"),
                ("ln_2", "layer_norm2"),
                ("mlp.c_fc", "mlp.fc1"),
                ("mlp.c_proj", "mlp.fc2"),
            ],
        );
        insert(&mut tensors, format!("{block}.{part}"), source, &path)?;
    }
    Ok(Weights { path, tensors, config: Some(config.to_string()), notes: weights.notes })
}

/// The configuration that shapes tell; the activation is what open_clip's own says, else OpenAI's where its sizes are stored along, else GELU.
fn open_clip_config(weights: &Weights) -> Result<Value> {
    let missing = || bad(weights.path(), "its sizes cannot be told from its tensors; hint: take the network in the form of Hugging Face");
    let text = if weights.contains("text.token_embedding.weight") { "text." } else { "" };
    let size = |name: &str, axis: usize| weights.shape(name).and_then(|shape| shape.get(axis).copied()).ok_or_else(missing);
    let count = |prefix: &str| (0..1000).take_while(|index| weights.contains(&format!("{prefix}{index}.ln_1.weight"))).count();
    let (vision_dim, patch) = (size("visual.conv1.weight", 0)?, size("visual.conv1.weight", 3)?);
    let text_dim = size(&format!("{text}token_embedding.weight"), 1)?;
    let side = size("visual.positional_embedding", 0)?.saturating_sub(1).isqrt();
    let stated: Value = weights.config().and_then(|config| serde_json::from_str(config).ok()).unwrap_or(Value::Null);
    let stated = &stated["model_cfg"];
    let quick =
        stated["quick_gelu"].as_bool().unwrap_or(weights.contains("input_resolution") || weights.notes().contains_key("input_resolution"));
    let activation = if quick { "quick_gelu" } else { "gelu" };
    // Heads are 64 wide unless it says otherwise; the largest ones do.
    let vision_width = stated["vision_cfg"]["head_width"].as_u64().map_or(64, |width| width as usize).max(1);
    let text_heads = stated["text_cfg"]["heads"].as_u64().map_or(text_dim / 64, |heads| heads as usize);
    Ok(json!({
        "model_type": "clip",
        "projection_dim": size("visual.proj", 1)?,
        "vision_config": {
            "hidden_size": vision_dim,
            "intermediate_size": size("visual.transformer.resblocks.0.mlp.c_fc.weight", 0)?,
            "num_hidden_layers": count("visual.transformer.resblocks."),
            "num_attention_heads": vision_dim / vision_width,
            "num_channels": size("visual.conv1.weight", 1)?,
            "image_size": side * patch,
            "patch_size": patch,
            "hidden_act": activation,
            "layer_norm_eps": 1e-5,
        },
        "text_config": {
            "vocab_size": size(&format!("{text}token_embedding.weight"), 0)?,
            "hidden_size": text_dim,
            "intermediate_size": size(&format!("{text}transformer.resblocks.0.mlp.c_fc.weight"), 0)?,
            "num_hidden_layers": count(&format!("{text}transformer.resblocks.")),
            "num_attention_heads": text_heads,
            "max_position_embeddings": size(&format!("{text}positional_embedding"), 0)?,
            "hidden_act": activation,
            "layer_norm_eps": 1e-5,
            // Its text half ends where the largest number is.
            "eos_token_id": 2,
        },
    }))
}

/// From facebookresearch's names: queries, keys and values apart.
///
/// # Source
/// `convert_dinov2_to_hf.py` of transformers states the correspondence.
fn dinov2_from_original(weights: Weights) -> Result<Weights> {
    let path = weights.path.clone();
    let config = dinov2_config(&weights);
    let mut tensors = BTreeMap::new();
    for (name, source) in weights.tensors {
        let fixed = match name.as_str() {
            "cls_token" => "embeddings.cls_token",
            "mask_token" => "embeddings.mask_token",
            "pos_embed" => "embeddings.position_embeddings",
            "register_tokens" => "embeddings.register_tokens",
            "patch_embed.proj.weight" => "embeddings.patch_embeddings.projection.weight",
            "patch_embed.proj.bias" => "embeddings.patch_embeddings.projection.bias",
            "norm.weight" => "layernorm.weight",
            "norm.bias" => "layernorm.bias",
            _ => "",
        };
        if !fixed.is_empty() {
            insert(&mut tensors, fixed.into(), source, &path)?;
            continue;
        }
        let Some((block, part)) = name.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')) else { continue };
        let block = format!("encoder.layer.{block}");
        if let Some(kind) = part.strip_prefix("attn.qkv.") {
            for (role, third) in ["q", "k", "v"].into_iter().zip(thirds(&source, &name, &path)?) {
                insert(&mut tensors, format!("{block}.attention.{role}_proj.{kind}"), third, &path)?;
            }
            continue;
        }
        let part = replaced(
            part,
            &[
                ("attn.proj", "attention.o_proj"),
                ("ls1.gamma", "layer_scale1.lambda1"),
                ("ls2.gamma", "layer_scale2.lambda1"),
                ("mlp.w12", "mlp.weights_in"),
                ("mlp.w3", "mlp.weights_out"),
            ],
        );
        insert(&mut tensors, format!("{block}.{part}"), source, &path)?;
    }
    Ok(Weights { tensors, path, config: weights.config.or(config), notes: weights.notes })
}

/// From the names of transformers 4 to those of 5.
fn dinov2_from_older(weights: Weights) -> Result<Weights> {
    renamed(weights, |name| {
        Some(replaced(
            name,
            &[
                ("attention.attention.query.", "attention.q_proj."),
                ("attention.attention.key.", "attention.k_proj."),
                ("attention.attention.value.", "attention.v_proj."),
                ("attention.output.dense.", "attention.o_proj."),
            ],
        ))
    })
}

/// The configuration that shapes tell.
fn dinov2_config(weights: &Weights) -> Option<String> {
    let size = |name: &str, axis: usize| weights.shape(name).and_then(|shape| shape.get(axis).copied());
    let dim = size("cls_token", 2)?;
    let patch = size("patch_embed.proj.weight", 3)?;
    let side = size("pos_embed", 1)?.checked_sub(1)?.isqrt();
    let layers = (0..1000).take_while(|index| weights.contains(&format!("blocks.{index}.norm1.weight"))).count();
    let gated = weights.contains("blocks.0.mlp.w12.weight");
    // The gated width follows from the plain one, which is four times the token's.
    let ratio = if gated { 4.0 } else { size("blocks.0.mlp.fc1.weight", 0)? as f64 / dim as f64 };
    let registers = size("register_tokens", 1);
    let config = json!({
        "model_type": if registers.is_some() { "dinov2_with_registers" } else { "dinov2" },
        "hidden_size": dim,
        "num_hidden_layers": layers,
        "num_attention_heads": (dim / 64).max(1),
        "mlp_ratio": ratio,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-6,
        "image_size": side * patch,
        "patch_size": patch,
        "num_channels": size("patch_embed.proj.weight", 1)?,
        "num_register_tokens": registers.unwrap_or(0),
        "use_swiglu_ffn": gated,
    });
    Some(config.to_string())
}

/// Replaces each first text by the second, in order.
fn replaced(name: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(name.to_owned(), |name, (old, new)| name.replace(old, new))
}

/// The layers of a little network of three: first, middle, last, as Hugging Face numbers them.
const HEAD_LAYERS: [(&str, &str); 3] = [(".layers.0.", ".proj_in."), (".layers.1.", ".layers.0."), (".layers.2.", ".proj_out.")];

fn is_head(name: &str) -> bool {
    name.contains("output_hypernetworks_mlps") || name.contains("iou_prediction_head") || name.contains("pred_obj_score_head")
}

/// Parts that the two sets of names for SAM's prompts and masks call differently, in both generations.
const DECODER: [(&str, &str); 10] = [
    ("output_upscaling.0.", "upscale_conv1."),
    ("output_upscaling.1.", "upscale_layer_norm."),
    ("output_upscaling.3.", "upscale_conv2."),
    ("mask_downscaling.0.", "mask_embed.conv1."),
    ("mask_downscaling.1.", "mask_embed.layer_norm1."),
    ("mask_downscaling.3.", "mask_embed.conv2."),
    ("mask_downscaling.4.", "mask_embed.layer_norm2."),
    ("mask_downscaling.6.", "mask_embed.conv3."),
    (".norm_final_attn.", ".layer_norm_final_attn."),
    ("prompt_encoder.point_embeddings.", "prompt_encoder.point_embed."),
];

/// Parts of the masks' transformer.
const NORMS: [(&str, &str); 4] =
    [(".norm1.", ".layer_norm1."), (".norm2.", ".layer_norm2."), (".norm3.", ".layer_norm3."), (".norm4.", ".layer_norm4.")];

/// Parts of SAM's image encoder.
const ENCODER: [(&str, &str); 6] = [
    ("vision_encoder.blocks.", "vision_encoder.layers."),
    ("patch_embed.proj.", "patch_embed.projection."),
    ("neck.0.", "neck.conv1."),
    ("neck.1.", "neck.layer_norm1."),
    ("neck.2.", "neck.conv2."),
    ("neck.3.", "neck.layer_norm2."),
];

const POSITIONS_ORIGINAL: &str = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix";
const POSITIONS: &str = "shared_image_embedding.positional_embedding";
const POSITIONS_TWICE: &str = "prompt_encoder.shared_embedding.positional_embedding";

/// SAM in Hugging Face's names → in facebookresearch's.
///
/// # Errors
/// [`crate::infer::InferError::BadFile`] when two tensors would get one name.
pub fn sam_to_original_names(weights: Weights) -> Result<Weights> {
    let back =
        |name: &str, pairs: &[(&str, &str)]| pairs.iter().fold(name.to_owned(), |name, (original, ours)| name.replace(ours, original));
    renamed(weights, |name| match name {
        POSITIONS => Some(POSITIONS_ORIGINAL.into()),
        // The same numbers a second time.
        POSITIONS_TWICE => None,
        _ if name.starts_with("vision_encoder.") => {
            Some(back(&back(name, &ENCODER), &NORMS[..2]).replacen("vision_encoder.", "image_encoder.", 1))
        }
        _ if is_head(name) => {
            // From the last: the middle's name is what the first's becomes.
            Some(
                HEAD_LAYERS
                    .iter()
                    .find(|(_, ours)| name.contains(ours))
                    .map_or_else(|| name.into(), |(original, ours)| name.replace(ours, original)),
            )
        }
        _ => Some(back(&back(name, &DECODER), &NORMS)),
    })
}

/// SAM in facebookresearch's names → in Hugging Face's.
///
/// # Errors
/// [`crate::infer::InferError::BadFile`] when two tensors would get one name.
pub fn sam_from_original_names(weights: Weights) -> Result<Weights> {
    let mut weights = renamed(weights, |name| match name {
        POSITIONS_ORIGINAL => Some(POSITIONS.into()),
        _ if name.starts_with("image_encoder.") => {
            let name = name.replacen("image_encoder.", "vision_encoder.", 1);
            Some(replaced(&replaced(&name, &ENCODER), &NORMS[..2]))
        }
        _ => Some(decoder_from_original(name)),
    })?;
    if let Some(positions) = weights.tensors.get(POSITIONS).cloned() {
        weights.tensors.insert(POSITIONS_TWICE.into(), positions);
    }
    Ok(weights)
}

fn decoder_from_original(name: &str) -> String {
    if is_head(name) {
        return HEAD_LAYERS
            .iter()
            .find(|(original, _)| name.contains(original))
            .map_or_else(|| name.into(), |(original, ours)| name.replace(original, ours));
    }
    replaced(&replaced(name, &DECODER), &NORMS)
}

/// SAM 2 in facebookresearch's names → in Hugging Face's; what is only for video is left out.
///
/// # Source
/// `convert_sam2_to_hf.py` of transformers states the correspondence.
fn sam2_from_original(weights: Weights) -> Result<Weights> {
    let path = weights.path.clone();
    let points: Vec<Source> =
        (0..4).filter_map(|index| weights.tensors.get(&format!("sam_prompt_encoder.point_embeddings.{index}.weight")).cloned()).collect();
    let mut weights = renamed(weights, |name| {
        if let Some(rest) = name.strip_prefix("image_encoder.trunk.") {
            let rest = replaced(
                rest,
                &[
                    ("patch_embed.proj.", "patch_embed.projection."),
                    (".mlp.layers.0.", ".mlp.proj_in."),
                    (".mlp.layers.1.", ".mlp.proj_out."),
                    (".norm1.", ".layer_norm1."),
                    (".norm2.", ".layer_norm2."),
                ],
            );
            return Some(format!("vision_encoder.backbone.{rest}"));
        }
        if let Some(rest) = name.strip_prefix("image_encoder.neck.") {
            return Some(format!("vision_encoder.neck.{}", rest.replace(".conv.", ".")));
        }
        if name == "no_mem_embed" {
            return Some("no_memory_embedding".into());
        }
        if name == "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix" {
            return Some(POSITIONS.into());
        }
        if name.starts_with("sam_prompt_encoder.point_embeddings.") {
            return None;
        }
        let rest = name.strip_prefix("sam_").filter(|rest| rest.starts_with("prompt_encoder.") || rest.starts_with("mask_decoder."))?;
        let rest = decoder_from_original(rest);
        let rest = if is_head(&rest) {
            rest
        } else {
            replaced(&rest, &[(".mlp.layers.0.", ".mlp.proj_in."), (".mlp.layers.1.", ".mlp.proj_out.")])
        };
        Some(rest.replace(".out_proj.", ".o_proj."))
    })?;
    if points.len() != 4 {
        return Err(bad(&path, format!("it has {} of the 4 embeddings of points and corners", points.len())));
    }
    weights.tensors.insert("prompt_encoder.point_embed.weight".into(), Source::Joined(points));
    if let Some(positions) = weights.tensors.get(POSITIONS).cloned() {
        weights.tensors.insert(POSITIONS_TWICE.into(), positions);
    }
    Ok(weights)
}
