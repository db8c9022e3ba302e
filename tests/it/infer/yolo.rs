//! YOLOv8 and YOLO11 against the numbers of the reference implementation, and on real photographs where the shared folder has weights.

use std::{collections::HashMap, path::Path};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use hm::infer::{
    Rgb8,
    ops::{Backend, Map},
    yolo::{Bitmap, Config, Detection, Letterbox, Options, Thresholds, Yolo},
};

use super::shared;

const CASES: [&str; 4] = ["yolov8_tiny", "yolov8_seg_tiny", "yolo11_tiny", "yolo11_seg_tiny"];

fn load(file: &Path, backend: Backend) -> Yolo {
    let tensors = candle_core::safetensors::load(file, &Device::Cpu).expect("the weights are safetensors");
    let shapes = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.dims().to_vec())).collect();
    let config = Config::from_shapes(&shapes).expect("the weights are those of a YOLO");
    let tensors: HashMap<_, _> = tensors.into_iter().map(|(name, x)| (name, x.to_dtype(DType::F32).expect("floats"))).collect();
    Yolo::with_backend(VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu), &config, backend).expect("every tensor is there")
}

fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().and_then(|x| x.to_dtype(DType::F32)).and_then(|x| x.to_vec1()).expect("floats")
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn check_golden(name: &str, backend: Backend) {
    let Some(folder) = shared("goldens").map(|goldens| goldens.join(name)) else {
        return;
    };
    let golden = candle_core::safetensors::load(folder.join("golden.safetensors"), &Device::Cpu).expect("the golden tensors are there");
    let yolo = load(&folder.join("model.safetensors"), backend);
    let image = &golden["in.image"];

    let (predictions, prototypes) = yolo.forward(image).expect("the network runs");
    assert_eq!(predictions.dims(), golden["preds"].dims());
    let part = |x: &Tensor, first: usize, count: usize| values(&x.narrow(1, first, count).expect("there are as many"));
    let difference = |first: usize, count: usize| {
        let (got, expected) = (part(&predictions, first, count), part(&golden["preds"], first, count));
        largest_difference(&got, &expected)
    };
    let classes = yolo.config().classes;
    let rest = predictions.dims()[1] - 4 - classes;
    let (boxes, scores) = (difference(0, 4), difference(4, classes));
    let coefficients = if rest > 0 { difference(4 + classes, rest) } else { 0.0 };
    eprintln!("{name} {backend:?}: boxes {boxes:.1e} px, scores {scores:.1e}, coefficients {coefficients:.1e}");
    assert!(boxes <= 2e-2, "boxes differ by {boxes} px");
    assert!(scores <= 1e-4, "scores differ by {scores}");
    assert!(coefficients <= 5e-4, "coefficients differ by {coefficients}");
    if let Some(expected) = golden.get("proto") {
        let got = prototypes.expect("a segmentation network has prototypes");
        assert_eq!(got.dims(), expected.dims());
        let difference = largest_difference(&values(&got), &values(expected));
        eprintln!("{name} {backend:?}: prototypes {difference:.1e}");
        assert!(difference <= 5e-4, "prototypes differ by {difference}");
    }

    let output = yolo.run(&Map::from_tensor(image, backend).expect("a map")).expect("the network runs");
    let kept = hm::infer::yolo::suppress(yolo.candidates(&output, 0, 0.25), &Thresholds::default());
    let anchors: Vec<i64> = kept.iter().map(|kept| kept.anchor as i64).collect();
    let expected = golden["nms.anchor_index"].to_dtype(DType::I64).and_then(|x| x.to_vec1::<i64>()).expect("whole numbers");
    assert_eq!(anchors, expected, "the same objects in the same order");
    let found: Vec<f32> = kept.iter().map(|kept| kept.class as f32).collect();
    assert_eq!(found, values(&golden["nms.cls"]));
    let boxes: Vec<f32> = kept.iter().flat_map(|kept| kept.box_px).collect();
    assert!(largest_difference(&boxes, &values(&golden["nms.boxes_xyxy"])) <= 2e-2);
    let scores: Vec<f32> = kept.iter().map(|kept| kept.score).collect();
    assert!(largest_difference(&scores, &values(&golden["nms.conf"])) <= 1e-4);

    let Some(expected) = golden.get("nms.masks") else {
        return;
    };
    let (_, _, height, width) = image.dims4().expect("an image");
    let letterbox = Letterbox::new((width, height), width, true).expect("fits");
    let objects = yolo.objects(&output, 0, &letterbox, &Thresholds::default()).expect("the prototypes are there");
    assert_eq!(objects.len(), expected.dims()[0]);
    let expected = values(expected);
    let mut different = 0;
    for (object, expected) in objects.iter().zip(expected.chunks_exact(width * height)) {
        let mask = object.mask.as_ref().expect("a segmentation network has masks");
        let differs = |&i: &usize| mask.contains(i % width, i / width) != (expected[i] > 0.5);
        different += (0..width * height).filter(differs).count();
    }
    eprintln!("{name} {backend:?}: {different} of {} mask pixels differ", expected.len());
    assert!(different as f64 <= 5e-4 * expected.len() as f64, "{different} mask pixels differ");
}

