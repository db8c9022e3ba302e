//! What the numbers of a tensor are stored as, in the words of each form of file. Apart, because three readers and a writer share it.

use candle_core::DType;

/// What the numbers of a tensor are stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// A byte; truth values are kept as such.
    U8,
    /// A signed byte.
    I8,
    /// Two bytes, signed.
    I16,
    /// Four bytes, signed.
    I32,
    /// Eight bytes, signed.
    I64,
    /// Four bytes, unsigned.
    U32,
    /// Half precision.
    F16,
    /// The upper half of an f32.
    Bf16,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
}

impl Element {
    /// How many bytes a number takes.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }

    /// What Candle calls it, if it knows it.
    pub fn dtype(self) -> Option<DType> {
        match self {
            Self::U8 => Some(DType::U8),
            Self::I8 => None,
            Self::I16 => Some(DType::I16),
            Self::I32 => Some(DType::I32),
            Self::I64 => Some(DType::I64),
            Self::U32 => Some(DType::U32),
            Self::F16 => Some(DType::F16),
            Self::Bf16 => Some(DType::BF16),
            Self::F32 => Some(DType::F32),
            Self::F64 => Some(DType::F64),
        }
    }

    /// The one that Candle calls so, if files have it.
    pub(super) fn of_dtype(dtype: DType) -> Option<Self> {
        [Self::U8, Self::I16, Self::I32, Self::I64, Self::U32, Self::F16, Self::Bf16, Self::F32, Self::F64]
            .into_iter()
            .find(|element| element.dtype() == Some(dtype))
    }

    /// The one that safetensors calls so.
    pub(super) fn of_safetensors(name: &str) -> Option<Self> {
        match name {
            "U8" | "BOOL" => Some(Self::U8),
            "I8" => Some(Self::I8),
            "I16" => Some(Self::I16),
            "I32" => Some(Self::I32),
            "I64" => Some(Self::I64),
            "U32" => Some(Self::U32),
            "F16" => Some(Self::F16),
            "BF16" => Some(Self::Bf16),
            "F32" => Some(Self::F32),
            "F64" => Some(Self::F64),
            _ => None,
        }
    }

    /// What safetensors calls it.
    pub(super) fn safetensors(self) -> &'static str {
        match self {
            Self::U8 => "U8",
            Self::I8 => "I8",
            Self::I16 => "I16",
            Self::I32 => "I32",
            Self::I64 => "I64",
            Self::U32 => "U32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::F32 => "F32",
            Self::F64 => "F64",
        }
    }

    /// The one that PyTorch's storage class or dtype of that name holds.
    pub(super) fn of_torch(name: &str) -> Option<Self> {
        match name {
            "ByteStorage" | "BoolStorage" | "uint8" | "bool" => Some(Self::U8),
            "CharStorage" | "int8" => Some(Self::I8),
            "ShortStorage" | "int16" => Some(Self::I16),
            "IntStorage" | "int32" => Some(Self::I32),
            "LongStorage" | "int64" => Some(Self::I64),
            "HalfStorage" | "float16" => Some(Self::F16),
            "BFloat16Storage" | "bfloat16" => Some(Self::Bf16),
            "FloatStorage" | "float32" => Some(Self::F32),
            "DoubleStorage" | "float64" => Some(Self::F64),
            _ => None,
        }
    }
}
