//! What the library holds of networks that are not in use: listed, and removed when a person says so. Apart, because it asks the database,
//! which the rest of `hm models` does without.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{asked, grouped, say, table};
use crate::{
    config::Config,
    db::{
        self, Db, PgConnection,
        networks::delete_network,
        results::{HeldResults, delete_results, list_held_results},
        vectors::drop_index,
    },
    infer::shelf::{Shelf, Shelved},
    models::task::{Lane, TaskKind},
    queue::Queue,
    roles::{Exit, told},
    services::Services,
};

/// Images whose results are removed at once.
const BATCH: i64 = 1_000;
/// How long a server may take to see that a network is no longer on its shelf.
const NOTICE: Duration = Duration::from_secs(10);
/// Pause between two looks at that.
const GLANCE: Duration = Duration::from_millis(200);

/// Says what the library holds of networks that are not in use; nothing where there is no library. One that cannot be asked is no error:
/// the networks are listed all the same.
pub(super) fn list(config: &Config, imported: &[Shelved], used: &[Shelved]) -> anyhow::Result<()> {
    let left = left(config, used);
    if left.is_empty() {
        return Ok(());
    }
    let head = ["NAME@VERSION", "WHAT", "WEIGHTS", "IMAGES", "THINGS FOUND"].map(str::to_owned);
    let row = |held: &HeldResults| {
        let weights = if is_among(held, imported) { "imported" } else { "gone" };
        [name_of(held), held.network.card.title.clone(), weights.to_owned(), of(held.images), of(held.regions)]
    };
    let rows: Vec<[String; 5]> = std::iter::once(head).chain(left.iter().map(row)).collect();
    say(&format!("\nThe library holds results of networks that are not in use:\n{}", table(&rows, &[3, 4])))?;
    say("hint: `hm models forget NAME` removes them; what people decided on stays")
}

/// The same as entries of a list, those left out whose weights are imported: they are there already.
pub(super) fn list_json(config: &Config, imported: &[Shelved], used: &[Shelved]) -> Vec<Value> {
    let entry = |held: &HeldResults| {
        let card = &held.network.card;
        json!({
            "name": card.lane.network.name,
            "version": card.lane.network.version,
            "title": card.title,
            "family": card.family,
            "use": card.lane.kind.as_str(),
            "is_imported": false,
            "in_use": false,
            "images": held.images,
            "regions": held.regions,
            "regions_decided": held.decided,
        })
    };
    left(config, used).iter().filter(|held| !is_among(held, imported)).map(entry).collect()
}

fn left(config: &Config, used: &[Shelved]) -> Vec<HeldResults> {
    match held(config) {
        Ok(held) => held.into_iter().filter(|held| held.has_any() && !is_among(held, used)).collect(),
        Err(error) => {
            tracing::warn!("what other networks found cannot be listed: {}", told(&error));
            Vec::new()
        }
    }
}

/// What there is of all networks, in a library that is there already.
fn held(config: &Config) -> anyhow::Result<Vec<HeldResults>> {
    if !Services::has_database(config) {
        return Ok(Vec::new());
    }
    let services = Services::open(config).context("while starting the private services")?;
    let db = Db::connect(services.database_url(), 1)?;
    Ok(list_held_results(&mut *db.get()?)?)
}

fn is_among(held: &HeldResults, networks: &[Shelved]) -> bool {
    networks.iter().any(|network| network.lane().as_ref() == Some(&held.network.card.lane))
}

fn name_of(held: &HeldResults) -> String {
    let Lane { network, .. } = &held.network.card.lane;
    format!("{}@{}", network.name, network.version)
}

/// A count in words.
fn of(count: i64) -> String {
    grouped(count.unsigned_abs())
}

/// Removes from the library what a network found.
///
/// # Errors
/// When it is in use, nothing is held of it, or nobody can be asked whether that is wanted.
pub(super) fn forget(shelf: &Shelf, config: &Config, wanted: &str, yes: bool, bars: &MultiProgress) -> anyhow::Result<Exit> {
    let unknown =
        format!("the library holds no results of a network called `{wanted}`\nhint: `hm models list` has all that are not in use");
    if !Services::has_database(config) {
        bail!(unknown);
    }
    let services = Services::open(config).context("while starting the private services")?;
    db::migrate(services.database_url())?;
    let db = Db::connect(services.database_url(), 1)?;
    let conn = &mut *db.get()?;
    let is_wanted = |held: &HeldResults| name_of(held) == wanted || held.network.card.lane.network.name == wanted;
    let of_name: Vec<HeldResults> = list_held_results(conn)?.into_iter().filter(is_wanted).collect();
    let in_use = shelf.in_use(&config.models)?;
    let (used, left): (Vec<HeldResults>, Vec<HeldResults>) = of_name.into_iter().partition(|held| is_among(held, &in_use));
    if left.is_empty() {
        let Some(used) = used.first() else { bail!(unknown) };
        let name = &used.network.card.lane.network.name;
        bail!(
            "`{}` is in use: what is removed would be looked for again at once\nhint: remove the network before (`hm models remove {name}`)",
            name_of(used)
        );
    }
    wait_until_unused(services.redis_url(), &left)?;
    say(&left.iter().map(held_words).collect::<Vec<_>>().join("\n"))?;
    // What nothing is held of needs no question.
    if left.iter().any(HeldResults::has_any) && !yes && !asked("Remove this from the library?")? {
        say("nothing was removed")?;
        return Ok(Exit::Done);
    }
    for held in &left {
        remove(conn, held, bars)?;
        let stays = if held.decided > 0 { ", but for what people decided on" } else { "" };
        say(&format!("`{}` is forgotten{stays}", name_of(held)))?;
    }
    Ok(Exit::Done)
}

