//! Which network a file of weights is: sizes by name, or from the shapes of the tensors and, where those leave a choice, from
//! Hugging Face's `config.json`. Apart, because it is the one place that knows all members of the family.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{DecoderConfig, Naming, TinyVitConfig, VitConfig};
use crate::infer::{InferError, Result, sam2::HieraConfig};

/// Sizes of an image encoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncoderConfig {
    /// SAM.
    Vit(VitConfig),
    /// MobileSAM.
    TinyVit(TinyVitConfig),
    /// SAM 2 and 2.1.
    Hiera(HieraConfig),
}

/// Sizes of a whole network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SamConfig {
    /// Sides of the square input.
    pub image_px: usize,
    /// Channels of the second convolution over a mask prompt.
    pub mask_channels: usize,
    /// Of the image encoder.
    pub encoder: EncoderConfig,
    /// Of the mask decoder.
    pub decoder: DecoderConfig,
}

impl SamConfig {
    fn of(encoder: EncoderConfig) -> Self {
        let decoder = if matches!(encoder, EncoderConfig::Hiera(_)) { DecoderConfig::sam2() } else { DecoderConfig::sam() };
        Self { image_px: 1024, mask_channels: 16, encoder, decoder }
    }

    /// The published networks: `sam_vit_{b,l,h}`, `mobile_sam`, `sam2_hiera_{tiny,small,base_plus,large}` and the same with `sam2.1`.
    pub fn named(name: &str) -> Option<Self> {
        let encoder = match name {
            "mobile_sam" => EncoderConfig::TinyVit(TinyVitConfig::mobile_sam()),
            "sam_vit_b" => EncoderConfig::Vit(VitConfig::base()),
            "sam_vit_l" => EncoderConfig::Vit(VitConfig::large()),
            "sam_vit_h" => EncoderConfig::Vit(VitConfig::huge()),
            _ => EncoderConfig::Hiera(match name.strip_prefix("sam2_hiera_").or_else(|| name.strip_prefix("sam2.1_hiera_"))? {
                "tiny" => HieraConfig::tiny(),
                "small" => HieraConfig::small(),
                "base_plus" => HieraConfig::base_plus(),
                "large" => HieraConfig::large(),
                _ => return None,
            }),
        };
        Some(Self::of(encoder))
    }

    /// Sides of the embedding of an image, in cells of 16 px of the input.
    pub fn grid(&self) -> usize {
        match &self.encoder {
            EncoderConfig::Vit(vit) => self.image_px / vit.patch_px,
            EncoderConfig::TinyVit(_) | EncoderConfig::Hiera(_) => self.image_px / 16,
        }
    }

    /// Tells the network from the shapes of its tensors, by their names in the file, and Hugging Face's `config.json` if there is one.
    ///
    /// # Errors
    /// [`InferError::WrongWeights`] when the file is none of this family, lacks tensors that tell its sizes, or is of sizes that
    /// are not published and has no `config.json` to say the rest.
    pub fn of_weights(shape_of: impl Fn(&str) -> Option<Vec<usize>>, config_json: Option<&str>) -> Result<Self> {
        let naming = Naming::of(|name| shape_of(name).is_some())
            .ok_or_else(|| wrong("SAM", "no image encoder of SAM, MobileSAM or SAM 2 is in the file".to_owned()))?;
        let json = match config_json {
            Some(text) => serde_json::from_str(text).map_err(|error| wrong("SAM", format!("config.json cannot be read: {error}")))?,
            None => Value::Null,
        };
        let file = File { shape_of: &|name| shape_of(&naming.stored(name)), json: &json };
        let mut config = Self::of(match naming {
            Naming::Sam2 | Naming::Sam2HuggingFace => EncoderConfig::Hiera(file.hiera()?),
            _ if file.dim("image_encoder.patch_embed.seq.0.c.weight", 0).is_ok() => EncoderConfig::TinyVit(file.tiny_vit()?),
            _ => EncoderConfig::Vit(file.vit()?),
        });
        let image_px = match (&config.encoder, file.number("/prompt_encoder_config/image_size")) {
            (_, Some(image_px)) => image_px,
            (EncoderConfig::Vit(vit), None) => file.dim("image_encoder.pos_embed", 1).map_or(1024, |grid| grid * vit.patch_px),
            _ => 1024,
        };
        if image_px == 0 || image_px > 8192 || image_px % 32 != 0 {
            return Err(wrong("SAM", format!("an input of {image_px} px is no multiple of 32 up to 8192")));
        }
        config.image_px = image_px;
        config.mask_channels = file.dim("prompt_encoder.mask_downscaling.3.weight", 0)?;
        file.decoder(&mut config.decoder)?;
        Ok(config)
    }
}

