//! Files of weights: every form that people have them in, every set of names, and files that are broken or made to do harm.
//!
//! Checkpoints are made here, byte by byte; those of the developers' folder are used where they are at hand.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::Path,
};

use candle_core::{DType, Device, Tensor};
use hm::infer::{
    clip, dinov2,
    manifest::{self, Manifest, Provenance},
    weights::{Family, Names, Weights, normalise, sam_from_original_names, sam_to_original_names, sniff, write_safetensors},
};
use proptest::prelude::*;

use super::shared;

fn ramp(shape: &[usize], start: f32) -> Tensor {
    let count: usize = shape.iter().product();
    let numbers: Vec<f32> = (0..count).map(|index| start + index as f32 * 0.5).collect();
    Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
}

/// Two sets of weights have the same names, shapes and bits.
fn assert_same(ours: &Weights, other: &Weights) {
    assert_eq!(ours.names().collect::<Vec<_>>(), other.names().collect::<Vec<_>>());
    for name in ours.names() {
        let (ours, other) = (ours.load(name).unwrap(), other.load(name).unwrap());
        assert_eq!(ours.dims(), other.dims(), "{name}");
        assert_eq!(bytes(&ours), bytes(&other), "{name}");
    }
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    let mut bytes = Vec::new();
    tensor.write_bytes(&mut bytes).unwrap();
    bytes
}

fn message(path: &Path) -> String {
    let error = Weights::open(path).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(&*path.to_string_lossy()), "the error does not name the file: {error}");
    error
}

/// Writes checkpoints as PyTorch does: a zip, its members as they are, a pickle of protocol 2.
#[derive(Default)]
struct Checkpoint {
    pickle: Vec<u8>,
    storages: Vec<Vec<u8>>,
}

impl Checkpoint {
    fn new() -> Self {
        Self { pickle: vec![0x80, 2], storages: Vec::new() }
    }

    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.pickle.extend_from_slice(bytes);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.raw(b"X").raw(&(text.len() as u32).to_le_bytes()).raw(text.as_bytes())
    }

    fn int(&mut self, number: usize) -> &mut Self {
        self.raw(b"J").raw(&(number as i32).to_le_bytes())
    }

    fn sizes(&mut self, sizes: &[usize]) -> &mut Self {
        self.raw(b"(");
        for &size in sizes {
            self.int(size);
        }
        self.raw(b"t")
    }

    /// `_rebuild_tensor_v2` over a storage of its own.
    fn tensor(&mut self, class: &str, storage: Vec<u8>, count: usize, offset: usize, shape: &[usize], strides: &[usize]) -> &mut Self {
        let key = self.storages.len().to_string();
        self.storages.push(storage);
        self.raw(b"ctorch._utils\n_rebuild_tensor_v2\n((").text("storage").raw(format!("ctorch\n{class}\n").as_bytes());
        self.text(&key).text("cpu").int(count).raw(b"tQ");
        self.int(offset).sizes(shape).sizes(strides).raw(b"\x89}tR")
    }

    fn floats(&mut self, tensor: &Tensor) -> &mut Self {
        let shape = tensor.dims().to_vec();
        let strides = tensor.contiguous().unwrap().stride().to_vec();
        self.tensor("FloatStorage", bytes(tensor), tensor.elem_count(), 0, &shape, &strides)
    }

    /// `{name: tensor, …}`
    fn state(&mut self, tensors: &[(&str, Tensor)]) -> &mut Self {
        self.raw(b"ccollections\nOrderedDict\n)R(");
        for (name, tensor) in tensors {
            self.text(name).floats(tensor);
        }
        self.raw(b"u")
    }

    fn write(&self, path: &Path) {
        self.write_with(path, &[]);
    }

    fn write_with(&self, path: &Path, more: &[(&str, &[u8])]) {
        let mut pickle = self.pickle.clone();
        pickle.push(b'.');
        write_zip(path, "archive", &pickle, &self.storages, more);
    }
}

fn write_zip(path: &Path, folder: &str, pickle: &[u8], storages: &[Vec<u8>], more: &[(&str, &[u8])]) {
    let mut archive = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut member = |name: &str, bytes: &[u8]| {
        archive.start_file(format!("{folder}/{name}"), options).unwrap();
        archive.write_all(bytes).unwrap();
    };
    member("data.pkl", pickle);
    for (index, storage) in storages.iter().enumerate() {
        member(&format!("data/{index}"), storage);
    }
    for (name, bytes) in more {
        member(name, bytes);
    }
    archive.finish().unwrap();
}

#[test]
fn networks_are_told_by_their_tensors() {
    let Some(goldens) = shared("goldens") else { return };
    for (case, family, title, names) in [
        ("clip_tiny_gelu", Family::Clip, "CLIP ViT-64×2/16", Names::HuggingFace),
        ("siglip_tiny", Family::Siglip, "SigLIP 48×2/16", Names::HuggingFace),
        ("dinov2_tiny", Family::Dinov2, "DINOv2 48×2", Names::HuggingFace),
        ("sam_tiny/model.safetensors", Family::Sam, "SAM ViT-48", Names::HuggingFace),
        ("sam_tiny/model_original_names.safetensors", Family::Sam, "SAM ViT-48", Names::Original),
        ("sam2_tiny", Family::Sam2, "SAM 2 16×7", Names::HuggingFace),
        ("yolov8_tiny", Family::Yolov8, "YOLOv8 of width 8", Names::Original),
        ("yolov8_seg_tiny", Family::Yolov8, "YOLOv8 of width 8-seg", Names::Original),
        ("yolo11_tiny", Family::Yolo11, "YOLO11 of width 8", Names::Original),
        ("yolo11_seg_tiny", Family::Yolo11, "YOLO11 of width 8-seg", Names::Original),
    ] {
        let kind = sniff(&goldens.join(case)).unwrap();
        assert_eq!((kind.family, kind.title().as_str(), kind.names), (family, title, names), "{case}");
        assert_eq!(kind.classes, matches!(family, Family::Yolov8 | Family::Yolo11).then_some(6), "{case}");
    }
}

