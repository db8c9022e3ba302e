//! Masks by pointing: SAM, MobileSAM, SAM 2 and SAM 2.1 on single images. An image is embedded once; then points, boxes and an
//! earlier mask give masks within a fraction of a second each.
//!
//! [`Predictor`] is what a caller wants: photographs in, run-length masks out, everything in px of the upright image.
//! [`SamNetwork`] below it speaks tensors in the frame of the network's input, channels last.
//!
//! ```text
//! predictor.rs    photograph → input → features (kept) → prompts → logits → masks
//! transform.rs    resize as each reference does, and coordinates there and back
//! logits.rs       low logits → mask at the image's size, holes, stability
//! mask_prompt.rs  mask → low logits, to go on from it
//! network.rs      one of the four encoders, the prompt encoder, the decoder
//! config.rs       sizes by name, or by the tensors of a file
//! names.rs        how checkpoints call their tensors
//! vit.rs tiny_vit.rs ../sam2   encoders
//! prompt.rs decoder.rs         shared by all
//! layers.rs kernels.rs         what they are made of, and how it runs on a CPU
//! ```

mod config;
mod decoder;
mod kernels;
pub(crate) mod layers;
mod logits;
mod mask_prompt;
mod names;
mod network;
mod predictor;
mod prompt;
mod tiny_vit;
mod transform;
mod vit;

pub use config::{EncoderConfig, SamConfig};
pub use decoder::{Decoded, DecoderConfig, FineMaps, MaskDecoder};
pub use names::Naming;
pub use network::{Features, SamNetwork};
pub use predictor::{ImageEmbedding, MaskChoice, PredictedMask, Predictor, PromptPoint, Prompts};
pub use prompt::{InputPoint, PointLabel, PromptEncoder};
pub use tiny_vit::{TinyViT, TinyVitConfig};
pub use transform::Transform;
pub use vit::{Vit, VitConfig};
