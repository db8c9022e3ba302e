// @generated automatically by Diesel CLI.

pub mod sql_types {
    #[derive(diesel::query_builder::QueryId, Debug, Clone, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "tsvector", schema = "pg_catalog"))]
    pub struct Tsvector;
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    /// People who may sign in. Without any, whoever reaches the loopback address is the owner.
    accounts (id) {
        id -> Int8,
        /// No two differ in case or accents alone.
        name -> Text,
        /// hm::models::account::Role.
        role -> Text,
        /// Argon2id, as a PHC string.
        password_hash -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    /// Programs that act for an account.
    api_tokens (id) {
        id -> Int8,
        /// BLAKE3 of the token.
        secret_hash -> Bytea,
        account_id -> Int8,
        name -> Text,
        /// hm::models::account::Role: the most it may do; never more than its account.
        scope -> Text,
        created_at -> Timestamptz,
        /// Null: never.
        expires_at -> Nullable<Timestamptz>,
        /// To a few minutes.
        used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    /// Sign-ins and changes of accounts; edits of images are in edits.
    audit (id) {
        id -> Int8,
        at -> Timestamptz,
        /// Name of the account, as it was typed where nobody has it.
        actor -> Text,
        /// hm::db::accounts::Action.
        action -> Text,
        detail -> Text,
        /// Where the request came from; empty for the command line.
        address -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    /// Backups that were made, or could not be. The rows stay with the host that made them: no backup holds them.
    backups (id) {
        id -> Int8,
        /// nightly, manual, or replaced (of what a restore put aside).
        kind -> Text,
        host -> Text,
        /// Absolute path on that host, for people.
        path -> Text,
        /// Null where it failed.
        size_bytes -> Nullable<Int8>,
        /// Images in it; null where it failed.
        image_count -> Nullable<Int8>,
        /// Why there is none.
        error -> Nullable<Text>,
        started_at -> Timestamptz,
        finished_at -> Timestamptz,
        /// When newer ones took its place.
        removed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    cameras (id) {
        id -> Int4,
        make -> Text,
        model -> Text,
        /// As shown: maker and model without the maker said twice.
        name -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    /// What was changed about images, by whom and when: kept for ever.
    edits (id) {
        id -> Int8,
        /// One action, of one image or of thousands: what is undone at once.
        batch_id -> Int8,
        image_id -> Int8,
        /// hm::models::edit::Field.
        field -> Text,
        /// What was shown until then: hm::models::edit::Value.
        before -> Jsonb,
        /// What is shown from then on.
        after -> Jsonb,
        /// A person, outside (another program changed the vault) or merge (images became one).
        author -> Text,
        made_at -> Timestamptz,
        /// When it was taken back; null while it holds.
        undone_at -> Nullable<Timestamptz>,
        undone_by -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    /// Images of each mixture of facets, kept by trigger: facets of a million images are read in milliseconds.
    facet_counts (camera_id, lens_id, rating, has_raw, has_jpeg, is_video, has_gps) {
        /// 0 where it is not known.
        camera_id -> Int4,
        /// 0 where it is not known.
        lens_id -> Int4,
        /// 0 also where no file says anything.
        rating -> Int2,
        has_raw -> Bool,
        has_jpeg -> Bool,
        is_video -> Bool,
        has_gps -> Bool,
        /// May be 0.
        image_count -> Int4,
        /// Null where it is not known.
        known_camera_id -> Nullable<Int4>,
        /// Null where it is not known.
        known_lens_id -> Nullable<Int4>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    files (id) {
        id -> Int8,
        /// That of its folder.
        vault_id -> Int8,
        folder_id -> Int8,
        image_id -> Nullable<Int8>,
        /// File name, exact bytes.
        name_bytes -> Bytea,
        /// The same in NFC for people.
        name -> Text,
        format -> Text,
        role -> Text,
        size_bytes -> Int8,
        /// Nanoseconds since 1970-01-01 UTC.
        modified_at_ns -> Int8,
        /// BLAKE3 of size, first and last 64 KiB, 16 bytes: finds moves and duplicate candidates.
        fingerprint -> Nullable<Bytea>,
        /// What the file itself says: hm::models::Facts.
        facts -> Jsonb,
        /// Why the file could not be read, whole or in part.
        error -> Nullable<Text>,
        /// A person's word on grouping: files with the same pin are one image, whatever the rules say.
        pin -> Nullable<Text>,
        /// When a healthy vault was first seen without it.
        missing_since -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    folders (id) {
        id -> Int8,
        vault_id -> Int8,
        parent_id -> Nullable<Int8>,
        /// Ids of the folders from the root down, as f1.f12.f345.
        tree -> Ltree,
        /// Path inside the vault, exact bytes, / between parts, empty for the root.
        rel_path_bytes -> Bytea,
        /// The same in NFC for people.
        rel_path -> Text,
        name -> Text,
        /// Of the names, sizes and times at the last scan: equal means nothing to do here.
        listing_digest -> Nullable<Bytea>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    /// What people say about images, field by field, and how far it is on its way to the sidecars: the outbox. images shows the same values.
    image_edits (image_id, field) {
        image_id -> Int8,
        /// hm::models::edit::Field.
        field -> Text,
        /// The person's value: hm::models::edit::Value.
        value -> Jsonb,
        /// What the vault said when it was last compared. Null where the image's files changed hands since: the next scan says.
        base -> Nullable<Jsonb>,
        /// pending: to be written. written: the vault says it. failed: could not be written, tried again. conflict: a person has to choose.
        state -> Text,
        /// Why it failed.
        reason -> Nullable<Text>,
        /// In a conflict, what the vault says instead.
        outside -> Nullable<Jsonb>,
        /// When hm last wrote this field into a sidecar.
        written_at -> Nullable<Timestamptz>,
        /// files.fingerprint of that sidecar, until a scan has seen it: a scan knows our own hand.
        written_fingerprint -> Nullable<Bytea>,
        /// Failures since the value was set.
        attempts -> Int4,
        /// When value or state last changed; a failure is tried again a while after.
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    /// Which network has seen which image. An image lacks a network's answer where there is no row, or one of another picture_key than images has, or one that is asked for again.
    image_results (network_id, image_id) {
        network_id -> Int8,
        image_id -> Int8,
        /// The state of the picture that it saw.
        picture_key -> Text,
        /// Null: asked for again by a person.
        done_at -> Nullable<Timestamptz>,
        /// Why there is no answer; it is not tried again until the picture changes or a person asks.
        error -> Nullable<Text>,
        /// Tries until then.
        attempts -> Int4,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;
    use super::sql_types::Tsvector;

    /// One moment: all the files of one press of the shutter.
    images (id) {
        id -> Int8,
        /// That of its folder.
        vault_id -> Int8,
        folder_id -> Int8,
        base_name -> Text,
        /// Local wall-clock time where it was taken; never converted.
        captured_at -> Timestamp,
        /// The tag it comes from, file-name, file-modified, or person.
        captured_at_source -> Text,
        /// Minutes east of UTC where known.
        captured_offset_minutes -> Nullable<Int2>,
        day -> Date,
        /// cameras.id, as facet_counts.known_camera_id makes sure.
        camera_id -> Nullable<Int4>,
        /// lenses.id, as facet_counts.known_lens_id makes sure.
        lens_id -> Nullable<Int4>,
        iso -> Nullable<Int4>,
        f_number -> Nullable<Float8>,
        exposure_s -> Nullable<Float8>,
        focal_length_mm -> Nullable<Float8>,
        latitude_deg -> Nullable<Float8>,
        longitude_deg -> Nullable<Float8>,
        altitude_m -> Nullable<Float8>,
        /// Upright, of the best file.
        width_px -> Nullable<Int4>,
        height_px -> Nullable<Int4>,
        orientation -> Nullable<Int2>,
        /// Upright width / height in thousandths; 1500 until known.
        ratio_milli -> Int4,
        title -> Nullable<Text>,
        description -> Nullable<Text>,
        /// -1 rejected, 0 unrated, 1 to 5 stars; null where no file says anything.
        rating -> Nullable<Int2>,
        keywords -> Array<Nullable<Text>>,
        /// Levels divided by |.
        hierarchical_keywords -> Array<Nullable<Text>>,
        file_count -> Int4,
        total_size_bytes -> Int8,
        suffixes -> Array<Nullable<Text>>,
        has_raw -> Bool,
        has_jpeg -> Bool,
        has_sidecar -> Bool,
        is_video -> Bool,
        /// No file with pixels is on its healthy vault any more.
        is_missing -> Bool,
        /// Why these files are one image; person when a person said so.
        grouping_rule -> Text,
        /// The file that thumbnails are made from first.
        picture_file_id -> Nullable<Int8>,
        /// Names the thumbnails on disk: changes whenever the pixels may have changed. Null when there is nothing to show.
        picture_key -> Nullable<Text>,
        search_words -> Tsvector,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        /// A flag beside the stars: none, pending or picked; rejected is the rating -1.
        pick -> Text,
        /// none, red, yellow, green, blue or purple.
        color_label -> Text,
        city -> Nullable<Text>,
        /// State, province or region of the place.
        state -> Nullable<Text>,
        country -> Nullable<Text>,
        /// ISO 3166, two or three capital letters.
        country_code -> Nullable<Text>,
        /// Every keyword and level of one, folded: tags.name.
        tag_names -> Array<Nullable<Text>>,
        /// Town at the coordinates; images.city is what a file or a person says.
        gps_city -> Nullable<Text>,
        /// Its state, province or region.
        gps_state -> Nullable<Text>,
        /// Its country.
        gps_country -> Nullable<Text>,
        /// ISO 3166, two capital letters.
        gps_country_code -> Nullable<Text>,
        /// hm::models::gazetteer::EDITION that named the coordinates; null where they are still to be named.
        gps_edition -> Nullable<Int2>,
        /// Square of the map, of level 24.
        map_cell -> Nullable<Int8>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    lenses (id) {
        id -> Int4,
        name -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    /// Images of each square of the map on some levels, kept by trigger: a map of a million images is drawn in milliseconds.
    map_cells (level, cell, has_raw, has_jpeg, is_video) {
        /// 4, 8, 12 or 16: 2^level squares lie side by side around the earth.
        level -> Int2,
        /// images.map_cell shifted right to this level.
        cell -> Int8,
        /// May be 0.
        image_count -> Int4,
        /// Of all its images, in millionths of a degree: their middle is this divided by their number.
        latitude_sum_udeg -> Int8,
        /// The same of longitudes.
        longitude_sum_udeg -> Int8,
        /// As in images; its name too, so that a condition can be about either.
        has_raw -> Bool,
        /// As in images.
        has_jpeg -> Bool,
        /// As in images.
        is_video -> Bool,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    /// Networks that have worked on this library, each version of weights a row: what one says is never compared with what another does.
    networks (id) {
        id -> Int8,
        /// hm::models::task::TaskKind.
        kind -> Text,
        name -> Text,
        /// First digits of the digest of its weights.
        version -> Text,
        /// hm::infer::weights::Family.
        family -> Text,
        /// What people call it.
        title -> Text,
        /// Numbers of its vectors; null for other networks, and until the first vector is there.
        dimensions -> Nullable<Int4>,
        /// Images it has answered for, kept by trigger.
        done_count -> Int4,
        /// Images it could not answer for, kept by trigger.
        failed_count -> Int4,
        registered_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    /// The images of each such decision: no two of one are shown as alike again.
    not_duplicate_images (image_id, decision_id) {
        decision_id -> Int8,
        image_id -> Int8,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    /// A person's word that some images are no duplicates of each other, however alike they are: it outlives whatever finds them alike.
    not_duplicates (id) {
        id -> Int8,
        /// Who said so.
        author -> Text,
        decided_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    /// What was made to look at; lacking where key differs from images.picture_key.
    pictures (image_id) {
        image_id -> Int8,
        key -> Text,
        /// ThumbHash, upright.
        placeholder -> Nullable<Bytea>,
        /// Of the proxy, upright.
        width_px -> Nullable<Int4>,
        height_px -> Nullable<Int4>,
        /// What it was made from: full, embedded-preview, developed, poster-frame.
        source -> Nullable<Text>,
        /// Why nothing could be made.
        error -> Nullable<Text>,
        made_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    /// Images of each town, as a file, a person or the coordinates call it, kept by trigger.
    place_counts (country, city) {
        country -> Text,
        /// Empty where only the country is known.
        city -> Text,
        /// May be 0.
        image_count -> Int4,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    /// What can be seen in an image, and where. A network's next answer replaces what it said before, except what a person has decided on.
    regions (id) {
        id -> Int8,
        image_id -> Int8,
        /// Null: drawn by a person.
        network_id -> Nullable<Int8>,
        /// The state of the picture that it was found in.
        picture_key -> Text,
        /// A class in the words of the network, or a person's.
        label -> Text,
        /// How sure the network is, 0 to 1; null for a person's.
        score -> Nullable<Float4>,
        /// Of the box, in px of the frame; so for the other three.
        left_px -> Float4,
        top_px -> Float4,
        right_px -> Float4,
        bottom_px -> Float4,
        /// Of the upright picture that box and mask are measured in.
        frame_width_px -> Int4,
        frame_height_px -> Int4,
        /// Its pixels: COCO's compressed counts, of the frame's size; null without a mask.
        mask -> Nullable<Text>,
        /// network or person.
        origin -> Text,
        /// A person's: confirmed or rejected; null while nobody has decided.
        decision -> Nullable<Text>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    scans (id) {
        id -> Int8,
        host -> Text,
        process_id -> Int4,
        paths -> Array<Nullable<Text>>,
        state -> Text,
        /// Counters as in hm::scan::Summary.
        progress -> Jsonb,
        message -> Nullable<Text>,
        started_at -> Timestamptz,
        /// A running scan beats every few seconds; an old beat is a scan that died.
        updated_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    /// Searches that were given a name.
    searches (id) {
        id -> Int8,
        name -> Text,
        /// In the search language, as it is printed.
        query -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    /// Browsers that are signed in.
    sessions (id) {
        id -> Int8,
        /// BLAKE3 of the cookie.
        secret_hash -> Bytea,
        account_id -> Int8,
        /// What the browser calls itself.
        agent -> Text,
        address -> Text,
        created_at -> Timestamptz,
        /// To a few minutes; a session ends a month after.
        seen_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    /// Every keyword and level of one, counted by trigger.
    tags (name) {
        /// Folded; | between levels.
        name -> Text,
        /// As it is written.
        shown -> Text,
        /// May be 0.
        image_count -> Int4,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    /// Images a local day, kept by trigger: a timeline of a million images is read in a millisecond.
    timeline_days (day) {
        day -> Date,
        image_count -> Int4,
        ratio_milli_sum -> Int8,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    vault_mounts (vault_id, host) {
        vault_id -> Int8,
        host -> Text,
        /// Absolute path on that host, exact bytes.
        path -> Bytea,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    /// A disk or share with photographs.
    vaults (id) {
        id -> Int8,
        name -> Text,
        /// Names seen in the root at the last scan: a root that has none of them is another disk, or an empty mount point.
        root_names -> Array<Nullable<Text>>,
        /// Null while the vault can be read.
        offline_since -> Nullable<Timestamptz>,
        offline_reason -> Nullable<Text>,
        created_at -> Timestamptz,
        /// folders.rel_path_bytes where sidecars are being written: what a killed writer left there is removed by the next one.
        folders_in_hand -> Array<Nullable<Bytea>>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use diesel_ltree::sql_types::Ltree;

    /// Machines that were invited to run networks.
    workers (id) {
        id -> Int8,
        /// Also the end of its name in the private Redis: hm-worker-NAME.
        name -> Text,
        /// BLAKE3 of its token for pictures and networks.
        secret_hash -> Bytea,
        /// Hardware address that wakes it; null: nobody does.
        wake_address -> Nullable<Text>,
        created_at -> Timestamptz,
        /// When its token was last used, to a few minutes.
        used_at -> Nullable<Timestamptz>,
    }
}

diesel::joinable!(api_tokens -> accounts (account_id));
diesel::joinable!(edits -> images (image_id));
diesel::joinable!(facet_counts -> cameras (known_camera_id));
diesel::joinable!(facet_counts -> lenses (known_lens_id));
diesel::joinable!(files -> folders (folder_id));
diesel::joinable!(folders -> vaults (vault_id));
diesel::joinable!(image_edits -> images (image_id));
diesel::joinable!(image_results -> images (image_id));
diesel::joinable!(image_results -> networks (network_id));
diesel::joinable!(images -> folders (folder_id));
diesel::joinable!(not_duplicate_images -> images (image_id));
diesel::joinable!(not_duplicate_images -> not_duplicates (decision_id));
diesel::joinable!(pictures -> images (image_id));
diesel::joinable!(regions -> images (image_id));
diesel::joinable!(regions -> networks (network_id));
diesel::joinable!(sessions -> accounts (account_id));
diesel::joinable!(vault_mounts -> vaults (vault_id));

diesel::allow_tables_to_appear_in_same_query!(
    accounts,
    api_tokens,
    audit,
    backups,
    cameras,
    edits,
    facet_counts,
    files,
    folders,
    image_edits,
    image_results,
    images,
    lenses,
    map_cells,
    networks,
    not_duplicate_images,
    not_duplicates,
    pictures,
    place_counts,
    regions,
    scans,
    searches,
    sessions,
    tags,
    timeline_days,
    vault_mounts,
    vaults,
    workers,
);
