//! Rows of a library, written straight into the database: what a scan would have left there.

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Array, BigInt, Binary, Bool, Integer, Nullable, SmallInt, Text},
};
use hm::models::{FileId, FolderId, ImageId, PictureKey, words};

/// The host that [`vault`] is mounted on.
pub(crate) const HOST: &str = "test-host";

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// A vault mounted at `path` on [`HOST`], and its root folder.
pub(crate) fn vault(conn: &mut PgConnection, name: &str, path: &std::path::Path) -> FolderId {
    let vault: Id =
        sql_query("INSERT INTO vaults (name) VALUES ($1) RETURNING id").bind::<Text, _>(name).get_result(conn).expect("vaults takes a row");
    sql_query("INSERT INTO vault_mounts (vault_id, host, path) VALUES ($1, $2, $3)")
        .bind::<BigInt, _>(vault.id)
        .bind::<Text, _>(HOST)
        .bind::<Binary, _>(path.as_os_str().as_encoded_bytes())
        .execute(conn)
        .expect("vault_mounts takes a row");
    let root: Id = sql_query(
        "INSERT INTO folders (vault_id, tree, rel_path_bytes, rel_path, name) \
         VALUES ($1, ('f' || currval('folders_id_seq'::regclass))::ltree, '', '', '') RETURNING id",
    )
    .bind::<BigInt, _>(vault.id)
    .get_result(conn)
    .expect("folders takes a root");
    FolderId(root.id)
}

/// A folder below another.
pub(crate) fn folder(conn: &mut PgConnection, parent: FolderId, name: &str) -> FolderId {
    let folder: Id = sql_query(
        "INSERT INTO folders (id, vault_id, parent_id, tree, rel_path_bytes, rel_path, name) OVERRIDING SYSTEM VALUE \
         SELECT n.id, f.vault_id, f.id, (f.tree::text || '.f' || n.id)::ltree, convert_to(path, 'UTF8'), path, $2 \
         FROM folders AS f, nextval('folders_id_seq'::regclass) AS n (id), concat_ws('/', nullif(f.rel_path, ''), $2) AS path \
         WHERE f.id = $1 RETURNING id",
    )
    .bind::<BigInt, _>(parent.0)
    .bind::<Text, _>(name)
    .get_result(conn)
    .expect("folders takes a row");
    FolderId(folder.id)
}

/// An image to be.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) name: String,
    pub(crate) captured_at: String,
    pub(crate) camera: Option<String>,
    pub(crate) lens: Option<String>,
    pub(crate) rating: Option<i16>,
    pub(crate) has_raw: bool,
    pub(crate) has_jpeg: bool,
    pub(crate) is_video: bool,
    pub(crate) has_gps: bool,
    pub(crate) words: String,
    pub(crate) picture_key: Option<String>,
    pub(crate) files: Vec<(String, &'static str, &'static str)>,
}

/// A JPEG of 2019-08-03 with a name and nothing else.
pub(crate) fn image(name: &str) -> Image {
    Image {
        name: name.to_owned(),
        captured_at: "2019-08-03 12:33:00".to_owned(),
        camera: None,
        lens: None,
        rating: None,
        has_raw: false,
        has_jpeg: true,
        is_video: false,
        has_gps: false,
        words: name.to_owned(),
        picture_key: None,
        files: Vec::new(),
    }
}

impl Image {
    /// Local capture time, as PostgreSQL reads it.
    pub(crate) fn at(mut self, captured_at: &str) -> Self {
        self.captured_at = captured_at.to_owned();
        self
    }

    /// Adds a file with format and role.
    pub(crate) fn file(mut self, name: &str, format: &'static str, role: &'static str) -> Self {
        self.files.push((name.to_owned(), format, role));
        self
    }

    /// The key of its pictures.
    pub(crate) fn picture(mut self, key: &str) -> Self {
        self.picture_key = Some(key.to_owned());
        self
    }

