//! Work in flight: the only module that speaks Redis.
//!
//! Losing Redis loses nothing. Which pictures and findings are lacking is a question to the database, asked again and again; here
//! lies only which of them somebody is looking at just now, which tasks the workers have at the moment (`lanes/`), how far a running
//! scan has come, and that a button was pressed. Without them pictures are made in their usual order, tasks are given out anew,
//! progress shows a moment later, and the button is pressed again.
//!
//! Keys begin with `hm:`. Nothing here blocks in Redis: connections answer within `PATIENCE` or fail, so that a page never
//! hangs on a queue. May import models and config.

mod lanes;

use std::time::Duration;

use deadpool_redis::{
    Connection, Manager, Pool, PoolError, Runtime,
    redis::{self, AsyncConnectionConfig, RedisError},
};

pub use lanes::{
    Buried, Claimed, DeliveryId, LaneDepth, LaneOffer, LaneView, OutcomesView, Reaped, Receipt, Settings, WorkerCard, WorkerView,
};

use crate::models::{ImageId, VaultId};

/// How long a connection and an answer may take. Redis' own half second is too short beside a disk that is being scanned.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections held by one process.
const POOL_SIZE: usize = 8;

/// Wanted pictures that are remembered; older wishes are forgotten, since nobody looks there any more.
const MOST_WANTED: usize = 10_000;

/// Keys asked for in one step when progress is listed.
const SCAN_STEP: usize = 500;

