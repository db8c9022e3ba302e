//! The networks: which are imported and in use, and for what is lacking which files to get, from where, under which licence, what each
//! unlocks, and what to type. It fetches nothing: that a person does, where hm runs.

use actix_web::{
    HttpResponse,
    web::{self, Data},
};
use askama::Template;

use super::{
    State, WebError,
    page::{self, Layout, Tab, grouped},
};
use crate::{
    config::ModelsConfig,
    infer::{
        pull::{CATALOGUE, Offer, OfferedFile},
        shelf::{Shelf, Shelved, Use, command, tokenizer_command},
    },
    models::size_words,
};

/// An imported network.
#[derive(Debug)]
struct Network {
    title: String,
    is_used: bool,
    facts: String,
    licence: String,
    source: String,
    /// Where it came from, if that can be looked at.
    source_href: Option<String>,
    /// What to type where it cannot be asked with words.
    lacks_words: Option<String>,
}

/// A file to get.
#[derive(Debug, PartialEq)]
struct FileLink {
    name: &'static str,
    href: String,
}

/// A network that could be got.
#[derive(Debug)]
struct OfferCard {
    title: &'static str,
    advice: String,
    unlocks: &'static str,
    licence: &'static str,
    hub: &'static str,
    page: String,
    about_mb: u32,
    files: Vec<FileLink>,
    /// What to type.
    pull: String,
    /// What to type after fetching by hand.
    import: String,
}

/// What networks are there for.
#[derive(Debug)]
struct UseSection {
    id: &'static str,
    title: String,
    trouble: Option<String>,
    networks: Vec<Network>,
    offers: Vec<OfferCard>,
}

/// A folder that looks like a network and is none.
#[derive(Debug)]
struct Useless {
    name: String,
    why: String,
}

#[derive(Template)]
#[template(path = "models.html")]
struct ModelsPage {
    layout: Layout,
    uses: Vec<UseSection>,
    unusable: Vec<Useless>,
    /// What every command begins with.
    commands: String,
}

/// `GET /models`.
pub(super) async fn show(state: Data<State>) -> Result<HttpResponse, WebError> {
    let config = state.models.clone();
    let surveyed = web::block(move || Shelf::new(&config.dir).survey()).await.map_err(|error| WebError::Internal(error.to_string()))?;
    let (networks, unusable) = surveyed.map_err(|error| WebError::Unavailable("disk with the networks", error.to_string()))?;
    let commands = command(&state.models);
    page::html(&ModelsPage {
        layout: Layout::new("Networks", Tab::None),
        uses: Use::ALL.into_iter().map(|use_| section(use_, &networks, &state.models, &commands)).collect(),
        unusable: unusable
            .into_iter()
            .map(|one| Useless {
                name: one.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
                why: one.why.replace("\nhint: ", "; "),
            })
            .collect(),
        commands,
    })
}

fn section(use_: Use, networks: &[Shelved], config: &ModelsConfig, commands: &str) -> UseSection {
    let of_use: Vec<&Shelved> = networks.iter().filter(|shelved| shelved.use_() == use_).collect();
    let preferred = use_.preferred(config);
    let used = match preferred {
        "" => of_use.first().copied(),
        name => of_use.iter().copied().find(|shelved| shelved.manifest.name == name),
    };
    let trouble = (!preferred.is_empty() && used.is_none())
        .then(|| format!("The setting models.{} names `{preferred}`, which is not imported for it: none is used.", use_.as_str()));
    let offers = CATALOGUE.iter().filter(|offer| offer.use_ == use_ && !of_use.iter().any(|shelved| shelved.manifest.name == offer.name));
    UseSection {
        id: use_.as_str(),
        title: capitalised(use_.unlocks()),
        trouble,
        networks: of_use.iter().map(|shelved| network(shelved, used, config)).collect(),
        offers: offers.map(|offer| offer_card(offer, commands)).collect(),
    }
}

fn network(shelved: &Shelved, used: Option<&Shelved>, config: &ModelsConfig) -> Network {
    let manifest = &shelved.manifest;
    let imported = manifest.imported_at.map(|at| format!(", imported on {}", at.format("%-d %B %Y"))).unwrap_or_default();
    let parameters = grouped(i64::try_from(manifest.parameters).unwrap_or(i64::MAX));
    let size = size_words(shelved.bytes());
    let classes = if manifest.classes.is_empty() { String::new() } else { format!(", {} kinds of things", manifest.classes.len()) };
    Network {
        title: manifest.title.clone(),
        is_used: used == Some(shelved),
        facts: format!("{}, version {}: {parameters} parameters, {size}{classes}{imported}", manifest.name, manifest.version),
        licence: manifest.licence.clone(),
        source: manifest.source.clone(),
        source_href: Some(manifest.source.clone()).filter(|source| source.starts_with("https://")),
        lacks_words: shelved.lacks_tokenizer().then(|| tokenizer_command(&shelved.folder, config)),
    }
}

fn offer_card(offer: &Offer, commands: &str) -> OfferCard {
    let file = |file: &OfferedFile| FileLink {
        name: file.name(),
        href: format!("{}{}", offer.hub.base(), file.paths.first().copied().unwrap_or_default()),
    };
    let files: Vec<FileLink> = offer.files.iter().map(file).collect();
    let what = match files.as_slice() {
        [one] => one.name,
        _ => "FOLDER",
    };
    OfferCard {
        title: offer.title,
        advice: capitalised(offer.advice) + ".",
        unlocks: offer.unlocks,
        licence: offer.licence,
        hub: offer.hub.title(),
        page: offer.page_address(),
        about_mb: offer.about_mb,
        pull: format!("{commands} pull {}", offer.name),
        import: format!("{commands} import {what}"),
        files,
    }
}

/// With a capital letter.
fn capitalised(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_networks_every_use_has_one_to_begin_with() {
        for use_ in Use::ALL {
            let section = section(use_, &[], &ModelsConfig::default(), "hm models");
            assert!(section.networks.is_empty() && section.trouble.is_none());
            let first = section.offers.first().unwrap();
            assert!(first.pull.starts_with("hm models pull ") && first.page.starts_with("https://"), "{first:?}");
            assert!(first.files.iter().all(|file| file.href.starts_with("https://")), "{first:?}");
        }
    }

    #[test]
    fn a_preferred_network_that_is_not_there_is_told() {
        let config = ModelsConfig { detect: "yolo12".into(), ..ModelsConfig::default() };
        let section = section(Use::Detect, &[], &config, "hm models");
        assert!(section.trouble.unwrap().contains("yolo12"));
    }
}
