//! A feature map between two convolutions: channels last on the CPU, where our own operations run; as Candle has it on other devices.
//! Apart, so that a network is written once for both. Imports `infer::error`.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::{buffer::Buffer, gemm::Rows, host};
use crate::infer::{InferError, Result};

/// Who computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// Our own operations: CPU, f32.
    Own,
    /// Candle's operations, on any device: what `Own` is tested against.
    Stock,
}

impl Backend {
    /// Our own for f32 on the CPU, Candle's for everything else.
    pub fn of(device: &Device, dtype: DType) -> Self {
        if device.is_cpu() && dtype == DType::F32 { Self::Own } else { Self::Stock }
    }
}

impl Backend {
    /// How many images go through a network at a time: where few threads share them, more at a time only fall out of the caches.
    pub fn images_at_once(self) -> usize {
        match self {
            Self::Own => (rayon::current_num_threads() / 2).max(1),
            Self::Stock => usize::MAX,
        }
    }
}

pub(super) fn own(map: &Map) -> Result<&Own> {
    match &map.0 {
        Store::Own(own) => Ok(own),
        Store::Stock(_) => Err(InferError::BadInput("a map of candle's given to our own operation".into())),
    }
}

pub(super) fn stock(map: &Map) -> Result<&Tensor> {
    match &map.0 {
        Store::Stock(x) => Ok(x),
        Store::Own(_) => Err(InferError::BadInput("a map of our own given to candle's operation".into())),
    }
}

/// A batch of feature maps of one size.
#[derive(Debug, Clone)]
pub struct Map(pub(super) Store);

#[derive(Debug, Clone)]
pub(super) enum Store {
    Own(Own),
    /// (batch, channels, height, width).
    Stock(Tensor),
}

/// (batch, height, width, channels) f32, or some neighbouring channels of it.
#[derive(Debug, Clone)]
pub(super) struct Own {
    pub(super) buffer: Arc<Buffer>,
    pub(super) batch: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    /// The first channel within the buffer's `pitch` channels.
    pub(super) first: usize,
    pub(super) pitch: usize,
}

impl Own {
    pub(super) fn whole(buffer: Buffer, batch: usize, height: usize, width: usize, channels: usize) -> Self {
        Self { buffer: Arc::new(buffer), batch, height, width, channels, first: 0, pitch: channels }
    }

    pub(super) fn pixels(&self) -> usize {
        self.batch * self.height * self.width
    }

    pub(super) fn rows(&self) -> Rows<'_> {
        self.view().rows()
    }

    /// Copies whole lines, from pixel `first` on, on all threads.
    fn copy_lines(&self, first: usize, to: &mut [f32]) {
        let rows = self.rows();
        to.par_chunks_mut(self.width * self.channels).enumerate().for_each(|(line, to)| {
            let first = first + line * self.width;
            if self.pitch == self.channels {
                to.copy_from_slice(&rows.data[first * self.channels..][..to.len()]);
                return;
            }
            for (x, to) in to.chunks_exact_mut(self.channels).enumerate() {
                to.copy_from_slice(rows.get(first + x));
            }
        });
    }

    pub(super) fn view(&self) -> View<'_> {
        let Self { batch, height, width, channels, first, pitch, .. } = *self;
        View { data: self.buffer.floats(), batch, height, width, channels, first, pitch }
    }
}

/// Feature maps where they lie, channels last: those of a [`Map`], or of a tensor.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) data: &'a [f32],
    pub(super) batch: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    /// The first channel within `pitch` channels.
    pub(super) first: usize,
    pub(super) pitch: usize,
}

impl<'a> View<'a> {
    pub(super) fn rows(&self) -> Rows<'a> {
        Rows { data: self.data, first: self.first, pitch: self.pitch, width: self.channels }
    }
}

impl Map {
    /// Takes (batch, channels, height, width) f32.
    ///
    /// # Errors
    /// `Candle` for another rank or dtype.
    pub fn from_tensor(x: &Tensor, backend: Backend) -> Result<Self> {
        let (batch, channels, height, width) = x.dims4()?;
        if backend == Backend::Stock {
            return Ok(Self(Store::Stock(x.clone())));
        }
        // (batch, channels, pixels) → (batch, pixels, channels)
        let floats = x.flatten_all()?.to_vec1::<f32>()?;
        let pixels = height * width;
        let mut buffer = Buffer::take(floats.len());
        buffer.floats_mut().par_chunks_mut(channels).enumerate().for_each(|(pixel, to)| {
            let from = pixel / pixels * channels * pixels + pixel % pixels;
            for (channel, to) in to.iter_mut().enumerate() {
                *to = floats[from + channel * pixels];
            }
        });
        Ok(Self(Store::Own(Own::whole(buffer, batch, height, width, channels))))
    }

