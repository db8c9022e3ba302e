//! The page of filters: every value that a filter can take, with how many photos it leaves. It is a page of its own, opened in
//! place by the script, because counting reads every image that passes and the gallery must not wait for it.

use actix_web::{HttpResponse, web::Data};
use askama::Template;

use super::{
    State, WebError,
    gallery::{gps_words, month_name, rating_words, type_words},
    page::{self, Htmx, Layout, Pairs, Tab},
};
use crate::{
    db::{
        facets::{FacetValue, Facets, YearFacet},
        folders::{FolderFacet, breadcrumbs},
    },
    models::Filter,
};

/// One value of a filter.
#[derive(Debug, PartialEq, Eq)]
struct Choice {
    value: String,
    words: String,
    is_chosen: bool,
}

/// One part of a filter.
#[derive(Debug)]
struct Choices {
    label: &'static str,
    name: &'static str,
    any: &'static str,
    options: Vec<Choice>,
}

/// A month as a link.
#[derive(Debug)]
struct MonthLink {
    href: String,
    name: String,
    words: String,
}

/// A year and its months as links.
#[derive(Debug)]
struct YearLink {
    year: i32,
    href: String,
    words: String,
    months: Vec<MonthLink>,
}

/// All there is to choose.
#[derive(Debug)]
struct Form {
    text: String,
    choices: Vec<Choices>,
    /// Those with most images, the chosen one first.
    folders: Vec<Choice>,
    years: Vec<YearLink>,
}

#[derive(Template)]
#[template(path = "filters.html")]
struct FiltersPage {
    layout: Layout,
    form: Form,
}

#[derive(Template)]
#[template(path = "filters.html", block = "form")]
struct FiltersFragment {
    form: Form,
}

/// The choice of folders alone, narrowed by words.
#[derive(Template)]
#[template(path = "filters.html", block = "folder_options")]
struct FoldersFragment {
    form: Form,
}

/// `GET /filters`.
pub(super) async fn show(state: Data<State>, pairs: Pairs, htmx: Htmx) -> Result<HttpResponse, WebError> {
    let filter = page::filter_of(&pairs)?;
    let counted = state.facets(&filter).await?;
    let folders = folders(&state, &filter, "").await?;
    let form = form(&filter, &counted, folders);
    if htmx.0 {
        return page::html(&FiltersFragment { form });
    }
    page::html(&FiltersPage { layout: Layout { title: "Filters".to_owned(), tab: Tab::Photos, filter }, form })
}

/// `GET /filters/folders?words=`: the folders within the filter whose paths have the words, as options of the form.
pub(super) async fn show_folders(state: Data<State>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let filter = page::filter_of(&pairs)?;
    let words = page::value_of(&pairs, "words").unwrap_or_default();
    let folders = folders(&state, &filter, words).await?;
    page::html(&FoldersFragment { form: Form { text: String::new(), choices: Vec::new(), folders, years: Vec::new() } })
}

/// The chosen folder, whatever the words, and then those that have them.
async fn folders(state: &Data<State>, filter: &Filter, words: &str) -> Result<Vec<Choice>, WebError> {
    let found = state.folder_facets(filter, words).await?;
    let option = |folder: &FolderFacet| choice(folder.id.to_string(), folder.path.clone(), folder.count);
    let Some(chosen) = filter.folder else { return Ok(found.iter().map(option).collect()) };
    let first = match found.iter().find(|folder| folder.id == chosen) {
        Some(folder) => Some(option(folder)),
        None => state.db.run(move |conn| breadcrumbs(conn, chosen)).await?.map(|steps| {
            let names: Vec<String> = steps.into_iter().map(|step| step.name).collect();
            Choice { value: chosen.to_string(), words: names.join("/"), is_chosen: false }
        }),
    };
    let first = first.map(|first| Choice { is_chosen: true, ..first });
    Ok(first.into_iter().chain(found.iter().filter(|folder| folder.id != chosen).map(option)).collect())
}

