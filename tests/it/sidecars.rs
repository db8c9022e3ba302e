//! Writing sidecars: edits as other programs read them, everything else as graphs, damage, and a disk that fails at each step.
//!
//! exiftool and exiv2 are asked what they see; where they are not installed, and where the corpus is not there, the test says so and passes.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use hm::{
    media::sidecar_write::{
        edit,
        file::{self, Disk, RealDisk, SidecarPath, Step, TemporaryPath, WriteError},
        read,
    },
    models::{
        Gps, RelPath,
        edit::{ColorLabel, Field, Keywords, Pick, Place, TakenAt, Value},
    },
};
use oxrdf::{Dataset, dataset::CanonicalizationAlgorithm};
use oxrdfxml::RdfXmlParser;
use proptest::prelude::*;

use crate::support::files_below;

fn samples() -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = files_below(&root.join("tests/media/sidecars"));
    let corpus = root.join("../shared/corpus/library");
    if corpus.is_dir() {
        files.extend(files_below(&corpus));
    } else {
        eprintln!("the corpus is not there: its sidecars are skipped");
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xmp")));
    files.sort();
    assert!(files.len() >= 5);
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn keywords(list: &[&str]) -> Value {
    Value::Keywords(Keywords::new(list.iter().copied(), [""; 0]))
}

fn time(text: &str, offset_minutes: Option<i16>) -> Value {
    Value::CapturedAt(TakenAt { local: text.parse().unwrap(), offset_minutes, source: None })
}

fn gps(latitude_deg: f64, longitude_deg: f64, altitude_m: Option<f64>) -> Value {
    Value::Gps(Some(Gps { latitude_deg, longitude_deg, altitude_m }))
}

/// One of everything.
fn everything() -> Vec<Value> {
    vec![
        Value::Rating(Some(4)),
        Value::Pick(Pick::Picked),
        Value::ColorLabel(ColorLabel::Blue),
        Value::Title(Some("Öl & <Wasser> \"so\"".into())),
        Value::Description(Some("two\nlines, 'quoted'".into())),
        keywords(&["animal|dog|zoey", "beach, sunny", "a & b", "24/7"]),
        gps(59.913_868_7, -10.752_245_3, Some(-3.25)),
        time("2019-08-03T12:33:00.250", Some(-210)),
        Value::Place(Place {
            city: Some("São Paulo".into()),
            state: Some("SP".into()),
            country: Some("Brasil".into()),
            country_code: Some("BR".into()),
        }),
    ]
}

fn nothing() -> Vec<Value> {
    vec![
        Value::Rating(None),
        Value::Pick(Pick::None),
        Value::ColorLabel(ColorLabel::None),
        Value::Title(None),
        Value::Description(None),
        keywords(&[]),
        Value::Gps(None),
        Value::Place(Place::default()),
    ]
}

// --- everything else, as graphs -----------------------------------------------------------------------------------

/// Properties that an edit of the field may change: ends of their names' addresses.
fn of_field(field: Field) -> &'static [&'static str] {
    match field {
        Field::Rating => &[
            "xap/1.0/Rating",
            "microsoft.com/photo/1.0/Rating",
            "microsoft.com/photo/1.0Rating",
            "acdsee.com/iptc/1.0/rating",
            "digikam.org/ns/1.0/PickLabel",
        ],
        Field::Pick => &["digikam.org/ns/1.0/PickLabel"],
        Field::ColorLabel => &["xap/1.0/Label", "digikam.org/ns/1.0/ColorLabel"],
        Field::Title => &["elements/1.1/title"],
        Field::Description => &["elements/1.1/description"],
        Field::Keywords => &[
            "elements/1.1/subject",
            "hierarchicalSubject",
            "ns/1.0/TagsList",
            "LastKeywordXMP",
            "RatingPercent",
            "CatalogSets",
            "iptc/1.0/categories",
        ],
        Field::Gps => &["GPSLatitude", "GPSLongitude", "GPSAltitude", "GPSAltitudeRef", "GPSVersionID"],
        Field::CapturedAt => &["exif/1.0/DateTimeOriginal", "DateCreated", "SubSecTimeOriginal", "OffsetTimeOriginal"],
        Field::Place => &["photoshop/1.0/City", "photoshop/1.0/State", "photoshop/1.0/Country", "xmlns/CountryCode"],
    }
}