#[test]
fn trained_detectors_are_told_with_size_and_classes() {
    let Some(folder) = shared("weights/yolo") else { return };
    for (file, title, parameters) in [
        ("yolo11n_from_int8.safetensors", "YOLO11n", 2_616_232),
        ("yolov8n_from_int8.safetensors", "YOLOv8n", 3_151_888),
        ("yolov8n-seg_from_int8.safetensors", "YOLOv8n-seg", 3_404_304),
    ] {
        let kind = sniff(&folder.join(file)).unwrap();
        assert_eq!((kind.title().as_str(), kind.classes), (title, Some(80)));
        assert_eq!(kind.parameters, parameters, "{file}");
    }
}

#[test]
fn a_checkpoint_of_others_reads_as_candle_reads_it() {
    let Some(path) = shared("weights/face/yunet_n.pth") else { return };
    let ours = Weights::open(&path).unwrap();
    let candle = candle_core::pickle::PthTensors::new(&path, Some("state_dict")).unwrap();
    let names: BTreeSet<&str> = candle.tensor_infos().keys().map(String::as_str).collect();
    assert_eq!(ours.names().collect::<BTreeSet<_>>(), names);
    assert!(ours.len() > 50, "{}", ours.len());
    for name in names {
        assert_eq!(bytes(&ours.load(name).unwrap()), bytes(&candle.get(name).unwrap().unwrap()), "{name}");
    }
    let error = sniff(&path).unwrap_err().to_string();
    assert!(error.contains("no network that is known"), "{error}");
}

#[test]
fn checkpoints_of_old_are_told_the_way_out() {
    let Some(path) = shared("weights/face/mobilefacenet_foamliu.pt") else { return };
    let error = message(&path);
    assert!(error.contains("before 1.6") && error.contains("torch.save"), "{error}");
}

#[test]
fn state_dicts_are_read_nested_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let tensors =
        [("a.weight", ramp(&[2, 3], 1.0)), ("a.bias", ramp(&[3], -2.0)), ("scalar", ramp(&[], 7.0)), ("none", ramp(&[0, 4], 0.0))];
    let expected = Weights::from_tensors(Path::new("x"), tensors.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone())));

    let plain = folder.path().join("plain.pt");
    let mut checkpoint = Checkpoint::new();
    checkpoint.state(&tensors);
    checkpoint.write(&plain);
    assert_same(&Weights::open(&plain).unwrap(), &expected);

    for keys in [&["model"][..], &["state_dict"], &["ema"], &["model", "state_dict"]] {
        let mut checkpoint = Checkpoint::new();
        checkpoint.raw(b"}(").text("epoch").int(3).text("license").text("MIT");
        for (depth, key) in keys.iter().enumerate() {
            checkpoint.text(key);
            if depth + 1 < keys.len() {
                checkpoint.raw(b"}(");
            }
        }
        checkpoint.state(&tensors).raw(&b"u".repeat(keys.len()));
        let nested = folder.path().join("nested.pth");
        checkpoint.write(&nested);
        let weights = Weights::open(&nested).unwrap();
        assert_same(&weights, &expected);
        assert_eq!(weights.notes()["license"], "MIT");
    }
}

