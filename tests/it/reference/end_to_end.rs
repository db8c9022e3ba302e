//! As a newcomer: networks imported, a folder scanned, a server with its own worker, all as processes of their own with their private database and
//! queue. What was drawn is found by words and selected by a click; what real photographs show is told by a real detector where one is at hand.
//!
//! Linux only, as the tests of the private services are.
#![cfg(target_os = "linux")]

use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use hm::models::vision::Mask;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::weights;
use crate::support::{
    hm_command,
    http::{Answer, ask},
    scenes::Scene,
    temp_dir, wait_until,
};

/// Patience with a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(240);

/// A library with everything of its own; the server ends with the value.
struct Home {
    dir: tempfile::TempDir,
    server: Option<(Child, SocketAddr)>,
}

impl Home {
    fn new() -> Self {
        let dir = temp_dir();
        fs::create_dir(dir.path().join("photos")).unwrap();
        Self { dir, server: None }
    }

    fn photos(&self) -> PathBuf {
        self.dir.path().join("photos")
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = hm_command();
        command.arg("--data-dir").arg(self.dir.path().join("data")).args(arguments).env("HM_LOG_LEVEL", "info").env("HM_WORK_THREADS", "1");
        command
    }

    /// Runs a command to its end; what it said.
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "hm {arguments:?}: {said}");
        said
    }

    fn import(&self, path: &Path) {
        self.run(&["models", "import", path.to_str().unwrap()]);
    }

    /// Starts the server on a free port.
    fn serve(&mut self) {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let log = fs::File::create(self.dir.path().join("log")).unwrap();
        let mut command = self.command(&["serve", "--bind", &address.to_string()]);
        let server = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.server = Some((server, address));
        wait_until("the server listens", PATIENCE, || TcpStream::connect(address).is_ok());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn get(&self, path: &str) -> Answer {
        ask(self.server.as_ref().unwrap().1, "GET", path, &[], "")
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        ask(self.server.as_ref().unwrap().1, "POST", path, &[("Content-Type", "application/json")], &body.to_string())
    }

    /// Names of the images that a search finds, in its order, with their ids.
    fn found(&self, query: &str) -> Vec<(String, i64)> {
        let answer = self.get(&format!("/api/v1/images?limit=500&q={}", utf8_percent_encode(query, NON_ALPHANUMERIC)));
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        let images = answer.json()["images"].as_array().unwrap().clone();
        images.iter().map(|image| (image["base_name"].as_str().unwrap().to_owned(), image["id"].as_i64().unwrap())).collect()
    }

    /// Whether likeness can be asked for at all.
    fn has_vectors(&self) -> bool {
        self.get("/api/v1/images?q=like:circle").json()["code"] != "no_vectors"
    }

    /// The masks of a request, once the picture and the network are ready.
    fn segment(&self, image: i64, asked: &Value) -> Value {
        let mut told = Value::Null;
        wait_until("the server cuts out what is pointed at", PATIENCE, || {
            let answer = self.post(&format!("/api/v1/images/{image}/segment"), asked);
            assert!(matches!(answer.status, 200 | 503), "{}", answer.text());
            told = answer.json();
            answer.status == 200
        });
        told
    }

    /// Waits until the lanes have no more to do for any image.
    fn wait_for_networks(&self, images: usize) {
        wait_until("every image has what the networks say of it", PATIENCE, || {
            let answer = self.get("/api/v1/tasks");
            assert_eq!(answer.status, 200, "{}", answer.text());
            let done = |lane: &Value| lane["done"].as_u64() == Some(images as u64);
            let lanes = answer.json()["lanes"].as_array().cloned().unwrap_or_default();
            !lanes.is_empty() && lanes.iter().all(done)
        });
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let Some((mut server, _)) = self.server.take() else { return };
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(6_000);
            eprintln!("the end of the server's log: {}", String::from_utf8_lossy(&log.as_bytes()[from..]));
        }
        let pid = rustix::process::Pid::from_child(&server);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        drop(server.wait());
    }
}