/// All that a sidecar says apart from some fields, as a canonical graph; read by another reader than hm's.
fn graph(content: &[u8], without: &[Field]) -> String {
    let text = std::str::from_utf8(content).unwrap();
    let rdf = &text[text.find(":RDF").map(|at| text[..at].rfind('<').unwrap()).unwrap()..];
    // XMP's empty subject is the file itself.
    let parser = RdfXmlParser::new().with_base_iri("file:///sidecar").unwrap();
    let end = rdf.find(":RDF>").map(|_| rdf.rfind(":RDF>").unwrap() + 5).unwrap();
    let triples: Vec<oxrdf::Triple> =
        parser.for_slice(&rdf.as_bytes()[..end]).collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{error}\n{text}"));
    let is_dropped = |triple: &&oxrdf::Triple| {
        let name = triple.predicate.as_str();
        without.iter().flat_map(|field| of_field(*field)).any(|ending| name.ends_with(ending))
    };
    let mut kept: Vec<oxrdf::Triple> = triples.clone();
    let mut gone: Vec<String> = Vec::new();
    for triple in triples.iter().filter(is_dropped) {
        gone.push(triple.object.to_string());
        kept.retain(|other| other != triple);
    }
    // What hung on a dropped property goes with it.
    while let Some(node) = gone.pop() {
        let (below, rest): (Vec<_>, Vec<_>) = kept.into_iter().partition(|triple| triple.subject.to_string() == node);
        gone.extend(below.iter().map(|triple| triple.object.to_string()).filter(|object| object.starts_with("_:")));
        kept = rest;
    }
    let mut dataset = Dataset::new();
    for triple in &kept {
        dataset.insert(&triple.clone().in_graph(oxrdf::GraphName::DefaultGraph));
    }
    dataset.canonicalize(CanonicalizationAlgorithm::Unstable);
    let mut lines: Vec<String> = dataset.iter().map(|quad| quad.to_string()).collect();
    lines.sort();
    lines.join("\n")
}

