//! One image: the viewer with its facts and files, over the gallery as a fragment or as a page of its own.

use actix_web::{
    HttpResponse,
    http::header::LOCATION,
    web::{Data, Path},
};
use askama::Template;

use super::{
    State, WebError,
    edits::{Said, color_words, offset_words, place_name, place_words},
    error::or_not_found,
    grouping::SPLIT_FROM,
    map::PlaceView,
    page::{self, Htmx, Layout, Pairs, Tab},
    ranked,
    regions::RegionsView,
    search, tiles,
};
use crate::{
    db::{
        DbError,
        gallery::list_cards,
        image::{ImageFile, ImagePage as Found, ImageRow, Neighbours, find_image, neighbours},
    },
    models::{
        Direction, FileFormat, FileKind, FileRole, Filter, Gps, ImageId,
        edit::{ColorLabel, Keywords, Place},
        query::{Like, Name, Term},
        size_words,
    },
};

/// A file as the panel lists it.
#[derive(Debug)]
struct FileLine {
    id: i64,
    name: String,
    path: String,
    role: &'static str,
    /// Format, size in pixels and bytes, date.
    words: String,
    error: Option<String>,
    is_missing: bool,
}

/// A fact with a second line.
#[derive(Debug)]
struct Fact {
    icon: &'static str,
    words: String,
    more: String,
}

/// A keyword with all its levels.
#[derive(Debug, PartialEq, Eq)]
struct KeywordView {
    /// `vehicle › car`.
    words: String,
    /// `vehicle|car`, as forms name it.
    value: String,
    /// The gallery of it.
    href: String,
}

/// A colour to choose.
#[derive(Debug)]
struct ColorView {
    name: &'static str,
    words: String,
    is_chosen: bool,
}

/// What people may change, as the forms of the panel begin with it.
#[derive(Debug)]
struct EditView {
    /// Where the forms lead.
    action: String,
    /// -1 rejected, 0..=5 stars.
    rating: i16,
    pick: String,
    color: String,
    colors: Vec<ColorView>,
    keywords: Vec<KeywordView>,
    /// `48.13710, 11.57540`; empty while there is no place.
    coordinates: String,
    /// For fields of date and time: `2019-08-03T12:33:00`.
    local_time: String,
    /// `+02:00`; empty while it is not known.
    zone: String,
    place: Place,
}

/// The ways to the neighbours, in words.
#[derive(Debug, Clone, Copy)]
struct Turns {
    newer: &'static str,
    older: &'static str,
    /// Said where there is none.
    newest: &'static str,
    oldest: &'static str,
}

/// In the order of time.
const BY_TIME: Turns =
    Turns { newer: "Newer photo", older: "Older photo", newest: "This is the newest photo", oldest: "This is the oldest photo" };
/// In the order of likeness.
const BY_LIKENESS: Turns =
    Turns { newer: "More alike", older: "Less alike", newest: "This is the most alike", oldest: "The order ends here" };

/// The neighbours as addresses.
#[derive(Debug, Default)]
struct Around {
    newer: Option<String>,
    older: Option<String>,
}

