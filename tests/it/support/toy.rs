//! A toy network that knows words and pictures by their colour alone, with what it has answered: enough to tell a red truck from snow.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use diesel::{
    PgConnection, RunQueryDsl, sql_query,
    sql_types::{BigInt, Text},
};
use hm::{
    db::{
        networks::{NetworkCard, register},
        results::record,
    },
    infer::Rgb8,
    models::{
        ImageId, PictureKey,
        task::{Answer, Found, Lane, NetworkVersion, Outcome, Priority, Task, TaskKind},
    },
    web::{Ask, Encoders, Proxy},
};

/// The toy, and how often it was asked what.
#[derive(Debug, Default)]
pub(crate) struct Toy {
    pub(crate) words: AtomicUsize,
    pub(crate) pictures: AtomicUsize,
}

/// The toy's name and weights.
pub(crate) fn network() -> NetworkVersion {
    NetworkVersion { name: "toy".into(), version: "0a1b2c".into() }
}

/// Red, green and blue as a direction.
pub(crate) fn direction(rgb: [f32; 3]) -> Vec<f32> {
    let length = rgb.iter().map(|one| one * one).sum::<f32>().sqrt().max(1e-6);
    rgb.iter().map(|one| one / length).collect()
}

impl Encoders for Toy {
    fn network(&self) -> Result<Option<NetworkVersion>, String> {
        Ok(Some(network()))
    }

    fn words(&self, _: &NetworkVersion, words: &str) -> Result<Vec<f32>, String> {
        self.words.fetch_add(1, Ordering::Relaxed);
        let has = |word: &str| if words.contains(word) { 1.0 } else { 0.05 };
        Ok(direction([has("red"), has("green"), has("blue")]))
    }

    fn picture(&self, _: &NetworkVersion, picture: &Rgb8<'_>) -> Result<Vec<f32>, String> {
        self.pictures.fetch_add(1, Ordering::Relaxed);
        let sum = |channel: usize| picture.bytes.chunks_exact(3).map(|pixel| f32::from(pixel[channel])).sum();
        Ok(direction([sum(0), sum(1), sum(2)]))
    }

    fn rest(&self) {}
}

/// What asks the toy, and the toy to be looked at.
pub(crate) fn asking() -> (Ask, Arc<Toy>) {
    let toy = Arc::new(Toy::default());
    let decode = |jpeg: &[u8]| {
        let pixels = hm::media::decode_proxy(jpeg).map_err(|error| error.to_string())?;
        Ok::<_, String>(Proxy { width_px: pixels.width_px, height_px: pixels.height_px, rgb: pixels.rgb })
    };
    (Ask::new(toy.clone(), Box::new(decode)), toy)
}

/// Makes a network known, and answers in its name.
fn answer(conn: &mut PgConnection, kind: TaskKind, network: NetworkVersion, image: ImageId, answer: Answer) {
    #[derive(diesel::QueryableByName)]
    struct Key {
        #[diesel(sql_type = Text)]
        picture_key: String,
    }
    let lane = Lane { kind, network };
    let card = NetworkCard { lane: lane.clone(), family: "toy".into(), title: "Toy".into(), dimensions: None };
    register(conn, &card).expect("networks takes a row");
    let key: Key =
        sql_query("SELECT picture_key FROM images WHERE id = $1").bind::<BigInt, _>(image.0).get_result(conn).expect("it has a picture");
    let picture: PictureKey = key.picture_key.parse().expect("a key");
    let task = Task { lane, image, picture, priority: Priority::New, attempt: 0 };
    let recorded = record(conn, &[Outcome { task, worker: "test".into(), took_ms: 1.0, answer: Ok(answer) }]).expect("it is written");
    assert_eq!(recorded.answered, 1, "{recorded:?}");
}

/// Says what colour the toy sees in an image.
pub(crate) fn embed(conn: &mut PgConnection, image: ImageId, rgb: [f32; 3]) {
    answer(conn, TaskKind::Embed, network(), image, Answer::Embedding { vector: direction(rgb) });
}

/// Says what a detector sees in an image, in a picture of this size.
pub(crate) fn detect(conn: &mut PgConnection, image: ImageId, (width_px, height_px): (u32, u32), regions: Vec<Found>) {
    let network = NetworkVersion { name: "finder".into(), version: "0d0e".into() };
    answer(conn, TaskKind::Detect, network, image, Answer::Regions { width_px, height_px, regions });
}