/// As graphs; the first lines that differ are shown, and not all of both.
fn assert_same_graph(edited: &[u8], content: &[u8], fields: &[Field], context: &str) {
    let (after, before) = (graph(edited, fields), graph(content, fields));
    let only = |one: &str, other: &str| {
        one.lines().filter(|line| !other.lines().any(|known| known == *line)).take(5).map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(after == before, "{context}\nnew: {:#?}\ngone: {:#?}", only(&after, &before), only(&before, &after));
}

#[test]
fn every_other_statement_survives_every_edit() {
    for (path, content) in samples() {
        let mut one_by_one: Vec<Vec<Value>> = everything().into_iter().chain(nothing()).map(|value| vec![value]).collect();
        one_by_one.push(everything());
        one_by_one.push(nothing());
        for changes in one_by_one {
            let fields: Vec<Field> = changes.iter().map(Value::field).collect();
            let edited = edit(Some(&content), &changes).unwrap_or_else(|refusal| panic!("{}: {refusal}", path.display()));
            let edited = edited.unwrap_or_else(|| content.clone());
            assert_same_graph(&edited, &content, &fields, &format!("{} {changes:?}", path.display()));
            for value in &changes {
                let said = read(&edited, value.field(), None).unwrap();
                let silent = hm::media::sidecar_write::silence(value.field());
                assert!(said.or(silent).unwrap().says_same(value), "{} {value:?}", path.display());
            }
            assert_eq!(edit(Some(&edited), &changes), Ok(None), "twice is once: {}", path.display());
        }
    }
}

#[test]
fn an_edit_and_its_undoing_leave_the_bytes_as_they_were() {
    for (path, content) in samples() {
        for value in everything() {
            let field = value.field();
            let Some(before) = read(&content, field, None).unwrap().or_else(|| hm::media::sidecar_write::silence(field)) else { continue };
            let Some(edited) = edit(Some(&content), &[value]).unwrap() else { continue };
            let back = edit(Some(&edited), std::slice::from_ref(&before)).unwrap().unwrap_or_else(|| edited.clone());
            assert!(read(&back, field, None).unwrap().or_else(|| hm::media::sidecar_write::silence(field)).unwrap().says_same(&before));
            assert_same_graph(&back, &content, &[field], &format!("{} {before:?}", path.display()));
        }
    }
}

// --- as other programs read it --------------------------------------------------------------------------------------

fn has_program(name: &str) -> bool {
    let there = Command::new(name).arg("-ver").output().is_ok();
    if !there {
        eprintln!("skipped: `{name}` is not installed");
    }
    there
}

fn exiftool(path: &Path) -> serde_json::Map<String, serde_json::Value> {
    let output = Command::new("exiftool")
        .args(["-struct", "-json", "-G1", "-n", "-charset", "filename=utf8", "-api", "QuickTimeUTC"])
        .arg(path)
        .output()
        .unwrap();
    let all: Vec<serde_json::Map<String, serde_json::Value>> = serde_json::from_slice(&output.stdout).unwrap();
    let mut tags = all.into_iter().next().unwrap();
    tags.retain(|name, _| name.starts_with("XMP-"));
    tags
}

fn exiv2(path: &Path) -> BTreeMap<String, String> {
    let output = Command::new("exiv2").args(["-q", "-PXkv", "pr"]).arg(path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let pair = |line: &str| line.split_once(char::is_whitespace).map(|(key, value)| (key.to_owned(), value.trim().to_owned()));
    text.lines().filter(|line| line.starts_with("Xmp.")).filter_map(pair).collect()
}

#[test]
fn exiftool_and_exiv2_read_the_edit_and_all_the_rest_as_before() {
    let (ask_exiftool, ask_exiv2) = (has_program("exiftool"), has_program("exiv2"));
    let dir = tempfile::tempdir().unwrap();
    let mut all = samples();
    all.push(("a new sidecar".into(), Vec::new()));
    for (name, content) in all {
        let path = dir.path().join("x.xmp");
        let changes = everything();
        let edited = edit(Some(&content).filter(|content| !content.is_empty()).map(Vec::as_slice), &changes).unwrap().unwrap();
        let is_ours = |tag: &str| {
            let ours = [
                "Rating",
                "rating",
                "PickLabel",
                "ColorLabel",
                "Label",
                "Title",
                "title",
                "Description",
                "description",
                "Subject",
                "subject",
                "HierarchicalSubject",
                "hierarchicalSubject",
                "TagsList",
                "LastKeywordXMP",
                "RatingPercent",
                "CatalogSets",
                "Categories",
                "categories",
                "DateTimeOriginal",
                "SubSecTimeOriginal",
                "OffsetTimeOriginal",
                "DateCreated",
                "City",
                "State",
                "Country",
                "CountryCode",
                "GPSVersionID",
                "GPSLatitude",
                "GPSLongitude",
                "GPSAltitude",
                "GPSAltitudeRef",
            ];
            let last = tag.rsplit([':', '.']).next().unwrap();
            ours.contains(&last) || last.starts_with("Title-") || last.starts_with("Description-")
        };
        if ask_exiftool {
            let before = if content.is_empty() {
                serde_json::Map::new()
            } else {
                fs::write(&path, &content).unwrap();
                exiftool(&path)
            };
            fs::write(&path, &edited).unwrap();
            let mut after = exiftool(&path);
            let shown = |tag: &str| after.get(tag).map(ToString::to_string).unwrap_or_default();
            assert_eq!(shown("XMP-xmp:Rating"), "4", "{}", name.display());
            assert_eq!(shown("XMP-xmp:Label"), "\"Blue\"");
            assert_eq!((shown("XMP-digiKam:PickLabel"), shown("XMP-digiKam:ColorLabel")), ("3".to_owned(), "5".to_owned()));
            assert_eq!(after["XMP-dc:Title"], "Öl & <Wasser> \"so\"");
            assert_eq!(after["XMP-dc:Description"], "two\nlines, 'quoted'");
            let mut subject: Vec<String> = after["XMP-dc:Subject"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                .collect();
            subject.sort();
            assert_eq!(subject, ["24/7", "a & b", "animal", "beach, sunny", "dog", "zoey"]);
            assert!(
                shown("XMP-lr:HierarchicalSubject").contains("animal|dog|zoey")
                    && shown("XMP-digiKam:TagsList").contains("animal/dog/zoey")
            );
            let degrees = |tag: &str| after[tag].as_f64().unwrap();
            assert!(
                (degrees("XMP-exif:GPSLatitude") - 59.913_868_7).abs() < 1e-9
                    && (degrees("XMP-exif:GPSLongitude") + 10.752_245_3).abs() < 1e-9
            );
            assert_eq!(shown("XMP-exif:GPSAltitude"), "3.25");
            assert_eq!(after["XMP-exif:DateTimeOriginal"], "2019:08:03 12:33:00.25-03:30");
            assert_eq!(after["XMP-photoshop:DateCreated"], "2019:08:03 12:33:00.25-03:30");
            assert_eq!((&after["XMP-photoshop:City"], &after["XMP-iptcCore:CountryCode"]), (&"São Paulo".into(), &"BR".into()));
            after.retain(|tag, _| !is_ours(tag));
            let mut before = before;
            before.retain(|tag, _| !is_ours(tag));
            if content.is_empty() {
                after.retain(|tag, _| tag != "XMP-x:XMPToolkit");
            }
            let differs = |(tag, value): &(&String, &serde_json::Value)| before.get(*tag) != Some(*value);
            let news: Vec<_> = after.iter().filter(differs).collect();
            let gone: Vec<_> = before.iter().filter(|(tag, _)| !after.contains_key(*tag)).collect();
            assert!(news.is_empty() && gone.is_empty(), "{}: new {news:?}, gone {gone:?}", name.display());
        }
        if ask_exiv2 {
            let before = if content.is_empty() {
                BTreeMap::new()
            } else {
                fs::write(&path, &content).unwrap();
                exiv2(&path)
            };
            fs::write(&path, &edited).unwrap();
            let after = exiv2(&path);
            let shown = |tag: &str| after.get(tag).map_or("", String::as_str);
            assert_eq!((shown("Xmp.xmp.Rating"), shown("Xmp.xmp.Label")), ("4", "Blue"), "{}", name.display());
            assert!(shown("Xmp.dc.title").contains("lang=\"x-default\" Öl & <Wasser> \"so\""), "{}", shown("Xmp.dc.title"));
            assert!(shown("Xmp.dc.subject").contains("zoey") && shown("Xmp.lr.hierarchicalSubject").contains("animal|dog|zoey"));
            assert!(shown("Xmp.digiKam.TagsList").contains("animal/dog/zoey"));
            assert!(shown("Xmp.exif.GPSLatitude").starts_with("59,54.8") && shown("Xmp.exif.GPSLatitude").ends_with('N'));
            assert_eq!((shown("Xmp.exif.DateTimeOriginal"), shown("Xmp.photoshop.City")), ("2019-08-03T12:33:00.25-03:30", "São Paulo"));
            let rest = |tags: &BTreeMap<String, String>| {
                tags.iter().filter(|(tag, _)| !is_ours(tag)).map(|(tag, value)| (tag.clone(), value.clone())).collect::<Vec<_>>()
            };
            assert_eq!(rest(&after), rest(&before), "{}", name.display());
        }
    }
}

#[test]
fn the_scanner_reads_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.xmp");
    for (name, content) in samples() {
        let edited = edit(Some(&content), &everything()).unwrap().unwrap();
        fs::write(&path, &edited).unwrap();
        let reading = hm::media::MetaReader::in_process().read(&path, hm::models::FileFormat::Xmp, edited.len() as u64);
        assert_eq!(reading.error, None, "{}", name.display());
        let facts = reading.facts;
        assert_eq!((facts.rating, facts.title.as_deref()), (Some(4), Some("Öl & <Wasser> \"so\"")));
        assert_eq!(facts.description.as_deref(), Some("two\nlines, 'quoted'"));
        assert_eq!(Value::Keywords(Keywords::new(facts.keywords, facts.hierarchical_keywords)), everything()[5]);
        assert!(Value::Gps(facts.gps).says_same(&everything()[6]));
        let captured = facts.captured_at.unwrap();
        assert_eq!((captured.local.to_string().as_str(), captured.offset_minutes), ("2019-08-03 12:33:00.250", Some(-210)));
    }
}

// --- any packet, any edit, any damage -------------------------------------------------------------------------------

fn any_change() -> impl Strategy<Value = Value> {
    let text = || {
        prop::option::of("[a-zé&<>\"' ]{1,8}".prop_map(|text: String| text.trim().to_owned()).prop_filter("blank", |text| !text.is_empty()))
    };
    let keyword = prop::collection::vec("[a-c/&]{1,2}", 1..3).prop_map(|levels| levels.join("|"));
    prop_oneof![
        prop::option::of(-1i8..=5).prop_map(Value::Rating),
        prop::sample::select(Pick::ALL).prop_map(Value::Pick),
        prop::sample::select(ColorLabel::ALL).prop_map(Value::ColorLabel),
        text().prop_map(Value::Title),
        text().prop_map(Value::Description),
        prop::collection::vec(keyword, 0..4).prop_map(|list| Value::Keywords(Keywords::new(list, [""; 0]))),
        prop::option::of((-89.0f64..89.0, -179.0f64..179.0, prop::option::of(-100.0f64..5_000.0))).prop_map(|place| {
            let place = place.map(|(latitude_deg, longitude_deg, altitude_m)| Gps { latitude_deg, longitude_deg, altitude_m });
            Value::Gps(place).checked().unwrap_or(Value::Gps(None))
        }),
        (0i64..4_000_000_000, prop::option::of(-840i16..=840)).prop_map(|(seconds, offset_minutes)| {
            let local = chrono::DateTime::from_timestamp(seconds, 0).unwrap().naive_utc();
            Value::CapturedAt(TakenAt { local, offset_minutes, source: None })
        }),
        (text(), text()).prop_map(|(city, country)| Value::Place(Place { city, country, ..Place::default() })),
    ]
}

/// A property of a description: known and unknown ones in the forms that XMP has.
fn any_property() -> impl Strategy<Value = (String, String)> {
    let word = || "[a-z&é]{0,5}".prop_map(|word: String| word.replace('&', "&amp;"));
    let container = prop::sample::select(vec!["Bag", "Seq", "Alt"]);
    let list = |name: &'static str| {
        prop::collection::vec(word(), 0..4).prop_map(move |items| {
            let items: String = items.into_iter().map(|item| format!("\n  <rdf:li>{item}</rdf:li>")).collect();
            (String::new(), format!("\n <{name}><rdf:Bag>{items}</rdf:Bag></{name}>"))
        })
    };
    let languages = |name: &'static str| {
        prop::collection::btree_map(prop::sample::select(vec!["x-default", "de", "en-US"]), word(), 0..3).prop_map(move |items| {
            let items: String =
                items.into_iter().map(|(language, item)| format!("<rdf:li xml:lang='{language}'>{item}</rdf:li>")).collect();
            (String::new(), format!("<{name}><rdf:Alt>{items}</rdf:Alt></{name}>"))
        })
    };
    let simple = |name: &'static str, value: BoxedStrategy<String>| {
        (value, any::<bool>()).prop_map(move |(value, attribute)| {
            if attribute {
                (format!("\n  {name}=\"{value}\""), String::new())
            } else {
                (String::new(), format!("\n <{name}>{value}</{name}>"))
            }
        })
    };
    prop_oneof![
        simple("xmp:Rating", prop::sample::select(vec!["", "-1", "0", "3", "4.0"]).prop_map(str::to_owned).boxed()),
        simple("xmp:Label", word().boxed()),
        simple("digiKam:ColorLabel", (0..9).prop_map(|number: i32| number.to_string()).boxed()),
        simple("digiKam:PickLabel", (0..4).prop_map(|number: i32| number.to_string()).boxed()),
        simple("exif:GPSLatitude", prop::sample::select(vec!["1,2.5N", "1,2,3S"]).prop_map(str::to_owned).boxed()),
        simple("exif:GPSLongitude", prop::sample::select(vec!["1,2.5E", "1,2,3W"]).prop_map(str::to_owned).boxed()),
        simple("exif:GPSTimeStamp", Just("2020-01-02T03:04:05Z".to_owned()).boxed()),
        simple("exif:DateTimeOriginal", prop::sample::select(vec!["2020:01:02 03:04:05", "2020-01-02T03:04:05.5Z", ""]).prop_map(str::to_owned).boxed()),
        simple("photoshop:City", word().boxed()),
        simple("z:simple", word().boxed()),
        list("dc:subject"),
        list("lr:hierarchicalSubject"),
        list("z:list"),
        languages("dc:title"),
        languages("dc:description"),
        languages("z:languages"),
        (word(), container).prop_map(|(word, container)| (String::new(), format!("<z:deep rdf:parseType='Resource'><z:in z:a='{word}'><z:b><rdf:{container}><rdf:li>{word}</rdf:li></rdf:{container}></z:b></z:in></z:deep>").replace(&format!(" z:a='{word}'>"), " rdf:parseType='Resource'>"))),
        word().prop_map(|word| (String::new(), format!("<!-- {word} -->"))),
    ]
}

