//! Tasks and answers for the tests of the lanes, and a Redis that a test may empty.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use deadpool_redis::redis::{self, FromRedisValue};
use hm::{
    models::{
        ImageId, PictureKey,
        task::{Answer, Failure, Lane, Outcome, Priority, Task},
    },
    queue::{Claimed, Queue, Receipt, Settings, WorkerCard},
};

use crate::support;

pub(super) const NOW: Duration = Duration::ZERO;

pub(super) fn lane(name: &str) -> Lane {
    name.parse().unwrap()
}

pub(super) fn clip() -> Lane {
    lane("embed/clip-vit-b-32@0a1b2c")
}

pub(super) fn yolo() -> Lane {
    lane("detect/yolo11n@77")
}

pub(super) fn task(lane: &Lane, image: i64, priority: Priority) -> Task {
    let picture = PictureKey::of(&[image as u8; 16], 2, None);
    Task { lane: lane.clone(), image: ImageId(image), picture, priority, attempt: 0 }
}

pub(super) fn tasks(lane: &Lane, images: impl IntoIterator<Item = i64>, priority: Priority) -> Vec<Task> {
    images.into_iter().map(|image| task(lane, image, priority)).collect()
}

pub(super) fn images(claimed: &[Claimed]) -> Vec<i64> {
    claimed.iter().map(|one| one.task.image.0).collect()
}

pub(super) fn receipts(claimed: &[Claimed]) -> Vec<Receipt> {
    claimed.iter().map(|one| one.receipt.clone()).collect()
}

/// What the model of a network says about an image.
pub(super) fn vector(image: ImageId) -> Vec<f32> {
    vec![image.0 as f32, 0.5]
}

pub(super) fn answered(claimed: &Claimed, worker: &str) -> (Receipt, Outcome) {
    let answer = Ok(Answer::Embedding { vector: vector(claimed.task.image) });
    (claimed.receipt.clone(), Outcome { task: claimed.task.clone(), worker: worker.to_owned(), took_ms: 1.0, answer })
}

pub(super) fn failed(claimed: &Claimed, worker: &str, is_passing: bool) -> (Receipt, Outcome) {
    let answer = Err(Failure { error: "no memory".to_owned(), is_passing });
    (claimed.receipt.clone(), Outcome { task: claimed.task.clone(), worker: worker.to_owned(), took_ms: 1.0, answer })
}

pub(super) fn answers(claimed: &[Claimed], worker: &str) -> Vec<(Receipt, Outcome)> {
    claimed.iter().map(|one| answered(one, worker)).collect()
}

pub(super) fn card(id: &str, lanes: &[Lane]) -> WorkerCard {
    WorkerCard {
        id: id.to_owned(),
        name: "attic".to_owned(),
        host: "alienware".to_owned(),
        device: "CPU, 2 threads".to_owned(),
        memory_bytes: Some(8 << 30),
        batch_size: 32,
        busy_percent: None,
        program: "0.1.0".to_owned(),
        wire_version: 1,
        lanes: lanes.to_vec(),
    }
}

/// The same queue as it is once leases and rests are over.
pub(super) fn later(queue: &Queue) -> Queue {
    queue.with_settings(Settings { lease: NOW, first_backoff: NOW, ..*queue.settings() })
}

/// Takes and settles all outcomes there are.
pub(super) async fn store(queue: &Queue, server: &str) -> Vec<Outcome> {
    let mut stored = Vec::new();
    loop {
        let taken = queue.take_outcomes(server, 1_000, NOW).await.unwrap();
        if taken.is_empty() {
            return stored;
        }
        queue.settle_outcomes(&taken).await.unwrap();
        stored.extend(taken.into_iter().map(|(_, outcome)| outcome));
    }
}

/// Asks Redis itself.
pub(super) async fn ask<T: FromRedisValue>(url: &str, command: &[&str]) -> T {
    let mut conn = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let mut cmd = redis::cmd(command[0]);
    command[1..].iter().for_each(|word| _ = cmd.arg(word));
    cmd.query_async(&mut conn).await.unwrap()
}

/// A Redis of one's own, which ends with the value.
pub(super) struct OwnRedis {
    child: Child,
    folder: tempfile::TempDir,
}

impl OwnRedis {
    pub(super) fn start() -> Self {
        let folder = support::temp_dir();
        let socket = folder.path().join("redis.sock");
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocketperm", "700", "--unixsocket"]);
        command.arg(&socket).arg("--dir").arg(folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().expect("redis-server is installed");
        support::wait_until("Redis listens", Duration::from_secs(20), || socket.exists());
        Self { child, folder }
    }

    pub(super) fn url(&self) -> String {
        format!("unix://{}", self.folder.path().join("redis.sock").display())
    }

    pub(super) async fn queue(&self) -> Queue {
        Queue::connect(&self.url()).await.unwrap().within("test")
    }

    pub(super) async fn ask<T: FromRedisValue>(&self, command: &[&str]) -> T {
        ask(&self.url(), command).await
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