/// Everything the viewer shows.
#[derive(Debug)]
struct ImageView {
    id: i64,
    name: String,
    /// Title of the window.
    heading: String,
    day: String,
    time: String,
    alt: String,
    ratio: String,
    colour: Option<String>,
    placeholder: Option<String>,
    width_px: i32,
    thumbnail: Option<String>,
    proxy: Option<String>,
    /// An original that browsers can show.
    original: Option<String>,
    video: Option<(String, &'static str)>,
    download: Option<String>,
    lack: String,
    newer: Option<String>,
    older: Option<String>,
    /// What the ways to the neighbours lead to, for who cannot see the arrows; and what their titles say.
    turns: Turns,
    newest: String,
    oldest: String,
    close: String,
    /// The pictures that look like it.
    alike: String,
    /// What is seen in it, on the page that shows that.
    regions: Option<RegionsView>,
    title: Option<String>,
    description: Option<String>,
    /// 0..=5.
    stars: i16,
    is_rejected: bool,
    time_fact: Fact,
    /// Where it was taken; `None` while nobody knows.
    place_fact: Option<Fact>,
    facts: Vec<Fact>,
    edit: EditView,
    /// What was just done.
    said: Said,
    /// What its coordinates are called, and the ways to the map.
    place: PlaceView,
    files: Vec<FileLine>,
    can_split: bool,
    /// The image that this one was just split from, for taking that back.
    split_from: Option<i64>,
    grouping: &'static str,
    offline: Option<String>,
}

#[derive(Template)]
#[template(path = "image.html")]
struct ImagePage {
    layout: Layout,
    view: ImageView,
}

#[derive(Template)]
#[template(path = "image.html", block = "viewer")]
struct ImageFragment {
    view: ImageView,
}

#[derive(Template)]
#[template(path = "image.html", block = "panel")]
struct PanelFragment {
    view: ImageView,
}

/// The panel alone, after an edit.
pub(super) fn panel(found: &Found, filter: &Filter, said: Said) -> impl Template + use<> {
    PanelFragment { view: ImageView { said, ..view(found, Around::default(), filter) } }
}

/// `GET /images/{id}`; with `place=`, its place in the order of a `like:`.
pub(super) async fn show(state: Data<State>, path: Path<String>, pairs: Pairs, htmx: Htmx) -> Result<HttpResponse, WebError> {
    let id: ImageId = path.parse().map_err(|_| WebError::NotFound("image"))?;
    let (view, filter) = view_of(&state, id, &pairs).await?;
    state.want_findings(vec![id]);
    if htmx.0 {
        return page::html(&ImageFragment { view });
    }
    page::html(&ImagePage { layout: Layout { title: view.heading.clone(), tab: Tab::None, filter }, view })
}

/// The page of an image with what is seen in it, for who has no script.
pub(super) async fn show_with(
    state: &Data<State>,
    id: ImageId,
    pairs: &[(String, String)],
    regions: RegionsView,
) -> Result<HttpResponse, WebError> {
    let (view, filter) = view_of(state, id, pairs).await?;
    let view = ImageView { regions: Some(regions), ..view };
    page::html(&ImagePage { layout: Layout { title: view.heading.clone(), tab: Tab::None, filter }, view })
}

async fn view_of(state: &Data<State>, id: ImageId, pairs: &[(String, String)]) -> Result<(ImageView, Filter), WebError> {
    let filter = page::filter_of(pairs)?;
    let place = page::value_of(pairs, "place").and_then(|place| place.parse().ok());
    let wanted = filter.clone();
    let is_ordered = filter.query.like().is_some();
    let found = state.db.run(move |conn| {
        let around = if is_ordered { Neighbours::default() } else { neighbours(conn, id, &wanted)? };
        Ok::<_, DbError>((find_image(conn, id)?, around))
    });
    let (found, by_time) = found.await.map_err(or_not_found("image"))?;
    let around = match place.filter(|_| is_ordered) {
        Some(place) => by_likeness(state, &filter, place).await,
        None => {
            let link = |id: Option<ImageId>| id.map(|id| page::address(&format!("/images/{id}"), &filter, &[]));
            Around { newer: link(by_time.newer), older: link(by_time.older) }
        }
    };
    let split_from = page::value_of(pairs, SPLIT_FROM).and_then(|origin| origin.parse().ok());
    Ok((ImageView { split_from, ..view(&found, around, &filter) }, filter))
}

/// The neighbours in an order. That there is none for the moment must not hide the picture.
async fn by_likeness(state: &Data<State>, filter: &Filter, place: usize) -> Around {
    let link = |found: Option<(ImageId, usize)>| {
        found.map(|(id, place)| page::address(&format!("/images/{id}"), filter, &[("place", place.to_string())]))
    };
    match ranked::around(state, filter, place).await {
        Ok((before, after)) => Around { newer: link(before), older: link(after) },
        Err(error) => {
            tracing::debug!("the neighbours in an order are not known: {error}");
            Around::default()
        }
    }
}

/// `GET /images/newest` and `GET /images/oldest`: lead to the ends of the filtered timeline.
pub(super) async fn newest(state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    end(&state, &pairs, Direction::Older).await
}

/// See [`newest`].
pub(super) async fn oldest(state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    end(&state, &pairs, Direction::Newer).await
}

async fn end(state: &Data<State>, pairs: &[(String, String)], direction: Direction) -> Result<HttpResponse, WebError> {
    let filter = page::filter_of(pairs)?;
    let wanted = filter.clone();
    let cards = state.db.run(move |conn| list_cards(conn, &wanted, None, direction, 1)).await?;
    let card = cards.first().ok_or(WebError::NotFound("image"))?;
    let address = page::address(&format!("/images/{}", card.id), &filter, &[]);
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, address)).finish())
}

