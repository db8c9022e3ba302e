//! How the tensors of this family are called: the code asks by one set of names (those of facebookresearch's checkpoints, without
//! the prefix `sam_` of SAM 2), files answer by it or by Hugging Face's. Apart, because no network should know where its file
//! came from. Imports nothing of ours.

/// How the tensors of a file are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// As in facebookresearch/segment-anything and in MobileSAM.
    Sam,
    /// As in Hugging Face's `SamModel`.
    SamHuggingFace,
    /// As in facebookresearch/sam2.
    Sam2,
    /// As in Hugging Face's `Sam2Model`.
    Sam2HuggingFace,
}

impl Naming {
    /// Tells the naming by tensors that only it has; `None` when it is none of them.
    pub fn of(contains: impl Fn(&str) -> bool) -> Option<Self> {
        let marks = [
            ("image_encoder.trunk.patch_embed.proj.weight", Self::Sam2),
            ("vision_encoder.backbone.patch_embed.projection.weight", Self::Sam2HuggingFace),
            ("vision_encoder.patch_embed.projection.weight", Self::SamHuggingFace),
            ("image_encoder.patch_embed.proj.weight", Self::Sam),
            ("image_encoder.patch_embed.seq.0.c.weight", Self::Sam),
        ];
        marks.into_iter().find(|(name, _)| contains(name)).map(|(_, naming)| naming)
    }

    /// What a file with this naming calls the tensor that the code calls `name`.
    pub fn stored(self, name: &str) -> String {
        match self {
            Self::Sam => name.to_owned(),
            Self::SamHuggingFace => replaced(name, &[SAM_HUGGING_FACE, HUGGING_FACE]),
            Self::Sam2 => replaced(name, &[SAM2]),
            Self::Sam2HuggingFace => replaced(name, &[SAM2_HUGGING_FACE, HUGGING_FACE]),
        }
    }
}

/// Parts of names and what stands there instead; where a name begins with the first word of a line, the rest is replaced.
type Rules = &'static [(&'static str, &'static str, &'static str)];

const SAM2: Rules = &[
    ("mask_decoder.transformer.layers", ".mlp.lin1", ".mlp.layers.0"),
    ("mask_decoder.transformer.layers", ".mlp.lin2", ".mlp.layers.1"),
    ("mask_decoder", "mask_decoder", "sam_mask_decoder"),
    ("prompt_encoder", "prompt_encoder", "sam_prompt_encoder"),
];

const SAM_HUGGING_FACE: Rules = &[
    ("image_encoder", ".patch_embed.proj.", ".patch_embed.projection."),
    ("image_encoder.neck", ".neck.0.", ".neck.conv1."),
    ("image_encoder.neck", ".neck.1.", ".neck.layer_norm1."),
    ("image_encoder.neck", ".neck.2.", ".neck.conv2."),
    ("image_encoder.neck", ".neck.3.", ".neck.layer_norm2."),
    ("image_encoder", "image_encoder.blocks.", "image_encoder.layers."),
    ("image_encoder", ".norm", ".layer_norm"),
    ("image_encoder", "image_encoder.", "vision_encoder."),
];

const SAM2_HUGGING_FACE: Rules = &[
    ("image_encoder", ".patch_embed.proj.", ".patch_embed.projection."),
    ("image_encoder.trunk.blocks", ".mlp.layers.0.", ".mlp.proj_in."),
    ("image_encoder.trunk.blocks", ".mlp.layers.1.", ".mlp.proj_out."),
    ("image_encoder.trunk", ".norm", ".layer_norm"),
    ("image_encoder.neck", ".conv.", "."),
    ("image_encoder", "image_encoder.trunk.", "vision_encoder.backbone."),
    ("image_encoder", "image_encoder.", "vision_encoder."),
    ("mask_decoder.transformer.layers", ".mlp.lin1", ".mlp.proj_in"),
    ("mask_decoder.transformer.layers", ".mlp.lin2", ".mlp.proj_out"),
    ("no_mem_embed", "no_mem_embed", "no_memory_embedding"),
];

