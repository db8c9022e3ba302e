//! The blocks that YOLOv8 and YOLO11 are built of, written from their architecture. Each is a convolution's worth of glue: concatenation
//! and residuals happen inside the convolutions. Imports `infer::{error, ops}`.

use candle_core::Tensor;
use candle_nn::VarBuilder;

use crate::infer::{
    InferError, Result,
    ops::{self, Activation, Backend, Conv, ConvShape, Map},
};

/// Builds convolutions with the conventions of one network.
#[derive(Debug, Clone, Copy)]
pub(super) struct Builder {
    pub(super) epsilon: f64,
    pub(super) backend: Backend,
}

impl Builder {
    /// Convolution, batch norm, SiLU.
    pub(super) fn conv(&self, vb: &VarBuilder, inputs: usize, outputs: usize, kernel: usize, stride: usize) -> Result<Conv> {
        Conv::load_normed(vb, ConvShape::same(inputs, outputs, kernel, stride), Activation::Silu, self.epsilon, self.backend)
    }

    /// Convolution of 1 × 1 and batch norm.
    fn linear(&self, vb: &VarBuilder, inputs: usize, outputs: usize) -> Result<Conv> {
        Conv::load_normed(vb, ConvShape::same(inputs, outputs, 1, 1), Activation::None, self.epsilon, self.backend)
    }

    /// Depthwise convolution of 3 × 3, batch norm, and `activation`.
    pub(super) fn depthwise(&self, vb: &VarBuilder, channels: usize, activation: Activation) -> Result<Conv> {
        Conv::load_normed(vb, ConvShape::depthwise(channels, 3, 1), activation, self.epsilon, self.backend)
    }

    /// Convolution of 1 × 1 with a bias: the last of a branch.
    pub(super) fn last(&self, vb: &VarBuilder, inputs: usize, outputs: usize) -> Result<Conv> {
        Conv::load_plain(vb, ConvShape::same(inputs, outputs, 1, 1), Activation::None, self.backend)
    }
}

/// Two convolutions of 3 × 3, perhaps with a shortcut around them.
#[derive(Debug, Clone)]
struct Bottleneck {
    cv1: Conv,
    cv2: Conv,
    shortcut: bool,
}

impl Bottleneck {
    fn load(vb: &VarBuilder, builder: Builder, channels: usize, hidden: usize, shortcut: bool) -> Result<Self> {
        let cv1 = builder.conv(&vb.pp("cv1"), channels, hidden, 3, 1)?;
        Ok(Self { cv1, cv2: builder.conv(&vb.pp("cv2"), hidden, channels, 3, 1)?, shortcut })
    }

    fn forward(&self, x: &Map) -> Result<Map> {
        self.cv2.forward(&[&self.cv1.forward(&[x], None)?], self.shortcut.then_some(x))
    }
}

/// Two ways of 1 × 1, one of them through bottlenecks, joined by a third (C3k).
#[derive(Debug, Clone)]
struct Nested {
    cv1: Conv,
    cv2: Conv,
    cv3: Conv,
    bottlenecks: Vec<Bottleneck>,
}

impl Nested {
    fn load(vb: &VarBuilder, builder: Builder, channels: usize) -> Result<Self> {
        let hidden = channels / 2;
        let bottleneck = |i: usize| Bottleneck::load(&vb.pp(format!("m.{i}")), builder, hidden, hidden, true);
        Ok(Self {
            cv1: builder.conv(&vb.pp("cv1"), channels, hidden, 1, 1)?,
            cv2: builder.conv(&vb.pp("cv2"), channels, hidden, 1, 1)?,
            cv3: builder.conv(&vb.pp("cv3"), 2 * hidden, channels, 1, 1)?,
            bottlenecks: (0..2).map(bottleneck).collect::<Result<_>>()?,
        })
    }

    fn forward(&self, x: &Map) -> Result<Map> {
        let mut deep = self.cv1.forward(&[x], None)?;
        for bottleneck in &self.bottlenecks {
            deep = bottleneck.forward(&deep)?;
        }
        self.cv3.forward(&[&deep, &self.cv2.forward(&[x], None)?], None)
    }
}