fn view(found: &Found, around: Around, filter: &Filter) -> ImageView {
    let Found { image, files } = found;
    let key = image.picture_key.as_deref().filter(|_| image.picture_error.is_none());
    let is_ordered = filter.query.like().is_some();
    // The ends of an order are no matter of time.
    let end = |path: &str| if is_ordered { String::new() } else { page::address(path, filter, &[]) };
    let file_href = |file: &ImageFile| format!("/files/{}", file.id);
    let is_here = |file: &&ImageFile| file.missing_since.is_none() && image.vault_offline_since.is_none();
    let rating = image.rating.unwrap_or(0);
    let day = tiles::long_day(image.captured_at.date());
    let ratio_milli = image.ratio_milli.clamp(50, 20_000);
    ImageView {
        id: image.id.0,
        name: image.base_name.clone(),
        heading: format!("{}, {day}", image.title.as_deref().unwrap_or(&image.base_name)),
        time: image.captured_at.format("%H:%M").to_string(),
        alt: match &image.title {
            Some(title) => format!("{title}. {}", tiles::alt(image.is_video, image.captured_at, &image.base_name)),
            None => tiles::alt(image.is_video, image.captured_at, &image.base_name),
        },
        ratio: format!("{}.{:03}", ratio_milli / 1000, ratio_milli % 1000),
        colour: page::mean_colour(image.placeholder.as_deref()),
        placeholder: page::placeholder_text(image.placeholder.as_deref()),
        width_px: image.width_px.unwrap_or(0),
        thumbnail: key.map(|key| page::thumbnail_src(image.id, key)),
        proxy: key.map(|key| page::picture_src(image.id, "proxy", key)),
        original: files.iter().filter(is_here).find(|file| is_shown_by_browsers(file)).map(file_href),
        video: files
            .iter()
            .filter(is_here)
            .find(|file| image.is_video && file.format.kind() == FileKind::Video)
            .map(|file| (file_href(file), file.format.media_type())),
        download: files.iter().find(is_here).map(|file| format!("{}?download=1", file_href(file))),
        lack: lack(image),
        newer: around.newer,
        older: around.older,
        turns: if is_ordered { BY_LIKENESS } else { BY_TIME },
        newest: end("/images/newest"),
        oldest: end("/images/oldest"),
        close: match is_ordered {
            true => page::address("/", filter, &[]),
            false => page::address("/", filter, &[("at", image.captured_at.date().to_string())]),
        },
        alike: search::gallery_href(&Term::Like(Like::Image(image.id)).to_string()),
        regions: None,
        title: image.title.clone(),
        description: image.description.clone(),
        stars: rating.max(0),
        is_rejected: rating < 0,
        time_fact: time_fact(image),
        place_fact: place_fact(image),
        facts: facts(image),
        edit: edit_view(image, filter),
        said: Said::default(),
        place: PlaceView::of(image, filter),
        can_split: files.iter().filter(|file| file.format.kind() != FileKind::Sidecar).count() > 1,
        split_from: None,
        files: files.iter().map(file_line).collect(),
        grouping: if image.grouping_rule == "person" { "Grouped by hand" } else { "" },
        offline: image.vault_offline_since.map(|_| image.vault_name.clone()),
        day,
    }
}

fn is_shown_by_browsers(file: &ImageFile) -> bool {
    let is_main = !matches!(file.role, FileRole::Sidecar | FileRole::Unknown);
    is_main && matches!(file.format, FileFormat::Jpeg | FileFormat::Png | FileFormat::Webp | FileFormat::Avif) && file.error.is_none()
}

fn lack(image: &ImageRow) -> String {
    match (&image.picture_error, image.is_missing) {
        (Some(error), _) => format!("No picture could be made: {error}"),
        (None, true) => "Its files are no longer on their disk".to_owned(),
        (None, false) => "None of its files holds a picture".to_owned(),
    }
}

fn edit_view(image: &ImageRow, filter: &Filter) -> EditView {
    let color: ColorLabel = image.color_label.parse().unwrap_or_default();
    let colors = ColorLabel::ALL.iter().filter(|label| **label != ColorLabel::None);
    EditView {
        action: page::address(&format!("/images/{}/edit", image.id), filter, &[]),
        rating: image.rating.unwrap_or(0),
        pick: image.pick.clone(),
        color: image.color_label.clone(),
        colors: colors.map(|label| ColorView { name: label.name(), words: color_words(*label), is_chosen: *label == color }).collect(),
        keywords: keywords(image),
        coordinates: gps_of(image).map_or_else(String::new, |gps| format!("{:.5}, {:.5}", gps.latitude_deg, gps.longitude_deg)),
        local_time: image.captured_at.format("%Y-%m-%dT%H:%M:%S").to_string(),
        zone: image.captured_offset_minutes.map_or_else(String::new, zone_text),
        place: place_of(image),
    }
}

fn gps_of(image: &ImageRow) -> Option<Gps> {
    let (latitude_deg, longitude_deg) = image.latitude_deg.zip(image.longitude_deg)?;
    Some(Gps { latitude_deg, longitude_deg, altitude_m: image.altitude_m })
}

