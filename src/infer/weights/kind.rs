//! Which network a set of weights is, by the names and shapes of its tensors alone. Apart, because people name files as they like, and a
//! page that says “this is YOLO11n-seg; it finds and outlines 80 kinds of things” must not guess.

use std::path::Path;

use super::{Weights, bad};
use crate::infer::Result;

/// The networks that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// CLIP: images and words in one space.
    Clip,
    /// SigLIP: images and words in one space.
    Siglip,
    /// DINOv2: looks of things.
    Dinov2,
    /// YOLOv8: things in images.
    Yolov8,
    /// YOLO11: things in images.
    Yolo11,
    /// SAM: outlines on demand.
    Sam,
    /// MobileSAM: outlines on demand, on small machines.
    MobileSam,
    /// SAM 2 and 2.1: outlines on demand.
    Sam2,
}

/// Whose names the tensors have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Hugging Face's transformers.
    HuggingFace,
    /// The first implementation's: facebookresearch's, Ultralytics', MobileSAM's.
    Original,
    /// open_clip's, which are those of OpenAI's own CLIP.
    OpenClip,
}

/// Which network a set of weights is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// The network.
    pub family: Family,
    /// Its size, as its makers call it: `ViT-B/32`, `base`, `n-seg`, `tiny`.
    pub size: String,
    /// Whose names its tensors have.
    pub names: Names,
    /// How many numbers it has.
    pub parameters: u64,
    /// How many classes a detector knows.
    pub classes: Option<usize>,
}

impl Family {
    /// Every network that is known.
    pub const ALL: [Self; 8] = [Self::Clip, Self::Siglip, Self::Dinov2, Self::Yolov8, Self::Yolo11, Self::Sam, Self::MobileSam, Self::Sam2];

    /// The one that files and tables call so.
    pub fn of_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.slug() == slug)
    }

    /// What people call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Clip => "CLIP",
            Self::Siglip => "SigLIP",
            Self::Dinov2 => "DINOv2",
            Self::Yolov8 => "YOLOv8",
            Self::Yolo11 => "YOLO11",
            Self::Sam => "SAM",
            Self::MobileSam => "MobileSAM",
            Self::Sam2 => "SAM 2",
        }
    }

    /// Its name in files and tables.
    pub fn slug(self) -> &'static str {
        match self {
            Self::Clip => "clip",
            Self::Siglip => "siglip",
            Self::Dinov2 => "dinov2",
            Self::Yolov8 => "yolov8",
            Self::Yolo11 => "yolo11",
            Self::Sam => "sam",
            Self::MobileSam => "mobile_sam",
            Self::Sam2 => "sam2",
        }
    }
}

impl Kind {
    /// `YOLO11n-seg`, `CLIP ViT-B/32`.
    pub fn title(&self) -> String {
        match self.family {
            Family::Yolov8 | Family::Yolo11 => format!("{}{}", self.family.title(), self.size),
            Family::Sam2 if self.size.starts_with("2.1 ") => format!("SAM {}", self.size),
            _ if self.size.is_empty() => self.family.title().to_owned(),
            _ => format!("{} {}", self.family.title(), self.size),
        }
    }

    /// What a library can do with it.
    pub fn unlocks(&self) -> &'static str {
        match self.family {
            Family::Clip | Family::Siglip => "search by words, and more like this",
            Family::Dinov2 => "recognising individual animals and things, and more like this",
            Family::Yolov8 | Family::Yolo11 if self.size.ends_with("-seg") => "finding things and outlining them",
            Family::Yolov8 | Family::Yolo11 => "finding things",
            Family::Sam | Family::MobileSam | Family::Sam2 => "outlining what is clicked",
        }
    }

    /// Tells which network weights are of.
    ///
    /// # Errors
    /// [`crate::infer::InferError::BadFile`] when they are of none that is known, naming it where that can be told.
    pub fn of(weights: &Weights) -> Result<Self> {
        let found = clip(weights)
            .or_else(|| siglip(weights))
            .or_else(|| sam2(weights))
            .or_else(|| sam(weights))
            .or_else(|| dinov2(weights))
            .or_else(|| yolo(weights));
        if let Some((family, size, names)) = found {
            let classes = yolo_classes(weights).filter(|_| matches!(family, Family::Yolov8 | Family::Yolo11));
            return Ok(Self { family, size, names, parameters: weights.parameters(), classes });
        }
        let class = weights.notes().get("class").map(|class| format!(" (`{class}`)")).unwrap_or_default();
        Err(bad(
            weights.path(),
            format!(
                "its {} tensors{class} are of no network that is known; hint: CLIP, SigLIP, DINOv2, YOLOv8 and YOLO11 (detection, segmentation), SAM, \
                 MobileSAM and SAM 2 are",
                weights.len()
            ),
        ))
    }
}