#[derive(Debug, Clone)]
enum Step {
    Bottleneck(Bottleneck),
    Nested(Nested),
}

/// What a split block's steps are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Steps {
    /// Bottlenecks as wide inside as outside (C2f of YOLOv8), with or without shortcuts.
    Wide { shortcut: bool },
    /// Bottlenecks half as wide inside, with shortcuts (C3k2 of YOLO11).
    Narrow,
    /// Nested blocks (C3k2 of YOLO11 with C3k).
    Nested,
}

/// One convolution split in two halves; steps go on from the second; all that came up is joined (C2f, C3k2).
#[derive(Debug, Clone)]
pub(super) struct Split {
    hidden: usize,
    cv1: Conv,
    steps: Vec<Step>,
    cv2: Conv,
}

impl Split {
    /// `hidden`: the channels of one half.
    pub(super) fn load(
        vb: &VarBuilder,
        builder: Builder,
        (inputs, hidden, outputs): (usize, usize, usize),
        repeats: usize,
        steps: Steps,
    ) -> Result<Self> {
        let step = |i: usize| {
            let vb = vb.pp(format!("m.{i}"));
            Ok(match steps {
                Steps::Wide { shortcut } => Step::Bottleneck(Bottleneck::load(&vb, builder, hidden, hidden, shortcut)?),
                Steps::Narrow => Step::Bottleneck(Bottleneck::load(&vb, builder, hidden, hidden / 2, true)?),
                Steps::Nested => Step::Nested(Nested::load(&vb, builder, hidden)?),
            })
        };
        Ok(Self {
            hidden,
            cv1: builder.conv(&vb.pp("cv1"), inputs, 2 * hidden, 1, 1)?,
            steps: (0..repeats).map(step).collect::<Result<_>>()?,
            cv2: builder.conv(&vb.pp("cv2"), (2 + repeats) * hidden, outputs, 1, 1)?,
        })
    }

    /// Takes several maps as one after another in channels.
    pub(super) fn forward(&self, inputs: &[&Map]) -> Result<Map> {
        let both = self.cv1.forward(inputs, None)?;
        let mut came_up = vec![both.clone()];
        let mut last = both.channels(self.hidden, self.hidden)?;
        for step in &self.steps {
            last = match step {
                Step::Bottleneck(step) => step.forward(&last)?,
                Step::Nested(step) => step.forward(&last)?,
            };
            came_up.push(last.clone());
        }
        self.cv2.forward(&came_up.iter().collect::<Vec<_>>(), None)
    }
}

/// Three pools of 5 × 5 one after another, joined with what went in (SPPF).
#[derive(Debug, Clone)]
pub(super) struct Pools {
    cv1: Conv,
    cv2: Conv,
}

impl Pools {
    pub(super) fn load(vb: &VarBuilder, builder: Builder, channels: usize) -> Result<Self> {
        let hidden = channels / 2;
        let cv1 = builder.conv(&vb.pp("cv1"), channels, hidden, 1, 1)?;
        Ok(Self { cv1, cv2: builder.conv(&vb.pp("cv2"), 4 * hidden, channels, 1, 1)? })
    }

    pub(super) fn forward(&self, x: &Map) -> Result<Map> {
        let x = self.cv1.forward(&[x], None)?;
        let once = ops::max_pool_same(&x, 5)?;
        let twice = ops::max_pool_same(&once, 5)?;
        let thrice = ops::max_pool_same(&twice, 5)?;
        self.cv2.forward(&[&x, &once, &twice, &thrice], None)
    }
}

/// Attention over all pixels, with a depthwise convolution of the values as the encoding of positions.
#[derive(Debug, Clone)]
struct Attention {
    heads: usize,
    head: usize,
    key: usize,
    backend: Backend,
    qkv: Conv,
    proj: Conv,
    pe: Conv,
}

