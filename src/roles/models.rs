//! `hm models`: the imported networks from the command line. It needs no database, but asks the one that is there what it holds of others.

mod pull;
#[cfg(feature = "library")]
mod results;

use std::{
    io::{IsTerminal, Write},
    path::Path,
};

use anyhow::{Context, bail};
use indicatif::MultiProgress;
use serde_json::json;

use super::Exit;
use crate::{
    cli::{ModelsAction, ModelsArgs},
    config::{Config, ModelsConfig},
    infer::{
        check::{self, Case, Measured},
        manifest::Provenance,
        shelf::{Imported, Shelf, Shelved, Use, tokenizer_command},
    },
    models::size_words,
};

/// Runs the role.
///
/// # Errors
/// When there is no such network, or what is asked for cannot be done; the text says what to do instead.
pub(super) fn run(args: &ModelsArgs, config: &Config, bars: &MultiProgress) -> anyhow::Result<Exit> {
    let shelf = Shelf::new(&config.models.dir);
    match &args.action {
        ModelsAction::List { json: false } => list(&shelf, config),
        ModelsAction::List { json: true } => list_json(&shelf, config),
        ModelsAction::Import { path, name, licence, source, tokenizer } => {
            let source = source.clone().unwrap_or_else(|| source_of(path));
            let provenance = Provenance { name: name.clone(), licence: licence.clone(), source };
            say(&told(&shelf.import(path, tokenizer.as_deref(), &provenance)?, &config.models))?;
            Ok(Exit::Done)
        }
        ModelsAction::Pull { what, name, licence, sha256, hub, yes } => {
            let order = pull::Order { name: name.as_deref(), licence: licence.as_deref(), sha256: sha256.as_deref(), hub: hub.as_deref() };
            pull::run(&shelf, &config.models, what, &order, *yes, bars)
        }
        ModelsAction::Verify { name } => verify(&shelf, name.as_deref()),
        ModelsAction::Check { dir, network } => check(&shelf, dir, network.as_deref()),
        ModelsAction::Remove { name, yes } => remove(&shelf, name, *yes),
        #[cfg(feature = "library")]
        ModelsAction::Forget { name, yes } => results::forget(&shelf, config, name, *yes, bars),
    }
}