fn any_packet() -> impl Strategy<Value = String> {
    let description = (prop::collection::vec(any_property(), 0..8), any::<bool>());
    (prop::collection::vec(description, 0..3), any::<bool>(), any::<bool>()).prop_map(|(descriptions, packed, dos)| {
        let mut seen = std::collections::BTreeSet::new();
        let mut body = String::new();
        for (properties, spaced) in descriptions {
            let (mut attributes, mut elements) = (String::new(), String::new());
            for (attribute, element) in properties {
                let name = format!("{attribute}{element}").trim_start_matches(|c: char| c == '<' || c.is_whitespace()).split(['=', '>', ' ']).next().unwrap().to_owned();
                if name == "!--" || seen.insert(name) {
                    attributes.push_str(&attribute);
                    elements.push_str(&element);
                }
            }
            let end = if spaced { "\n " } else { "" };
            body.push_str(&match elements.is_empty() && spaced {
                true => format!("\n <rdf:Description rdf:about=''{attributes}/>"),
                false => format!("\n <rdf:Description rdf:about=''{attributes}>{elements}{end}</rdf:Description>"),
            });
        }
        let rdf = format!(
            "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\" xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\" \
             xmlns:dc=\"http://purl.org/dc/elements/1.1/\" xmlns:lr=\"http://ns.adobe.com/lightroom/1.0/\" xmlns:digiKam=\"http://www.digikam.org/ns/1.0/\" \
             xmlns:exif=\"http://ns.adobe.com/exif/1.0/\" xmlns:photoshop=\"http://ns.adobe.com/photoshop/1.0/\" xmlns:z=\"urn:z:\">{body}\n</rdf:RDF>"
        );
        let whole = if packed { format!("<?xpacket begin=\"\" id=\"x\"?>\n<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\n{rdf}\n</x:xmpmeta>\n<?xpacket end=\"w\"?>") } else { rdf };
        if dos { whole.replace('\n', "\r\n") } else { whole }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_edit_of_any_packet_changes_what_it_says_and_nothing_else(packet in any_packet(), changes in prop::collection::vec(any_change(), 1..4)) {
        let mut fields: Vec<Field> = changes.iter().map(Value::field).collect();
        fields.sort();
        fields.dedup();
        prop_assume!(fields.len() == changes.len());
        match edit(Some(packet.as_bytes()), &changes) {
            Ok(edited) => {
                let edited = edited.unwrap_or_else(|| packet.clone().into_bytes());
                prop_assert_eq!(graph(&edited, &fields), graph(packet.as_bytes(), &fields));
                for value in &changes {
                    let said = read(&edited, value.field(), None).unwrap().or_else(|| hm::media::sidecar_write::silence(value.field()));
                    // A flag and a rejection share a number of digiKam's.
                    let shared = matches!(value.field(), Field::Rating | Field::Pick) && fields.contains(&Field::Rating) && fields.contains(&Field::Pick);
                    prop_assert!(shared || said.is_some_and(|said| said.says_same(value)), "{:?}\n{}", value, String::from_utf8_lossy(&edited));
                }
            }
            Err(refusal) => prop_assert!(false, "{refusal}\n{packet}"),
        }
    }

    #[test]
    fn damage_is_refused_or_survived(sample in 0usize..5, cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..4), change in any_change()) {
        let (_, whole) = samples().into_iter().filter(|(path, _)| path.to_string_lossy().contains("tests/media")).nth(sample).unwrap();
        let mut content = whole;
        for (index, byte, kind) in cuts {
            let at = index.index(content.len());
            match kind {
                0 => content.truncate(at),
                1 => content[at] = byte,
                2 => { content.remove(at); }
                _ => content.insert(at, byte),
            }
            if content.is_empty() { break; }
        }
        prop_assume!(!content.is_empty());
        // Whatever is accepted keeps all the rest, or a second reader finds that it was no RDF before either.
        if let Ok(Some(edited)) = edit(Some(&content), std::slice::from_ref(&change)) {
            let fields = [change.field()];
            let before = std::panic::catch_unwind(|| graph(&content, &fields));
            let after = std::panic::catch_unwind(|| graph(&edited, &fields));
            if let Ok(before) = before {
                prop_assert_eq!(after.ok(), Some(before));
            }
            prop_assert!(edited.len() + 4_000 > content.len(), "wiped");
        }
    }
}

// --- a disk that fails ----------------------------------------------------------------------------------------------

/// Lets the n-th call of one kind fail, in one of several ways.
struct FailingDisk {
    at: Step,
    how: How,
    /// Calls of this kind that still go well.
    spared: AtomicUsize,
    /// After the failure nothing works any more, as after a kill.
    dies: bool,
    dead: std::sync::atomic::AtomicBool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    Error(rustix::io::Errno),
    /// Half of the bytes, then nothing.
    Short,
    /// Other bytes than were given.
    Garbled,
}

impl FailingDisk {
    fn new(at: Step, how: How, spared: usize, dies: bool) -> Self {
        Self { at, how, spared: AtomicUsize::new(spared), dies, dead: false.into() }
    }

    fn step(&self, step: Step) -> io::Result<bool> {
        let killed = || io::Error::other("killed");
        if self.dead.load(Ordering::Relaxed) {
            return Err(killed());
        }
        if step != self.at || self.spared.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Ok(false);
        }
        self.dead.store(self.dies, Ordering::Relaxed);
        match self.how {
            _ if self.dies => Err(killed()),
            How::Error(error) => Err(error.into()),
            How::Short | How::Garbled => Ok(true),
        }
    }
}