#[test]
fn every_kind_of_number_and_any_strides_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kinds.pt");
    let mut checkpoint = Checkpoint::new();
    checkpoint.raw(b"}(");
    // 1.5 and -2 in both halves of precision.
    let halves: Vec<u8> = [0x3E00u16, 0xC000].iter().flat_map(|number| number.to_le_bytes()).collect();
    checkpoint.text("half").tensor("HalfStorage", halves, 2, 0, &[2], &[1]);
    let brains: Vec<u8> = [0x3FC0u16, 0xC000].iter().flat_map(|number| number.to_le_bytes()).collect();
    checkpoint.text("brain").tensor("BFloat16Storage", brains, 2, 0, &[2], &[1]);
    checkpoint.text("whole").tensor("LongStorage", (-5i64).to_le_bytes().to_vec(), 1, 0, &[], &[]);
    checkpoint.text("double").tensor("DoubleStorage", 0.1f64.to_le_bytes().to_vec(), 1, 0, &[1], &[1]);
    checkpoint.text("truth").tensor("BoolStorage", vec![1, 0, 1], 3, 0, &[3], &[1]);
    // Stored by columns, from the third number on.
    let six: Vec<u8> = [9f32, 9.0, 1.0, 4.0, 2.0, 5.0, 3.0, 6.0].iter().flat_map(|number| number.to_le_bytes()).collect();
    checkpoint.text("columns").tensor("FloatStorage", six, 8, 2, &[2, 3], &[1, 2]);
    checkpoint.raw(b"u");
    checkpoint.write(&path);

    let weights = Weights::open(&path).unwrap();
    let floats = |name: &str| weights.load(name).unwrap().to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(floats("half"), [1.5, -2.0]);
    assert_eq!(floats("brain"), [1.5, -2.0]);
    assert_eq!(weights.load("whole").unwrap().to_scalar::<i64>().unwrap(), -5);
    assert_eq!(weights.load("double").unwrap().to_vec1::<f64>().unwrap(), [0.1]);
    assert_eq!(weights.load("truth").unwrap().to_vec1::<u8>().unwrap(), [1, 0, 1]);
    assert_eq!(weights.load("columns").unwrap().to_vec2::<f32>().unwrap(), [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
}

/// An object of `class` whose attributes are written by `attributes`.
fn object(checkpoint: &mut Checkpoint, class: &str, attributes: impl FnOnce(&mut Checkpoint)) {
    checkpoint.raw(format!("c{class}\n").as_bytes()).raw(b")\x81}(");
    attributes(checkpoint);
    checkpoint.raw(b"ub");
}

/// A checkpoint as Ultralytics saves it: the pickled module, not its state.
fn ultralytics(path: &Path) {
    let mut checkpoint = Checkpoint::new();
    checkpoint.raw(b"}(").text("epoch").int(1).text("ema").raw(b"N").text("model");
    object(&mut checkpoint, "ultralytics.nn.tasks\nDetectionModel", |model| {
        model.text("training").raw(b"\x89").text("task").text("detect");
        model.text("names").raw(b"}(").int(1).text("bicycle").int(0).text("person").raw(b"u");
        model.text("_modules").raw(b"ccollections\nOrderedDict\n)R(").text("model");
        object(model, "torch.nn.modules.container\nSequential", |sequence| {
            sequence.text("_modules").raw(b"ccollections\nOrderedDict\n)R(").text("0");
            object(sequence, "ultralytics.nn.modules.conv\nConv", |conv| {
                conv.text("_parameters").raw(b"}").text("_modules").raw(b"}(").text("conv");
                object(conv, "torch.nn.modules.conv\nConv2d", |inner| {
                    inner.text("_parameters").raw(b"}(").text("weight");
                    inner.raw(b"ctorch._utils\n_rebuild_parameter\n(").floats(&ramp(&[4, 3, 1, 1], 0.0)).raw(b"\x89}tR");
                    inner.text("bias").raw(b"N").raw(b"u").text("_buffers").raw(b"}");
                });
                conv.text("bn");
                object(conv, "torch.nn.modules.batchnorm\nBatchNorm2d", |norm| {
                    norm.text("_buffers").raw(b"}(").text("running_mean").floats(&ramp(&[4], 1.0)).raw(b"u");
                });
                conv.raw(b"u");
            });
            sequence.raw(b"u");
        });
        model.raw(b"u");
    });
    checkpoint.raw(b"u");
    checkpoint.write(path);
}

#[test]
fn pickled_modules_are_walked_and_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("yolo.pt");
    ultralytics(&path);
    let weights = Weights::open(&path).unwrap();
    assert_eq!(weights.names().collect::<Vec<_>>(), ["model.0.bn.running_mean", "model.0.conv.weight"]);
    assert_eq!(bytes(&weights.load("model.0.conv.weight").unwrap()), bytes(&ramp(&[4, 3, 1, 1], 0.0)));
    assert_eq!(weights.notes()["names"], r#"["person","bicycle"]"#);
    assert_eq!(weights.notes()["class"], "ultralytics.nn.tasks.DetectionModel");
    assert_eq!(weights.notes()["task"], "detect");
    let error = sniff(&path).unwrap_err().to_string();
    assert!(error.contains("ultralytics.nn.tasks.DetectionModel"), "{error}");
}

#[test]
fn files_of_other_kinds_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, what) in [
        ("empty.pt", &b""[..], "empty"),
        ("pointer.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "Git LFS"),
        ("page.safetensors", b"<!DOCTYPE html><html>", "web page"),
        ("bare.pt", b"\x80\x04\x95\x00\x00", "bare pickle"),
        ("some.gguf", b"GGUF\x03\x00\x00\x00", "GGUF"),
        ("keras.h5", b"\x89HDF\r\n\x1a\n", "HDF5"),
        ("lite.tflite", b"\x1c\x00\x00\x00TFL3\x14\x00", "TensorFlow Lite"),
        ("net.onnx", b"\x08\x07\x12\x07pytorch\x1a\x05", "ONNX"),
        ("noise.bin", b"whatever this may be", "neither safetensors nor"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = message(&path);
        assert!(error.contains(what), "{error}");
    }
    assert!(message(&folder.path().join("missing.pt")).contains("cannot read"));
    assert!(message(folder.path()).contains("files of weights"));
    assert!(message(tempfile::tempdir().unwrap().path()).contains("no weights"));
}

#[test]
fn scripts_and_other_zips_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pt");
    let mut checkpoint = Checkpoint::new();
    checkpoint.state(&[("a", ramp(&[1], 0.0))]);

    checkpoint.write_with(&path, &[("constants.pkl", b"")]);
    assert!(message(&path).contains("TorchScript"));
    checkpoint.write_with(&path, &[("code/__torch__.py", b"")]);
    assert!(message(&path).contains("TorchScript"));
    checkpoint.write_with(&path, &[("byteorder", b"big")]);
    assert!(message(&path).contains("byte order"));
    checkpoint.write_with(&path, &[("byteorder", b"little")]);
    assert!(Weights::open(&path).is_ok());

    let mut archive = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    archive
        .start_file("word/document.xml", zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored))
        .unwrap();
    archive.write_all(b"<w/>").unwrap();
    archive.finish().unwrap();
    assert!(message(&path).contains("no data.pkl"));
}

