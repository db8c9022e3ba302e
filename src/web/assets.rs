//! Style, scripts and icons, built into the program: one address prefix that changes with any of them, so that browsers keep them for good.

use std::sync::LazyLock;

use actix_web::{HttpResponse, http::header::CACHE_CONTROL, web::Path};

use super::WebError;

/// A file that never changes under its address.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
}

const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const DRAWING: &str = "image/svg+xml";
const LINES: &str = "application/octet-stream";

macro_rules! assets {
    ($($name:literal $media_type:ident,)+) => {
        &[$(Asset { name: $name, media_type: $media_type, bytes: include_bytes!(concat!("../../static/", $name)) }),+]
    };
}

const ASSETS: &[Asset] = assets! {
    "hm.css" STYLE,
    "gallery.css" STYLE,
    "accounts.css" STYLE,
    "library.css" STYLE,
    "search.css" STYLE,
    "viewer.css" STYLE,
    "edits.css" STYLE,
    "map.css" STYLE,
    "models.css" STYLE,
    "tasks.css" STYLE,
    "duplicates.css" STYLE,
    "theme.js" SCRIPT,
    "hm.js" SCRIPT,
    "complete.js" SCRIPT,
    "dates.js" SCRIPT,
    "duplicates.js" SCRIPT,
    "edits.js" SCRIPT,
    "earth.js" SCRIPT,
    "filters.js" SCRIPT,
    "keys.js" SCRIPT,
    "layout.js" SCRIPT,
    "loader.js" SCRIPT,
    "marks.js" SCRIPT,
    "outbox.js" SCRIPT,
    "panel.js" SCRIPT,
    "map.js" SCRIPT,
    "mercator.js" SCRIPT,
    "pan.js" SCRIPT,
    "pictures.js" SCRIPT,
    "ranked.js" SCRIPT,
    "rate.js" SCRIPT,
    "regions.js" SCRIPT,
    "rows.js" SCRIPT,
    "scrubber.js" SCRIPT,
    "search.js" SCRIPT,
    "select.js" SCRIPT,
    "tasks.js" SCRIPT,
    "thumbhash.js" SCRIPT,
    "timeline.js" SCRIPT,
    "track.js" SCRIPT,
    "viewer.js" SCRIPT,
    "zoom.js" SCRIPT,
    "htmx-2.0.11.min.js" SCRIPT,
    "icons.svg" DRAWING,
    "favicon.svg" DRAWING,
    "world-50m.bin" LINES,
    "world-10m.bin" LINES,
};

/// Scripts import each other by name alone, so all files share one hash and one folder.
static PREFIX: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = blake3::Hasher::new();
    for asset in ASSETS {
        hasher.update(asset.name.as_bytes()).update(&(asset.bytes.len() as u64).to_le_bytes()).update(asset.bytes);
    }
    format!("/static/{}", &hasher.finalize().to_hex()[..16])
});

/// The folder of all assets, without a slash at its end.
pub(super) fn prefix() -> &'static str {
    &PREFIX
}

/// `GET /static/{version}/{name}`. An older page may ask by an older version: it gets what there is, to be asked for again.
pub(super) async fn asset(path: Path<(String, String)>) -> Result<HttpResponse, WebError> {
    let (version, name) = path.into_inner();
    let asset = ASSETS.iter().find(|asset| asset.name == name).ok_or(WebError::NotFound("page"))?;
    let is_current = prefix().strip_prefix("/static/") == Some(version.as_str());
    let caching = if is_current { "public, max-age=31536000, immutable" } else { "no-cache" };
    Ok(HttpResponse::Ok().content_type(asset.media_type).insert_header((CACHE_CONTROL, caching)).body(asset.bytes))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_built_in() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("static");
        let found: BTreeSet<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let mut built_in: BTreeSet<String> = ASSETS.iter().map(|asset| asset.name.to_owned()).collect();
        built_in.insert("LICENSES.md".to_owned());
        assert_eq!(found, built_in);
    }

    #[test]
    fn scripts_import_only_what_is_built_in_and_draw_only_icons_there_are() {
        let text = |asset: &Asset| String::from_utf8(asset.bytes.to_vec()).unwrap();
        let icons = text(ASSETS.iter().find(|asset| asset.name == "icons.svg").unwrap());
        for script in ASSETS.iter().filter(|asset| asset.media_type == SCRIPT) {
            for import in text(script).split("from \"./").skip(1) {
                let name = import.split('"').next().unwrap();
                assert!(ASSETS.iter().any(|asset| asset.name == name), "{} imports {name}", script.name);
            }
        }
        let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        for entry in fs::read_dir(templates).unwrap() {
            let template = fs::read_to_string(entry.unwrap().path()).unwrap();
            for call in template.split("icon(\"").skip(1) {
                let name = call.split('"').next().unwrap();
                assert!(icons.contains(&format!("id=\"{name}\"")), "no icon is called {name}");
            }
        }
    }
}
