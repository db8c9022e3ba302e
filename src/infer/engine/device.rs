//! What networks run on. Apart, because it alone says what a machine or a build lacks, and how to mend it.

use candle_core::{
    Device, DeviceLocation,
    utils::{cuda_is_available, metal_is_available},
};

use crate::infer::{InferError, Result, error::plain};

/// The CPU, or the first GPU: CUDA's where this program was built for it, else Metal's.
///
/// # Errors
/// [`InferError::Refused`] when a GPU is asked for and this program was built without, or none answers; it says how to mend that.
pub fn device(gpu: bool) -> Result<Device> {
    if !gpu {
        return Ok(Device::Cpu);
    }
    let none = |what: &str, error: candle_core::Error, hint: &str| {
        InferError::Refused(format!("no GPU answers to {what}: {}\nhint: {hint}", plain(&error)))
    };
    if cuda_is_available() {
        let hint = "`nvidia-smi` has to list one, and the loader has to find cuBLAS and cuRAND (see \"NVIDIA cards\" in README.md); install \
                    NVIDIA's driver, or run without --gpu";
        return Device::new_cuda(0).map_err(|error| none("CUDA", error, hint));
    }
    if metal_is_available() {
        return Device::new_metal(0).map_err(|error| none("Metal", error, "run without --gpu"));
    }
    Err(InferError::Refused(
        "this hm was built without support for a GPU\n\
         hint: build it with `make cuda` (NVIDIA) or `cargo build --release --features metal` (a Mac), or run without --gpu"
            .into(),
    ))
}

/// What people call a device: `CPU`, `CUDA 0`, `Metal 0`.
pub fn device_name(device: &Device) -> String {
    match device.location() {
        DeviceLocation::Cpu => "CPU".into(),
        DeviceLocation::Cuda { gpu_id } => format!("CUDA {gpu_id}"),
        DeviceLocation::Metal { gpu_id } => format!("Metal {gpu_id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there() {
        assert_eq!(device_name(&device(false).unwrap()), "CPU");
    }

    #[test]
    fn a_gpu_that_cannot_be_had_is_told_with_the_way_out() {
        if let Err(error) = device(true) {
            let text = error.to_string();
            assert!(text.contains("GPU") && text.contains("\nhint: ") && text.contains("without --gpu"), "{text}");
            let is_built_for_one = cfg!(any(feature = "cuda", feature = "metal"));
            assert_eq!(text.contains("make cuda") && text.contains("--features metal"), !is_built_for_one, "{text}");
        }
    }
}