impl Disk for FailingDisk {
    fn open(&self, path: &Path) -> io::Result<File> {
        self.step(if path.to_string_lossy().ends_with(".tmp") { Step::Verify } else { Step::Read })?;
        RealDisk.open(path)
    }

    fn read(&self, file: &mut File) -> io::Result<Vec<u8>> {
        RealDisk.read(file)
    }

    fn create(&self, path: &TemporaryPath) -> io::Result<File> {
        self.step(Step::Create)?;
        RealDisk.create(path)
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<usize> {
        if !self.step(Step::Write)? {
            return RealDisk.write(file, &bytes[..bytes.len().min(1000)]);
        }
        match self.how {
            How::Garbled => RealDisk.write(file, &vec![b'x'; bytes.len()]),
            _ => Ok(0),
        }
    }

    fn adopt(&self, file: &File, old: &File) -> io::Result<()> {
        self.step(Step::Adopt)?;
        RealDisk.adopt(file, old)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.step(Step::Sync)?;
        RealDisk.sync(file)
    }

    fn rename(&self, from: &TemporaryPath, to: &SidecarPath, replaces: bool) -> io::Result<()> {
        self.step(Step::Rename)?;
        RealDisk.rename(from, to, replaces)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.step(Step::SyncFolder)?;
        RealDisk.sync_folder(folder)
    }

    fn remove(&self, path: &TemporaryPath) -> io::Result<()> {
        if self.dead.load(Ordering::Relaxed) {
            return Err(io::Error::other("killed"));
        }
        RealDisk.remove(path)
    }
}

fn sidecar(dir: &Path) -> SidecarPath {
    SidecarPath::new(dir, RelPath::from_bytes(b"IMG.CR2.xmp").unwrap()).unwrap()
}

fn leftovers(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().filter(|entry| entry.as_ref().unwrap().file_name() != "IMG.CR2.xmp").count()
}

#[test]
fn at_every_failure_the_sidecar_has_its_old_or_its_new_bytes_and_the_error_says_which() {
    use rustix::io::Errno;
    let old = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/media/sidecars/darktable.xmp")).unwrap();
    let changes = [Value::Rating(Some(5)), keywords(&["a"])];
    let new = edit(Some(&old), &changes).unwrap().unwrap();
    let fresh = edit(None, &changes).unwrap().unwrap();
    let steps = [Step::Read, Step::Create, Step::Write, Step::Adopt, Step::Sync, Step::Verify, Step::Rename, Step::SyncFolder];
    let errors = [Errno::IO, Errno::NOSPC, Errno::ROFS, Errno::ACCESS, Errno::NOENT, Errno::STALE];
    let mut seen = std::collections::BTreeSet::new();
    for existing in [true, false] {
        for step in steps {
            for spared in 0..3 {
                let mut ways: Vec<(How, bool)> = errors.iter().map(|error| (How::Error(*error), false)).collect();
                ways.extend([(How::Error(Errno::IO), true)]);
                if step == Step::Write {
                    ways.extend([(How::Short, false), (How::Garbled, false)]);
                }
                for (how, dies) in ways {
                    let dir = tempfile::tempdir().unwrap();
                    let path = sidecar(dir.path());
                    if existing {
                        fs::write(path.on_disk(), &old).unwrap();
                    }
                    let found = file::look(&RealDisk, &path).unwrap();
                    let disk = FailingDisk::new(step, how, spared, dies);
                    let outcome = file::write(&disk, &path, found.as_ref(), &changes);
                    let now = fs::read(path.on_disk()).ok();
                    let (before, after) = if existing { (Some(&old), &new) } else { (None, &fresh) };
                    let context = format!("{step:?} {how:?} spared {spared} dies {dies} existing {existing}: {outcome:?}");
                    match &outcome {
                        Ok(Some(_)) => assert_eq!(now.as_ref(), Some(after), "{context}"),
                        Ok(None) => panic!("{context}"),
                        Err(error) if error.holds_new() => assert_eq!(now.as_ref(), Some(after), "{context}"),
                        Err(_) => assert_eq!(now.as_ref(), before, "{context}"),
                    }
                    if !dies {
                        assert_eq!(leftovers(dir.path()), 0, "{context}");
                    }
                    file::sweep(&RealDisk, path.on_disk().parent().unwrap()).unwrap();
                    assert_eq!(leftovers(dir.path()), 0, "{context}");
                    if let Err(error) = outcome {
                        seen.insert(format!("{error:?}").split([' ', '{']).next().unwrap().to_owned());
                    }
                }
            }
        }
    }
    let kinds: Vec<&str> = seen.iter().map(String::as_str).collect();
    assert_eq!(kinds, ["Denied", "Full", "Garbled", "Io", "ReadOnly", "Unconfirmed", "Vanished"]);
}

#[test]
fn what_somebody_else_wrote_meanwhile_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = sidecar(dir.path());
    let new = edit(None, &[Value::Rating(Some(1))]).unwrap().unwrap();
    fs::write(path.on_disk(), &new).unwrap();
    let found = file::look(&RealDisk, &path).unwrap();
    let other = edit(None, &[Value::Rating(Some(2))]).unwrap().unwrap();
    // Same size, and the time set back: the bytes tell.
    let modified = fs::metadata(path.on_disk()).unwrap().modified().unwrap();
    fs::write(path.on_disk(), &other).unwrap();
    File::options().write(true).open(path.on_disk()).unwrap().set_modified(modified).unwrap();
    assert!(matches!(file::write(&RealDisk, &path, found.as_ref(), &[Value::Rating(Some(3))]), Err(WriteError::Changed { .. })));
    assert_eq!(fs::read(path.on_disk()).unwrap(), other);
    // One that came to be meanwhile.
    assert!(matches!(file::write(&RealDisk, &path, None, &[Value::Rating(Some(3))]), Err(WriteError::Changed { .. })));
    fs::remove_file(path.on_disk()).unwrap();
    assert!(matches!(file::write(&RealDisk, &path, found.as_ref(), &[Value::Rating(Some(3))]), Err(WriteError::Vanished { .. })));
    assert_eq!(leftovers(dir.path()), 0);
}

