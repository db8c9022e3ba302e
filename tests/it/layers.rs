//! The layers of `src/lib.rs`, held: every `use crate::` of every module, and each foreign crate in its one place.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What each module may import; the table of `src/lib.rs`. `roles` may import everything.
const ALLOWED: &[(&str, &[&str])] = &[
    ("main", &["cli", "telemetry", "config", "roles"]),
    ("web", &["models", "db", "queue", "config", "export", "infer"]),
    ("pipeline", &["models", "media", "db", "queue", "config", "infer"]),
    ("work", &["models", "media", "queue", "config", "infer"]),
    ("scan", &["models", "media", "db", "config", "export"]),
    ("export", &["models", "db", "config"]),
    ("backup", &["models", "db", "services", "config"]),
    ("db", &["models", "config"]),
    ("queue", &["models", "config"]),
    ("services", &["config"]),
    ("infer", &["models", "config"]),
    ("media", &["models"]),
    ("config", &["models"]),
    ("cli", &["models", "config"]),
    ("models", &[]),
    ("telemetry", &["config"]),
    ("lib", &[]),
];

/// Crates that one module alone may speak.
const HOMES: &[(&str, &[&str])] = &[
    ("diesel", &["db"]),
    ("diesel_migrations", &["db"]),
    ("diesel_ltree", &["db"]),
    ("redis", &["queue"]),
    ("deadpool_redis", &["queue"]),
    ("actix_web", &["web"]),
    ("actix_files", &["web"]),
    ("askama", &["web"]),
    ("askama_web", &["web"]),
    ("candle_core", &["infer"]),
    ("candle_nn", &["infer"]),
    ("rexiv2", &["media"]),
    ("clap", &["cli", "main"]),
];

/// Crates that a build for workers is there to do without.
const NOT_FOR_WORKERS: &[&str] =
    &["actix-web", "askama", "diesel", "gexiv2-sys", "libheif-sys", "parquet", "pgvector", "pq-sys", "rexiv2", "rsraw-sys"];

/// One Rust file: the module below the crate's root that it belongs to, and its text.
struct Source {
    path: PathBuf,
    module: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(&root).unwrap().with_extension("");
                let module = relative.iter().next().unwrap().to_string_lossy().into_owned();
                found.push(Source { text: fs::read_to_string(&path).unwrap(), path, module });
            }
        }
    }
    assert!(found.len() > 20, "only {} sources found", found.len());
    found
}

/// The text without line comments, so that prose may name what code may not.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code)).collect::<Vec<_>>().join("\n")
}

/// The first names behind every `crate::` or `hm::` of the text, braces included: `crate::{db::Db, models}` gives db and models.
fn imports(code: &str, root: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(root) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == ':') {
            continue;
        }
        let rest = &code[at + root.len()..];
        match rest.strip_prefix('{') {
            Some(group) => names.extend(heads_of_group(group)),
            None => names.push(first_name(rest)),
        }
    }
    names
}

/// The first name of each member of a `use` group whose opening brace is already read.
fn heads_of_group(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let (mut depth, mut expecting) = (0, true);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expecting = true,
            _ if expecting && (letter.is_alphanumeric() || letter == '_') => {
                heads.push(first_name(&group[at..]));
                expecting = false;
            }
            _ => {}
        }
    }
    heads
}

fn first_name(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// Whether the name stands for a module of ours in this file: declared, or brought in by a `use` of our own crate.
fn is_own_module(code: &str, name: &str) -> bool {
    let ours = |statement: &&str| ["use crate::", "use super::", "use self::", "mod "].iter().any(|start| statement.starts_with(start));
    let words = |statement: &str| statement.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| word == name);
    code.split(';').map(str::trim).filter(ours).any(words)
}