fn place_of(image: &ImageRow) -> Place {
    Place { city: image.city.clone(), state: image.state.clone(), country: image.country.clone(), country_code: image.country_code.clone() }
}

/// `+02:00`, as forms take it.
fn zone_text(minutes: i16) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("{sign}{:02}:{:02}", minutes.unsigned_abs() / 60, minutes.unsigned_abs() % 60)
}

fn time_fact(image: &ImageRow) -> Fact {
    let time = image.captured_at.format("%H:%M:%S").to_string();
    let offset = image.captured_offset_minutes.map_or_else(|| "local time, zone unknown".to_owned(), offset_words);
    Fact {
        icon: "clock",
        words: format!("{}, {time}", tiles::long_day(image.captured_at.date())),
        more: format!("{offset} · {}", source_words(&image.captured_at_source)),
    }
}

fn place_fact(image: &ImageRow) -> Option<Fact> {
    let (gps, name) = (gps_of(image), place_name(&place_of(image)));
    let altitude = image.altitude_m.map(|metres| format!("{metres:.0} m above the sea"));
    let (words, more) = match (name, gps) {
        (Some(name), gps) => (name, [gps.map(place_words), altitude]),
        (None, Some(gps)) => (place_words(gps), [altitude, None]),
        (None, None) => return None,
    };
    Some(Fact { icon: "pin", words, more: more.into_iter().flatten().collect::<Vec<_>>().join(" · ") })
}

fn facts(image: &ImageRow) -> Vec<Fact> {
    let mut facts = Vec::new();
    if image.camera.is_some() || image.f_number.is_some() || image.iso.is_some() {
        let camera = image.camera.clone().unwrap_or_else(|| "Unknown camera".to_owned());
        facts.push(Fact { icon: "camera", words: camera, more: exposure_words(image) });
    }
    if let Some(lens) = &image.lens {
        facts.push(Fact { icon: "lens", words: lens.clone(), more: String::new() });
    }
    let folder =
        if image.folder_path.is_empty() { image.vault_name.clone() } else { format!("{}/{}", image.vault_name, image.folder_path) };
    facts.push(Fact { icon: "folder", words: image.base_name.clone(), more: folder });
    facts
}

fn source_words(source: &str) -> String {
    match source {
        "file-name" => "from the file's name".to_owned(),
        "file-modified" => "from the file's date".to_owned(),
        "person" => "set by hand".to_owned(),
        tag => format!("from {tag}"),
    }
}

/// `1/250 s · f/2.8 · 35 mm · ISO 400`.
fn exposure_words(image: &ImageRow) -> String {
    let parts = [
        image.exposure_s.filter(|seconds| *seconds > 0.0).map(shutter_words),
        image.f_number.map(|number| format!("f/{}", short(number))),
        image.focal_length_mm.map(|mm| format!("{} mm", short(mm))),
        image.iso.map(|iso| format!("ISO {iso}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn shutter_words(seconds: f64) -> String {
    if seconds >= 0.35 { format!("{} s", short(seconds)) } else { format!("1/{:.0} s", 1.0 / seconds) }
}

/// One decimal where it says something.
fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

/// The keywords that stand for themselves, trees first.
fn keywords(image: &ImageRow) -> Vec<KeywordView> {
    let all = Keywords::new(image.keywords.iter().cloned(), image.hierarchical_keywords.iter().cloned());
    let view = |keyword: &str| {
        let tag = Term::Tag(Name::quoted_where_needed(keyword));
        KeywordView {
            words: keyword.replace('|', " › "),
            value: keyword.to_owned(),
            href: page::address("/", &Filter { query: tag.into(), ..Filter::default() }, &[]),
        }
    };
    all.plain().into_iter().map(view).collect()
}

fn file_line(file: &ImageFile) -> FileLine {
    let pixels = file.width_px.zip(file.height_px).map(|(width, height)| format!("{width} × {height}"));
    let parts = [Some(file.format.name().to_uppercase()), pixels, Some(size_words(file.size_bytes))];
    FileLine {
        id: file.id.0,
        name: file.name.clone(),
        path: file.rel_path.clone(),
        role: file.role.name(),
        words: parts.into_iter().flatten().collect::<Vec<_>>().join(" · "),
        error: file.error.clone(),
        is_missing: file.missing_since.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_photographers_write_them() {
        assert_eq!([0.004, 0.5, 2.0, 0.3, 30.0].map(shutter_words), ["1/250 s", "0.5 s", "2 s", "1/3 s", "30 s"]);
        assert_eq!([2.8, 8.0, 1.79].map(short), ["2.8", "8", "1.8"]);
        assert_eq!([120, -210, 0, 345].map(zone_text), ["+02:00", "-03:30", "+00:00", "+05:45"]);
    }
}