#[test]
fn packed_members_are_refused_unread() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.pt");
    let mut checkpoint = Checkpoint::new();
    checkpoint.state(&[("a", ramp(&[1], 0.0))]);
    checkpoint.write(&path);
    let mut bytes = std::fs::read(&path).unwrap();
    // The method's field of each local and central header: 8 is deflate.
    for at in 0..bytes.len() - 12 {
        if &bytes[at..at + 4] == b"PK\x03\x04" {
            bytes[at + 8] = 8;
        } else if &bytes[at..at + 4] == b"PK\x01\x02" {
            bytes[at + 10] = 8;
        }
    }
    std::fs::write(&path, bytes).unwrap();
    let error = message(&path);
    assert!(error.contains("packed"), "{error}");
}

/// A checkpoint of one tensor `t` described by `describe`.
fn described(folder: &Path, describe: impl FnOnce(&mut Checkpoint)) -> String {
    let path = folder.join("hostile.pt");
    let mut checkpoint = Checkpoint::new();
    checkpoint.raw(b"}(").text("t");
    describe(&mut checkpoint);
    checkpoint.raw(b"u");
    checkpoint.write(&path);
    message(&path)
}

#[test]
fn tensors_beyond_their_numbers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let four = || vec![0u8; 16];
    for (count, offset, shape, strides) in [
        (4, 0, &[5usize][..], &[1usize][..]),
        (4, 3, &[2], &[1]),
        (4, 0, &[2, 2], &[1_000_000_000, 1]),
        // The same number over and over.
        (4, 0, &[2_000_000_000], &[0]),
        (4, 0, &[2_000_000_000, 2_000_000_000, 2_000_000_000, 2_000_000_000], &[0, 0, 0, 0]),
        (1_000_000, 0, &[1_000_000], &[1]),
    ] {
        let error = described(folder, |checkpoint| {
            checkpoint.tensor("FloatStorage", four(), count, offset, shape, strides);
        });
        assert!(error.contains("reaches beyond") || error.contains("impossible"), "{error}");
    }
    let error = described(folder, |checkpoint| {
        checkpoint.tensor("FloatStorage", four(), 4, 0, &[2, 2], &[1]);
    });
    assert!(error.contains("unknown way"), "{error}");
    let error = described(folder, |checkpoint| {
        checkpoint.tensor("QInt8Storage", four(), 4, 0, &[4], &[1]);
    });
    assert!(error.contains("QInt8Storage"), "{error}");
}

#[test]
fn numbers_shared_over_and_over_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shared.pt");
    let mut checkpoint = Checkpoint::new();
    checkpoint.raw(b"}(").text("first").tensor("FloatStorage", vec![0; 1 << 20], 1 << 18, 0, &[1 << 18], &[1]).raw(b"q\x01");
    for index in 0..100 {
        checkpoint.text(&index.to_string()).raw(b"h\x01");
    }
    checkpoint.raw(b"u");
    checkpoint.write(&path);
    assert!(message(&path).contains("far larger than the file"));
}

#[test]
fn pickles_without_end_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep.pt");
    // Dictionaries within dictionaries, under the name that is followed.
    let mut deep = Checkpoint::new();
    deep.raw(&b"}X\x05\x00\x00\x00model".repeat(100_000)).raw(b"N").raw(&b"s".repeat(100_000));
    deep.write(&path);
    assert!(message(&path).contains("too deep"));
    // A module that is its own part.
    let mut round = Checkpoint::new();
    round.raw(b"ca\nB\n)\x81q\x01}(").text("_modules").raw(b"}(").text("again").raw(b"h\x01u").raw(b"ub");
    round.write(&path);
    assert!(message(&path).contains("too deep"));
    // Each module holds the next one many times: a walk of 50^30 steps.
    let mut wide = Checkpoint::new();
    wide.raw(b"Nq\x01");
    for _ in 0..30 {
        object(&mut wide, "a\nB", |module| {
            module.text("_modules").raw(b"}(");
            for part in 0..50 {
                module.text(&part.to_string()).raw(b"h\x01");
            }
            module.raw(b"u");
        });
        wide.raw(b"q\x01");
    }
    wide.write(&path);
    let started = std::time::Instant::now();
    assert!(message(&path).contains("too often"));
    assert!(started.elapsed().as_secs() < 20);
}

#[test]
fn headers_that_lie_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let file = |length: u64, header: &str, data: &[u8]| {
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(data);
        std::fs::write(&path, bytes).unwrap();
        message(&path)
    };
    assert!(file(u64::MAX, "{}", b"").contains("header"));
    assert!(file(1 << 40, "{}", b"").contains("header"));
    assert!(file(1000, "{}", b"").contains("cut short"));
    assert!(file(2, "{]", b"").contains("header"));
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(file(deep.len() as u64, &deep, b"").contains("header"));
    let whole = r#"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}"#;
    assert!(file(whole.len() as u64, whole, &[0; 7]).contains("cut short"));
    assert!(file(whole.len() as u64, whole, &[0; 9]).contains("no tensor"));
}