fn wrong(network: &str, why: String) -> InferError {
    InferError::WrongWeights { network: network.to_owned(), why }
}

/// The shapes of a file by the code's names, and its `config.json`.
struct File<'a> {
    shape_of: &'a dyn Fn(&str) -> Option<Vec<usize>>,
    json: &'a Value,
}

impl File<'_> {
    /// Length of one axis of a tensor that must be there.
    fn dim(&self, name: &str, axis: usize) -> Result<usize> {
        let shape = (self.shape_of)(name).ok_or_else(|| wrong("SAM", format!("the tensor `{name}` is missing")))?;
        shape
            .get(axis)
            .copied()
            .filter(|&length| length > 0)
            .ok_or_else(|| wrong("SAM", format!("the tensor `{name}` has the shape {shape:?}, with nothing on axis {axis}")))
    }

    fn has(&self, name: &str) -> bool {
        (self.shape_of)(name).is_some()
    }

    /// How many of the tensors `{before}0{after}`, `{before}1{after}` and so on there are.
    fn count(&self, before: &str, after: &str) -> usize {
        (0..1000).take_while(|index| self.has(&format!("{before}{index}{after}"))).count()
    }

    fn number(&self, path: &str) -> Option<usize> {
        self.json.pointer(path)?.as_u64().and_then(|number| number.try_into().ok())
    }

    fn numbers(&self, path: &str) -> Option<Vec<usize>> {
        self.json.pointer(path)?.as_array()?.iter().map(|number| number.as_u64()?.try_into().ok()).collect()
    }

    fn vit(&self) -> Result<VitConfig> {
        let dim = self.dim("image_encoder.patch_embed.proj.weight", 0)?;
        let depth = self.count("image_encoder.blocks.", ".attn.qkv.weight");
        let table = |index: usize, axis: usize| self.dim(&format!("image_encoder.blocks.{index}.attn.rel_pos_h"), axis);
        let mut tables = Vec::with_capacity(depth);
        for index in 0..depth {
            tables.push(table(index, 0)?);
        }
        let patch_px = self.dim("image_encoder.patch_embed.proj.weight", 2)?;
        let grid = self.dim("image_encoder.pos_embed", 1)?;
        // A table has 2 · side - 1 rows: that of a global block is as large as the image.
        let global_blocks = (0..depth).filter(|&index| tables[index] == 2 * grid - 1).collect();
        let window = tables.iter().find(|&&rows| rows != 2 * grid - 1).map_or(grid, |rows| rows.div_ceil(2));
        let head_len = table(0, 1)?;
        let mlp_dim = self.dim("image_encoder.blocks.0.mlp.lin1.weight", 0)?;
        Ok(VitConfig { dim, depth, heads: dim / head_len, mlp_dim, patch_px, window, global_blocks })
    }

    fn tiny_vit(&self) -> Result<TinyVitConfig> {
        let mut config = TinyVitConfig {
            dims: vec![self.dim("image_encoder.patch_embed.seq.2.c.weight", 0)?],
            depths: vec![self.count("image_encoder.layers.0.blocks.", ".conv1.c.weight")],
            heads: vec![1],
            windows: vec![1],
        };
        for stage in 1..=self.count("image_encoder.layers.", ".downsample.conv1.c.weight") {
            let biases = format!("image_encoder.layers.{stage}.blocks.0.attn.attention_biases");
            config.dims.push(self.dim(&format!("image_encoder.layers.{stage}.blocks.0.attn.qkv.weight"), 1)?);
            config.depths.push(self.count(&format!("image_encoder.layers.{stage}.blocks."), ".attn.qkv.weight"));
            config.heads.push(self.dim(&biases, 0)?);
            config.windows.push(self.dim(&biases, 1)?.isqrt());
        }
        Ok(config)
    }

    fn hiera(&self) -> Result<HieraConfig> {
        let dim = self.dim("image_encoder.trunk.patch_embed.proj.weight", 0)?;
        let depth = self.count("image_encoder.trunk.blocks.", ".attn.qkv.weight");
        let starts: Vec<usize> = std::iter::once(0)
            .chain((1..depth).filter(|index| self.has(&format!("image_encoder.trunk.blocks.{index}.proj.weight"))))
            .chain([depth])
            .collect();
        let blocks: Vec<usize> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let published = [HieraConfig::tiny(), HieraConfig::small(), HieraConfig::base_plus(), HieraConfig::large()];
        if let Some(config) = published.into_iter().find(|config| config.dim == dim && config.blocks == blocks) {
            return Ok(config);
        }
        let path = |key: &str| format!("/vision_config/backbone_config/{key}");
        let missing = || wrong("SAM 2", format!("blocks {blocks:?} of {dim} channels are no published size, and no config.json says more"));
        Ok(HieraConfig {
            dim,
            heads: self.number(&path("num_attention_heads")).ok_or_else(missing)?,
            global_blocks: self.numbers(&path("global_attention_blocks")).ok_or_else(missing)?,
            windows: self.numbers(&path("window_size_per_stage")).filter(|all| all.len() == blocks.len()).ok_or_else(missing)?,
            position_side: self.dim("image_encoder.trunk.pos_embed", 2)?,
            blocks,
        })
    }

    /// Sizes of the decoder by its tensors, heads by `config.json`, everything else as published.
    fn decoder(&self, config: &mut DecoderConfig) -> Result<()> {
        config.dim = self.dim("mask_decoder.mask_tokens.weight", 1)?;
        config.depth = self.count("mask_decoder.transformer.layers.", ".self_attn.q_proj.weight");
        config.mlp_dim = self.dim("mask_decoder.transformer.layers.0.mlp.lin1.weight", 0)?;
        let inner = self.dim("mask_decoder.transformer.final_attn_token_to_image.q_proj.weight", 0)?;
        config.downsample = config.dim / inner;
        config.score_hidden_dim = self.dim("mask_decoder.iou_prediction_head.layers.0.weight", 0)?;
        if let Some(heads) = self.number("/mask_decoder_config/num_attention_heads") {
            config.heads = heads;
        }
        // Hugging Face's SAM takes this from its configuration; its SAM 2, though it has the same key, does not.
        let epsilon = self.json.pointer("/mask_decoder_config/layer_norm_eps").and_then(Value::as_f64);
        if let (Some(epsilon), false) = (epsilon, config.is_sam2) {
            config.norm_epsilon = epsilon;
        }
        if config.heads == 0 || inner % config.heads != 0 {
            return Err(wrong("SAM", format!("{} heads do not share {inner} channels of the decoder", config.heads)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_name_has_sizes() {
        for name in ["mobile_sam", "sam_vit_b", "sam_vit_l", "sam_vit_h", "sam2_hiera_tiny", "sam2.1_hiera_small", "sam2.1_hiera_large"] {
            let config = SamConfig::named(name).unwrap();
            assert_eq!((config.image_px, config.grid()), (1024, 64), "{name}");
            assert_eq!(config.decoder.is_sam2, name.starts_with("sam2"), "{name}");
        }
        assert_eq!(SamConfig::named("sam2_hiera_huge"), None);
    }

    #[test]
    fn a_file_of_another_network_is_refused() {
        let error = SamConfig::of_weights(|_| None, None).unwrap_err();
        assert!(error.to_string().contains("no image encoder"), "{error}");
        let only_a_start = |name: &str| (name == "image_encoder.patch_embed.proj.weight").then(|| vec![768, 3, 16, 16]);
        let error = SamConfig::of_weights(only_a_start, None).unwrap_err();
        assert!(error.to_string().contains("image_encoder.pos_embed"), "{error}");
    }
}
