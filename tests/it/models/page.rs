//! `/models`: what is imported, and what to get for what is not.

use std::fs;

use hm::{config::ModelsConfig, infer::manifest::Provenance, infer::shelf::Shelf};
use scraper::{Html, Selector};

use crate::support::{TestDatabase, http::App, networks, temp_dir};

fn all(html: &Html, selector: &str) -> Vec<String> {
    html.select(&Selector::parse(selector).unwrap()).map(|element| element.text().collect::<String>()).collect()
}

fn page(app: &App) -> Html {
    let answer = app.get("/models");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    Html::parse_document(&answer.text())
}

#[test]
fn a_newcomer_is_told_which_files_to_get_from_where_and_what_to_type() {
    let database = TestDatabase::new();
    let dir = temp_dir();
    let app = App::start(database.pool(), dir.path());
    let html = page(&app);
    let sections = ["embed", "detect", "segment", "objects"];
    for id in sections {
        let commands = all(&html, &format!("#{id} .offer pre"));
        assert!(!commands.is_empty() && commands.iter().all(|command| command.starts_with("hm models pull ")), "{id}: {commands:?}");
        let facts = all(&html, &format!("#{id} .offer dd"));
        assert_eq!(facts.len(), 4 * commands.len(), "{id}: what it unlocks, licence, place, files: {facts:?}");
    }
    assert_eq!(all(&html, "#embed .offer h3"), ["CLIP ViT-B/32", "SigLIP base/16"]);
    let text = app.get("/models").text();
    for words in [
        "hm models pull clip-vit-b-32",
        "https://huggingface.co/openai/clip-vit-base-patch32/resolve/main/config.json",
        "https://github.com/ultralytics/assets/releases/download/v8.3.0/yolo11n-seg.pt",
        "AGPL-3.0",
        "about 605 MB",
        "hm models import FOLDER",
        "hm models import mobile_sam.pt",
    ] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
    assert!(app.get("/library").text().contains("href=\"/models\"") && app.get("/me").text().contains("href=\"/models\""));
}

#[test]
fn what_is_imported_is_told_with_what_it_lacks_and_never_becomes_markup() {
    let database = TestDatabase::new();
    let dir = temp_dir();
    let shelf = Shelf::new(&dir.path().join("mod els"));
    let hostile = "<script>alert(1)</script>\" onerror=\"x";
    for (name, seed) in [("first", 1), ("second", 2)] {
        networks::clip(&dir.path().join(name), seed);
        let provenance = Provenance { name: Some(name.into()), licence: Some(hostile.into()), source: "https://example.org/clip".into() };
        shelf.import(&dir.path().join(name), None, &provenance).unwrap();
    }
    fs::create_dir(shelf.dir().join("<b>half")).unwrap();
    let config = ModelsConfig { dir: shelf.dir().to_owned(), detect: "gone".into(), ..ModelsConfig::default() };
    let app = App::start_as(database.pool(), dir.path(), None, move |state| state.with_models(config));
    let html = page(&app);
    assert_eq!(all(&html, "#embed .imported h3").len(), 2);
    assert_eq!(all(&html, "#embed .used").len(), 1);
    assert!(all(&html, "#embed .used")[0].contains("first, version "), "{:?}", all(&html, "#embed .used"));
    assert_eq!(all(&html, "main script").len(), 0);
    assert!(all(&html, "#embed .network")[0].contains(hostile));
    let command = format!(
        "HM_MODELS_DIR='{}' hm models import '{}' --tokenizer tokenizer.json",
        shelf.dir().display(),
        shelf.dir().join("first").display()
    );
    assert_eq!(all(&html, "#embed .network pre")[0], command);
    assert!(all(&html, "#detect .trouble")[0].contains("`gone`"));
    assert!(all(&html, ".networks > .trouble")[0].contains("<b>half cannot be used"), "{:?}", all(&html, ".networks > .trouble"));
    // Others for the same stay to be had.
    assert_eq!(all(&html, "#embed details .offer h3"), ["CLIP ViT-B/32", "SigLIP base/16"]);
}