    /// Takes values in the order (batch, height, width, channels), as pixels lie in memory, onto `device`.
    ///
    /// # Errors
    /// `BadInput` when there are not as many values as the shape says.
    pub fn from_pixels(values: Vec<f32>, shape: (usize, usize, usize, usize), device: &Device, backend: Backend) -> Result<Self> {
        let (batch, height, width, channels) = shape;
        if values.len() != batch * height * width * channels {
            return Err(InferError::BadInput(format!("{} values are not a map of {shape:?}", values.len())));
        }
        Ok(Self(match backend {
            Backend::Own => Store::Own(Own::whole(values.into(), batch, height, width, channels)),
            // (batch, height, width, channels) → (batch, channels, height, width)
            Backend::Stock => Store::Stock(Tensor::from_vec(values, shape, device)?.permute((0, 3, 1, 2))?.contiguous()?),
        }))
    }

    /// Takes (batch, height, width, channels).
    ///
    /// # Errors
    /// `Candle` for another rank or dtype.
    pub fn from_last(x: &Tensor, backend: Backend) -> Result<Self> {
        let (batch, height, width, channels) = x.dims4()?;
        if backend == Backend::Stock {
            // (batch, height, width, channels) → (batch, channels, height, width)
            return Ok(Self(Store::Stock(x.permute((0, 3, 1, 2))?.contiguous()?)));
        }
        let mut buffer = Buffer::take(x.elem_count());
        host::with_values(x, |values| buffer.floats_mut().copy_from_slice(values))?;
        Ok(Self(Store::Own(Own::whole(buffer, batch, height, width, channels))))
    }

    /// (batch, height, width, channels), contiguous, on the device of the map.
    ///
    /// # Errors
    /// `Candle` when memory fails.
    pub fn to_last(&self) -> Result<Tensor> {
        match &self.0 {
            // (batch, channels, height, width) → (batch, height, width, channels)
            Store::Stock(x) => Ok(x.permute((0, 2, 3, 1))?.contiguous()?),
            Store::Own(own) => host::tensor(self.to_pixels()?, &[own.batch, own.height, own.width, own.channels]),
        }
    }

    /// (batch, channels, height, width), contiguous, on the device of the map.
    ///
    /// # Errors
    /// `Candle` when memory fails.
    pub fn to_tensor(&self) -> Result<Tensor> {
        match &self.0 {
            Store::Stock(x) => Ok(x.clone()),
            Store::Own(own) => {
                let pixels = own.height * own.width;
                let mut values = vec![0.0f32; own.pixels() * own.channels];
                let rows = own.rows();
                values.par_chunks_mut(pixels).enumerate().for_each(|(plane, to)| {
                    let (image, channel) = (plane / own.channels, plane % own.channels);
                    let at = image * pixels * rows.pitch + rows.first + channel;
                    for (to, from) in to.iter_mut().zip(rows.data[at..].iter().step_by(rows.pitch)) {
                        *to = *from;
                    }
                });
                Ok(Tensor::from_vec(values, (own.batch, own.channels, own.height, own.width), &Device::Cpu)?)
            }
        }
    }

    /// The values in the order (batch, height, width, channels), on the host.
    ///
    /// # Errors
    /// `Candle` when the copy from the device fails.
    pub fn to_pixels(&self) -> Result<Vec<f32>> {
        match &self.0 {
            Store::Stock(x) => Ok(x.permute((0, 2, 3, 1))?.flatten_all()?.to_dtype(candle_core::DType::F32)?.to_vec1()?),
            Store::Own(own) => {
                if own.pitch == own.channels {
                    return Ok(own.buffer.floats().to_vec());
                }
                let rows = own.rows();
                let mut values = Vec::with_capacity(own.pixels() * own.channels);
                for pixel in 0..own.pixels() {
                    values.extend_from_slice(rows.get(pixel));
                }
                Ok(values)
            }
        }
    }