/// What both Hugging Face models do to the prompt encoder and the decoder.
const HUGGING_FACE: Rules = &[
    (
        "prompt_encoder.pe_layer",
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
        "shared_image_embedding.positional_embedding",
    ),
    ("prompt_encoder", ".point_embeddings.", ".point_embed."),
    ("prompt_encoder", ".mask_downscaling.0.", ".mask_embed.conv1."),
    ("prompt_encoder", ".mask_downscaling.1.", ".mask_embed.layer_norm1."),
    ("prompt_encoder", ".mask_downscaling.3.", ".mask_embed.conv2."),
    ("prompt_encoder", ".mask_downscaling.4.", ".mask_embed.layer_norm2."),
    ("prompt_encoder", ".mask_downscaling.6.", ".mask_embed.conv3."),
    ("mask_decoder.output_upscaling", ".output_upscaling.0.", ".upscale_conv1."),
    ("mask_decoder.output_upscaling", ".output_upscaling.1.", ".upscale_layer_norm."),
    ("mask_decoder.output_upscaling", ".output_upscaling.3.", ".upscale_conv2."),
    ("mask_decoder.transformer", ".norm", ".layer_norm"),
    ("mask_decoder.output_hypernetworks_mlps", ".layers.0.", ".proj_in."),
    ("mask_decoder.output_hypernetworks_mlps", ".layers.2.", ".proj_out."),
    ("mask_decoder.output_hypernetworks_mlps", ".layers.1.", ".layers.0."),
    ("mask_decoder.iou_prediction_head", ".layers.0.", ".proj_in."),
    ("mask_decoder.iou_prediction_head", ".layers.2.", ".proj_out."),
    ("mask_decoder.iou_prediction_head", ".layers.1.", ".layers.0."),
    ("mask_decoder.pred_obj_score_head", ".layers.0.", ".proj_in."),
    ("mask_decoder.pred_obj_score_head", ".layers.2.", ".proj_out."),
    ("mask_decoder.pred_obj_score_head", ".layers.1.", ".layers.0."),
];

/// Applies the rules for `name` in their order, each once.
fn replaced(name: &str, tables: &[Rules]) -> String {
    let mut stored = name.to_owned();
    for (start, from, to) in tables.iter().copied().flatten() {
        if name.starts_with(start) {
            stored = stored.replacen(from, to, 1);
        }
    }
    stored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_by_its_patch_embedding() {
        let naming = |name: &'static str| Naming::of(move |other| other == name);
        assert_eq!(naming("image_encoder.patch_embed.seq.0.c.weight"), Some(Naming::Sam));
        assert_eq!(naming("image_encoder.trunk.patch_embed.proj.weight"), Some(Naming::Sam2));
        assert_eq!(naming("text_model.embeddings.weight"), None);
    }

    #[test]
    fn names_become_those_of_the_file() {
        let table = [
            (Naming::Sam2, "mask_decoder.transformer.layers.1.mlp.lin2.bias", "sam_mask_decoder.transformer.layers.1.mlp.layers.1.bias"),
            (Naming::Sam2, "image_encoder.neck.convs.3.conv.bias", "image_encoder.neck.convs.3.conv.bias"),
            (Naming::Sam2HuggingFace, "image_encoder.neck.convs.3.conv.bias", "vision_encoder.neck.convs.3.bias"),
            (
                Naming::Sam2HuggingFace,
                "image_encoder.trunk.blocks.11.mlp.layers.1.bias",
                "vision_encoder.backbone.blocks.11.mlp.proj_out.bias",
            ),
            (Naming::SamHuggingFace, "image_encoder.blocks.2.norm1.weight", "vision_encoder.layers.2.layer_norm1.weight"),
            (Naming::SamHuggingFace, "image_encoder.neck.3.bias", "vision_encoder.neck.layer_norm2.bias"),
            (Naming::SamHuggingFace, "mask_decoder.iou_prediction_head.layers.1.bias", "mask_decoder.iou_prediction_head.layers.0.bias"),
            (
                Naming::SamHuggingFace,
                "mask_decoder.transformer.norm_final_attn.weight",
                "mask_decoder.transformer.layer_norm_final_attn.weight",
            ),
        ];
        for (naming, asked, stored) in table {
            assert_eq!(naming.stored(asked), stored);
        }
    }
}
