//! The keys of the language, with what the help page and the completion say about them.

/// A key, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHelp {
    /// As it is printed, without the colon.
    pub key: &'static str,
    /// Other words for it.
    pub aliases: &'static [&'static str],
    /// What it asks for.
    pub what: &'static str,
    /// Queries that show its forms.
    pub examples: &'static [&'static str],
}

/// Every key, in the order of the help page.
pub const KEYS: &[KeyHelp] = &[
    key(
        "date",
        &["taken"],
        "day, month or year of capture (local time); * stands for any",
        &["date:2019-08-03", "date:2019..2021-06", "date:>=2020", "date:*-12-25"],
    ),
    key("year", &[], "year of capture", &["year:2019", "year:2015..2018"]),
    key("month", &[], "month of capture, 1 to 12, of any year", &["month:12", "month:6..8"]),
    key("rating", &["stars"], "stars, 1 to 5; 0 is unrated, -1 rejected", &["rating:>=3", "rating:3..5", "rating:5"]),
    key("camera", &[], "camera; a part of its name, or the whole name in quotes", &["camera:canon", "camera:\"Canon EOS R5\""]),
    key("lens", &[], "lens; a part of its name, or the whole name in quotes", &["lens:70-200", "lens:\"RF 35mm F1.8\""]),
    key(
        "tag",
        &["keyword", "tags"],
        "keyword, or a level of a hierarchical one, with all that lies below",
        &["tag:animal", "tag:animal|dog", "tag:veh*", "-tag:private"],
    ),
    key(
        "shows",
        &["object", "sees"],
        "what a network or a person found in the picture, by its whole name; * stands for any letters",
        &["shows:dog", "shows:\"traffic light\"", "-shows:person"],
    ),
    key("title", &[], "a part of the title, or the whole title in quotes", &["title:sunrise"]),
    key("description", &["caption"], "a part of the description, or the whole in quotes", &["description:lake"]),
    key(
        "file",
        &["name", "filename"],
        "file name from its beginning or that of a word in it; a path where there is a /; * stands for any letters",
        &["file:IMG_1234", "file:*.cr2", "file:\"IMG 1.jpg\""],
    ),
    key(
        "folder",
        &["path", "dir"],
        "folder by name or path from the beginning (the whole in quotes); what lies below it counts too",
        &["folder:2019", "folder:RAW/2019/08", "folder:\"Lake trip\""],
    ),
    key(
        "type",
        &["format"],
        "kind of file: raw, jpeg, video, photo, or a format such as heic, dng or png",
        &["type:raw", "type:heic|avif"],
    ),
    key("has", &[], "what is there", &["has:gps", "has:raw|sidecar", "-has:title"]),
    key("is", &[], "what it is", &["is:unrated", "is:rejected|missing", "is:final"]),
    key("near", &[], "within a distance (m, km or mi) of a place, as latitude, longitude, radius", &["near:43.18,-89.28,5km"]),
    key("within", &["bbox"], "inside a box, as south, west, north, east in degrees", &["within:43.1,-89.4,43.3,-89.1"]),
    key("place", &["location"], "a word of city, region or country, from its beginning; or the whole name in quotes", &["place:wisconsin"]),
    key("city", &["town"], "city", &["city:zürich", "city:\"New York\""]),
    key("state", &["region", "province"], "state, province or region", &["state:bavaria"]),
    key("country", &[], "country, by name or code", &["country:norway", "country:NO"]),
    key("label", &["color", "colour"], "colour label: red, yellow, green, blue, purple or none", &["label:red", "label:green|blue"]),
    key("pick", &["flag"], "flag: picked, pending or none", &["pick:picked"]),
    key("iso", &[], "ISO speed", &["iso:>=3200", "iso:100..400"]),
    key("f", &["aperture"], "aperture as an f-number", &["f:<2.8", "f:8..11"]),
    key("exposure", &["shutter"], "exposure time in seconds", &["exposure:>=1/60", "exposure:2..30"]),
    key("focal", &[], "focal length in mm, not converted", &["focal:35", "focal:70..200"]),
    key("size", &[], "all files of the image together, in B, kB, MB or GB", &["size:>20MB"]),
    key("width", &[], "width in pixels, upright", &["width:>=4000"]),
    key("height", &[], "height in pixels, upright", &["height:>=4000"]),
    key(
        "like",
        &["similar"],
        "pictures that show what the words say, or that look like an image or a region of one: those that are most alike come first; \
         once in a search, neither behind a dash nor beside OR",
        &["like:\"a red truck in snow\"", "like:image:123", "like:region:45"],
    ),
];

const fn key(key: &'static str, aliases: &'static [&'static str], what: &'static str, examples: &'static [&'static str]) -> KeyHelp {
    KeyHelp { key, aliases, what, examples }
}

/// The key that a word, in any case, names.
pub(super) fn find(word: &str) -> Option<&'static str> {
    let lower = word.to_ascii_lowercase();
    KEYS.iter().find(|key| key.key == lower || key.aliases.contains(&lower.as_str())).map(|key| key.key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Query;

    #[test]
    fn every_example_is_understood_and_printed_as_it_stands() {
        for example in KEYS.iter().flat_map(|key| key.examples) {
            assert_eq!(example.parse::<Query>().map(|query| query.to_string()).as_deref(), Ok(*example));
        }
    }

    #[test]
    fn every_word_names_one_key() {
        let mut all: Vec<&str> = KEYS.iter().flat_map(|key| std::iter::once(key.key).chain(key.aliases.iter().copied())).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(find("Stars"), Some("rating"));
    }
}
