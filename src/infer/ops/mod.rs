//! Operations that the networks share: our own on the CPU (vectors, threads, fused passes), Candle's on every other device.
//!
//! Candle's CPU convolution copies every input twice and runs its bias and activation as passes of their own, and its elementwise
//! operations use one thread and no vectors: four to seven times slower than other engines. These operations are its replacement, in safe
//! code. Two interfaces:
//!
//! - on tensors, for transformers: `Linear`, `softmax_last`, `layer_norm`, `Activation::apply`, `transposed`, `Conv::forward_last`;
//! - on `Map`s, for convolutional networks: `Conv`, `Doubling`, `max_pool_same`. A `Map` is channels last on the CPU.
//!
//! May import `infer::error`, nothing else of ours.

mod activation;
mod buffer;
mod conv;
mod depthwise;
mod doubling;
mod gemm;
mod host;
mod linear;
mod map;
mod norm;
mod pool;
mod scalar;
mod simd;
mod softmax;
mod taps;
#[cfg(test)]
mod tests;
mod transpose;

pub use activation::Activation;
pub use conv::{Conv, ConvShape};
pub use doubling::Doubling;
pub use linear::Linear;
pub use map::{Backend, Map};
pub use norm::{layer_norm, layer_norm_then};
pub use pool::max_pool_same;
pub(crate) use scalar::exp;
pub use softmax::softmax_last;
pub use transpose::transposed;