/// Draws scenes as photographs with names that say nothing; what each name shows.
fn photographs(folder: &Path) -> BTreeMap<String, Scene> {
    let kinds: [&[(&str, &str, usize)]; 14] = [
        &[("red", "circle", 2)],
        &[("red", "circle", 1)],
        &[("red", "circle", 3)],
        &[("blue", "circle", 2)],
        &[("red", "square", 2)],
        &[("green", "triangle", 1)],
        &[("yellow", "triangle", 3)],
        &[("purple", "square", 2)],
        &[("orange", "square", 1)],
        &[("blue", "triangle", 1)],
        &[("green", "circle", 3)],
        &[("yellow", "triangle", 2)],
        &[("purple", "circle", 1), ("green", "square", 2)],
        &[("blue", "triangle", 1), ("orange", "circle", 1)],
    ];
    let mut shown = BTreeMap::new();
    for (number, kind) in kinds.iter().cycle().take(42).enumerate() {
        let scene = Scene::of(kind, 9000 + number as u64);
        let name = format!("IMG_{number:04}");
        let (width, height) = if number % 3 == 1 { (480, 640) } else { (640, 480) };
        scene.draw(width, height).write_jpeg(&folder.join(format!("{name}.jpg")));
        shown.insert(name, scene);
    }
    shown
}

#[test]
fn words_find_and_a_click_selects_through_the_whole_of_hm() {
    let (Some(clip), Some(sam)) = (weights("clip"), weights("sam")) else { return };
    let mut home = Home::new();
    let shown = photographs(&home.photos());
    home.import(&clip);
    home.import(&sam);
    let photos = home.photos();
    home.run(&["scan", photos.to_str().unwrap()]);
    home.serve();
    if !home.has_vectors() {
        eprintln!("skipped: PostgreSQL has no pgvector here");
        return;
    }
    home.wait_for_networks(shown.len());

    for (words, kind, count) in [
        ("two red circles", ("red", "circle"), 2),
        ("a red circle", ("red", "circle"), 1),
        ("three yellow triangles", ("yellow", "triangle"), 3),
        ("two green squares", ("green", "square"), 2),
    ] {
        let found = home.found(&format!("like:\"{words}\""));
        let is_right = |(name, _): &&(String, i64)| shown[name].counts().get(&kind) == Some(&count);
        assert_eq!(found.len(), shown.len(), "{words}: all images are in the order of their likeness");
        let captions: Vec<String> = found.iter().take(6).map(|(name, _)| shown[name].caption()).collect();
        assert_eq!(found.iter().take(3).filter(is_right).count(), 3, "{words}: {captions:?}");
    }

    for (name, image) in home.found("like:\"two red circles\"").iter().take(2) {
        let scene = &shown[name];
        let thing = &scene.things[1];
        let (width, height) = if name[4..].parse::<usize>().unwrap() % 3 == 1 { (480, 640) } else { (640, 480) };
        let (x, y) = scene.middle_px(thing, width, height);
        let asked = json!({"points": [{"x": x / width as f32, "y": y / height as f32}]});
        let answer = home.segment(*image, &asked);
        assert_eq!((&answer["width_px"], &answer["height_px"]), (&json!(width), &json!(height)), "{answer}");
        let mask: Mask = serde_json::from_value(answer["masks"][0]["mask"].clone()).unwrap();
        let truth = Mask::of_bitmap(width, height, &scene.draw(width, height).masks[1]).unwrap();
        let overlap = mask.iou(&truth).unwrap();
        assert!(overlap > 0.8, "{name}: a click on the second circle selects {overlap:.2} of it");
    }
}

#[test]
fn photographs_say_what_is_on_them_through_the_whole_of_hm() {
    let (Some(network), Some(photos)) =
        (crate::infer::shared("weights/yolo/yolov8n-seg_from_int8.safetensors"), crate::infer::shared("weights/photos"))
    else {
        return;
    };
    let mut home = Home::new();
    for name in ["bus", "dog", "truck", "zidane"] {
        fs::copy(photos.join(format!("{name}.jpg")), home.photos().join(format!("{name}.jpg"))).unwrap();
    }
    home.import(&network);
    let folder = home.photos();
    home.run(&["scan", folder.to_str().unwrap()]);
    home.serve();
    home.wait_for_networks(4);
    let images: BTreeMap<String, i64> = home.found("").into_iter().collect();
    let expected = [("bus", vec!["bus", "person"]), ("dog", vec!["dog", "person"]), ("truck", vec!["truck"]), ("zidane", vec!["person"])];
    for (name, expected) in expected {
        let answer = home.get(&format!("/api/v1/images/{}/regions", images[name]));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json();
        let regions = answer["regions"].as_array().unwrap();
        let labels: Vec<&str> = regions.iter().map(|region| region["label"].as_str().unwrap()).collect();
        assert!(expected.iter().all(|label| labels.contains(label)), "{name}: {labels:?}");
        assert!(regions.iter().all(|region| !region["mask"].is_null()), "a network for masks gives masks: {answer}");
    }
}
