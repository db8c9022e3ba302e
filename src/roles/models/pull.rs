//! `hm models pull`: what is asked for, what that is, whether it is wanted; then fetched, and imported. Never unasked.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail, ensure};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use rustix::fs::{FlockOperation, flock};

use super::{asked, say, told};
use crate::{
    config::ModelsConfig,
    infer::{
        InferError,
        manifest::{Provenance, TOKENIZERS},
        pull::{CATALOGUE, Client, Looked, Offer, file_name, offer, sibling},
        shelf::{Imported, Shelf, Use},
    },
    models::size_words,
    roles::Exit,
};

/// What weights are called in folders of Hugging Face: their configuration and tokenizer lie beside them.
const WITH_COMPANY: [&str; 4] = ["model.safetensors", "pytorch_model.bin", "open_clip_model.safetensors", "open_clip_pytorch_model.bin"];

/// What lies beside them.
const COMPANY: [&str; 3] = ["config.json", "open_clip_config.json", "tokenizer.json"];

/// What a person says of what is to be fetched.
pub(super) struct Order<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) licence: Option<&'a str>,
    pub(super) sha256: Option<&'a str>,
    pub(super) hub: Option<&'a str>,
}

/// A file to fetch.
struct Wanted {
    address: String,
    name: String,
    looked: Looked,
}

/// A network to fetch, the weights first.
struct Plan {
    title: String,
    words: String,
    /// The folder that its files are gathered in.
    slug: String,
    provenance: Provenance,
    files: Vec<Wanted>,
}

pub(super) fn run(
    shelf: &Shelf,
    config: &ModelsConfig,
    what: &[String],
    order: &Order<'_>,
    yes: bool,
    bars: &MultiProgress,
) -> anyhow::Result<Exit> {
    if what.is_empty() {
        return list(shelf);
    }
    ensure!(what.len() == 1 || (order.name.is_none() && order.sha256.is_none()), "--name and --sha256 are for a single network");
    if let Some(digits) = order.sha256 {
        let is_digest = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        ensure!(is_digest, "`{digits}` is no sha256: that has 64 hexadecimal digits");
    }
    let client = Client::new();
    let mut plans = Vec::new();
    for what in what {
        let known = offer(what);
        if let Some(offer) = known
            && shelf.find(order.name.unwrap_or(offer.name))?.is_some()
        {
            say(&format!("`{}` is imported already", order.name.unwrap_or(offer.name)))?;
            continue;
        }
        plans.push(match known {
            Some(offer) => plan_of_offer(&client, offer, order)?,
            None if what.contains("://") => plan_of_address(&client, what, order)?,
            None => bail!(
                "`{what}` is no network that hm knows where to fetch\nhint: `hm models pull` lists them; or give the address of a file"
            ),
        });
    }
    if plans.is_empty() {
        return Ok(Exit::Done);
    }
    for plan in &plans {
        eprintln!("{}", plan_words(plan));
    }
    if !yes && !asked(&format!("Fetch {}?", sum_words(plans.iter().flat_map(|plan| &plan.files))))? {
        say("nothing was fetched")?;
        return Ok(Exit::Done);
    }
    for plan in plans {
        let title = plan.title.clone();
        let imported = fetch(shelf, &client, plan, bars).with_context(|| format!("while fetching {title}"))?;
        say(&told(&imported, config))?;
    }
    Ok(Exit::Done)
}

/// What can be fetched by a short name.
fn list(shelf: &Shelf) -> anyhow::Result<Exit> {
    let width = CATALOGUE.iter().map(|offer| offer.name.len()).max().unwrap_or(0);
    for use_ in Use::ALL {
        say(&format!("For {}:", use_.unlocks()))?;
        for offer in CATALOGUE.iter().filter(|offer| offer.use_ == use_) {
            let here = if shelf.find(offer.name).is_ok_and(|found| found.is_some()) { ", imported already" } else { "" };
            say(&format!(
                "  {:width$}  {}, about {} MB, {}, from {}{here}",
                offer.name,
                offer.title,
                offer.about_mb,
                offer.licence,
                offer.page_address()
            ))?;
        }
    }
    say("Fetch one: hm models pull NAME")?;
    Ok(Exit::Done)
}

fn plan_of_offer(client: &Client, offer: &Offer, order: &Order<'_>) -> anyhow::Result<Plan> {
    ensure!(order.sha256.is_none() || offer.files.len() == 1, "{} has several files: --sha256 is for a single one", offer.title);
    let base = order.hub.unwrap_or(offer.hub.base()).trim_end_matches('/');
    let mut files = Vec::new();
    for file in offer.files {
        let mut found = None;
        for path in file.paths {
            let address = format!("{base}{path}");
            if let Some(looked) = client.look(&address)? {
                found = Some(Wanted { name: file_name(&address)?, address, looked: stated(looked, order) });
                break;
            }
        }
        let Some(found) = found else {
            if file.name() == TOKENIZERS[0] {
                // Without it, alike pictures are found all the same; what is imported says what it lacks.
                eprintln!("`{}` of {} is not where it used to be", file.name(), offer.title);
                continue;
            }
            bail!(
                "`{}` of {} is not where it used to be\nhint: look for it on {}, fetch it with a browser, then: hm models import FILE",
                file.name(),
                offer.title,
                offer.page_address()
            );
        };
        files.push(found);
    }
    let name = order.name.unwrap_or(offer.name).to_owned();
    Ok(Plan {
        title: offer.title.to_owned(),
        words: format!("{}; licence {}, from {}", offer.unlocks, offer.licence, offer.page_address()),
        slug: offer.name.to_owned(),
        provenance: Provenance { name: Some(name), licence: Some(offer.licence.to_owned()), source: offer.page_address() },
        files,
    })
}