/// Waits until no server, of this machine or another, gives these networks work: all that is removed would be looked for again.
fn wait_until_unused(redis_url: &str, left: &[HeldResults]) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let context = "while asking which networks the servers work with";
    let queue = runtime.block_on(Queue::connect(redis_url)).context(context)?;
    let until = Instant::now() + NOTICE;
    loop {
        let offered = runtime.block_on(queue.offered_lanes()).context(context)?;
        let is_offered = |held: &&HeldResults| offered.iter().any(|offer| offer.lane == held.network.card.lane);
        let Some(held) = left.iter().find(is_offered) else { return Ok(()) };
        if Instant::now() >= until {
            bail!(
                "a server works with `{}`: what is removed would be looked for again at once\nhint: remove the network there before; a server \
                 that was stopped counts for two minutes",
                name_of(held)
            );
        }
        thread::sleep(GLANCE);
    }
}

/// `` `yolo11n@0a1b2c` (YOLO11n): 1,234 images, 56 things found in them; 2 things that people decided on stay ``.
fn held_words(held: &HeldResults) -> String {
    let many = |count: i64, one: &str| format!("{} {one}{}", of(count), if count == 1 { "" } else { "s" });
    let found = match held.network.card.lane.kind {
        TaskKind::Embed => "what each is like".to_owned(),
        TaskKind::Detect => format!("{} found in them", many(held.regions, "thing")),
    };
    let stay = match held.decided {
        0 => String::new(),
        1 => "; 1 thing that a person decided on stays".to_owned(),
        decided => format!("; {} that people decided on stay", many(decided, "thing")),
    };
    format!("`{}` ({}): {}, {found}{stay}", name_of(held), held.network.card.title, many(held.images, "image"))
}

/// Removes all of it, a batch at a time: whoever is interrupted calls again for the rest.
fn remove(conn: &mut PgConnection, held: &HeldResults, bars: &MultiProgress) -> anyhow::Result<()> {
    let network = held.network.id;
    let bar = bars.add(ProgressBar::new(held.images.unsigned_abs()));
    bar.set_style(
        ProgressStyle::with_template("{msg} {bar:30} {human_pos}/{human_len} images {eta}").context("while drawing the progress bar")?,
    );
    bar.set_message(name_of(held));
    // First, so that no vector has to be taken out of it.
    drop_index(conn, network).context("while removing the index")?;
    loop {
        let removed = delete_results(conn, network, BATCH).context("while removing results")?;
        bar.inc(removed as u64);
        if removed == 0 {
            break;
        }
    }
    // It stays where people decided on something that it found.
    delete_network(conn, network).context("while removing the network")?;
    bar.finish_and_clear();
    bars.remove(&bar);
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;
    use crate::{
        db::networks::{NetworkCard, StoredNetwork},
        models::NetworkId,
    };

    fn held(lane: &str, images: i64, regions: i64, decided: i64) -> HeldResults {
        let card = NetworkCard { lane: lane.parse().unwrap(), family: "f".into(), title: "Title".into(), dimensions: None };
        let network = StoredNetwork { id: NetworkId(1), card, done: images, failed: 0, registered_at: Utc::now() };
        HeldResults { network, images, regions, decided }
    }

    #[test]
    fn what_is_held_is_said_before_it_goes() {
        let words = held_words(&held("detect/yolo11n@0a", 1_234, 1, 2));
        assert_eq!(words, "`yolo11n@0a` (Title): 1,234 images, 1 thing found in them; 2 things that people decided on stay");
        assert_eq!(
            held_words(&held("detect/yolo11n@0a", 0, 0, 1)),
            "`yolo11n@0a` (Title): 0 images, 0 things found in them; 1 thing that a person decided on stays"
        );
        assert_eq!(held_words(&held("embed/clip@0a", 1, 0, 0)), "`clip@0a` (Title): 1 image, what each is like");
    }
}