fn say(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

/// What is noted of weights that a person brings along: no path, which is nobody else's business.
fn source_of(path: &Path) -> String {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let name = whole.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    format!("`{name}`, imported by hand")
}

fn is_used(shelved: &Shelved, used: &[Shelved]) -> bool {
    used.iter().any(|other| other.manifest.name == shelved.manifest.name)
}

fn list(shelf: &Shelf, config: &Config) -> anyhow::Result<Exit> {
    let (networks, used) = (shelf.list()?, shelf.in_use(&config.models)?);
    if networks.is_empty() {
        say("No networks are imported. `hm models pull` lists those that can be fetched; `hm models import FILE` takes your own")?;
    } else {
        list_imported(&config.models, &networks, &used)?;
    }
    #[cfg(feature = "library")]
    results::list(config, &networks, &used)?;
    Ok(Exit::Done)
}

fn list_imported(config: &ModelsConfig, networks: &[Shelved], used: &[Shelved]) -> anyhow::Result<()> {
    let head = ["", "NAME", "WHAT", "FOR", "PARAMETERS", "SIZE", "LICENCE"].map(str::to_owned);
    let row = |shelved: &Shelved| {
        let manifest = &shelved.manifest;
        [
            if is_used(shelved, used) { "*".to_owned() } else { String::new() },
            manifest.name.clone(),
            manifest.title.clone(),
            shelved.use_().as_str().to_owned(),
            grouped(manifest.parameters),
            size_words(shelved.bytes()),
            manifest.licence.clone(),
        ]
    };
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(networks.iter().map(row)).collect();
    say(&table(&rows, &[4, 5]))?;
    say("* in use")?;
    for shelved in networks.iter().filter(|shelved| shelved.lacks_tokenizer()) {
        say(&without_words(shelved, config))?;
    }
    Ok(())
}

/// Cells under each other; the columns of numbers end under each other.
fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]], numbers: &[usize]) -> String {
    let widths: [usize; COLUMNS] = std::array::from_fn(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0));
    let line = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(widths).enumerate().map(|(at, (cell, width))| match at {
            _ if numbers.contains(&at) => format!("{cell:>width$}"),
            _ => format!("{cell:width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn list_json(shelf: &Shelf, config: &Config) -> anyhow::Result<Exit> {
    let (networks, used) = (shelf.list()?, shelf.in_use(&config.models)?);
    let entry = |shelved: &Shelved| {
        let manifest = &shelved.manifest;
        json!({
            "name": manifest.name,
            "version": manifest.version,
            "title": manifest.title,
            "family": manifest.family,
            "use": shelved.use_().as_str(),
            "is_imported": true,
            "in_use": is_used(shelved, &used),
            "reads_words": shelved.use_() == Use::Embed && shelved.tokenizer().is_some(),
            "parameters": manifest.parameters,
            "bytes": shelved.bytes(),
            "licence": manifest.licence,
            "source": manifest.source,
            "imported_at": manifest.imported_at,
            "classes": manifest.classes,
        })
    };
    let entries: Vec<_> = networks.iter().map(entry).collect();
    #[cfg(feature = "library")]
    let entries = [entries, results::list_json(config, &networks, &used)].concat();
    say(&serde_json::to_string_pretty(&entries)?)?;
    Ok(Exit::Done)
}

/// What became of an import, in words.
fn told(imported: &Imported, config: &ModelsConfig) -> String {
    let shelved = imported.shelved();
    let manifest = &shelved.manifest;
    let what = match imported {
        Imported::New(_) => format!(
            "`{}` is imported: {}, {} parameters, {}. Licence: {}\nIt is there for {}",
            manifest.name,
            manifest.title,
            grouped(manifest.parameters),
            size_words(shelved.bytes()),
            manifest.licence,
            manifest.unlocks
        ),
        Imported::Already(_) => format!("these weights are imported already, as `{}`: nothing was changed", manifest.name),
        Imported::Completed(_) => {
            format!("these weights were imported already, as `{}`, and have a tokenizer now: they can be asked with words", manifest.name)
        }
    };
    if shelved.lacks_tokenizer() { format!("{what}\n{}", without_words(shelved, config)) } else { what }
}

fn without_words(shelved: &Shelved, config: &ModelsConfig) -> String {
    format!(
        "`{}` has no tokenizer: it finds alike pictures, and cannot be asked with words\n\
         hint: fetch tokenizer.json from the page that the weights are from, then: {}",
        shelved.manifest.name,
        tokenizer_command(&shelved.folder, config)
    )
}

fn verify(shelf: &Shelf, name: Option<&str>) -> anyhow::Result<Exit> {
    if let Some(name) = name {
        shelf.verify(name)?;
        say(&format!("✓ {name} is whole"))?;
        return Ok(Exit::Done);
    }
    let (networks, unusable) = shelf.survey()?;
    let mut damaged = unusable.len();
    for shelved in &networks {
        match shelved.verify() {
            Ok(()) => say(&format!("✓ {} is whole", shelved.manifest.name))?,
            Err(error) => {
                damaged += 1;
                say(&format!("✗ {}: {error}", shelved.manifest.name))?;
            }
        }
    }
    for unusable in &unusable {
        say(&format!("✗ {}: {}", unusable.folder.display(), unusable.why))?;
    }
    match (damaged, networks.len()) {
        (0, 0) => say("No networks are imported")?,
        (0, _) => {}
        _ => return Ok(Exit::Failed),
    }
    Ok(Exit::Done)
}

fn check(shelf: &Shelf, dir: &Path, network: Option<&str>) -> anyhow::Result<Exit> {
    let shelved = match network {
        Some(name) => Some(shelf.find(name)?.ok_or_else(|| shelf.unknown(name))?),
        None => None,
    };
    let cases = check::check(dir, shelved.as_ref())?;
    for case in &cases {
        say(&case_words(case))?;
    }
    let within = cases.iter().filter(|case| case.is_within()).count();
    say(&format!("{within} of {} cases are within all tolerances", cases.len()))?;
    Ok(if within == cases.len() { Exit::Done } else { Exit::Failed })
}

/// A case with a line for each output.
fn case_words(case: &Case) -> String {
    let mut lines = vec![format!("{} {}: {}", mark(case.is_within()), case.name, case.network)];
    let outputs = match &case.outputs {
        Ok(outputs) => outputs,
        Err(error) => {
            lines.push(format!("    {}", error.to_string().replace('\n', "\n    ")));
            return lines.join("\n");
        }
    };
    let width = outputs.iter().map(|measured| measured.output.chars().count()).max().unwrap_or(0);
    for measured in outputs {
        let Measured { output, error, tolerance, unit, note } = measured;
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        let note = if note.is_empty() { String::new() } else { format!(" ({note})") };
        // What is counted has no tolerance, and no powers of ten.
        let off = if *tolerance == 0.0 { format!("{error:>8.0} of 0") } else { format!("{error:>8.1e} of {tolerance:.1e}") };
        lines.push(format!("  {} {output:width$}  {off}{unit}{note}", mark(measured.is_within())));
    }
    lines.join("\n")
}

fn mark(is_good: bool) -> char {
    if is_good { '✓' } else { '✗' }
}

fn remove(shelf: &Shelf, name: &str, yes: bool) -> anyhow::Result<Exit> {
    if !yes && !asked(&format!("Remove `{name}` and its files?"))? {
        say("nothing was removed")?;
        return Ok(Exit::Done);
    }
    shelf.remove(name)?;
    say(&format!("`{name}` is removed; what it found stays in the library"))?;
    if cfg!(feature = "library") {
        say(&format!("hint: `hm models forget {name}` removes that, too"))?;
    }
    Ok(Exit::Done)
}

/// Asks a question on the terminal; nothing but a yes is one.
///
/// # Errors
/// When there is no terminal to ask on.
fn asked(question: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("{question} There is no terminal to ask on\nhint: add --yes if that is what you want");
    }
    eprint!("{question} [y/N] ");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).context("while asking on the terminal")?;
    Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// A whole number with commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_for_people() {
        assert_eq!([7, 2_616_232].map(grouped), ["7", "2,616,232"]);
    }

    #[test]
    fn a_case_is_told_line_by_line() {
        let measured = |error| Measured { output: "boxes".into(), error, tolerance: 2e-2, unit: "px", note: String::new() };
        let case = Case { name: "yolo".into(), network: "YOLO11n".into(), outputs: Ok(vec![measured(1e-3), measured(1.0)]) };
        assert_eq!(case_words(&case), "✗ yolo: YOLO11n\n  ✓ boxes    1.0e-3 of 2.0e-2 px\n  ✗ boxes     1.0e0 of 2.0e-2 px");
    }

    #[test]
    fn where_weights_came_from_names_no_folder() {
        assert_eq!(source_of(Path::new("/home/anna/secret/yolo11n.pt")), "`yolo11n.pt`, imported by hand");
    }
}