fn plan_of_address(client: &Client, address: &str, order: &Order<'_>) -> anyhow::Result<Plan> {
    let name = file_name(address)?;
    let looked = client.look(address)?.ok_or_else(|| anyhow!("there is no file at {address}"))?;
    let mut files = vec![Wanted { address: address.to_owned(), name: name.clone(), looked: stated(looked, order) }];
    if WITH_COMPANY.contains(&name.as_str()) {
        for beside in COMPANY {
            // They need not be there, and a server may say so as it likes.
            let address = sibling(address, beside).unwrap_or_default();
            if let Ok(Some(looked)) = client.look(&address) {
                files.push(Wanted { address, name: beside.to_owned(), looked });
            }
        }
    }
    let licence = order.licence.map_or_else(|| "not said".to_owned(), str::to_owned);
    let digest = blake3::hash(address.as_bytes()).to_hex();
    Ok(Plan {
        title: name,
        words: format!("licence {licence}, from {address}"),
        slug: digest[..16].to_owned(),
        provenance: Provenance {
            name: order.name.map(str::to_owned),
            licence: order.licence.map(str::to_owned),
            source: address.to_owned(),
        },
        files,
    })
}

/// What is known of a file: what a person says of it comes before what its server says.
fn stated(looked: Looked, order: &Order<'_>) -> Looked {
    Looked { sha256: order.sha256.map(str::to_lowercase).or(looked.sha256), ..looked }
}

fn plan_words(plan: &Plan) -> String {
    let size = |file: &Wanted| file.looked.bytes.map_or_else(|| "size unknown".to_owned(), size_words);
    let files: Vec<String> = plan.files.iter().map(|file| format!("{} ({})", file.name, size(file))).collect();
    format!("{}: {}\n  {}", plan.title, plan.words, files.join(", "))
}

/// All sizes together, as far as they are known.
fn sum_words<'a>(files: impl Iterator<Item = &'a Wanted>) -> String {
    let (mut sum, mut is_all) = (0u64, true);
    for file in files {
        sum = sum.saturating_add(file.looked.bytes.unwrap_or(0));
        is_all &= file.looked.bytes.is_some();
    }
    match (sum, is_all) {
        (0, _) => "files of unknown size".to_owned(),
        (sum, true) => size_words(sum),
        (sum, false) => format!("{} and more", size_words(sum)),
    }
}

/// Fetches all files into a hidden folder that outlives this process, imports what is in it, and removes it.
fn fetch(shelf: &Shelf, client: &Client, plan: Plan, bars: &MultiProgress) -> anyhow::Result<Imported> {
    let folder = shelf.dir().join(".pull").join(&plan.slug);
    fs::create_dir_all(&folder).with_context(|| format!("while creating `{}`", folder.display()))?;
    let lock_path = shelf.dir().join(".pull").join(format!("{}.lock", plan.slug));
    let lock = File::create(&lock_path).with_context(|| format!("while creating `{}`", lock_path.display()))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| anyhow!("another hm is fetching the same\nhint: wait for it"))?;
    for file in &plan.files {
        let to = folder.join(&file.name);
        let is_there = fs::metadata(&to).is_ok_and(|there| file.looked.bytes == Some(there.len()));
        if !is_there {
            fetch_one(client, file, &to, bars)?;
        }
    }
    let imported = shelf.import(&what_to_import(&folder, &plan.files), None, &plan.provenance);
    if matches!(imported, Err(InferError::BadFile { .. } | InferError::WrongWeights { .. })) {
        // Of no use: not to be taken for what is asked for next time.
        fs::remove_dir_all(&folder).with_context(|| format!("while removing `{}`", folder.display()))?;
    }
    let imported = imported?;
    fs::remove_dir_all(&folder).with_context(|| format!("while removing `{}`", folder.display()))?;
    fs::remove_file(&lock_path).with_context(|| format!("while removing `{}`", lock_path.display()))?;
    Ok(imported)
}

fn fetch_one(client: &Client, file: &Wanted, to: &Path, bars: &MultiProgress) -> anyhow::Result<()> {
    let bar = bars.add(ProgressBar::new(file.looked.bytes.unwrap_or(0)));
    let style = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}");
    bar.set_style(style.context("while drawing the progress bar")?);
    bar.set_message(file.name.clone());
    let fetched = client.fetch(&file.address, to, &file.looked, &mut |bytes, total| {
        if let Some(total) = total {
            bar.set_length(total);
        }
        bar.set_position(bytes);
    });
    bar.finish_and_clear();
    bars.remove(&bar);
    fetched?;
    tracing::info!("fetched {}", file.name);
    Ok(())
}

/// The folder where weights came with company, else the file.
fn what_to_import(folder: &Path, files: &[Wanted]) -> PathBuf {
    match files {
        [one] => folder.join(&one.name),
        _ => folder.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(bytes: Option<u64>) -> Wanted {
        Wanted { address: String::new(), name: "x.pt".into(), looked: Looked { bytes, sha256: None } }
    }

    #[test]
    fn sizes_are_summed_as_far_as_they_are_known() {
        assert_eq!(sum_words([wanted(Some(1_000_000)), wanted(Some(500_000))].iter()), "1.5 MB");
        assert_eq!(sum_words([wanted(Some(1_000_000)), wanted(None)].iter()), "1.0 MB and more");
        assert_eq!(sum_words([wanted(None)].iter()), "files of unknown size");
    }

    #[test]
    fn one_file_is_imported_itself_and_several_as_a_folder() {
        assert_eq!(what_to_import(Path::new("/f"), &[wanted(None)]), Path::new("/f/x.pt"));
        assert_eq!(what_to_import(Path::new("/f"), &[wanted(None), wanted(None)]), Path::new("/f"));
    }
}