/// Tells which network a file or folder is, reading no more than its headers.
///
/// # Errors
/// As [`Weights::open`] and [`Kind::of`].
pub fn sniff(path: &Path) -> Result<Kind> {
    Kind::of(&Weights::open(path)?)
}

type Found = (Family, String, Names);

/// How many blocks there are: the number after `prefix`, from 0 without a gap.
fn blocks(weights: &Weights, prefix: &str, suffix: &str) -> usize {
    (0..1000).take_while(|index| weights.contains(&format!("{prefix}{index}{suffix}"))).count()
}

fn axis(weights: &Weights, name: &str, axis: usize) -> Option<usize> {
    weights.shape(name)?.get(axis).copied()
}

/// The name of a vision transformer of that width, depth and patch.
fn vit(dim: usize, layers: usize, patch: usize) -> String {
    match (dim, layers) {
        (768, 12) => format!("ViT-B/{patch}"),
        (1024, 24) => format!("ViT-L/{patch}"),
        (1280, 32) => format!("ViT-H/{patch}"),
        (1408, 40) => format!("ViT-g/{patch}"),
        (1664, 48) => format!("ViT-G/{patch}"),
        _ => format!("ViT-{dim}×{layers}/{patch}"),
    }
}

fn clip(weights: &Weights) -> Option<Found> {
    if weights.contains("vision_model.embeddings.class_embedding") && weights.contains("visual_projection.weight") {
        let patches = weights.shape("vision_model.embeddings.patch_embedding.weight")?;
        let layers = blocks(weights, "vision_model.encoder.layers.", ".layer_norm1.weight");
        return Some((Family::Clip, vit(*patches.first()?, layers, *patches.get(3)?), Names::HuggingFace));
    }
    let patches = weights.shape("visual.conv1.weight")?;
    let layers = blocks(weights, "visual.transformer.resblocks.", ".ln_1.weight");
    if layers == 0 || !weights.contains("visual.proj") {
        return None;
    }
    Some((Family::Clip, vit(*patches.first()?, layers, *patches.get(3)?), Names::OpenClip))
}

fn siglip(weights: &Weights) -> Option<Found> {
    if !weights.contains("vision_model.head.probe") || !weights.contains("text_model.head.weight") {
        return None;
    }
    let patches = weights.shape("vision_model.embeddings.patch_embedding.weight")?;
    let (dim, patch) = (*patches.first()?, *patches.get(3)?);
    let layers = blocks(weights, "vision_model.encoder.layers.", ".layer_norm1.weight");
    let size = match (dim, layers) {
        (768, 12) => format!("base/{patch}"),
        (1024, 24) => format!("large/{patch}"),
        (1152, 27) => format!("so400m/{patch}"),
        _ => format!("{dim}×{layers}/{patch}"),
    };
    Some((Family::Siglip, size, Names::HuggingFace))
}

fn dinov2(weights: &Weights) -> Option<Found> {
    let (names, dim, layers, registers) =
        if weights.contains("embeddings.cls_token") && weights.contains("encoder.layer.0.layer_scale1.lambda1") {
            let layers = blocks(weights, "encoder.layer.", ".norm1.weight");
            (Names::HuggingFace, axis(weights, "embeddings.cls_token", 2)?, layers, weights.contains("embeddings.register_tokens"))
        } else if weights.contains("cls_token") && weights.contains("blocks.0.ls1.gamma") {
            let layers = blocks(weights, "blocks.", ".norm1.weight");
            (Names::Original, axis(weights, "cls_token", 2)?, layers, weights.contains("register_tokens"))
        } else {
            return None;
        };
    let size = match (dim, layers) {
        (384, 12) => "small".to_owned(),
        (768, 12) => "base".to_owned(),
        (1024, 24) => "large".to_owned(),
        (1536, 40) => "giant".to_owned(),
        _ => format!("{dim}×{layers}"),
    };
    Some((Family::Dinov2, if registers { format!("{size} with registers") } else { size }, names))
}

