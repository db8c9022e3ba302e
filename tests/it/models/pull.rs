//! `hm models pull` against a server that behaves as hubs do, well or badly.

use std::{fs, path::Path};

use sha2::{Digest, Sha256};

use super::{Home, Said};
use crate::support::{
    hub::{Hub, Served},
    networks,
};

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a detector's file.
fn detector(home: &Home, seed: u64) -> Vec<u8> {
    networks::yolo(&home.path("made"), "x.safetensors", seed);
    fs::read(home.path("made/x.safetensors")).unwrap()
}

const YOLO: &str = "/ultralytics/assets/releases/download/v8.3.0/yolo11n-seg.pt";

fn pull(home: &Home, arguments: &[&str]) -> Said {
    home.hm(&[&["pull"], arguments].concat())
}

/// How many GET requests asked for a part.
fn parts(hub: &Hub) -> Vec<String> {
    hub.requests().into_iter().filter(|request| request.starts_with("GET") && request.contains("bytes=")).collect()
}

#[test]
fn nothing_is_fetched_unasked() {
    let (home, hub) = (Home::new(), Hub::start());
    hub.put(YOLO, Served::of(detector(&home, 1)));
    let said = pull(&home, &["yolo11n-seg", "--hub", &hub.base()]).fails().says("no terminal to ask on").says("--yes");
    assert!(said.err.contains("YOLO11n-seg: finding things and outlining them; licence AGPL-3.0"), "{}", said.err);
    assert!(hub.requests().iter().all(|request| request.starts_with("HEAD ")), "{:?}", hub.requests());
    assert!(!home.path("data/models/yolo11n-seg").exists());
    let list = pull(&home, &[]).succeeds();
    for words in [
        "clip-vit-b-32",
        "siglip-base-16",
        "yolo11n ",
        "yolov8n-seg",
        "mobilesam",
        "sam-2-1-tiny",
        "dinov2-small",
        "Apache-2.0",
        "about 605 MB",
    ] {
        assert!(list.out.contains(words), "no `{words}` in {}", list.out);
    }
    pull(&home, &["resnet", "--yes"]).fails().says("no network that hm knows").says("hm models pull");
}

#[test]
fn a_connection_that_breaks_is_taken_up_where_it_broke() {
    let (home, hub) = (Home::new(), Hub::start());
    let bytes = detector(&home, 1);
    let third = bytes.len() / 3;
    hub.put(YOLO, Served { cut_after: Some(third), sha256: Some(sha256(&bytes)), redirects: true, ..Served::of(bytes.clone()) });
    let said = pull(&home, &["yolo11n-seg", "--hub", &hub.base(), "--yes"]).succeeds();
    said.says("`yolo11n-seg` is imported").says("AGPL-3.0");
    let parts = parts(&hub);
    let resumed = format!("GET /elsewhere{YOLO} bytes={third}- \"one\"");
    assert!(parts.contains(&resumed), "{parts:?}");
    assert!(parts.iter().any(|request| request.contains(&format!("bytes={}-", 2 * third))), "{parts:?}");
    home.hm(&["verify"]).succeeds();
    let manifest = fs::read_to_string(home.path("data/models/yolo11n-seg/manifest.json")).unwrap();
    assert!(manifest.contains("github.com/ultralytics/assets"), "{manifest}");
    assert_eq!(fs::read_dir(home.path("data/models/.pull")).unwrap().count(), 0, "nothing is left of it");

    let asked = hub.requests().len();
    pull(&home, &["YOLO11n-seg", "--hub", &hub.base(), "--yes"]).succeeds().says("imported already");
    assert_eq!(hub.requests().len(), asked);
}

