//! Every operation of our own against Candle's, on shapes and values from a seed.

use candle_core::{D, DType, Device, Tensor};
use proptest::prelude::*;

use super::*;

/// Values in -2..2 from a seed (xorshift).
fn tensor(shape: &[usize], seed: u64) -> Tensor {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 22) as f32 - 2.0
    };
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| next()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).expect("as many values as the shape says")
}

/// Within 1e-5 of the largest value: a sum's rounding grows with its parts, not with what they cancel to.
fn same(got: &Tensor, expected: &Tensor) {
    assert_eq!(got.dims(), expected.dims());
    let values = |x: &Tensor| x.flatten_all().and_then(|x| x.to_dtype(DType::F32)).and_then(|x| x.to_vec1::<f32>()).expect("floats");
    let (got, expected) = (values(got), values(expected));
    let scale = expected.iter().fold(1e-3f32, |most, value| most.max(value.abs()));
    for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
        assert!((got - expected).abs() <= 1e-5 * scale, "value {i} is {got}, not {expected}, of at most {scale}");
    }
}

fn activation() -> impl Strategy<Value = Activation> {
    prop::sample::select(vec![
        Activation::None,
        Activation::Silu,
        Activation::Gelu,
        Activation::QuickGelu,
        Activation::GeluTanh,
        Activation::Relu,
    ])
}