#[test]
fn modules_import_only_what_lies_below_them() {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| source.module != "roles") {
        let may = allowed.get(source.module.as_str()).unwrap_or_else(|| panic!("lib.rs has no row for `{}`", source.module));
        let text = code(&source.text);
        let used = imports(&text, "crate::").into_iter().chain(imports(&text, "hm::"));
        for name in used.filter(|name| *name != source.module && !may.contains(&name.as_str())) {
            broken.push(format!("{} imports `{name}`", source.path.display()));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn foreign_crates_stay_in_their_module() {
    let mut broken = Vec::new();
    for source in sources() {
        let text = code(&source.text);
        for (name, homes) in HOMES {
            let used = imports(&text, &format!("{name}::")).len();
            if used > 0 && !is_own_module(&text, name) && !homes.contains(&source.module.as_str()) {
                broken.push(format!("{} speaks `{name}`", source.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn imports_are_read_out_of_groups_and_paths() {
    let text = code("use crate::{\n    db::{Db, images},\n    models::ImageId, // crate::web\n};\nlet x = crate::scan::run();");
    assert_eq!(imports(&text, "crate::"), ["db", "models", "scan"]);
    assert_eq!(imports("use other_crate::web;", "crate::"), [""; 0]);
    assert!(is_own_module("use std::fs;\nuse crate::media::{self, redis};\nfn f() {}", "redis"));
    assert!(!is_own_module("use crate::media::redistribute;\nuse redis::Client;", "redis"));
}

/// The modules that a `mod.rs` or `lib.rs` declares for builds with a library alone.
fn behind_library(file: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file)).unwrap();
    let mut found = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let declared = lines.peek().and_then(|next| next.split_once("mod ")).and_then(|(_, name)| name.strip_suffix(';'));
        if let (r#"#[cfg(feature = "library")]"#, Some(name)) = (line, declared) {
            found.push(name.to_owned());
        }
    }
    found
}

#[test]
fn a_worker_uses_nothing_of_the_library() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (modules, media, roles) = (behind_library("lib.rs"), behind_library("media/mod.rs"), behind_library("roles/mod.rs"));
    let (doctor, networks, work) = (behind_library("roles/doctor.rs"), behind_library("roles/models.rs"), behind_library("work/mod.rs"));
    let left_out =
        [(&modules, "db"), (&media, "meta"), (&roles, "serve"), (&doctor, "library"), (&networks, "results"), (&work, "mounted")];
    for (found, one) in left_out {
        assert!(found.iter().any(|name| name == one), "`{one}` is not among {found:?}");
    }
    let manifest: toml::Table = fs::read_to_string(root.join("Cargo.toml")).unwrap().parse().unwrap();
    let is_optional = |value: &toml::Value| value.get("optional").and_then(toml::Value::as_bool) == Some(true);
    let dependencies = manifest["dependencies"].as_table().unwrap();
    let crates: Vec<String> = dependencies.iter().filter(|(_, value)| is_optional(value)).map(|(name, _)| name.replace('-', "_")).collect();
    assert!(crates.iter().any(|name| name == "diesel"), "{crates:?}");

    let is_left_out = |path: &Path| {
        let below = path.strip_prefix(root.join("src")).unwrap().with_extension("");
        let names: Vec<String> = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let second = names.get(1);
        modules.contains(&names[0])
            || second.is_some_and(|second| {
                [("media", &media), ("roles", &roles), ("work", &work)]
                    .iter()
                    .any(|(module, left_out)| names[0] == *module && left_out.contains(second))
            })
            || names.len() == 3 && names[..2] == ["roles", "doctor"] && doctor.contains(&names[2])
            || names.len() == 3 && names[..2] == ["roles", "models"] && networks.contains(&names[2])
    };
    let mut broken = Vec::new();
    let mut read = 0;
    for source in sources().iter().filter(|source| !is_left_out(&source.path)) {
        read += 1;
        let text = code(&source.text);
        for name in imports(&text, "crate::").into_iter().filter(|name| modules.contains(name)) {
            broken.push(format!("{} imports `{name}`", source.path.display()));
        }
        // Within media itself, `mod.rs` names each beside its condition.
        for name in imports(&text, "media::").into_iter().chain(imports(&text, "crate::media::")).filter(|name| media.contains(name)) {
            broken.push(format!("{} imports `media::{name}`", source.path.display()));
        }
        for name in crates.iter().filter(|name| !imports(&text, &format!("{name}::")).is_empty() && !is_own_module(&text, name)) {
            broken.push(format!("{} speaks `{name}`", source.path.display()));
        }
    }
    assert!(read > 60, "only {read} sources are a worker's");
    assert!(broken.is_empty(), "a build without the feature `library` has none of it: {broken:#?}");
}

#[test]
fn a_worker_is_built_without_the_crates_of_the_library() {
    let names = |features: &[&str]| -> Vec<String> {
        let mut tree = Command::new(env!("CARGO"));
        tree.current_dir(env!("CARGO_MANIFEST_DIR")).args(["tree", "--locked", "--offline", "--edges", "normal,build", "--prefix", "none"]);
        let output = tree.args(features).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    };
    let (worker, whole) = (names(&["--no-default-features", "--features", "work"]), names(&[]));
    for name in NOT_FOR_WORKERS {
        assert!(whole.iter().any(|found| found == name), "the whole hm has no `{name}`: is it called otherwise now?");
        assert!(!worker.iter().any(|found| found == name), "a worker needs no `{name}`");
    }
    assert!(worker.iter().any(|found| found == "candle-core"), "{worker:?}");
}