#[test]
fn what_one_command_began_the_next_one_ends() {
    let (home, hub) = (Home::new(), Hub::start());
    let bytes = detector(&home, 1);
    let half = bytes.len() / 2;
    hub.put(YOLO, Served { cut_after: Some(half), stalls: true, ..Served::of(bytes.clone()) });
    let mut first =
        home.command(&["pull", "yolo11n-seg", "--hub", &hub.base(), "--yes"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    let part = home.path("data/models/.pull/yolo11n-seg/yolo11n-seg.pt.part");
    let is_there = |path: &Path| fs::metadata(path).is_ok_and(|metadata| metadata.len() >= half as u64);
    crate::support::wait_until("half of it is there", std::time::Duration::from_secs(30), || is_there(&part));
    first.kill().unwrap();
    first.wait().unwrap();
    let before = hub.requests().len();
    hub.put(YOLO, Served::of(bytes));
    pull(&home, &["yolo11n-seg", "--hub", &hub.base(), "--yes"]).succeeds();
    let after = &hub.requests()[before..];
    assert!(after.iter().any(|request| request.starts_with(&format!("GET {YOLO} bytes={half}-"))), "{after:?}");
}

#[test]
fn another_file_at_the_same_address_is_fetched_anew() {
    let (home, hub) = (Home::new(), Hub::start());
    let (old, new) = (detector(&home, 1), detector(&home, 2));
    let folder = home.path("data/models/.pull/yolo11n-seg");
    fs::create_dir_all(&folder).unwrap();
    let address = hub.url(YOLO);
    fs::write(folder.join("yolo11n-seg.pt.part"), &old[..old.len() / 2]).unwrap();
    fs::write(folder.join("yolo11n-seg.pt.part.json"), format!(r#"{{"address": "{address}", "validator": "\"zero\""}}"#)).unwrap();
    hub.put(YOLO, Served::of(new.clone()));
    pull(&home, &["yolo11n-seg", "--hub", &hub.base(), "--yes"]).succeeds();
    assert!(parts(&hub)[0].ends_with("\"zero\""), "{:?}", parts(&hub));
    let shelved = home.shelf().find("yolo11n-seg").unwrap().unwrap();
    shelved.verify().unwrap();

    // Without a tag and without a digest, the halves could be of two files.
    home.hm(&["remove", "yolo11n-seg", "--yes"]).succeeds();
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("yolo11n-seg.pt.part"), &old[..old.len() / 2]).unwrap();
    fs::write(folder.join("yolo11n-seg.pt.part.json"), format!(r#"{{"address": "{address}", "validator": null}}"#)).unwrap();
    hub.put(YOLO, Served { etag: None, ..Served::of(new) });
    let before = parts(&hub).len();
    pull(&home, &["yolo11n-seg", "--hub", &hub.base(), "--yes"]).succeeds();
    assert_eq!(parts(&hub).len(), before);
}

#[test]
fn a_server_that_knows_no_parts_is_read_from_the_start() {
    let (home, hub) = (Home::new(), Hub::start());
    let bytes = detector(&home, 1);
    hub.put(YOLO, Served { ignores_ranges: true, ..Served::of(bytes.clone()) });
    let folder = home.path("data/models/.pull/yolo11n-seg");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("yolo11n-seg.pt.part"), &bytes[..100]).unwrap();
    let note = format!(r#"{{"address": "{}", "validator": "\"one\""}}"#, hub.url(YOLO));
    fs::write(folder.join("yolo11n-seg.pt.part.json"), note).unwrap();
    pull(&home, &["yolo11n-seg", "--hub", &hub.base(), "--yes"]).succeeds();
    home.hm(&["verify"]).succeeds();
}

#[test]
fn what_is_not_what_it_should_be_is_deleted() {
    let (home, hub) = (Home::new(), Hub::start());
    let bytes = detector(&home, 1);
    hub.put(YOLO, Served { sha256: Some("0".repeat(64)), redirects: true, ..Served::of(bytes.clone()) });
    pull(&home, &["yolo11n-seg", "--hub", &hub.base(), "--yes"]).fails().says("sha256").says("was deleted").says("hint: ");
    let part = home.path("data/models/.pull/yolo11n-seg/yolo11n-seg.pt.part");
    assert!(!part.exists());
    hub.put("/things.safetensors", Served::of(bytes.clone()));
    let url = hub.url("/things.safetensors");
    pull(&home, &[&url, "--yes", "--sha256", &"1".repeat(64)]).fails().says("instead of 1111");
    pull(&home, &[&url, "--yes", "--sha256", "abc"]).fails().says("64 hexadecimal digits");
    pull(&home, &[&url, "--yes", "--name", "things", "--licence", "CC0", "--sha256", &sha256(&bytes)]).succeeds().says("Licence: CC0");
    let shelved = home.shelf().find("things").unwrap().unwrap();
    assert_eq!((shelved.manifest.source.as_str(), shelved.manifest.licence.as_str()), (url.as_str(), "CC0"));

    // A page instead of a file is of no use, and is not kept to be taken for the file next time.
    hub.put("/page.pt", Served::of("<!doctype html>sign in"));
    pull(&home, &[&hub.url("/page.pt"), "--yes"]).fails().says("web page");
    hub.put("/page.pt", Served { etag: Some("\"two\"".into()), ..Served::of(detector(&home, 3)) });
    pull(&home, &[&hub.url("/page.pt"), "--yes", "--name", "page"]).succeeds();
}

#[test]
fn refusals_say_the_way_out() {
    let (home, hub) = (Home::new(), Hub::start());
    let base = hub.base();
    pull(&home, &["yolo11n-seg", "--hub", &base, "--yes"]).fails().says("not where it used to be").says("hm models import FILE");
    pull(&home, &[&hub.url("/x.pt"), "--yes"]).fails().says("there is no file at");
    hub.put("/secret.pt", Served { status: Some(403), ..Served::default() });
    pull(&home, &[&hub.url("/secret.pt"), "--yes"]).fails().says("sign in").says("with a browser");
    pull(&home, &[&hub.url("/"), "--yes"]).fails().says("does not end in the name of a file");
    pull(&home, &["ftp://h/x.pt", "--yes"]).fails().says("no address of the web");
    pull(&home, &["http://127.0.0.1:1/x.pt", "--yes"]).fails().says("cannot fetch http://127.0.0.1:1/x.pt");
    pull(&home, &["clip", "siglip", "--name", "x"]).fails().says("for a single network");
}

#[test]
fn a_folders_files_come_together() {
    let (home, hub) = (Home::new(), Hub::start());
    let folder = home.path("clip");
    networks::clip(&folder, 1);
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let at = |name: &str| format!("/openai/clip-vit-base-patch32/resolve/main/{name}");
    // The first place of the weights has nothing: the second has.
    hub.put(&at("pytorch_model.bin"), Served { redirects: true, ..Served::of(read("model.safetensors")) });
    hub.put(&at("config.json"), Served::of(read("config.json")));
    hub.put(&at("tokenizer.json"), Served::of(networks::tokenizer()));
    pull(&home, &["clip", "--hub", &format!("{}/", hub.base()), "--yes"]).succeeds().says("`clip-vit-b-32` is imported").says("MIT");
    assert!(!home.shelf().find("clip-vit-b-32").unwrap().unwrap().lacks_tokenizer());

    // By its address, with what lies beside it and the same question behind each.
    let other = home.path("other");
    networks::clip(&other, 2);
    for name in ["model.safetensors", "config.json"] {
        hub.put(&format!("/my/{name}"), Served::of(fs::read(other.join(name)).unwrap()));
    }
    pull(&home, &[&hub.url("/my/model.safetensors?download=true"), "--yes"]).succeeds().says("clip-vit-32-2-16").says("no tokenizer");
    assert!(hub.requests().iter().any(|request| request.starts_with("HEAD /my/config.json?download=true")), "{:?}", hub.requests());
}
