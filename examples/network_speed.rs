//! How fast a network runs here: the network alone, on a made-up batch, for a given time. `tests/bench/networks.py` runs it beside PyTorch.
//!
//! ```text
//! cargo run --release --example network_speed -- FOLDER [--batch 8] [--seconds 10] [--output FILE]
//! ```
//!
//! FOLDER holds weights of a CLIP, a YOLO or MobileSAM's encoder in the names that hm keeps. One line of JSON comes out: milliseconds of
//! each call, on the wall and of the processor. `--output` writes what the network said, so that two implementations can be compared.
//! Threads are RAYON_NUM_THREADS.

use std::{collections::HashMap, error::Error, io::Write, path::PathBuf, time::Instant};

use candle_core::{DType, Device, Tensor};
use hm::infer::{
    clip,
    ops::{Backend, Map},
    sam::{EncoderConfig, SamConfig, TinyViT},
    weights::Weights,
    yolo,
};

/// What a network says, by name.
type Said = Result<HashMap<String, Tensor>, Box<dyn Error>>;

/// A network, ready to be called with its batch.
struct Subject {
    name: &'static str,
    /// Runs once, as a worker would.
    call: Box<dyn Fn() -> Result<(), Box<dyn Error>>>,
    /// What it says, for a comparison.
    output: Box<dyn Fn() -> Said>,
}

struct Arguments {
    folder: PathBuf,
    batch: usize,
    seconds: f64,
    output: Option<PathBuf>,
}

impl Arguments {
    fn read() -> Result<Self, Box<dyn Error>> {
        let mut read = Self { folder: PathBuf::new(), batch: 1, seconds: 10.0, output: None };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--batch" => read.batch = value()?.parse()?,
                "--seconds" => read.seconds = value()?.parse()?,
                "--output" => read.output = Some(value()?.into()),
                _ => read.folder = word.into(),
            }
        }
        if read.folder.as_os_str().is_empty() {
            return Err("which folder of weights?".into());
        }
        Ok(read)
    }
}

/// Numbers in 0..1 that look like noise and are the same in every language: the high bits of multiples of an odd number.
fn made_up(count: usize) -> Vec<f32> {
    (0..count as u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 8) as f32 / 16_777_216.0).collect()
}

fn subject(arguments: &Arguments) -> Result<Subject, Box<dyn Error>> {
    let (device, batch) = (Device::Cpu, arguments.batch);
    let weights = Weights::open(&arguments.folder)?;
    let shapes: HashMap<String, Vec<usize>> = weights.names().filter_map(|name| Some((name.to_owned(), weights.shape(name)?))).collect();
    let config = weights.config().map(str::to_owned);
    let has = |name: &str| shapes.contains_key(name);
    if has("vision_model.embeddings.class_embedding") {
        let config = clip::Config::from_json(&config.ok_or("a CLIP needs its config.json")?)?;
        let side = config.vision.image_px;
        let network = std::rc::Rc::new(clip::ImageEncoder::new(&weights.var_builder(DType::F32, &device), &config)?);
        let pixels = Tensor::from_vec(made_up(batch * 3 * side * side), (batch, 3, side, side), &device)?;
        let (again, same) = (network.clone(), pixels.clone());
        return Ok(Subject {
            name: "clip",
            call: Box::new(move || {
                network.features(&pixels)?;
                Ok(())
            }),
            output: Box::new(move || Ok([("embeddings".to_owned(), again.features(&same)?.embeddings)].into())),
        });
    }
    if has("model.0.conv.weight") {
        let side = 640;
        let config = yolo::Config::from_shapes(&shapes)?;
        let network = std::rc::Rc::new(yolo::Yolo::new(weights.var_builder(DType::F32, &device), &config)?);
        let numbers = made_up(batch * side * side * 3);
        let backend = Backend::of(&device, DType::F32);
        let map = Map::from_pixels(numbers, (batch, side, side, 3), &device, backend)?;
        let again = network.clone();
        let same = map.to_tensor()?;
        return Ok(Subject {
            name: "yolo",
            call: Box::new(move || {
                network.run(&map)?;
                Ok(())
            }),
            output: Box::new(move || {
                let (predictions, prototypes) = again.forward(&same)?;
                let prototypes = prototypes.map(|prototypes| ("prototypes".to_owned(), prototypes));
                Ok(std::iter::once(("predictions".to_owned(), predictions)).chain(prototypes).collect())
            }),
        });
    }
    if has("image_encoder.patch_embed.seq.0.c.weight") {
        let side = 1024;
        let EncoderConfig::TinyVit(config) = SamConfig::named("mobile_sam").ok_or("MobileSAM is known")?.encoder else {
            return Err("MobileSAM has a TinyViT".into());
        };
        let network = std::rc::Rc::new(TinyViT::load(&config, 256, &weights.var_builder(DType::F32, &device).pp("image_encoder"))?);
        let pixels = Tensor::from_vec(made_up(batch * side * side * 3), (batch, side, side, 3), &device)?;
        let (again, same) = (network.clone(), pixels.clone());
        return Ok(Subject {
            name: "mobile_sam encoder",
            call: Box::new(move || {
                network.forward(&pixels)?;
                Ok(())
            }),
            output: Box::new(move || Ok([("embedding".to_owned(), again.forward(&same)?)].into())),
        });
    }
    Err("these are the weights of none of CLIP, YOLO and MobileSAM".into())
}

/// Milliseconds of processor time of this process so far, all threads together; none where there is no `/proc`.
fn processor_ms() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name in brackets: the 12th and 13th, in hundredths of a second.
    let ticks = stat.rsplit(')').next()?.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Some(ticks.sum::<Result<f64, _>>().ok()? * 10.0)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read()?;
    let subject = subject(&arguments)?;
    if let Some(path) = &arguments.output {
        candle_core::safetensors::save(&(subject.output)()?, path)?;
    }
    (subject.call)()?;
    let (mut calls_ms, start, start_ms) = (Vec::new(), Instant::now(), processor_ms());
    while calls_ms.len() < 3 || start.elapsed().as_secs_f64() < arguments.seconds {
        let call = Instant::now();
        (subject.call)()?;
        calls_ms.push(call.elapsed().as_secs_f64() * 1e3);
    }
    let processor_ms = processor_ms().zip(start_ms).map(|(end, start)| (end - start) / calls_ms.len() as f64);
    let line = serde_json::json!({
        "network": subject.name,
        "batch": arguments.batch,
        "threads": rayon::current_num_threads(),
        "processor_ms": processor_ms,
        "calls_ms": calls_ms,
    });
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}