    /// (batch, channels, height, width).
    ///
    /// # Errors
    /// `Candle` when the map has another rank.
    pub fn dims(&self) -> Result<(usize, usize, usize, usize)> {
        match &self.0 {
            Store::Stock(x) => Ok(x.dims4()?),
            Store::Own(own) => Ok((own.batch, own.channels, own.height, own.width)),
        }
    }

    /// Channels `first..first + count`: a view, nothing is copied.
    ///
    /// # Errors
    /// `BadInput` when the map has fewer.
    pub fn channels(&self, first: usize, count: usize) -> Result<Self> {
        let (_, channels, ..) = self.dims()?;
        if first + count > channels {
            return Err(InferError::BadInput(format!("channels {first}..{} of a map that has {channels}", first + count)));
        }
        Ok(Self(match &self.0 {
            Store::Stock(x) => Store::Stock(x.narrow(1, first, count)?),
            Store::Own(own) => Store::Own(Own { first: own.first + first, channels: count, ..own.clone() }),
        }))
    }

    /// Images `first..first + count` of the batch; a copy on the CPU.
    ///
    /// # Errors
    /// `BadInput` when the map has fewer, `Candle` when memory fails.
    pub fn images(&self, first: usize, count: usize) -> Result<Self> {
        let (batch, ..) = self.dims()?;
        if first + count > batch {
            return Err(InferError::BadInput(format!("images {first}..{} of a batch of {batch}", first + count)));
        }
        Ok(Self(match &self.0 {
            Store::Stock(x) => Store::Stock(x.narrow(0, first, count)?),
            Store::Own(own) => {
                let pixels = own.height * own.width;
                let mut buffer = Buffer::take(count * pixels * own.channels);
                own.copy_lines(first * pixels, buffer.floats_mut());
                Store::Own(Own::whole(buffer, count, own.height, own.width, own.channels))
            }
        }))
    }

    /// One batch of several, whose maps are of one size.
    ///
    /// # Errors
    /// `BadInput` when they differ or there are none, `Candle` when memory fails.
    pub fn joined(maps: &[Self]) -> Result<Self> {
        let Some(first) = maps.first() else {
            return Err(InferError::BadInput("a batch of nothing".into()));
        };
        if let Store::Stock(_) = first.0 {
            let maps = maps.iter().map(stock).collect::<Result<Vec<_>>>()?;
            return Ok(Self(Store::Stock(Tensor::cat(&maps, 0)?)));
        }
        let (_, channels, height, width) = first.dims()?;
        let maps = maps.iter().map(own).collect::<Result<Vec<_>>>()?;
        if maps.iter().any(|map| (map.channels, map.height, map.width) != (channels, height, width)) {
            return Err(InferError::BadInput("maps of different sizes in one batch".into()));
        }
        let batch = maps.iter().map(|map| map.batch).sum();
        let mut buffer = Buffer::take(batch * height * width * channels);
        let mut rest = buffer.floats_mut();
        for map in maps {
            let (to, others) = rest.split_at_mut(map.pixels() * channels);
            map.copy_lines(0, to);
            rest = others;
        }
        Ok(Self(Store::Own(Own::whole(buffer, batch, height, width, channels))))
    }

    /// Twice as high and wide, every pixel four times.
    ///
    /// # Errors
    /// `Candle` when memory fails.
    pub fn doubled(&self) -> Result<Self> {
        match &self.0 {
            Store::Stock(x) => {
                let (_, _, height, width) = x.dims4()?;
                Ok(Self(Store::Stock(x.upsample_nearest2d(2 * height, 2 * width)?)))
            }
            Store::Own(own) => {
                let (height, width, channels) = (2 * own.height, 2 * own.width, own.channels);
                let mut buffer = Buffer::take(4 * own.pixels() * channels);
                let rows = own.rows();
                buffer.floats_mut().par_chunks_mut(width * channels).enumerate().for_each(|(y, to)| {
                    for (x, to) in to.chunks_exact_mut(2 * channels).enumerate() {
                        let from = rows.get(y / 2 * own.width + x);
                        to[..channels].copy_from_slice(from);
                        to[channels..].copy_from_slice(from);
                    }
                });
                Ok(Self(Store::Own(Own::whole(buffer, own.batch, height, width, channels))))
            }
        }
    }
}