fn both(weight: &Tensor, bias: &Tensor, shape: ConvShape, activation: Activation) -> [(Backend, Conv); 2] {
    [Backend::Own, Backend::Stock].map(|backend| (backend, Conv::new(weight, bias, shape, activation, backend).expect("a convolution")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn convolutions_are_candles(
        batch in 1usize..3, inputs in 1usize..40, outputs in 1usize..150, height in 1usize..14, width in 1usize..30,
        kernel in prop::sample::select(vec![1usize, 2, 3, 5, 7]), stride in 1usize..3, activation in activation(),
        residual in any::<bool>(), view in any::<bool>(), seed in any::<u64>(),
    ) {
        let shape = ConvShape::same(inputs, outputs, kernel, stride);
        let weight = tensor(&[outputs, inputs, kernel, kernel], seed);
        let bias = tensor(&[outputs], seed ^ 1);
        // As channels 2.. of a wider map, the pixels are not neighbours in memory.
        let before = if view { 2 } else { 0 };
        let x = tensor(&[batch, before + inputs, height, width], seed ^ 2);
        let mut results = Vec::new();
        for (backend, conv) in both(&weight, &bias, shape, activation) {
            let x = Map::from_tensor(&x, backend).and_then(|x| x.channels(before, inputs)).expect("a map");
            let plain = conv.forward(&[&x], None).expect("runs");
            let (n, c, h, w) = plain.dims().expect("a map");
            let added = Map::from_tensor(&tensor(&[n, c, h, w], seed ^ 3), backend).expect("a map");
            let y = conv.forward(&[&x], residual.then_some(&added)).expect("runs");
            results.push(y.to_tensor().expect("a tensor"));
        }
        same(&results[0], &results[1]);
    }

    #[test]
    fn a_convolution_of_several_maps_is_that_of_their_concatenation(
        first in 1usize..40, second in 1usize..40, outputs in 1usize..100, side in 1usize..12, seed in any::<u64>(),
    ) {
        let weight = tensor(&[outputs, first + second, 1, 1], seed);
        let bias = tensor(&[outputs], seed ^ 1);
        let maps = [tensor(&[2, first, side, side], seed ^ 2), tensor(&[2, second, side, side], seed ^ 3)];
        let [own, stock] = both(&weight, &bias, ConvShape::same(first + second, outputs, 1, 1), Activation::Silu).map(|(backend, conv)| {
            let maps = maps.each_ref().map(|x| Map::from_tensor(x, backend).expect("a map"));
            conv.forward(&[&maps[0], &maps[1]], None).and_then(|y| y.to_tensor()).expect("runs")
        });
        same(&own, &stock);
    }

    #[test]
    fn depthwise_convolutions_are_candles(
        batch in 1usize..3, channels in 1usize..140, height in 1usize..12, width in 1usize..20,
        kernel in prop::sample::select(vec![3usize, 5]), stride in 1usize..3, activation in activation(), seed in any::<u64>(),
    ) {
        let shape = ConvShape::depthwise(channels, kernel, stride);
        let weight = tensor(&[channels, 1, kernel, kernel], seed);
        let bias = tensor(&[channels], seed ^ 1);
        let x = tensor(&[batch, channels, height, width], seed ^ 2);
        let [own, shifted] = both(&weight, &bias, shape, activation)
            .map(|(backend, conv)| conv.forward(&[&Map::from_tensor(&x, backend).expect("a map")], None).and_then(|y| y.to_tensor()).expect("runs"));
        let grouped = x.conv2d(&weight, kernel / 2, stride, 1, channels).expect("candle runs");
        let grouped = grouped.broadcast_add(&bias.reshape((1, channels, 1, 1)).expect("one an output")).expect("the same channels");
        let grouped = activation.apply_stock(&grouped).expect("candle runs");
        same(&own, &grouped);
        same(&shifted, &grouped);
    }

    #[test]
    fn doubling_is_candles_transposed_convolution(inputs in 1usize..40, outputs in 1usize..70, side in 1usize..9, seed in any::<u64>()) {
        let weights = [("weight".to_string(), tensor(&[inputs, outputs, 2, 2], seed)), ("bias".to_string(), tensor(&[outputs], seed ^ 1))];
        let vb = candle_nn::VarBuilder::from_tensors(weights.into_iter().collect(), DType::F32, &Device::Cpu);
        let x = tensor(&[2, inputs, side, side + 1], seed ^ 2);
        let [own, stock] = [Backend::Own, Backend::Stock].map(|backend| {
            let x = Map::from_tensor(&x, backend).expect("a map");
            Doubling::load(&vb, inputs, outputs, backend).and_then(|up| up.forward(&x)).and_then(|y| y.to_tensor()).expect("runs")
        });
        same(&own, &stock);
    }

    #[test]
    fn pools_and_enlargements_are_candles(channels in 1usize..40, height in 1usize..14, width in 1usize..14, seed in any::<u64>()) {
        let x = tensor(&[2, channels, height, width], seed).affine(1.0, -5.0).expect("all below 0");
        let [own, stock] = [Backend::Own, Backend::Stock].map(|backend| {
            let x = Map::from_tensor(&x, backend).expect("a map");
            let pooled = max_pool_same(&x, 5).and_then(|y| y.to_tensor()).expect("runs");
            (pooled, x.doubled().and_then(|y| y.to_tensor()).expect("runs"))
        });
        same(&own.0, &stock.0);
        same(&own.1, &stock.1);
    }

    #[test]
    fn linear_layers_are_candles(rows in 1usize..60, inputs in 1usize..200, outputs in 1usize..200, activation in activation(), seed in any::<u64>()) {
        let (weight, bias, x) = (tensor(&[outputs, inputs], seed), tensor(&[outputs], seed ^ 1), tensor(&[2, rows, inputs], seed ^ 2));
        let [own, stock] = [Backend::Own, Backend::Stock]
            .map(|backend| Linear::new(&weight, Some(&bias), activation, backend).and_then(|linear| linear.forward(&x)).expect("runs"));
        let product = x.broadcast_matmul(&weight.t().expect("two axes")).and_then(|y| y.broadcast_add(&bias)).expect("candle runs");
        let expected = activation.apply_stock(&product).expect("candle runs");
        same(&own, &expected);
        same(&stock, &expected);
    }

    #[test]
    fn operations_on_tensors_are_candles(a in 1usize..5, b in 1usize..40, c in 1usize..80, activation in activation(), seed in any::<u64>()) {
        let x = tensor(&[a, b, c], seed).affine(4.0, 0.0).expect("in -8..8");
        same(&softmax_last(&x).expect("runs"), &candle_nn::ops::softmax(&x, D::Minus1).expect("candle runs"));
        same(&transposed(&x).expect("runs"), &x.transpose(1, 2).and_then(|x| x.contiguous()).expect("candle runs"));
        let (scale, shift) = (tensor(&[c], seed ^ 1), tensor(&[c], seed ^ 2));
        if c > 2 {
            let expected = candle_nn::ops::layer_norm_slow(&x, &scale, &shift, 1e-5).expect("candle runs");
            same(&layer_norm(&x, &scale, &shift, 1e-5).expect("runs"), &expected);
            let expected = activation.apply_stock(&expected).expect("candle runs");
            same(&layer_norm_then(&x, &scale, &shift, 1e-5, activation).expect("runs"), &expected);
        }
        same(&activation.apply(&x).expect("runs"), &activation.apply_stock(&x).expect("candle runs"));
        // A view, not contiguous.
        let view = x.transpose(0, 1).expect("two axes");
        same(&activation.apply(&view).expect("runs"), &activation.apply_stock(&view).expect("candle runs"));
    }
}

#[test]
fn activations_follow_their_formulas() {
    let x: Vec<f32> = (-12_000..=12_000).map(|step| step as f32 / 1000.0).collect();
    let column = Tensor::from_slice(&x, x.len(), &Device::Cpu).expect("as many values as the shape says");
    let phi = |x: f64| 0.5 * (1.0 + candle_core::cpu::erf::erf_f64(x / 2f64.sqrt()));
    let tanh = |x: f64| ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh();
    for activation in [Activation::Silu, Activation::Gelu, Activation::QuickGelu, Activation::GeluTanh, Activation::Relu] {
        let got = activation.apply(&column).and_then(|y| Ok(y.to_vec1::<f32>()?)).expect("runs");
        for (&x, got) in x.iter().zip(got) {
            let wide = f64::from(x);
            let exact = match activation {
                Activation::Silu => wide / (1.0 + (-wide).exp()),
                Activation::Gelu => wide * phi(wide),
                Activation::QuickGelu => wide / (1.0 + (-1.702 * wide).exp()),
                Activation::GeluTanh => 0.5 * wide * (1.0 + tanh(wide)),
                Activation::Relu => wide.max(0.0),
                Activation::None => wide,
            };
            assert!((f64::from(got) - exact).abs() < 5e-7 * (1.0 + wide.abs()), "{activation:?}({x}) = {got}, not {exact}");
        }
    }
}

#[test]
fn few_rows_are_computed_as_among_many() {
    // Alone, a few rows are computed with the outputs shared between threads; among many, with the rows shared.
    let (rows, many, inner, outputs) = (5, 129, 601, 703);
    let (weight, bias, x) = (tensor(&[outputs, inner], 1), tensor(&[outputs], 2), tensor(&[many, inner], 3));
    let residual = tensor(&[many, outputs], 4);
    let linear = Linear::new(&weight, Some(&bias), Activation::None, Backend::Own).expect("a layer");
    let first = |x: &Tensor| x.narrow(0, 0, rows).and_then(|x| x.contiguous()).expect("rows");
    let values = |x: &Tensor| x.flatten_all().and_then(|x| x.to_vec1::<f32>()).expect("floats");
    let among = linear.forward_then(&x, Activation::Gelu, Some(&residual)).expect("runs");
    let alone = linear.forward_then(&first(&x), Activation::Gelu, Some(&first(&residual))).expect("runs");
    assert_eq!(values(&first(&among)), values(&alone));
    let product = x.matmul(&weight.t().expect("two axes")).and_then(|y| y.broadcast_add(&bias)).expect("candle runs");
    same(&among, &Activation::Gelu.apply_stock(&(product + residual).expect("one shape")).expect("candle runs"));
}

#[test]
fn a_batch_is_taken_apart_and_joined() {
    let x = tensor(&[5, 7, 3, 4], 1);
    for backend in [Backend::Own, Backend::Stock] {
        let whole = Map::from_tensor(&x, backend).expect("a map");
        // As channels 2.. of a wider map, the pixels are not neighbours in memory.
        for (map, channels) in [(whole.clone(), x.clone()), (whole.channels(2, 4).expect("channels"), x.narrow(1, 2, 4).expect("channels"))]
        {
            let parts = [(0, 1), (1, 3), (4, 1)].map(|(first, count)| {
                let part = map.images(first, count).expect("images");
                same(&part.to_tensor().expect("a tensor"), &channels.narrow(0, first, count).expect("images"));
                part
            });
            same(&Map::joined(&parts).expect("a batch").to_tensor().expect("a tensor"), &channels);
            assert!(map.images(4, 2).is_err());
        }
        let narrower = whole.channels(0, 6).expect("channels");
        assert!(Map::joined(&[whole, narrower]).is_err());
    }
    assert!(Map::joined(&[]).is_err());
}