/// Another program's write between the last look and the exchange.
struct Intruder(PathBuf);

impl Disk for Intruder {
    fn open(&self, path: &Path) -> io::Result<File> {
        RealDisk.open(path)
    }
    fn read(&self, file: &mut File) -> io::Result<Vec<u8>> {
        RealDisk.read(file)
    }
    fn create(&self, path: &TemporaryPath) -> io::Result<File> {
        RealDisk.create(path)
    }
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<usize> {
        RealDisk.write(file, bytes)
    }
    fn adopt(&self, file: &File, old: &File) -> io::Result<()> {
        RealDisk.adopt(file, old)
    }
    fn sync(&self, file: &File) -> io::Result<()> {
        RealDisk.sync(file)
    }
    fn rename(&self, from: &TemporaryPath, to: &SidecarPath, replaces: bool) -> io::Result<()> {
        fs::write(&self.0, "what the intruder says").unwrap();
        RealDisk.rename(from, to, replaces)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        RealDisk.sync_folder(folder)
    }
    fn remove(&self, path: &TemporaryPath) -> io::Result<()> {
        RealDisk.remove(path)
    }
}

#[test]
fn a_write_in_the_last_instant_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = sidecar(dir.path());
    fs::write(path.on_disk(), edit(None, &[Value::Rating(Some(1))]).unwrap().unwrap()).unwrap();
    let found = file::look(&RealDisk, &path).unwrap();
    let written = file::write(&Intruder(path.on_disk().to_owned()), &path, found.as_ref(), &[Value::Rating(Some(3))]).unwrap().unwrap();
    assert_eq!(written.overtaken.as_deref(), Some(&b"what the intruder says"[..]));
    // Where there was none, the one that came to be is not replaced.
    fs::remove_file(path.on_disk()).unwrap();
    let outcome = file::write(&Intruder(path.on_disk().to_owned()), &path, None, &[Value::Rating(Some(3))]);
    assert!(matches!(outcome, Err(WriteError::Changed { .. })), "{outcome:?}");
    assert_eq!(fs::read(path.on_disk()).unwrap(), b"what the intruder says");
    assert_eq!(leftovers(dir.path()), 0);
}