#[test]
fn an_index_leads_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret.safetensors");
    let weights = Weights::from_tensors(Path::new("x"), [("a".to_owned(), ramp(&[2], 0.0)), ("b".to_owned(), ramp(&[3], 5.0))]);
    write_safetensors(&weights, &secret).unwrap();
    let model = folder.path().join("model");
    std::fs::create_dir(&model).unwrap();
    let index = model.join("model.safetensors.index.json");
    for part in ["../secret.safetensors", "/etc/passwd", "..", ".", "", "a/../../secret.safetensors", "..\\secret.safetensors"] {
        std::fs::write(&index, serde_json::json!({"weight_map": {"a": part}}).to_string()).unwrap();
        let error = Weights::open(&model).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("no plain file name"), "{part}: {error}");
    }
    std::fs::write(&index, "[1, 2").unwrap();
    assert!(Weights::open(&model).map(|_| ()).unwrap_err().to_string().contains("no index"));

    // Two parts, as they should be.
    write_safetensors(&weights, &model.join("one.safetensors")).unwrap();
    let other = Weights::from_tensors(Path::new("x"), [("c".to_owned(), ramp(&[1], 9.0))]);
    write_safetensors(&other, &model.join("two.safetensors")).unwrap();
    let map = serde_json::json!({"weight_map": {"a": "one.safetensors", "c": "two.safetensors"}});
    std::fs::write(&index, map.to_string()).unwrap();
    let both = Weights::open(&model).unwrap();
    assert_eq!(both.names().collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(bytes(&both.load("c").unwrap()), bytes(&ramp(&[1], 9.0)));
    std::fs::write(&index, r#"{"weight_map": {"c": "one.safetensors"}}"#).unwrap();
    assert!(Weights::open(&model).map(|_| ()).unwrap_err().to_string().contains("no such tensor"));
}

fn all_tensors(weights: &Weights) -> BTreeMap<String, Tensor> {
    weights.names().map(|name| (name.to_owned(), weights.load(name).unwrap())).collect()
}

#[test]
fn sam_goes_from_one_set_of_names_to_the_other_and_back() {
    let Some(folder) = shared("goldens/sam_tiny") else { return };
    let hugging_face = Weights::open(&folder.join("model.safetensors")).unwrap();
    let original = Weights::open(&folder.join("model_original_names.safetensors")).unwrap();
    assert_same(&sam_to_original_names(hugging_face.clone()).unwrap(), &original);
    assert_same(&sam_from_original_names(original.clone()).unwrap(), &hugging_face);
    assert_same(&normalise(hugging_face).unwrap().weights, &original);
    assert_same(&normalise(original.clone()).unwrap().weights, &original);
}

#[test]
fn dinov2_in_its_first_names_gives_the_same_numbers() {
    let Some(folder) = shared("goldens/dinov2_tiny") else { return };
    let tensors = all_tensors(&Weights::open(&folder).unwrap());
    let mut first = Vec::new();
    for (name, tensor) in &tensors {
        let new = match name.as_str() {
            "embeddings.cls_token" => "cls_token".into(),
            "embeddings.mask_token" => "mask_token".into(),
            "embeddings.position_embeddings" => "pos_embed".into(),
            "embeddings.patch_embeddings.projection.weight" => "patch_embed.proj.weight".into(),
            "embeddings.patch_embeddings.projection.bias" => "patch_embed.proj.bias".into(),
            "layernorm.weight" => "norm.weight".into(),
            "layernorm.bias" => "norm.bias".into(),
            _ => {
                let (block, part) = name.strip_prefix("encoder.layer.").unwrap().split_once('.').unwrap();
                let part = match part {
                    "attention.o_proj.weight" => "attn.proj.weight",
                    "attention.o_proj.bias" => "attn.proj.bias",
                    "layer_scale1.lambda1" => "ls1.gamma",
                    "layer_scale2.lambda1" => "ls2.gamma",
                    "attention.k_proj.weight" | "attention.k_proj.bias" => continue,
                    "attention.v_proj.weight" | "attention.v_proj.bias" => continue,
                    "attention.q_proj.weight" | "attention.q_proj.bias" => {
                        let parts = ["q_proj", "k_proj", "v_proj"].map(|role| &tensors[&name.replace("q_proj", role)]);
                        let kind = part.rsplit('.').next().unwrap();
                        first.push((format!("blocks.{block}.attn.qkv.{kind}"), Tensor::cat(&parts, 0).unwrap()));
                        continue;
                    }
                    other => other,
                };
                format!("blocks.{block}.{part}")
            }
        };
        first.push((new, tensor.clone()));
    }
    let first = Weights::from_tensors(&folder, first);
    let normal = normalise(first.clone()).unwrap();
    assert_eq!(normal.kind.names, Names::Original);
    assert_same(&normal.weights, &Weights::open(&folder).unwrap());

    // The checkpoints of transformers 4.
    let older = tensors.iter().map(|(name, tensor)| {
        let name =
            name.replace(".attention.q_proj.", ".attention.attention.query.").replace(".attention.k_proj.", ".attention.attention.key.");
        let name =
            name.replace(".attention.v_proj.", ".attention.attention.value.").replace(".attention.o_proj.", ".attention.output.dense.");
        (name, tensor.clone())
    });
    let older = Weights::from_tensors(&folder, older);
    assert_same(&normalise(older.clone()).unwrap().weights, &normal.weights);

    let golden = candle_core::safetensors::load(folder.join("golden.safetensors"), &Device::Cpu).unwrap();
    let config = dinov2::Config::from_json(&std::fs::read_to_string(folder.join("config.json")).unwrap()).unwrap();
    for weights in [first, older] {
        let network = dinov2::Dinov2::new(&weights.var_builder(DType::F32, &Device::Cpu), &config).unwrap();
        let pooled = network.features(&golden["in.pixel_values"]).unwrap().pooled;
        let worst =
            (pooled - &golden["pooler_output"]).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
        assert!(worst <= 1e-4, "{worst}");
    }
}

/// The weights of `clip_tiny_gelu` as open_clip calls them.
fn open_clip(folder: &Path) -> Vec<(String, Tensor)> {
    let tensors = all_tensors(&Weights::open(folder).unwrap());
    let mut out = Vec::new();
    for (name, tensor) in &tensors {
        let new = match name.as_str() {
            "logit_scale" => "logit_scale".into(),
            "visual_projection.weight" => {
                out.push(("visual.proj".into(), tensor.t().unwrap().contiguous().unwrap()));
                continue;
            }
            "text_projection.weight" => {
                out.push(("text_projection".into(), tensor.t().unwrap().contiguous().unwrap()));
                continue;
            }
            "vision_model.embeddings.class_embedding" => "visual.class_embedding".into(),
            "vision_model.embeddings.position_embedding.weight" => "visual.positional_embedding".into(),
            "vision_model.embeddings.patch_embedding.weight" => "visual.conv1.weight".into(),
            "text_model.embeddings.token_embedding.weight" => "token_embedding.weight".into(),
            "text_model.embeddings.position_embedding.weight" => "positional_embedding".into(),
            other if other.contains("pre_layrnorm") => other.replace("vision_model.pre_layrnorm", "visual.ln_pre"),
            other if other.contains("post_layernorm") => other.replace("vision_model.post_layernorm", "visual.ln_post"),
            other if other.contains("final_layer_norm") => other.replace("text_model.final_layer_norm", "ln_final"),
            other => {
                let (half, rest) = other.split_once(".encoder.layers.").unwrap_or_else(|| panic!("{other}"));
                let half = if half == "vision_model" { "visual.transformer" } else { "transformer" };
                let (block, part) = rest.split_once('.').unwrap();
                let (part, kind) = part.rsplit_once('.').unwrap();
                let part = match part {
                    "self_attn.q_proj" => {
                        let parts = ["q", "k", "v"].map(|letter| &tensors[&name.replace("q_proj", &format!("{letter}_proj"))]);
                        out.push((format!("{half}.resblocks.{block}.attn.in_proj_{kind}"), Tensor::cat(&parts, 0).unwrap()));
                        continue;
                    }
                    "self_attn.k_proj" | "self_attn.v_proj" => continue,
                    "self_attn.out_proj" => "attn.out_proj",
                    "layer_norm1" => "ln_1",
                    "layer_norm2" => "ln_2",
                    "mlp.fc1" => "mlp.c_fc",
                    "mlp.fc2" => "mlp.c_proj",
                    other => panic!("{other}"),
                };
                format!("{half}.resblocks.{block}.{part}.{kind}")
            }
        };
        out.push((new, tensor.clone()));
    }
    out
}

#[test]
fn clip_in_open_clips_names_gives_the_same_numbers() {
    let Some(folder) = shared("goldens/clip_tiny_gelu") else { return };
    let target = tempfile::tempdir().unwrap();
    let weights = Weights::from_tensors(&folder, open_clip(&folder));
    write_safetensors(&weights, &target.path().join("open_clip_model.safetensors")).unwrap();
    // Its heads are not 64 wide, which its own configuration says.
    let own = r#"{"model_cfg": {"embed_dim": 32, "vision_cfg": {"head_width": 16}, "text_cfg": {"heads": 4}}}"#;
    std::fs::write(target.path().join("open_clip_config.json"), own).unwrap();

    let normal = normalise(Weights::open(target.path()).unwrap()).unwrap();
    assert_eq!((normal.kind.family, normal.kind.names), (Family::Clip, Names::OpenClip));
    assert_same(&normal.weights, &Weights::open(&folder).unwrap());
    let config = clip::Config::from_json(normal.weights.config().unwrap()).unwrap();
    let golden = candle_core::safetensors::load(folder.join("golden.safetensors"), &Device::Cpu).unwrap();
    let vb = normal.weights.var_builder(DType::F32, &Device::Cpu);
    let images = clip::ImageEncoder::new(&vb, &config).unwrap().embed(&golden["in.pixel_values"]).unwrap();
    let ids = golden["in.input_ids"].to_dtype(DType::U32).unwrap().to_vec2::<u32>().unwrap();
    let texts = clip::TextEncoder::new(&vb, &config).unwrap().embed(&ids).unwrap();
    for (ours, truth) in [(images, &golden["image_embeds"]), (texts, &golden["text_embeds"])] {
        let worst = (ours - truth).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
        assert!(worst <= 1e-5, "{worst}");
    }
}

#[test]
fn open_clips_activation_is_told() {
    let Some(folder) = shared("goldens/clip_tiny_gelu") else { return };
    let activation = |tensors: Vec<(String, Tensor)>| {
        let normal = normalise(Weights::from_tensors(&folder, tensors)).unwrap();
        let config: serde_json::Value = serde_json::from_str(normal.weights.config().unwrap()).unwrap();
        config["vision_config"]["hidden_act"].as_str().unwrap().to_owned()
    };
    assert_eq!(activation(open_clip(&folder)), "gelu");
    // OpenAI's own state dict carries its sizes.
    let mut openai = open_clip(&folder);
    openai.push(("input_resolution".into(), Tensor::new(64i64, &Device::Cpu).unwrap()));
    assert_eq!(activation(openai), "quick_gelu");
}

/// The names of SAM 2's image path as its authors call them, from its architecture: blocks of the tiny case, which pools in 1, 3 and 6.
fn sam2_names() -> Vec<String> {
    let mut names: Vec<String> = ["pos_embed", "pos_embed_window", "patch_embed.proj.weight", "patch_embed.proj.bias"]
        .map(|name| format!("image_encoder.trunk.{name}"))
        .to_vec();
    let mut linear = |name: String| names.extend([format!("{name}.weight"), format!("{name}.bias")]);
    for block in 0..7 {
        for part in ["norm1", "norm2", "attn.qkv", "attn.proj", "mlp.layers.0", "mlp.layers.1"] {
            linear(format!("image_encoder.trunk.blocks.{block}.{part}"));
        }
        if [1, 3, 6].contains(&block) {
            linear(format!("image_encoder.trunk.blocks.{block}.proj"));
        }
    }
    for level in 0..4 {
        linear(format!("image_encoder.neck.convs.{level}.conv"));
    }
    for part in ["0", "1", "3", "4", "6"] {
        linear(format!("sam_prompt_encoder.mask_downscaling.{part}"));
    }
    let decoder = "sam_mask_decoder";
    for layer in 0..2 {
        let layer = format!("{decoder}.transformer.layers.{layer}");
        for attention in ["self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token"] {
            for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                linear(format!("{layer}.{attention}.{part}"));
            }
        }
        for part in ["norm1", "norm2", "norm3", "norm4", "mlp.layers.0", "mlp.layers.1"] {
            linear(format!("{layer}.{part}"));
        }
    }
    for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
        linear(format!("{decoder}.transformer.final_attn_token_to_image.{part}"));
    }
    linear(format!("{decoder}.transformer.norm_final_attn"));
    for part in ["output_upscaling.0", "output_upscaling.1", "output_upscaling.3", "conv_s0", "conv_s1"] {
        linear(format!("{decoder}.{part}"));
    }
    for head in ["output_hypernetworks_mlps.0", "output_hypernetworks_mlps.1", "output_hypernetworks_mlps.2", "output_hypernetworks_mlps.3"]
    {
        (0..3).for_each(|layer| linear(format!("{decoder}.{head}.layers.{layer}")));
    }
    for head in ["iou_prediction_head", "pred_obj_score_head"] {
        (0..3).for_each(|layer| linear(format!("{decoder}.{head}.layers.{layer}")));
    }
    names.extend(["iou_token", "mask_tokens", "obj_score_token"].map(|name| format!("{decoder}.{name}.weight")));
    names.extend(["no_mask_embed", "not_a_point_embed"].map(|name| format!("sam_prompt_encoder.{name}.weight")));
    names.extend((0..4).map(|index| format!("sam_prompt_encoder.point_embeddings.{index}.weight")));
    names.push("sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix".into());
    names.push("no_mem_embed".into());
    // Only for video.
    names.extend(
        ["maskmem_tpos_enc", "no_obj_ptr", "memory_encoder.fuser.layers.0.gamma", "obj_ptr_proj.layers.0.weight"].map(String::from),
    );
    names
}