#[test]
fn our_operations_give_the_reference_numbers() {
    CASES.iter().for_each(|case| check_golden(case, Backend::Own));
}

#[test]
fn candles_operations_give_the_reference_numbers() {
    CASES.iter().for_each(|case| check_golden(case, Backend::Stock));
}

#[test]
fn an_image_alone_gives_what_it_gives_in_a_batch() {
    let Some(goldens) = shared("goldens") else {
        return;
    };
    for case in CASES {
        let golden = candle_core::safetensors::load(goldens.join(case).join("golden.safetensors"), &Device::Cpu).expect("golden");
        let yolo = load(&goldens.join(case).join("model.safetensors"), Backend::Own);
        let image = &golden["in.image"];
        let other = image.affine(-1.0, 1.0).expect("the negative");
        let batch = Tensor::cat(&[&other, image, &other], 0).expect("a batch");
        let (alone, prototypes_alone) = yolo.forward(image).expect("runs");
        let (together, prototypes_together) = yolo.forward(&batch).expect("runs");
        assert_eq!(values(&together.narrow(0, 1, 1).expect("the second")), values(&alone), "{case}");
        assert_ne!(values(&together.narrow(0, 0, 1).expect("the first")), values(&alone), "{case}");
        if let (Some(alone), Some(together)) = (prototypes_alone, prototypes_together) {
            assert_eq!(values(&together.narrow(0, 1, 1).expect("the second")), values(&alone), "{case}");
        }
    }
}

#[test]
fn inputs_that_do_not_fit_are_told_so() {
    let Some(goldens) = shared("goldens") else {
        return;
    };
    let yolo = load(&goldens.join("yolov8_tiny/model.safetensors"), Backend::Own);
    let odd = Tensor::zeros((1, 3, 100, 160), DType::F32, &Device::Cpu).expect("zeros");
    let error = yolo.forward(&odd).expect_err("100 is no multiple of 32");
    assert!(error.to_string().contains("multiple of 32"), "{error}");
    let short = Rgb8 { width_px: 10, height_px: 10, bytes: &[0; 10] };
    assert!(yolo.detect(short, &Options::default()).is_err());
}

/// (name, least score, how many).
type Expected<'a> = (&'a str, f32, usize);

