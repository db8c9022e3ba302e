//! Networks against numbers of their reference implementations: whether they compute what they should on this machine, in this build.
//! Apart, because tests are not at hand where people run hm.
//!
//! A case is a folder with the weights (`*.safetensors`, `config.json`) and `golden.safetensors`, which holds inputs (`in.…`) and the
//! outputs that the reference made of them in double precision; or a `tokenizer.json` with `golden.json`, texts and their tokens. Imports
//! the networks and the shelf.

mod embed;
mod sam;
mod words;
mod yolo;

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use super::{
    InferError, Result,
    shelf::Shelved,
    weights::{Family, Normalised, Weights, normalise},
};

/// The numbers of a case.
const GOLDEN: &str = "golden.safetensors";

/// The texts of a case of a tokenizer.
const GOLDEN_TEXTS: &str = "golden.json";

/// An output of a network beside that of the reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Which output.
    pub output: String,
    /// The largest error, in `unit`; infinite where there is nothing to compare.
    pub error: f64,
    /// What it may be.
    pub tolerance: f64,
    /// Of what the error is: `px`, `% of the pixels`, `entries`; empty for plain numbers.
    pub unit: &'static str,
    /// What else is to be said of it.
    pub note: String,
}

impl Measured {
    /// Whether the output is as it should be.
    pub fn is_within(&self) -> bool {
        // Not the other way round: no number is within nothing.
        self.error <= self.tolerance
    }

    fn new(output: impl Into<String>, error: f64, tolerance: f64) -> Self {
        Self { output: output.into(), error, tolerance, unit: "", note: String::new() }
    }

    fn of(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    /// An output that cannot be compared.
    fn impossible(output: impl Into<String>, why: impl Into<String>) -> Self {
        Self { output: output.into(), error: f64::INFINITY, tolerance: 0.0, unit: "", note: why.into() }
    }
}

/// What became of a case.
#[derive(Debug)]
pub struct Case {
    /// Its name, and that of the weights where there are several.
    pub name: String,
    /// What the network is called.
    pub network: String,
    /// Every output, or why the network did not run.
    pub outputs: Result<Vec<Measured>>,
}

impl Case {
    /// Whether it ran, and all outputs are as they should be.
    pub fn is_within(&self) -> bool {
        self.outputs.as_ref().is_ok_and(|outputs| !outputs.is_empty() && outputs.iter().all(Measured::is_within))
    }
}

/// Runs the networks of a folder of cases, or of one case; with `shelved` that network instead of the weights in the cases.
///
/// # Errors
/// [`InferError::Read`] when the folder cannot be read; [`InferError::Refused`] when there is no case in it. What is wrong with a single
/// case is said in it.
pub fn check(folder: &Path, shelved: Option<&Shelved>) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for folder in case_folders(folder)? {
        let name = folder.file_name().map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into_owned());
        if folder.join(GOLDEN_TEXTS).is_file() {
            let tokenizer = shelved.and_then(Shelved::tokenizer);
            cases.push(Case { name: name.clone(), network: "tokenizer".into(), outputs: words::check(&folder, tokenizer.as_deref()) });
        }
        if !folder.join(GOLDEN).is_file() {
            continue;
        }
        let files = match shelved {
            Some(shelved) => vec![shelved.folder.clone()],
            None => weights_of(&folder)?,
        };
        if files.is_empty() {
            let why = "there are no weights beside its numbers\nhint: say which imported network is meant with --network".to_owned();
            cases.push(Case { name, network: "?".into(), outputs: Err(InferError::Refused(why)) });
            continue;
        }
        let several = files.len() > 1;
        for file in files {
            let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let name = if several { format!("{name}/{stem}") } else { name.clone() };
            let (network, outputs) = run(&folder, &file);
            cases.push(Case { name, network, outputs });
        }
    }
    Ok(cases)
}

fn case_folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let is_case = |folder: &Path| folder.join(GOLDEN).is_file() || folder.join(GOLDEN_TEXTS).is_file();
    if is_case(folder) {
        return Ok(vec![folder.to_owned()]);
    }
    let mut cases: Vec<PathBuf> = entries(folder)?.into_iter().filter(|path| is_case(path)).collect();
    cases.sort();
    if cases.is_empty() {
        return Err(InferError::Refused(format!(
            "there is nothing to check in `{}`\nhint: a case is a folder with weights and {GOLDEN}, or with tokenizer.json and {GOLDEN_TEXTS}",
            folder.display()
        )));
    }
    Ok(cases)
}