impl Attention {
    fn load(vb: &VarBuilder, builder: Builder, channels: usize) -> Result<Self> {
        let heads = (channels / 64).max(1);
        let head = channels / heads;
        let key = head / 2;
        Ok(Self {
            heads,
            head,
            key,
            backend: builder.backend,
            qkv: builder.linear(&vb.pp("qkv"), channels, channels + 2 * key * heads)?,
            proj: builder.linear(&vb.pp("proj"), channels, channels)?,
            pe: builder.depthwise(&vb.pp("pe"), channels, Activation::None)?,
        })
    }

    /// `x` + what it attends to.
    fn forward(&self, x: &Map) -> Result<Map> {
        let Self { heads, head, key, .. } = *self;
        let qkv = self.qkv.forward(&[x], None)?.to_tensor()?;
        let (batch, _, height, width) = qkv.dims4()?;
        let pixels = height * width;
        // (batch, heads, 2 * key + head, pixels): the queries, keys and values of a head are neighbours
        let qkv = qkv.reshape((batch, heads, 2 * key + head, pixels))?;
        let part = |first: usize, count: usize| -> Result<Tensor> { Ok(qkv.narrow(2, first, count)?.contiguous()?) };
        let (queries, keys, values) = (part(0, key)?, part(key, key)?, part(2 * key, head)?);
        // (batch, heads, pixels, key) × (…, key, pixels) → one line of weights for each pixel that asks
        let weights = ops::transposed(&(queries * (key as f64).powf(-0.5))?)?.matmul(&keys)?;
        let weights = ops::softmax_last(&weights)?;
        // (…, head, pixels) × (…, pixels asked, pixels that ask)
        let mixed = values.matmul(&ops::transposed(&weights)?)?.reshape((batch, heads * head, height, width))?;
        let values = Map::from_tensor(&values.reshape((batch, heads * head, height, width))?, self.backend)?;
        let sum = self.pe.forward(&[&values], Some(&Map::from_tensor(&mixed, self.backend)?))?;
        self.proj.forward(&[&sum], Some(x))
    }
}

/// Attention, then two convolutions of 1 × 1, each with a shortcut (PSABlock).
#[derive(Debug, Clone)]
struct AttentionStep {
    attention: Attention,
    widen: Conv,
    narrow: Conv,
}

/// One convolution split in two halves, the second through attention, joined again (C2PSA).
#[derive(Debug, Clone)]
pub(super) struct SplitAttention {
    hidden: usize,
    cv1: Conv,
    steps: Vec<AttentionStep>,
    cv2: Conv,
}

impl SplitAttention {
    pub(super) fn load(vb: &VarBuilder, builder: Builder, channels: usize, repeats: usize) -> Result<Self> {
        let hidden = channels / 2;
        if hidden == 0 {
            return Err(InferError::BadInput("attention over no channels".into()));
        }
        let step = |i: usize| {
            let vb = vb.pp(format!("m.{i}"));
            Ok(AttentionStep {
                attention: Attention::load(&vb.pp("attn"), builder, hidden)?,
                widen: builder.conv(&vb.pp("ffn.0"), hidden, 2 * hidden, 1, 1)?,
                narrow: builder.linear(&vb.pp("ffn.1"), 2 * hidden, hidden)?,
            })
        };
        Ok(Self {
            hidden,
            cv1: builder.conv(&vb.pp("cv1"), channels, 2 * hidden, 1, 1)?,
            steps: (0..repeats).map(step).collect::<Result<_>>()?,
            cv2: builder.conv(&vb.pp("cv2"), 2 * hidden, channels, 1, 1)?,
        })
    }

    pub(super) fn forward(&self, x: &Map) -> Result<Map> {
        let both = self.cv1.forward(&[x], None)?;
        let kept = both.channels(0, self.hidden)?;
        let mut last = both.channels(self.hidden, self.hidden)?;
        for step in &self.steps {
            last = step.attention.forward(&last)?;
            last = step.narrow.forward(&[&step.widen.forward(&[&last], None)?], Some(&last))?;
        }
        self.cv2.forward(&[&kept, &last], None)
    }
}