#[test]
fn sam2_in_its_authors_names_has_all_that_hugging_faces_has() {
    let Some(folder) = shared("goldens/sam2_tiny") else { return };
    let hugging_face = Weights::open(&folder).unwrap();
    let tensors = sam2_names().into_iter().map(|name| {
        // Only what sniffing looks at needs a shape.
        let shape: &[usize] = if name.contains("point_embeddings") { &[1, 32] } else { &[96, 3, 7, 7] };
        (name, Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap())
    });
    let normal = normalise(Weights::from_tensors(&folder, tensors)).unwrap();
    assert_eq!((normal.kind.family, normal.kind.names), (Family::Sam2, Names::Original));
    let ours: BTreeSet<&str> = normal.weights.names().collect();
    assert_eq!(ours, hugging_face.names().collect::<BTreeSet<_>>());
    assert_eq!(normal.weights.shape("prompt_encoder.point_embed.weight"), hugging_face.shape("prompt_encoder.point_embed.weight"));
}

#[test]
fn what_is_imported_can_be_verified_and_is_the_same() {
    let Some(folder) = shared("goldens/clip_tiny_quick_gelu") else { return };
    let target = tempfile::tempdir().unwrap();
    let normal = normalise(Weights::open(&folder).unwrap()).unwrap();
    let tokenizer = target.path().join("any.json");
    std::fs::write(&tokenizer, "{}").unwrap();
    let model = target.path().join("clip");
    std::fs::create_dir(&model).unwrap();
    let provenance = Provenance { source: "a test".into(), ..Provenance::default() };
    let written = manifest::write(&normal, Some(&tokenizer), &provenance, &model).unwrap();
    assert_eq!((written.name.as_str(), written.family.as_str()), ("clip-vit-64-2-16", "clip"));
    assert!(written.licence.starts_with("MIT"), "{}", written.licence);
    assert_eq!(
        written.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(),
        ["model.safetensors", "config.json", "tokenizer.json"]
    );

    assert_eq!(Manifest::read(&model).unwrap(), written);
    written.verify(&model).unwrap();
    let again = Weights::open(&model).unwrap();
    assert_same(&again, &normal.weights);
    assert_eq!(again.config(), normal.weights.config());
    // Candle's reader takes it, too.
    assert_eq!(candle_core::safetensors::load(model.join("model.safetensors"), &Device::Cpu).unwrap().len(), again.len());

    let weights = model.join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, &bytes).unwrap();
    assert!(written.verify(&model).unwrap_err().to_string().contains("sha256"));
    bytes.pop();
    std::fs::write(&weights, &bytes).unwrap();
    assert!(written.verify(&model).unwrap_err().to_string().contains("bytes instead of"));
    std::fs::remove_file(&weights).unwrap();
    assert!(written.verify(&model).is_err());

    let text = std::fs::read_to_string(model.join("manifest.json")).unwrap();
    std::fs::write(model.join("manifest.json"), text.replace("config.json", "../../x")).unwrap();
    assert!(Manifest::read(&model).unwrap_err().to_string().contains("no plain file name"));
    std::fs::write(model.join("manifest.json"), text.replace("\"format\": 1", "\"format\": 2")).unwrap();
    assert!(Manifest::read(&model).unwrap_err().to_string().contains("newer"));
}

