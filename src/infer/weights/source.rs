//! Where the numbers of a tensor come from: a stretch of a file, or others rearranged. Apart, because renaming weights must not read them,
//! and some are stored joined, split or turned in one form and not in the other.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
    sync::Arc,
};

use candle_core::{Device, Tensor};

use super::{Element, MAX_DIMENSIONS, MAX_TENSOR_BYTES, bad, read_error};
use crate::infer::{InferError, Result};

/// Where the numbers of a tensor come from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// A stretch of a file.
    Stored(Stored),
    /// Made by the program.
    InMemory(Tensor),
    /// Some rows of another: `count` from `start` along the first axis.
    Rows { of: Box<Source>, start: usize, count: usize },
    /// `(a, b) → (b, a)`.
    Turned(Box<Source>),
    /// Several along the first axis.
    Joined(Vec<Source>),
}

/// A tensor in a file: checked to lie within it.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    /// The file.
    pub(super) file: Arc<PathBuf>,
    /// Where the first number lies, in bytes.
    pub(super) offset_bytes: u64,
    /// What its numbers are.
    pub(super) element: Element,
    /// Its shape.
    pub(super) shape: Vec<usize>,
    /// How many numbers to skip for the next along each axis; none where they lie in order.
    pub(super) strides: Option<Vec<usize>>,
}

impl Source {
    /// Its shape.
    pub(super) fn shape(&self) -> Vec<usize> {
        match self {
            Self::Stored(stored) => stored.shape.clone(),
            Self::InMemory(tensor) => tensor.dims().to_vec(),
            Self::Rows { of, count, .. } => {
                let mut shape = of.shape();
                if let Some(first) = shape.first_mut() {
                    *first = *count;
                }
                shape
            }
            Self::Turned(of) => of.shape().into_iter().rev().collect(),
            Self::Joined(parts) => {
                let mut shape = parts.first().map(Self::shape).unwrap_or_default();
                if let Some(first) = shape.first_mut() {
                    *first = parts.iter().map(|part| part.shape().first().copied().unwrap_or(0)).sum();
                }
                shape
            }
        }
    }

    /// What its numbers are stored as.
    pub(super) fn element(&self) -> Element {
        match self {
            Self::Stored(stored) => stored.element,
            Self::InMemory(tensor) => Element::of_dtype(tensor.dtype()).unwrap_or(Element::F32),
            Self::Rows { of, .. } | Self::Turned(of) => of.element(),
            Self::Joined(parts) => parts.first().map_or(Element::F32, Self::element),
        }
    }

    /// Reads it.
    pub(super) fn load(&self) -> Result<Tensor> {
        Ok(match self {
            Self::Stored(stored) => stored.load()?,
            Self::InMemory(tensor) => tensor.clone(),
            Self::Rows { of, start, count } => of.load()?.narrow(0, *start, *count)?.contiguous()?,
            Self::Turned(of) => of.load()?.t()?.contiguous()?,
            Self::Joined(parts) => Tensor::cat(&parts.iter().map(|part| part.load()).collect::<Result<Vec<_>>>()?, 0)?,
        })
    }
}

impl Stored {
    /// How many bytes a tensor of that shape has; none when the shape cannot be, or is larger than that of any network.
    pub(super) fn byte_count(element: Element, shape: &[usize]) -> Option<u64> {
        if shape.len() > MAX_DIMENSIONS {
            return None;
        }
        shape
            .iter()
            .try_fold(element.bytes() as u64, |bytes, &size| bytes.checked_mul(size as u64))
            .filter(|&bytes| bytes <= MAX_TENSOR_BYTES)
    }

    fn load(&self) -> Result<Tensor> {
        let path = self.file.as_path();
        let dtype = self.element.dtype().ok_or_else(|| bad(path, format!("numbers stored as {:?} are not read", self.element)))?;
        let numbers: usize = self.shape.iter().product();
        // With strides, the numbers lie within a stretch that is checked to be no longer than their storage.
        let span = match &self.strides {
            _ if numbers == 0 => 0,
            None => numbers,
            Some(strides) => 1 + self.shape.iter().zip(strides).map(|(size, stride)| (size - 1) * stride).sum::<usize>(),
        };
        let length = span * self.element.bytes();
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_| bad(path, format!("there is no memory for {length} bytes of it")))?;
        let mut file = File::open(path).map_err(|source| read_error(path, source))?;
        file.seek(SeekFrom::Start(self.offset_bytes)).map_err(|source| read_error(path, source))?;
        // `take` and not an exact read: the file may have been cut since it was opened.
        let read = file.take(length as u64).read_to_end(&mut bytes).map_err(|source| read_error(path, source))?;
        if read != length {
            return Err(bad(path, "it was cut short while it was being read"));
        }
        let bytes = match &self.strides {
            Some(strides) => gathered(&bytes, self.element.bytes(), &self.shape, strides),
            None => bytes,
        };
        Tensor::from_raw_buffer(&bytes, dtype, &self.shape, &Device::Cpu).map_err(InferError::from)
    }
}

/// The numbers of a strided tensor, in order.
fn gathered(bytes: &[u8], width: usize, shape: &[usize], strides: &[usize]) -> Vec<u8> {
    let numbers: usize = shape.iter().product();
    let mut out = Vec::with_capacity(numbers * width);
    let mut index = vec![0usize; shape.len()];
    for _ in 0..numbers {
        let at: usize = index.iter().zip(strides).map(|(index, stride)| index * stride).sum();
        out.extend_from_slice(&bytes[at * width..][..width]);
        for (index, &size) in index.iter_mut().zip(shape).rev() {
            *index += 1;
            if *index < size {
                break;
            }
            *index = 0;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strided_numbers_are_put_in_order() {
        // (2, 3) stored by columns.
        assert_eq!(gathered(&[1, 4, 2, 5, 3, 6], 1, &[2, 3], &[1, 2]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(gathered(&[1, 1, 2, 2], 2, &[2], &[1]), [1, 1, 2, 2]);
        assert_eq!(gathered(&[7], 1, &[], &[]), [7]);
    }

    #[test]
    fn shapes_that_cannot_be_have_no_size() {
        assert_eq!(Stored::byte_count(Element::F32, &[2, 3]), Some(24));
        assert_eq!(Stored::byte_count(Element::F32, &[]), Some(4));
        assert_eq!(Stored::byte_count(Element::F64, &[usize::MAX, 2]), None);
        assert_eq!(Stored::byte_count(Element::U8, &[1; 9]), None);
    }
}
