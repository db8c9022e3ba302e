//! Operations that the networks share: our own on the CPU (vectors, threads, fused passes), Candle's on every other device.
//!
//! Candle's CPU convolution copies every input twice and runs its bias and activation as passes of their own, and its elementwise
//! operations use one thread and no vectors: four to seven times slower than other engines. These operations are its replacement, in safe
//! code. Two interfaces:
//!
//! - on tensors, for transformers: `Linear`, `softmax_last`, `layer_norm`, `Activation::apply`, `transposed`;
//! - on `Map`s, for convolutional networks: `Conv`, `Doubling`, `max_pool_same`. A `Map` is channels last on the CPU.
//!
//! May import `infer::error`, nothing else of ours.

mod activation;
mod buffer;
mod conv;
mod gemm;
mod host;
mod linear;
mod map;
mod norm;
mod pool;
mod simd;
mod softmax;
#[cfg(test)]
mod tests;
mod transpose;

pub use activation::Activation;
pub use conv::{Conv, ConvShape, Doubling};
pub use linear::Linear;
pub use map::{Backend, Map};
pub use norm::layer_norm;
pub use pool::max_pool_same;
pub use softmax::softmax_last;
pub use transpose::transposed;