/// Where the detecting head lies: the last numbered module.
fn yolo_head(weights: &Weights) -> Option<usize> {
    [22, 23].into_iter().find(|index| weights.contains(&format!("model.{index}.cv2.0.0.conv.weight")))
}

fn yolo_classes(weights: &Weights) -> Option<usize> {
    axis(weights, &format!("model.{}.cv3.0.2.weight", yolo_head(weights)?), 0)
}

fn yolo(weights: &Weights) -> Option<Found> {
    let head = yolo_head(weights)?;
    let has = |name: &str| weights.contains(&format!("model.{head}.{name}"));
    // Others share the numbers but not the parts: v10 has two heads, pose and oriented boxes a fourth branch without prototypes.
    if has("one2one_cv2.0.0.conv.weight") || !has("cv3.0.2.weight") || (has("cv4.0.0.conv.weight") && !has("proto.cv1.conv.weight")) {
        return None;
    }
    let width = axis(weights, "model.0.conv.weight", 0)?;
    let (family, letter) = if head == 22 && weights.contains("model.2.m.0.cv1.conv.weight") && has("cv3.0.0.conv.weight") {
        let letter =
            [(16, "n"), (32, "s"), (48, "m"), (64, "l"), (80, "x")].into_iter().find(|(of, _)| *of == width).map(|(_, letter)| letter);
        (Family::Yolov8, letter)
    } else if head == 23 && weights.contains("model.10.m.0.attn.qkv.conv.weight") && has("cv3.0.0.0.conv.weight") {
        // m and l are equally wide; l repeats its blocks.
        let deep = weights.contains("model.2.m.1.cv1.conv.weight");
        let letter = match (width, deep) {
            (16, _) => Some("n"),
            (32, _) => Some("s"),
            (64, false) => Some("m"),
            (64, true) => Some("l"),
            (96, _) => Some("x"),
            _ => None,
        };
        (Family::Yolo11, letter)
    } else {
        return None;
    };
    let task = if has("proto.cv1.conv.weight") { "-seg" } else { "" };
    Some((family, format!("{}{task}", letter.map_or_else(|| format!(" of width {width}"), str::to_owned)), Names::Original))
}

fn sam(weights: &Weights) -> Option<Found> {
    if !weights.contains("mask_decoder.iou_token.weight") {
        return None;
    }
    if weights.contains("image_encoder.patch_embed.seq.0.c.weight") {
        return Some((Family::MobileSam, String::new(), Names::Original));
    }
    let (names, dim) = match axis(weights, "image_encoder.pos_embed", 3) {
        Some(dim) => (Names::Original, dim),
        None => (Names::HuggingFace, axis(weights, "vision_encoder.pos_embed", 3)?),
    };
    let size = match dim {
        768 => "ViT-B".to_owned(),
        1024 => "ViT-L".to_owned(),
        1280 => "ViT-H".to_owned(),
        _ => format!("ViT-{dim}"),
    };
    Some((Family::Sam, size, names))
}

fn sam2(weights: &Weights) -> Option<Found> {
    let original = "image_encoder.trunk.";
    let (names, trunk, patches, norm) = if weights.contains("image_encoder.trunk.patch_embed.proj.weight") {
        (Names::Original, original, "patch_embed.proj.weight", ".norm1.weight")
    } else {
        (Names::HuggingFace, "vision_encoder.backbone.", "patch_embed.projection.weight", ".layer_norm1.weight")
    };
    let dim = axis(weights, &format!("{trunk}{patches}"), 0)?;
    let layers = blocks(weights, &format!("{trunk}blocks."), norm);
    let size = match (dim, layers) {
        (96, 12) => "tiny".to_owned(),
        (96, 16) => "small".to_owned(),
        (112, 24) => "base+".to_owned(),
        (144, 48) => "large".to_owned(),
        _ => format!("{dim}×{layers}"),
    };
    // What 2.1 added for video is in its checkpoints, whoever saved them.
    let newer = ["no_obj_embed_spatial", "occlusion_spatial_embedding_parameter"].into_iter().any(|name| weights.contains(name));
    Some((Family::Sam2, if newer { format!("2.1 {size}") } else { size }, names))
}