#[test]
fn permissions_stay_and_links_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let path = sidecar(dir.path());
    fs::write(path.on_disk(), edit(None, &[Value::Rating(Some(1))]).unwrap().unwrap()).unwrap();
    fs::set_permissions(path.on_disk(), fs::Permissions::from_mode(0o640)).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(path.on_disk(), Some(1234), Some(4321)).unwrap();
    }
    let before = fs::metadata(path.on_disk()).unwrap();
    let found = file::look(&RealDisk, &path).unwrap();
    file::write(&RealDisk, &path, found.as_ref(), &[Value::Rating(Some(3))]).unwrap().unwrap();
    let after = fs::metadata(path.on_disk()).unwrap();
    assert_eq!((after.mode(), after.uid(), after.gid()), (before.mode(), before.uid(), before.gid()));
    assert_ne!(after.ino(), before.ino());
    let original = dir.path().join("IMG.CR2");
    fs::write(&original, "sensor data").unwrap();
    fs::remove_file(path.on_disk()).unwrap();
    std::os::unix::fs::symlink(&original, path.on_disk()).unwrap();
    assert!(matches!(file::look(&RealDisk, &path), Err(WriteError::NotAFile { .. })));
    assert!(matches!(file::write(&RealDisk, &path, None, &[Value::Rating(Some(3))]), Err(WriteError::NotAFile { .. })));
    assert_eq!(fs::read(&original).unwrap(), b"sensor data");
}

#[test]
fn only_sidecars_can_be_named() {
    for name in ["IMG.CR2", "IMG.xmp.jpg", "xmp", ".xmp", ".hidden.xmp", "IMG.THM", "IMG.pp3", "a.xmp/b.jpg"] {
        assert!(SidecarPath::new(Path::new("/m"), RelPath::from_bytes(name.as_bytes()).unwrap()).is_err(), "{name}");
    }
    assert!(SidecarPath::new(Path::new("/m"), RelPath::from_bytes(b"2019/IMG.XMP").unwrap()).is_ok());
}

#[test]
fn an_empty_file_may_be_about_to_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = sidecar(dir.path());
    fs::write(path.on_disk(), "").unwrap();
    assert!(matches!(file::look(&RealDisk, &path), Err(WriteError::Changed { .. })));
    File::options().write(true).open(path.on_disk()).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let found = file::look(&RealDisk, &path).unwrap();
    file::write(&RealDisk, &path, found.as_ref(), &[Value::Rating(Some(3))]).unwrap().unwrap();
    assert_eq!(read(&fs::read(path.on_disk()).unwrap(), Field::Rating, None), Ok(Some(Value::Rating(Some(3)))));
}