fn form(filter: &Filter, facets: &Facets, folders: Vec<Choice>) -> Form {
    let years = facets.years.iter().map(|year| choice(year.year.to_string(), year.year.to_string(), year.count)).collect();
    let names =
        |values: &[FacetValue<String>]| values.iter().map(|found| choice(found.value.clone(), found.value.clone(), found.count)).collect();
    let types = facets.types.iter().map(|found| choice(found.value.name().to_owned(), type_words(found.value).to_owned(), found.count));
    let gps = facets
        .gps
        .iter()
        .map(|found| choice(if found.value { "yes" } else { "no" }.to_owned(), gps_words(found.value).to_owned(), found.count));
    let mut choices = vec![
        Choices { label: "Year", name: "year", any: "Any year", options: years },
        Choices { label: "Month", name: "month", any: "Any month", options: months(filter, &facets.years) },
        Choices { label: "Camera", name: "camera", any: "Any camera", options: names(&facets.cameras) },
        Choices { label: "Lens", name: "lens", any: "Any lens", options: names(&facets.lenses) },
        Choices { label: "Rating", name: "rating", any: "Any rating", options: ratings(&facets.ratings) },
        Choices { label: "Files", name: "type", any: "Any files", options: types.collect() },
        Choices { label: "Place", name: "gps", any: "Anywhere", options: gps.collect() },
    ];
    let chosen = filter.to_pairs();
    for part in &mut choices {
        let Some((_, value)) = chosen.iter().find(|(key, _)| *key == part.name) else { continue };
        match part.options.iter_mut().find(|option| option.value == *value) {
            Some(option) => option.is_chosen = true,
            None => part.options.push(Choice { value: value.clone(), words: format!("{value} (0)"), is_chosen: true }),
        }
    }
    let text = filter.text.clone().unwrap_or_default();
    Form { text, choices, folders, years: year_links(filter, &facets.years) }
}

fn choice(value: String, words: String, count: i64) -> Choice {
    Choice { value, words: format!("{words} ({})", page::grouped(count)), is_chosen: false }
}

/// Months of the chosen year; a month means nothing without one.
fn months(filter: &Filter, years: &[YearFacet]) -> Vec<Choice> {
    let Some(year) = years.iter().find(|year| Some(year.year) == filter.year) else { return Vec::new() };
    year.months.iter().map(|month| choice(month.value.to_string(), month_name(month.value).unwrap_or_default(), month.count)).collect()
}

/// "At least so many stars" counts them and all above; rejected and unrated count themselves.
fn ratings(exact: &[FacetValue<i8>]) -> Vec<Choice> {
    let count_where = |passes: &dyn Fn(i8) -> bool| exact.iter().filter(|found| passes(found.value)).map(|found| found.count).sum::<i64>();
    let counted = (1..=5).rev().map(|stars| (stars, count_where(&|value| value >= stars)));
    let all = counted.chain([0, -1].map(|word| (word, count_where(&|value| value == word))));
    all.filter(|(_, count)| *count > 0).map(|(rating, count)| choice(rating.to_string(), rating_words(rating), count)).collect()
}

/// Links that jump into the timeline and keep the other filters.
fn year_links(filter: &Filter, years: &[YearFacet]) -> Vec<YearLink> {
    let other = Filter { year: None, month: None, ..filter.clone() };
    let href = |at: String| page::address("/", &other, &[("at", at)]);
    let link = |year: &YearFacet| YearLink {
        year: year.year,
        href: href(format!("{:04}", year.year)),
        words: page::photos(year.count),
        months: year
            .months
            .iter()
            .rev()
            .map(|month| MonthLink {
                href: href(format!("{:04}-{:02}", year.year, month.value)),
                name: month_name(month.value).unwrap_or_default(),
                words: page::grouped(month.count),
            })
            .collect(),
    };
    years.iter().map(link).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_least_three_stars_counts_four_and_five() {
        let exact = [(5, 1), (4, 2), (3, 4), (0, 8), (-1, 16)].map(|(value, count)| FacetValue { value, count });
        let options: Vec<_> = ratings(&exact).into_iter().map(|option| (option.value, option.words)).collect();
        let expected = [
            ("5", "5 stars (1)"),
            ("4", "4 stars or more (3)"),
            ("3", "3 stars or more (7)"),
            ("2", "2 stars or more (7)"),
            ("1", "1 star or more (7)"),
            ("0", "Not rated (8)"),
            ("-1", "Rejected (16)"),
        ];
        assert_eq!(options, expected.map(|(value, words)| (value.to_owned(), words.to_owned())));
    }

    #[test]
    fn a_chosen_value_stays_chosen_even_where_it_leaves_nothing() {
        let filter = Filter { camera: Some("Gone".to_owned()), ..Filter::default() };
        let form = form(&filter, &Facets::default(), Vec::new());
        let camera = form.choices.iter().find(|part| part.name == "camera").unwrap();
        assert_eq!(camera.options, [Choice { value: "Gone".into(), words: "Gone (0)".into(), is_chosen: true }]);
    }
}