fn weights_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let is_weights = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "safetensors") && path.file_name().is_some_and(|name| name != GOLDEN)
    };
    let mut files: Vec<PathBuf> = entries(folder)?.into_iter().filter(is_weights).collect();
    files.sort();
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |source| InferError::Read { path: folder.to_owned(), source };
    std::fs::read_dir(folder).map_err(fail)?.map(|entry| entry.map(|entry| entry.path()).map_err(fail)).collect()
}

/// Runs the network of `file` on the numbers of a case, and says what it is.
fn run(case: &Path, file: &Path) -> (String, Result<Vec<Measured>>) {
    let opened = Weights::open(file).and_then(|weights| weights.with_config_beside(|_| true)).and_then(normalise);
    let Normalised { kind, weights } = match opened {
        Ok(normalised) => normalised,
        Err(error) => return ("?".into(), Err(error)),
    };
    let outputs = Golden::open(case).and_then(|golden| match kind.family {
        Family::Clip => embed::clip(weights, &golden),
        Family::Siglip => embed::siglip(weights, &golden),
        Family::Dinov2 => embed::dinov2(weights, &golden),
        Family::Yolov8 | Family::Yolo11 => yolo::check(weights, &golden),
        Family::Sam | Family::MobileSam | Family::Sam2 => sam::check(&weights, &golden),
    });
    (kind.title(), outputs)
}

/// The numbers of a case.
struct Golden(Weights);

impl Golden {
    fn open(case: &Path) -> Result<Self> {
        Weights::open(&case.join(GOLDEN)).map(Self)
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// A tensor, as f32 on the CPU.
    fn floats(&self, name: &str) -> Result<Tensor> {
        Ok(self.0.load(name)?.to_dtype(DType::F32)?.to_device(&Device::Cpu)?)
    }

    /// All numbers of a tensor.
    fn numbers(&self, name: &str) -> Result<Vec<f32>> {
        Ok(self.floats(name)?.flatten_all()?.to_vec1()?)
    }

    /// Sentences as tokens.
    fn tokens(&self, name: &str) -> Result<Vec<Vec<u32>>> {
        Ok(self.0.load(name)?.to_dtype(DType::U32)?.to_vec2()?)
    }

    /// The names of all outputs.
    fn outputs(&self) -> impl Iterator<Item = &str> {
        self.0.names().filter(|name| !name.starts_with("in."))
    }

    /// Compares an output.
    fn compare(&self, name: &str, ours: &Tensor, tolerance: f64) -> Result<Measured> {
        let truth = self.floats(name)?;
        if ours.dims() != truth.dims() {
            return Ok(Measured::impossible(name, format!("it has the shape {:?} instead of {:?}", ours.dims(), truth.dims())));
        }
        Ok(Measured::new(name, worst(&numbers(ours)?, &numbers(&truth)?), tolerance))
    }

    /// Says of every output that was not compared that it was not: a case is only as good as what of it is looked at.
    fn mention_the_rest(&self, measured: &mut Vec<Measured>) {
        let rest: Vec<&str> = self.outputs().filter(|name| !measured.iter().any(|measured| measured.output == *name)).collect();
        measured.extend(rest.into_iter().map(|name| Measured::impossible(name, "nothing of ours gives it")));
    }
}

fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

/// The largest difference; infinite when the lengths differ or a number is none.
fn worst(ours: &[f32], truth: &[f32]) -> f64 {
    if ours.len() != truth.len() {
        return f64::INFINITY;
    }
    let difference = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).abs();
    ours.iter().zip(truth).map(difference).fold(0.0, |most, error| if error.is_nan() { f64::INFINITY } else { error.max(most) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_not_within() {
        assert_eq!(worst(&[1.0, 2.0], &[1.0, 2.5]), 0.5);
        assert_eq!(worst(&[f32::NAN], &[1.0]), f64::INFINITY);
        assert_eq!(worst(&[1.0], &[1.0, 1.0]), f64::INFINITY);
        assert!(Measured::new("x", 1e-5, 1e-5).is_within());
        assert!(!Measured::new("x", f64::NAN, 1.0).is_within());
        assert!(!Measured::impossible("x", "").is_within());
        assert!(!Case { name: String::new(), network: String::new(), outputs: Ok(Vec::new()) }.is_within());
    }

    #[test]
    fn a_folder_without_cases_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let error = check(folder.path(), None).unwrap_err().to_string();
        assert!(error.contains("nothing to check") && error.contains(GOLDEN), "{error}");
        assert!(matches!(check(&folder.path().join("x"), None), Err(InferError::Read { .. })));
    }
}