/// Redis could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The address cannot be understood.
    #[error("`redis.url` is no address of a Redis: {0}\nhint: redis://host:6379/0, or unix:///path/to/redis.sock")]
    Address(String),
    /// No connection.
    #[error("cannot connect to Redis: {0}")]
    Connect(#[from] PoolError),
    /// A command failed.
    #[error("Redis: {0}")]
    Command(#[from] RedisError),
    /// What lies there is not ours.
    #[error("Redis holds `{found}` under `{key}`, which hm did not write")]
    Foreign {
        /// The key.
        key: String,
        /// What is there.
        found: String,
    },
}

/// The queue, cheap to clone.
#[derive(Clone)]
pub struct Queue {
    pool: Pool,
    prefix: String,
    settings: Settings,
}

impl Queue {
    /// Connects.
    ///
    /// # Errors
    /// [`QueueError::Address`] or [`QueueError::Connect`] when no Redis answers there.
    pub async fn connect(url: &str) -> Result<Self, QueueError> {
        let patience = AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
        let manager = Manager::new_with_config(url, patience).map_err(|error| QueueError::Address(error.to_string()))?;
        let pool = Pool::builder(manager).max_size(POOL_SIZE).wait_timeout(Some(PATIENCE)).create_timeout(Some(PATIENCE));
        let pool = pool.runtime(Runtime::Tokio1).build().map_err(|error| QueueError::Address(error.to_string()))?;
        let queue = Self { pool, prefix: "hm:".to_owned(), settings: Settings::default() };
        queue.ping().await?;
        Ok(queue)
    }

    /// The same Redis with keys of its own, for a second library or a test: they begin with `hm:NAME:`.
    pub fn within(&self, name: &str) -> Self {
        Self { prefix: format!("hm:{name}:"), ..self.clone() }
    }

    /// Asks whether Redis is there.
    ///
    /// # Errors
    /// [`QueueError::Connect`] or [`QueueError::Command`] when it is not.
    pub async fn ping(&self) -> Result<(), QueueError> {
        Ok(redis::cmd("PING").query_async(&mut self.connection().await?).await?)
    }

    /// Asks for pictures that a person is looking at now: they are made before all others. The newest request comes first, and
    /// within it the order given; an image asked for again moves up. The 10,000 newest are kept.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked; the pictures are then made in their usual order.
    pub async fn want_pictures(&self, images: &[ImageId]) -> Result<(), QueueError> {
        self.want("wanted", images).await
    }

    /// Takes up to `most` wanted images, those asked for last first; nobody else gets them.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked.
    pub async fn take_wanted(&self, most: usize) -> Result<Vec<ImageId>, QueueError> {
        self.take("wanted", most).await
    }

    /// Asks for what the networks find in pictures that a person is looking at now, as [`Self::want_pictures`] does for the pictures.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked; the images then have their usual turn.
    pub async fn want_findings(&self, images: &[ImageId]) -> Result<(), QueueError> {
        self.want("wanted-findings", images).await
    }

    /// Takes up to `most` images whose findings are wanted, those asked for last first; nobody else gets them.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked.
    pub async fn take_wanted_findings(&self, most: usize) -> Result<Vec<ImageId>, QueueError> {
        self.take("wanted-findings", most).await
    }

    async fn want(&self, name: &str, images: &[ImageId]) -> Result<(), QueueError> {
        if images.is_empty() {
            return Ok(());
        }
        let mut conn = self.connection().await?;
        let request: u64 = redis::cmd("INCR").arg(self.key("wanted-requests")).query_async(&mut conn).await?;
        let key = self.key(name);
        let mut add = redis::cmd("ZADD");
        add.arg(&key);
        for (place, image) in images.iter().take(MOST_WANTED).enumerate() {
            // Whole numbers up to 2^53 are exact: room for 900 thousand million requests.
            add.arg(request * MOST_WANTED as u64 + (MOST_WANTED - place) as u64).arg(image.0);
        }
        let mut pipe = redis::pipe();
        pipe.atomic().add_command(add).ignore();
        pipe.cmd("ZREMRANGEBYRANK").arg(&key).arg(0).arg(-(MOST_WANTED as i64) - 1).ignore();
        Ok(pipe.query_async(&mut conn).await?)
    }

    async fn take(&self, name: &str, most: usize) -> Result<Vec<ImageId>, QueueError> {
        let mut conn = self.connection().await?;
        let taken: Vec<(i64, f64)> = redis::cmd("ZPOPMAX").arg(self.key(name)).arg(most).query_async(&mut conn).await?;
        Ok(taken.into_iter().map(|(image, _)| ImageId(image)).collect())
    }

    /// Shows other processes how far something has come, under a name such as `scan:12`; forgotten after `expires_s` seconds, so
    /// that a process that is killed does not seem to work on.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked.
    pub async fn publish_progress(&self, name: &str, progress: &serde_json::Value, expires_s: u64) -> Result<(), QueueError> {
        let key = self.key(&format!("progress:{name}"));
        let mut conn = self.connection().await?;
        Ok(redis::cmd("SET").arg(key).arg(progress.to_string()).arg("EX").arg(expires_s.max(1)).query_async(&mut conn).await?)
    }

    /// Forgets a progress that has come to its end.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked.
    pub async fn clear_progress(&self, name: &str) -> Result<(), QueueError> {
        let key = self.key(&format!("progress:{name}"));
        Ok(redis::cmd("DEL").arg(key).query_async(&mut self.connection().await?).await?)
    }

    /// Every progress whose name begins with `prefix`, by name.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked.
    pub async fn progress(&self, prefix: &str) -> Result<Vec<(String, serde_json::Value)>, QueueError> {
        let start = self.key("progress:");
        let pattern = format!("{}*", escape_glob(&format!("{start}{prefix}")));
        let mut conn = self.connection().await?;
        let mut keys: Vec<String> = Vec::new();
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(SCAN_STEP);
            let (next, found): (u64, Vec<String>) = scan.query_async(&mut conn).await?;
            keys.extend(found);
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        // SCAN may name a key twice.
        keys.sort();
        keys.dedup();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let values: Vec<Option<String>> = redis::cmd("MGET").arg(&keys).query_async(&mut conn).await?;
        let mut progress = Vec::new();
        for (key, text) in keys.into_iter().zip(values) {
            // One that has run out since.
            let Some(text) = text else { continue };
            let Ok(value) = serde_json::from_str(&text) else { return Err(QueueError::Foreign { key, found: text }) };
            progress.push((key[start.len()..].to_owned(), value));
        }
        Ok(progress)
    }

    /// Asks for a scan of one vault, or of all; true when it was not asked for already.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked.
    pub async fn request_scan(&self, vault: Option<VaultId>) -> Result<bool, QueueError> {
        let mut conn = self.connection().await?;
        let turn: u64 = redis::cmd("INCR").arg(self.key("scan-requests-made")).query_async(&mut conn).await?;
        let name = vault.map_or_else(|| "all".to_owned(), |vault| vault.to_string());
        let added: u64 = redis::cmd("ZADD").arg(self.key("scan-requests")).arg("NX").arg(turn).arg(name).query_async(&mut conn).await?;
        Ok(added == 1)
    }

    /// Takes the oldest request for a scan; `Some(None)` is one for all vaults.
    ///
    /// # Errors
    /// [`QueueError`] when Redis cannot be asked.
    pub async fn take_scan_request(&self) -> Result<Option<Option<VaultId>>, QueueError> {
        let key = self.key("scan-requests");
        let taken: Vec<(String, f64)> = redis::cmd("ZPOPMIN").arg(&key).query_async(&mut self.connection().await?).await?;
        match taken.into_iter().next() {
            None => Ok(None),
            Some((name, _)) if name == "all" => Ok(Some(None)),
            Some((name, _)) => match name.parse() {
                Ok(vault) => Ok(Some(Some(vault))),
                Err(_) => Err(QueueError::Foreign { key, found: name }),
            },
        }
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    async fn connection(&self) -> Result<Connection, QueueError> {
        Ok(self.pool.get().await?)
    }
}

/// Text that a pattern of Redis matches as it stands.
fn escape_glob(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '*' | '?' | '[' | ']' | '^' | '\\') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names_as_they_stand() {
        assert_eq!(escape_glob("hm:progress:scan:*[1]?"), r"hm:progress:scan:\*\[1\]\?");
    }
}