#[test]
fn counters_of_training_are_left_out() {
    let Some(folder) = shared("goldens/yolo11_tiny") else { return };
    let mut tensors: Vec<(String, Tensor)> = all_tensors(&Weights::open(&folder).unwrap()).into_iter().collect();
    let count = tensors.len();
    tensors.push(("model.0.bn.num_batches_tracked".into(), Tensor::new(1i64, &Device::Cpu).unwrap()));
    let normal = normalise(Weights::from_tensors(&folder, tensors)).unwrap();
    assert_eq!(normal.weights.len(), count);
}

/// Opens a file and reads all that it says it has: only that nothing panics and no tensor is larger than the file.
fn exhaust(path: &Path, file_bytes: usize) {
    let Ok(weights) = Weights::open(path) else { return };
    let _ = weights.config();
    for name in weights.names() {
        if let Ok(tensor) = weights.load(name) {
            assert!(tensor.elem_count() <= file_bytes);
        }
    }
    let _ = normalise(weights);
}

fn mutated(bytes: &[u8], changes: &[(usize, u8)], cut: Option<usize>) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for &(at, value) in changes {
        let length = bytes.len();
        bytes[at % length] = value;
    }
    if let Some(cut) = cut {
        bytes.truncate(cut % bytes.len());
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn broken_checkpoints_are_read_or_refused(
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..6), cut in proptest::option::weighted(0.3, any::<usize>())
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pt");
        ultralytics(&path);
        let bytes = mutated(&std::fs::read(&path).unwrap(), &changes, cut);
        std::fs::write(&path, &bytes).unwrap();
        exhaust(&path, bytes.len());
    }

    #[test]
    fn broken_pickles_are_read_or_refused(changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pt");
        let mut checkpoint = Checkpoint::new();
        checkpoint.state(&[("a", ramp(&[2, 3], 0.0)), ("b", ramp(&[4], 0.0))]);
        checkpoint.pickle = mutated(&checkpoint.pickle, &changes, None);
        checkpoint.write(&path);
        exhaust(&path, std::fs::metadata(&path).unwrap().len() as usize);
    }

    #[test]
    fn broken_safetensors_are_read_or_refused(
        changes in proptest::collection::vec((0usize..400, any::<u8>()), 0..6), cut in proptest::option::weighted(0.3, any::<usize>())
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let tensors = [("a".to_owned(), ramp(&[2, 3], 0.0)), ("b".to_owned(), ramp(&[40], 0.0)), ("c".to_owned(), ramp(&[], 1.0))];
        write_safetensors(&Weights::from_tensors(&path, tensors), &path).unwrap();
        let bytes = mutated(&std::fs::read(&path).unwrap(), &changes, cut);
        std::fs::write(&path, &bytes).unwrap();
        exhaust(&path, bytes.len());
    }

    #[test]
    fn what_is_written_is_read_again(shapes in proptest::collection::btree_map("[a-z.]{1,12}", proptest::collection::vec(0usize..4, 0..4), 0..8)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let tensors = shapes.iter().map(|(name, shape)| (name.clone(), ramp(shape, name.len() as f32)));
        let weights = Weights::from_tensors(&path, tensors);
        write_safetensors(&weights, &path).unwrap();
        assert_same(&Weights::open(&path).unwrap(), &weights);
    }
}