/// The photographs, what must be found on them, and by which weights.
fn check_photo(weights: &str, photo: &str, expected: &[Expected<'_>]) -> Option<Vec<Detection>> {
    let folder = shared("weights")?;
    let yolo = load(&folder.join("yolo").join(weights), Backend::Own);
    let bytes = std::fs::read(folder.join("photos").join(photo)).expect("the photo is there");
    let decoded = turbojpeg::decompress(&bytes, turbojpeg::PixelFormat::RGB).expect("the photo is whole");
    let rgb = image::RgbImage::from_raw(decoded.width as u32, decoded.height as u32, decoded.pixels).expect("rows without gaps");
    let (width, height) = (rgb.width() as usize, rgb.height() as usize);
    let found =
        yolo.detect(Rgb8 { width_px: rgb.width(), height_px: rgb.height(), bytes: &rgb }, &Options::default()).expect("the network runs");
    for object in &found {
        let [x, y, w, h] = [object.x_px, object.y_px, object.width_px, object.height_px];
        let share = object.mask.as_ref().map_or(0.0, |mask| mask.area_px() as f32 / (w * h));
        eprintln!("{weights} {photo}: {} {:.3} at {x:.0},{y:.0} {w:.0}x{h:.0}, mask {share:.2} of the box", object.name, object.score);
        assert!(x >= 0.0 && y >= 0.0 && x + w <= width as f32 + 0.01 && y + h <= height as f32 + 0.01);
    }
    for &(name, score, count) in expected {
        let as_good = found.iter().filter(|object| object.name == name && object.score >= score).count();
        assert!(as_good >= count, "{weights} on {photo}: {as_good} of {count} {name} with {score}");
    }
    draw(&rgb, &found, &format!("{weights}-{photo}.png"));
    Some(found)
}

/// Draws the masks and boxes over the photo into the folder that `HM_TEST_PICTURES` names, to be looked at.
fn draw(photo: &image::RgbImage, found: &[Detection], name: &str) {
    let Some(folder) = std::env::var_os("HM_TEST_PICTURES") else {
        return;
    };
    let colours = [[255, 64, 64], [64, 200, 64], [64, 128, 255], [255, 200, 0], [255, 64, 255], [0, 220, 220]];
    let mut picture = photo.clone();
    for (i, object) in found.iter().enumerate() {
        let colour = colours[i % colours.len()];
        for (x, y, pixel) in picture.enumerate_pixels_mut() {
            let (fx, fy) = (x as f32, y as f32);
            let (right, bottom) = (object.x_px + object.width_px, object.y_px + object.height_px);
            let inside = fx >= object.x_px && fx <= right && fy >= object.y_px && fy <= bottom;
            let border = fx < object.x_px + 3.0 || fx > right - 3.0 || fy < object.y_px + 3.0 || fy > bottom - 3.0;
            let masked = object.mask.as_ref().is_some_and(|mask: &Bitmap| mask.contains(x as usize, y as usize));
            if inside && border {
                pixel.0 = colour;
            } else if masked {
                pixel.0 = std::array::from_fn(|channel| pixel.0[channel] / 2 + colour[channel] / 2);
            }
        }
    }
    picture.save(Path::new(&folder).join(name)).expect("the folder is writable");
}

#[test]
fn real_weights_find_what_is_on_the_photos() {
    for weights in ["yolov8n_from_int8.safetensors", "yolov8n-seg_from_int8.safetensors"] {
        check_photo(weights, "bus.jpg", &[("bus", 0.84, 1), ("person", 0.84, 3), ("person", 0.25, 4)]);
        check_photo(weights, "dog.jpg", &[("dog", 0.9, 1), ("person", 0.91, 1), ("bowl", 0.7, 1)]);
        check_photo(weights, "truck.jpg", &[("truck", 0.89, 1)]);
    }
    let weights = "yolo11n_from_int8.safetensors";
    check_photo(weights, "bus.jpg", &[("bus", 0.93, 1), ("person", 0.6, 4)]);
    check_photo(weights, "dog.jpg", &[("dog", 0.93, 1), ("person", 0.89, 1), ("bowl", 0.81, 1)]);
    check_photo(weights, "truck.jpg", &[("truck", 0.92, 1)]);
}

#[test]
fn masks_follow_the_objects() {
    let Some(found) = check_photo("yolov8n-seg_from_int8.safetensors", "bus.jpg", &[]) else {
        return;
    };
    for object in found.iter().filter(|object| object.score > 0.8) {
        let mask = object.mask.as_ref().expect("a segmentation network has masks");
        let share = mask.area_px() as f32 / (object.width_px * object.height_px);
        assert!((0.3..0.95).contains(&share), "the mask of the {} fills {share} of its box", object.name);
    }
}
