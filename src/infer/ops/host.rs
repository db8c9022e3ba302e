//! Between Candle's tensors on the CPU and plain vectors. Imports `infer::error`.

use candle_core::{CpuStorage, DType, Device, Storage, Tensor};

use super::{
    gemm::{Residual, Rows},
    map::Backend,
};
use crate::infer::Result;

/// Whether our own operations take this tensor.
pub(super) fn is_ours(x: &Tensor) -> bool {
    Backend::of(x.device(), x.dtype()) == Backend::Own
}

/// Runs `work` over the values, in the order of the dimensions, where they lie if they lie so.
pub(super) fn with_values<R>(x: &Tensor, work: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let x = x.contiguous()?;
    let (storage, layout) = x.storage_and_layout();
    if let (Storage::Cpu(CpuStorage::F32(values)), Some((first, last))) = (&*storage, layout.contiguous_offsets()) {
        return Ok(work(&values[first..last]));
    }
    drop(storage);
    let values = x.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
    Ok(work(&values))
}

/// Runs `work` with what is added before the activation to a product of `len` values, `width` a row.
///
/// # Errors
/// `BadInput` when there are not as many.
pub(super) fn with_residual<R>(
    residual: Option<&Tensor>,
    width: usize,
    len: usize,
    work: impl FnOnce(Option<Residual<'_>>) -> Result<R>,
) -> Result<R> {
    match residual {
        None => work(None),
        Some(residual) => {
            with_values(residual, |data| work(Some(Residual { rows: Rows::of_residual(data, width, len)?, is_activated: true })))?
        }
    }
}

/// A copy of the values.
pub(super) fn values(x: &Tensor) -> Result<Vec<f32>> {
    with_values(x, <[f32]>::to_vec)
}

/// A tensor on the CPU.
pub(super) fn tensor(values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}