    /// Writes it into a folder.
    pub(crate) fn insert(&self, conn: &mut PgConnection, folder: FolderId) -> ImageId {
        for (table, name) in [("cameras", &self.camera), ("lenses", &self.lens)] {
            let Some(name) = name else { continue };
            let insert = match table {
                "cameras" => "INSERT INTO cameras (make, model, name) VALUES ('', $1, $1) ON CONFLICT DO NOTHING",
                _ => "INSERT INTO lenses (name) VALUES ($1) ON CONFLICT DO NOTHING",
            };
            sql_query(insert).bind::<Text, _>(name).execute(conn).expect("a name goes in");
        }
        let image: Id = sql_query(
            "INSERT INTO images (vault_id, folder_id, base_name, captured_at, captured_at_source, camera_id, lens_id, rating, has_raw, \
                has_jpeg, is_video, latitude_deg, longitude_deg, search_words, picture_key, file_count, total_size_bytes, suffixes, \
                has_sidecar, grouping_rule) \
             SELECT vault_id, id, $2, $3::timestamp, 'EXIF:DateTimeOriginal', (SELECT id FROM cameras WHERE name = $4), \
                (SELECT id FROM lenses WHERE name = $5), $6, $7, $8, $9, CASE WHEN $10 THEN 48.1 END, CASE WHEN $10 THEN 11.5 END, \
                array_to_tsvector($11), $12, $13, 0, '{}', false, 'stem' FROM folders WHERE id = $1 RETURNING id",
        )
        .bind::<BigInt, _>(folder.0)
        .bind::<Text, _>(&self.name)
        .bind::<Text, _>(&self.captured_at)
        .bind::<Nullable<Text>, _>(self.camera.as_deref())
        .bind::<Nullable<Text>, _>(self.lens.as_deref())
        .bind::<Nullable<SmallInt>, _>(self.rating)
        .bind::<Bool, _>(self.has_raw)
        .bind::<Bool, _>(self.has_jpeg)
        .bind::<Bool, _>(self.is_video)
        .bind::<Bool, _>(self.has_gps)
        .bind::<Array<Text>, _>(words(&self.words))
        .bind::<Nullable<Text>, _>(self.picture_key.as_deref())
        .bind::<Integer, _>(self.files.len() as i32)
        .get_result(conn)
        .expect("images takes a row");
        for (name, format, role) in &self.files {
            sql_query(
                "INSERT INTO files (vault_id, folder_id, image_id, name_bytes, name, format, role, size_bytes, modified_at_ns, fingerprint) \
                 SELECT vault_id, id, $2, convert_to($3, 'UTF8'), $3, $4, $5, 10, 1564835580000000000, decode(md5($3), 'hex') \
                 FROM folders WHERE id = $1",
            )
            .bind::<BigInt, _>(folder.0)
            .bind::<BigInt, _>(image.id)
            .bind::<Text, _>(name)
            .bind::<Text, _>(format)
            .bind::<Text, _>(role)
            .execute(conn)
            .expect("files takes a row");
        }
        ImageId(image.id)
    }
}

/// The file of this name.
pub(crate) fn file_id(conn: &mut PgConnection, name: &str) -> FileId {
    let file: Id = sql_query("SELECT id FROM files WHERE name = $1").bind::<Text, _>(name).get_result(conn).expect("there is such a file");
    FileId(file.id)
}

/// A picture key made of a number.
pub(crate) fn picture_key(number: i64) -> PictureKey {
    format!("{number:032x}").parse().expect("32 digits are a key")
}

/// Says that the pictures of an image were made, in this state.
pub(crate) fn make_picture(conn: &mut PgConnection, image: ImageId, key: &PictureKey) {
    sql_query("UPDATE images SET picture_key = $2 WHERE id = $1")
        .bind::<BigInt, _>(image.0)
        .bind::<Text, _>(key.as_str())
        .execute(conn)
        .expect("images takes a key");
    sql_query(
        "INSERT INTO pictures (image_id, key, width_px, height_px) VALUES ($1, $2, 2048, 1365) \
         ON CONFLICT (image_id) DO UPDATE SET key = excluded.key, made_at = clock_timestamp(), error = NULL",
    )
    .bind::<BigInt, _>(image.0)
    .bind::<Text, _>(key.as_str())
    .execute(conn)
    .expect("pictures takes a row");
}

/// Images with pictures, as many as asked for, each a minute older than the one before; their keys are made of their numbers.
pub(crate) fn pictured(conn: &mut PgConnection, folder: FolderId, count: i64) -> Vec<ImageId> {
    let insert = |number: i64| {
        let at = format!("2019-08-{:02} {:02}:{:02}:00", 20 - number / 1440, 23 - number % 1440 / 60, 59 - number % 60);
        let id = image(&format!("IMG_{number}")).at(&at).insert(conn, folder);
        make_picture(conn, id, &picture_key(id.0));
        id
    };
    (0..count).map(insert).collect()
}
