//! The folders as they lie on the disks: a level at a time, and the gallery of what lies below.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use askama::Template;

use super::{
    State, WebError, gallery,
    page::{self, Layout, Pairs, Tab},
};
use crate::{
    db::{
        DbError,
        folders::{Breadcrumb, FolderCard, breadcrumbs, list_folders},
    },
    models::{FolderId, ImageId},
};

/// A folder as its parent shows it.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) id: FolderId,
    pub(super) name: String,
    /// How much is in it.
    pub(super) words: String,
    pub(super) covers: Vec<String>,
}

impl Child {
    fn new(card: FolderCard) -> Self {
        let covers = card.cover_images.iter().zip(&card.cover_keys).take(3);
        let folders = match card.folder_count {
            0 => String::new(),
            1 => ", 1 folder".to_owned(),
            count => format!(", {} folders", page::grouped(count)),
        };
        Self {
            id: card.id,
            words: format!("{}{folders}", page::photos(card.image_count)),
            covers: covers.map(|(image, key)| page::thumbnail_src(ImageId(*image), key)).collect(),
            name: if card.name.is_empty() { card.vault_name } else { card.name },
        }
    }
}

/// What stands above the gallery of a folder.
#[derive(Debug)]
pub(super) struct FolderHead {
    id: FolderId,
    pub(super) name: String,
    pub(super) steps: Vec<Breadcrumb>,
    pub(super) children: Vec<Child>,
}

impl FolderHead {
    /// The folder's own address.
    pub(super) fn href(&self) -> String {
        format!("/folders/{}", self.id)
    }
}

/// The roots of all vaults.
#[derive(Template)]
#[template(path = "folders.html")]
struct FoldersPage {
    layout: Layout,
    children: Vec<Child>,
}

/// `GET /folders`.
pub(super) async fn index(state: Data<State>) -> Result<HttpResponse, WebError> {
    let cards = state.db.run(|conn| list_folders(conn, None)).await?;
    let children = cards.into_iter().map(Child::new).collect();
    page::html(&FoldersPage { layout: Layout::new("Folders", Tab::Folders), children })
}

/// `GET /folders/{id}`: the folders in it, and all photos in it and below it.
pub(super) async fn show(state: Data<State>, path: Path<String>, pairs: Pairs) -> Result<HttpResponse, WebError> {
    let id: FolderId = path.parse().map_err(|_| WebError::NotFound("folder"))?;
    let mut filter = page::filter_of(&pairs)?;
    filter.folder = Some(id);
    if filter.query.like().is_some() {
        return Ok(page::see_other(&page::address("/", &filter, &[])));
    }
    let (steps, cards) = state.db.run(move |conn| Ok::<_, DbError>((breadcrumbs(conn, id)?, list_folders(conn, Some(id))?))).await?;
    let mut steps = steps.ok_or(WebError::NotFound("folder"))?;
    let name = steps.pop().map(|step| step.name).unwrap_or_default();
    let head = FolderHead { id, name, steps, children: cards.into_iter().map(Child::new).collect() };
    gallery::show_in_folder(&state, &pairs, filter, head).await
}
