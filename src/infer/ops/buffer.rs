//! Memory for feature maps that is used again: a fresh allocation of megabytes costs a page fault every 4 KiB, and clearing an old one
//! costs a pass over it, both on one thread. Imports nothing of ours.

use std::sync::Mutex;

/// What may lie idle, in floats (256 MiB).
const IDLE_FLOATS: usize = 64 << 20;

static IDLE: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// Floats with unspecified content; goes back to the pile when dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    data: Vec<f32>,
    len: usize,
}

impl Buffer {
    /// `len` floats, whatever was last in them: the caller writes every one.
    pub(super) fn take(len: usize) -> Self {
        if let Ok(mut idle) = IDLE.lock() {
            let fits = |data: &Vec<f32>| data.len() >= len && data.len() <= 2 * len + 1024;
            let best = (0..idle.len()).filter(|&i| fits(&idle[i])).min_by_key(|&i| idle[i].len());
            if let Some(best) = best {
                return Self { data: idle.swap_remove(best), len };
            }
        }
        Self { data: vec![0.0; len], len }
    }

    pub(super) fn floats(&self) -> &[f32] {
        &self.data[..self.len]
    }

    pub(super) fn floats_mut(&mut self) -> &mut [f32] {
        &mut self.data[..self.len]
    }
}

impl From<Vec<f32>> for Buffer {
    fn from(data: Vec<f32>) -> Self {
        let len = data.len();
        Self { data, len }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let data = std::mem::take(&mut self.data);
        if let Ok(mut idle) = IDLE.lock() {
            let lying: usize = idle.iter().map(Vec::len).sum();
            if lying + data.len() <= IDLE_FLOATS {
                idle.push(data);
            } else {
                // Rather the memory of now than that of another input size.
                idle.clear();
            }
        }
    }
}

/// Floats that begin on a cache line, so that no vector load straddles two.
#[derive(Debug, Clone)]
pub(super) struct Aligned {
    data: Vec<f32>,
    start: usize,
    len: usize,
}

impl Aligned {
    pub(super) fn zeros(len: usize) -> Self {
        let data = vec![0.0f32; len + 15];
        let start = (64 - data.as_ptr() as usize % 64) % 64 / size_of::<f32>();
        Self { data, start, len }
    }

    pub(super) fn floats(&self) -> &[f32] {
        &self.data[self.start..self.start + self.len]
    }

    pub(super) fn floats_mut(&mut self) -> &mut [f32] {
        &mut self.data[self.start..self.start + self.len]
    }
}
