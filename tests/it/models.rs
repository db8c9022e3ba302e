//! Importing, listing, fetching, verifying, checking and removing networks, through the real program and as the rest of hm uses them; and
//! the page that tells which there are and which to get.
//!
//! Networks are made here; those of the developers' folder are used where they are at hand.

mod engine;
mod page;
mod pull;
mod results;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use hm::{
    infer::{
        InferError,
        manifest::Provenance,
        shelf::{Imported, Shelf, Use},
    },
    models::task::TaskKind,
};

use crate::{
    infer::shared,
    support::{hm_command, networks, temp_dir},
};

/// A home of its own for `hm models`.
struct Home {
    dir: tempfile::TempDir,
}

/// How the program ended, and what it said.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Home {
    fn new() -> Self {
        Self { dir: temp_dir() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = hm_command();
        command.arg("--data-dir").arg(self.dir.path().join("data")).arg("models").args(arguments);
        command.stdin(std::process::Stdio::null()).env("NO_PROXY", "127.0.0.1");
        command
    }

    fn hm(&self, arguments: &[&str]) -> Said {
        Said::of(self.command(arguments).output().unwrap())
    }

    /// A path in it that has nothing to do with hm's own things.
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn shelf(&self) -> Shelf {
        Shelf::new(&self.dir.path().join("data/models"))
    }

    /// All entries of the shelf's folder, hidden ones too.
    fn entries(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.shelf().dir()) else { return Vec::new() };
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Said {
    fn of(Output { status, stdout, stderr }: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: status.code(), out: text(stdout), err: text(stderr) }
    }

    #[track_caller]
    fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn fails(self) -> Self {
        assert_eq!(self.code, Some(1), "{}\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn says(self, words: &str) -> Self {
        assert!(self.out.contains(words) || self.err.contains(words), "no `{words}` in\n{}\n{}", self.out, self.err);
        self
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_network_is_imported_listed_verified_and_removed() {
    let home = Home::new();
    home.hm(&["list"]).succeeds().says("No networks are imported");
    networks::clip(&home.path("clip"), 1);
    fs::write(home.path("clip/tokenizer.json"), networks::tokenizer()).unwrap();
    let said = home.hm(&["import", text(&home.path("clip")), "--licence", "MIT", "--source", "made here"]).succeeds();
    said.says("`clip-vit-32-2-16` is imported: CLIP ViT-32×2/16").says("search by words");
    networks::yolo(&home.path("files"), "things.safetensors", 2);
    home.hm(&["import", text(&home.path("files/things.safetensors")), "--name", "things"]).succeeds().says("finding things and outlining");

    let list = home.hm(&["list"]).succeeds().out;
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines[0].trim_start().starts_with("NAME"), "{list}");
    assert!(
        lines[1].starts_with("*  clip-vit-32-2-16  CLIP ViT-32×2/16") && lines[1].contains("embed") && lines[1].ends_with("MIT"),
        "{list}"
    );
    assert!(lines[2].starts_with("*  things ") && lines[2].contains("detect") && lines[2].contains("AGPL-3.0"), "{list}");
    let json: serde_json::Value = serde_json::from_str(&home.hm(&["list", "--json"]).succeeds().out).unwrap();
    assert_eq!((&json[0]["name"], &json[0]["reads_words"], &json[0]["in_use"]), (&"clip-vit-32-2-16".into(), &true.into(), &true.into()));
    assert_eq!((&json[0]["source"], &json[1]["use"]), (&"made here".into(), &"detect".into()));
    assert_eq!(json[1]["source"], "`things.safetensors`, imported by hand");

    home.hm(&["verify"]).succeeds().says("✓ clip-vit-32-2-16 is whole").says("✓ things is whole");
    let weights = home.path("data/models/things/model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    home.hm(&["verify", "clip-vit-32-2-16"]).succeeds();
    home.hm(&["verify", "things"]).fails().says("sha256").says("import or fetch it again");
    home.hm(&["verify"]).fails().says("✓ clip").says("✗ things");

    home.hm(&["remove", "things"]).fails().says("--yes");
    assert!(home.shelf().find("things").unwrap().is_some());
    home.hm(&["remove", "things", "--yes"]).succeeds().says("removed");
    home.hm(&["remove", "things", "--yes"]).fails().says("no network called `things`").says("hm models list");
    home.hm(&["verify", "../clip"]).fails().says("no network called");
    assert_eq!(home.entries(), ["clip-vit-32-2-16"]);
}

#[test]
fn the_same_weights_are_one_network_and_others_need_another_name() {
    let home = Home::new();
    networks::clip(&home.path("one"), 1);
    networks::clip(&home.path("two"), 2);
    home.hm(&["import", text(&home.path("one"))]).succeeds().says("cannot be asked with words").says("--tokenizer");
    home.hm(&["import", text(&home.path("one"))]).succeeds().says("imported already, as `clip-vit-32-2-16`: nothing was changed");
    home.hm(&["import", text(&home.path("one")), "--name", "again"]).succeeds().says("imported already");
    home.hm(&["import", text(&home.path("two"))]).fails().says("with other weights").says("--name");
    home.hm(&["import", text(&home.path("two")), "--name", "Two"]).fails().says("no name for a network");
    home.hm(&["import", text(&home.path("two")), "--name", "two"]).succeeds();
    assert_eq!(home.entries(), ["clip-vit-32-2-16", "two"]);

    // The same numbers under another activation are another network.
    let config = fs::read_to_string(home.path("one/config.json")).unwrap();
    fs::write(home.path("one/config.json"), config.replace("\"hidden_size\"", "\"hidden_act\":\"gelu\",\"hidden_size\"")).unwrap();
    home.hm(&["import", text(&home.path("one"))]).fails().says("with other weights");
    home.hm(&["import", text(&home.path("one")), "--name", "gelu"]).succeeds();
    let versions: Vec<String> = home.shelf().list().unwrap().into_iter().map(|shelved| shelved.manifest.version).collect();
    assert_eq!(versions.len(), 3);
    assert!(versions[0] != versions[1] && versions[0] != versions[2], "{versions:?}");
}

#[test]
fn a_tokenizer_can_be_brought_later_and_must_be_the_networks_own() {
    let home = Home::new();
    networks::clip(&home.path("clip"), 1);
    home.hm(&["import", text(&home.path("clip"))]).succeeds().says("no tokenizer");
    let shelved = home.shelf().find("clip-vit-32-2-16").unwrap().unwrap();
    assert!(shelved.lacks_tokenizer());
    let own = shelved.folder.clone();

    fs::write(home.path("bad.json"), "{}").unwrap();
    home.hm(&["import", text(&own), "--tokenizer", text(&home.path("bad.json"))]).fails().says("no tokenizer.json");
    let many = networks::tokenizer().replace("\"snow\":7", "\"snow\":7,\"ice\":8");
    fs::write(home.path("many.json"), many).unwrap();
    home.hm(&["import", text(&own), "--tokenizer", text(&home.path("many.json"))]).fails().says("another network's tokenizer");
    // As `hm models list` says it: the weights that were imported are at hand.
    fs::write(home.path("tokenizer.json"), networks::tokenizer()).unwrap();
    home.hm(&["list"]).succeeds().says(&format!("hm models import '{}' --tokenizer tokenizer.json", own.display())).says("HM_MODELS_DIR='");
    home.hm(&["import", text(&own), "--tokenizer", text(&home.path("tokenizer.json"))]).succeeds().says("have a tokenizer now");
    home.hm(&["verify"]).succeeds();
    assert!(!home.shelf().find("clip-vit-32-2-16").unwrap().unwrap().lacks_tokenizer());

    networks::yolo(&home.path("files"), "things.safetensors", 2);
    let said = home.hm(&["import", text(&home.path("files/things.safetensors")), "--tokenizer", text(&home.path("tokenizer.json"))]);
    said.fails().says("reads no words");
}

#[test]
fn what_lies_beside_a_single_file_is_taken_only_when_it_is_its_own() {
    let home = Home::new();
    networks::clip(&home.path("clip"), 1);
    fs::write(home.path("clip/tokenizer.json"), networks::tokenizer()).unwrap();
    home.hm(&["import", text(&home.path("clip/model.safetensors"))]).succeeds().says("is imported: CLIP");
    assert!(!home.shelf().find("clip-vit-32-2-16").unwrap().unwrap().lacks_tokenizer());

    networks::clip(&home.path("alone"), 3);
    fs::write(home.path("alone/config.json"), r#"{"model_type": "bert"}"#).unwrap();
    home.hm(&["import", text(&home.path("alone/model.safetensors")), "--name", "alone"]).fails().says("no config.json beside them");
    networks::clip(&home.path("other"), 4);
    fs::write(home.path("other/tokenizer.json"), "{}").unwrap();
    home.hm(&["import", text(&home.path("other")), "--name", "other"]).succeeds().says("is not taken").says("no tokenizer");
    assert_eq!(home.entries(), ["clip-vit-32-2-16", "other"]);
}

#[test]
fn hostile_and_broken_files_are_refused_and_leave_nothing() {
    let home = Home::new();
    networks::yolo(&home.path("files"), "whole.safetensors", 2);
    let whole = fs::read(home.path("files/whole.safetensors")).unwrap();
    let huge = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
    let lies = {
        let header = r#"{"model.0.conv.weight":{"dtype":"F32","shape":[9999999,9999999],"data_offsets":[0,4]}}"#;
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat()
    };
    for (name, bytes, words) in [
        ("empty.pt", vec![], "it is empty"),
        ("page.safetensors", b"<!doctype html><title>Sign in</title>".to_vec(), "web page"),
        ("pointer.safetensors", b"version https://git-lfs.github.com/spec/v1\n".to_vec(), "Git LFS"),
        ("noise.pt", vec![7; 4096], "neither safetensors nor a checkpoint"),
        ("cut.safetensors", whole[..whole.len() / 2].to_vec(), "cut.safetensors"),
        ("huge.safetensors", huge, "huge.safetensors"),
        ("lies.safetensors", lies, "lies.safetensors"),
    ] {
        let path = home.path(name);
        fs::write(&path, bytes).unwrap();
        let said = home.hm(&["import", text(&path)]).fails().says(words);
        assert!(said.err.starts_with("hm: ") && !said.err.contains("panicked"), "{}", said.err);
    }
    fs::create_dir(home.path("folder")).unwrap();
    home.hm(&["import", text(&home.path("folder"))]).fails().says("no weights in it");
    home.hm(&["import", text(&home.path("nothing"))]).fails().says("cannot read");

    // Tensors of a network, and not all of them, or of another shape: told by its name, and then not built.
    let weights = hm::infer::weights::Weights::open(&home.path("files/whole.safetensors")).unwrap();
    let all = || weights.names().map(|name| (name.to_owned(), weights.load(name).unwrap()));
    let write = |name: &str, tensors: Vec<(String, candle_core::Tensor)>| {
        let path = home.path(name);
        hm::infer::weights::write_safetensors(&hm::infer::weights::Weights::from_tensors(&path, tensors), &path).unwrap();
        path
    };
    let lacking = write("lacking.safetensors", all().filter(|(name, _)| name != "model.9.cv2.conv.weight").collect());
    home.hm(&["import", text(&lacking)]).fails().says("cannot take these weights").says("model.9.cv2.conv.weight");
    // Bent: as many numbers in another shape.
    let bent = |name: String, tensor: candle_core::Tensor| match name.as_str() {
        "model.22.cv2.0.0.conv.weight" => (name, tensor.flatten_all().unwrap()),
        _ => (name, tensor),
    };
    let bent = write("bent.safetensors", all().map(|(name, tensor)| bent(name, tensor)).collect());
    home.hm(&["import", text(&bent)]).fails().says("cannot take these weights").says("instead of");
    assert_eq!(home.entries(), [""; 0], "nothing is left of what was refused");
}

#[test]
fn a_half_written_folder_is_skipped_and_told() {
    let home = Home::new();
    networks::clip(&home.path("clip"), 1);
    home.hm(&["import", text(&home.path("clip"))]).succeeds();
    let models = home.path("data/models");
    fs::create_dir(models.join("half")).unwrap();
    fs::write(models.join("half/model.safetensors"), "x").unwrap();
    fs::create_dir(models.join(".import-0123")).unwrap();
    fs::write(models.join("a-file"), "x").unwrap();
    // Copied under another name, and cut short.
    let copy = |to: &str| {
        fs::create_dir(models.join(to)).unwrap();
        for entry in fs::read_dir(models.join("clip-vit-32-2-16")).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, models.join(to).join(path.file_name().unwrap())).unwrap();
        }
    };
    copy("copied");
    copy("cut");
    let manifest = fs::read_to_string(models.join("cut/manifest.json")).unwrap();
    fs::write(models.join("cut/manifest.json"), manifest.replace("\"clip-vit-32-2-16\"", "\"cut\"")).unwrap();
    fs::write(models.join("cut/model.safetensors"), "x").unwrap();
    copy("later");
    fs::write(models.join("later/manifest.json"), manifest.replace("\"family\": \"clip\"", "\"family\": \"clip9\"")).unwrap();

    let said = home.hm(&["list"]).succeeds();
    assert!(said.out.contains("clip-vit-32-2-16") && !said.out.contains("half"), "{}", said.out);
    for words in ["half` is no network", "it says that it is `clip-vit-32-2-16`", "1 bytes instead of", "does not know"] {
        assert!(said.err.contains(words), "no `{words}` in {}", said.err);
    }
    home.hm(&["verify"]).fails().says("✓ clip-vit-32-2-16").says("half");
    for name in ["half", "copied", "cut", "later"] {
        home.hm(&["remove", name, "--yes"]).succeeds();
    }
    home.hm(&["verify"]).succeeds();
}

#[test]
fn the_one_imported_first_is_used_unless_another_is_preferred() {
    let dir = temp_dir();
    let shelf = Shelf::new(&dir.path().join("models"));
    for (name, seed) in [("zebra", 1), ("ant", 2)] {
        networks::clip(&dir.path().join(name), seed);
        let provenance = Provenance { name: Some(name.into()), ..Provenance::default() };
        let imported = shelf.import(&dir.path().join(name), None, &provenance).unwrap();
        assert!(matches!(imported, Imported::New(_)));
    }
    let chosen = |use_, preferred: &str| shelf.choose(use_, preferred).unwrap().map(|shelved| shelved.manifest.name);
    assert_eq!(chosen(Use::Embed, "").as_deref(), Some("zebra"));
    assert_eq!(chosen(Use::Embed, "ant").as_deref(), Some("ant"));
    assert_eq!(chosen(Use::Embed, "bee"), None);
    assert_eq!(chosen(Use::Detect, ""), None);
    assert_eq!(chosen(Use::Detect, "ant"), None, "it is there for something else");
    let zebra = shelf.find("zebra").unwrap().unwrap();
    let lane = zebra.lane().unwrap();
    assert_eq!((lane.kind, &lane.network), (TaskKind::Embed, &zebra.network()));
    assert_eq!(lane.to_string().parse(), Ok(lane));
    assert!(zebra.manifest.imported_at.is_some());

    // Manifests of before the time was noted are the oldest.
    let path = shelf.dir().join("ant/manifest.json");
    let mut manifest: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    manifest.as_object_mut().unwrap().remove("imported_at");
    fs::write(&path, manifest.to_string()).unwrap();
    assert_eq!(chosen(Use::Embed, "").as_deref(), Some("ant"));
}

#[test]
fn imports_at_the_same_time_make_one_network() {
    let dir = temp_dir();
    let shelf = Shelf::new(&dir.path().join("models"));
    networks::clip(&dir.path().join("clip"), 1);
    let results: Vec<Result<Imported, InferError>> = std::thread::scope(|scope| {
        let import = || shelf.import(&dir.path().join("clip"), None, &Provenance::default());
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(import)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let new = results.iter().filter(|result| matches!(result, Ok(Imported::New(_)))).count();
    assert_eq!(new, 1, "{results:?}");
    assert_eq!(shelf.list().unwrap().len(), 1);
    shelf.verify("clip-vit-32-2-16").unwrap();
}

#[test]
fn every_form_of_the_developers_networks_is_imported_and_can_run() {
    let Some(goldens) = shared("goldens") else { return };
    let home = Home::new();
    let mut expected = vec![
        ("clip_tiny_gelu", "clip", Use::Embed),
        ("siglip_tiny", "siglip", Use::Embed),
        ("dinov2_tiny", "dinov2", Use::Objects),
        ("sam_tiny", "sam", Use::Segment),
        ("sam_tiny/model_original_names.safetensors", "sam", Use::Segment),
        ("sam2_tiny", "sam2", Use::Segment),
        ("yolov8_tiny", "yolov8", Use::Detect),
        ("yolov8_seg_tiny", "yolov8", Use::Detect),
        ("yolo11_tiny", "yolo11", Use::Detect),
        ("yolo11_seg_tiny", "yolo11", Use::Detect),
    ]
    .into_iter()
    .map(|(path, family, use_)| (goldens.join(path), family, use_))
    .collect::<Vec<_>>();
    if let Some(weights) = shared("weights/yolo") {
        expected.push((weights.join("yolo11n_from_int8.safetensors"), "yolo11", Use::Detect));
        expected.push((weights.join("yolov8n-seg_from_int8.safetensors"), "yolov8", Use::Detect));
    }
    for (number, (path, family, use_)) in expected.iter().enumerate() {
        let provenance = Provenance { name: Some(format!("network-{number}")), ..Provenance::default() };
        let imported = home.shelf().import(path, None, &provenance);
        // Both sets of names of one SAM give the same numbers under the same names.
        if path.ends_with("model_original_names.safetensors") {
            assert!(matches!(imported, Ok(Imported::Already(_))), "{imported:?}");
            continue;
        }
        let shelved = imported.unwrap_or_else(|error| panic!("{}: {error}", path.display())).shelved().clone();
        assert_eq!((shelved.manifest.family.as_str(), shelved.use_()), (*family, *use_), "{}", path.display());
        shelved.verify().unwrap();
    }
}

/// A case whose numbers were made by the network itself.
fn case(folder: &Path) {
    networks::dinov2(folder, 5);
    let config = hm::infer::dinov2::Config::from_json(&fs::read_to_string(folder.join("config.json")).unwrap()).unwrap();
    let device = candle_core::Device::Cpu;
    let vb = hm::infer::weights::Weights::open(folder).unwrap().var_builder(candle_core::DType::F32, &device);
    let pixels = candle_core::Tensor::arange(0f32, 3.0 * 56.0 * 56.0, &device).unwrap();
    let pixels = ((pixels / 5000.0).unwrap() - 1.0).unwrap().reshape((1, 3, 56, 56)).unwrap();
    let features = hm::infer::dinov2::Dinov2::new(&vb, &config).unwrap().features(&pixels).unwrap();
    let golden = [("in.pixel_values", pixels), ("last_hidden_state", features.last_hidden_state), ("pooler_output", features.pooled)];
    let golden = golden.into_iter().map(|(name, tensor)| (name.to_owned(), tensor.contiguous().unwrap()));
    let path = folder.join("golden.safetensors");
    hm::infer::weights::write_safetensors(&hm::infer::weights::Weights::from_tensors(&path, golden), &path).unwrap();
}

#[test]
fn a_check_prints_every_output_and_fails_when_one_is_off() {
    let home = Home::new();
    case(&home.path("cases/good"));
    home.hm(&["check", text(&home.path("cases/good"))]).succeeds().says("✓ pooler_output").says("of 1.0e-4").says("1 of 1 cases");

    // Other weights beside the same numbers, an output that nothing gives, and a file that is none.
    case(&home.path("cases/other"));
    networks::dinov2(&home.path("cases/other"), 6);
    let said = home.hm(&["check", text(&home.path("cases"))]).fails();
    assert!(said.out.contains("✓ good: DINOv2 24×2") && said.out.contains("✗ other: DINOv2 24×2"), "{}", said.out);
    said.says("✗ pooler_output").says("1 of 2 cases are within all tolerances");
    let golden = home.path("cases/other/golden.safetensors");
    let weights = hm::infer::weights::Weights::open(&golden).unwrap();
    let more = weights
        .names()
        .map(|name| (name.to_owned(), weights.load(name).unwrap()))
        .chain([("surprise".to_owned(), weights.load("pooler_output").unwrap())]);
    let more = hm::infer::weights::Weights::from_tensors(&golden, more.collect::<Vec<_>>());
    hm::infer::weights::write_safetensors(&more, &golden).unwrap();
    home.hm(&["check", text(&home.path("cases/other"))]).fails().says("✗ surprise").says("nothing of ours gives it");
    fs::write(&golden, "x").unwrap();
    home.hm(&["check", text(&home.path("cases/other"))]).fails().says("golden.safetensors");
    fs::remove_file(home.path("cases/good/model.safetensors")).unwrap();
    home.hm(&["check", text(&home.path("cases/good"))]).fails().says("--network");
    home.hm(&["check", text(&home.path("nowhere"))]).fails().says("cannot read");

    // The imported one instead of what lies beside the numbers.
    networks::dinov2(&home.path("dino"), 5);
    home.hm(&["import", text(&home.path("dino"))]).succeeds();
    home.hm(&["check", text(&home.path("cases/good")), "--network", "dinov2-24-2"]).succeeds().says("✓ good");
    home.hm(&["check", text(&home.path("cases/good")), "--network", "x"]).fails().says("no network called `x`");
}

#[test]
fn the_developers_goldens_are_within_their_tolerances() {
    let Some(goldens) = shared("goldens") else { return };
    let home = Home::new();
    let said = home.hm(&["check", text(&goldens)]).succeeds();
    println!("{}", said.out);
    for case in ["clip_tiny_gelu", "clip_tiny_quick_gelu", "clip_tokenizer", "siglip_tiny", "dinov2_tiny", "sam2_tiny", "yolo11_seg_tiny"] {
        assert!(said.out.contains(&format!("✓ {case}: ")), "{case} is not in {}", said.out);
    }
    for output in
        ["text_embeds", "nms.masks", "point1.multi.low_res_masks", "box_point.single.iou", "(single precision)", "tokens of 12 texts"]
    {
        assert!(said.out.contains(output), "{output} is not in {}", said.out);
    }
    assert!(said.out.contains("✓ sam_tiny/model: ") && said.out.contains("✓ sam_tiny/model_original_names: "), "{}", said.out);
    home.hm(&["check", text(&goldens.join("yolov8_tiny"))]).succeeds().says("1 of 1 cases");
}
