//! The way to the private Redis from other machines: a port that is there only while somebody is invited, for users with a password each
//! who may run the commands of a worker on hm's keys.
//!
//! What is written in `data_dir/redis.door` holds: Redis gets it at its start, and is told at once when it changes. Only digests of
//! passwords are kept.

use std::{fs, io, net::TcpListener};

use serde::{Deserialize, Serialize};

use super::{
    ServicesError,
    layout::Layout,
    redis_talk::{RedisTalk, digest, own_secret, random_secret, write_private},
};
use crate::config::Config;

/// What the names of guests begin with, in Redis.
const USER_MARK: &str = "hm-worker-";
/// The ports that are tried for it: beside that of the pages.
const PORTS: std::ops::RangeInclusive<u16> = 8018..=8037;

/// What a guest may do: the commands in the scripts of the worker's half of the queue, and those that bring and run them. Whoever changes
/// those scripts is told by `tests/it/work/invited.rs` what is missing here.
const COMMANDS: &str = "-@all +ping +time +evalsha +script|load +del +incr +pexpire +hget +hset +hmget +hvals +hdel +hlen +lpush +ltrim \
    +sadd +smembers +zadd +zrem +zrange +zrangebyscore +zcard +xadd +xdel +xlen +xrange +xack +xclaim +xpending +xreadgroup +xinfo|groups \
    +xgroup|create";

/// Who may come, as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Guests {
    /// The port; 0 before the first was invited.
    port: u16,
    guests: Vec<Guest>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Guest {
    name: String,
    password_sha256: String,
}

impl Guest {
    fn user(&self) -> String {
        format!("{USER_MARK}{}", self.name)
    }

    /// The rules of its user, as Redis takes them.
    fn rules(&self) -> String {
        format!("reset on #{} ~hm:* resetchannels {COMMANDS}", self.password_sha256)
    }
}

impl Guests {
    /// What is kept; nobody where there is no file.
    ///
    /// # Errors
    /// [`ServicesError::Write`] when it cannot be read.
    pub(super) fn read(layout: &Layout) -> Result<Self, ServicesError> {
        let path = layout.redis_door();
        let failed = |source| ServicesError::Write { path: path.clone(), source };
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(failed(error)),
        }
    }

    fn write(&self, layout: &Layout) -> Result<(), ServicesError> {
        let path = layout.redis_door();
        let new = path.with_extension("door.new");
        let bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        let written = write_private(&new, &bytes).and_then(|()| fs::rename(&new, &path));
        written.map_err(|source| ServicesError::Write { path, source })
    }

    /// The port while anybody may come, else 0: none.
    fn open_port(&self) -> u16 {
        if self.guests.is_empty() { 0 } else { self.port }
    }

    /// Lines of Redis' configuration.
    ///
    /// # Errors
    /// [`ServicesError::Write`] when this machine's own secret cannot be had.
    pub(super) fn settings(&self, layout: &Layout) -> Result<String, ServicesError> {
        let mut lines = format!("port {}\n", self.open_port());
        if self.open_port() != 0 {
            lines.push_str(&format!("user default reset on #{} ~* &* +@all\n", digest(&own_secret(layout)?)));
            self.guests.iter().for_each(|guest| lines.push_str(&format!("user {} {}\n", guest.user(), guest.rules())));
        }
        Ok(lines)
    }
}

/// What a guest has to know.
#[derive(Clone, PartialEq, Eq)]
pub struct Admitted {
    /// The port of Redis.
    pub port: u16,
    /// The name to give.
    pub user: String,
    /// The password to it; it is not kept.
    pub password: String,
}

/// The door of one data directory. Redis has to run: hold [`Services`](super::Services) meanwhile.
pub struct Door {
    layout: Layout,
}

impl Door {
    /// That of the configured data directory.
    pub fn of(config: &Config) -> Self {
        Self { layout: Layout::new(&config.data_dir) }
    }

    /// What a worker has to be allowed in Redis, beside the keys that begin with `hm:`, for one that is not ours.
    pub fn worker_rules() -> &'static str {
        COMMANDS
    }

    /// Lets a guest in, under a name of small letters, digits and `-`; one of that name gets a new password. The first one opens the port:
    /// `port`, or a free one that is kept from then on.
    ///
    /// # Errors
    /// [`ServicesError::NoPort`], [`ServicesError::Redis`] when it cannot be opened, [`ServicesError::Write`]; nobody is let in then.
    pub fn admit(&self, name: &str, port: Option<u16>) -> Result<Admitted, ServicesError> {
        let before = Guests::read(&self.layout)?;
        let password = random_secret();
        let guest = Guest { name: name.to_owned(), password_sha256: digest(&password) };
        let mut guests = before.clone();
        guests.port = match port {
            Some(port) => port,
            None if before.open_port() != 0 => before.port,
            None => free_port(before.port)?,
        };
        guests.guests.retain(|other| other.name != name);
        guests.guests.push(guest.clone());
        guests.write(&self.layout)?;
        if let Err(error) = self.tell(&guests, &guest) {
            before.write(&self.layout)?;
            // Whatever was told to it before: the start of Redis brings back what is kept.
            if let Ok(mut redis) = RedisTalk::open(&self.layout) {
                let _ = redis.say(&["ACL", "DELUSER", &guest.user()]);
            }
            return Err(error);
        }
        Ok(Admitted { port: guests.port, user: guest.user(), password })
    }

    fn tell(&self, guests: &Guests, guest: &Guest) -> Result<(), ServicesError> {
        let mut redis = RedisTalk::open(&self.layout)?;
        // Before anybody else can come: from now on the unnamed user needs the secret, which all processes here say from the start.
        let own = format!("#{}", digest(&own_secret(&self.layout)?));
        redis.say(&["ACL", "SETUSER", "default", "on", "resetpass", &own])?;
        let (user, rules) = (guest.user(), guest.rules());
        let words: Vec<&str> = ["ACL", "SETUSER", &user].into_iter().chain(rules.split_whitespace()).collect();
        redis.say(&words)?;
        redis.say(&["CONFIG", "SET", "port", &guests.port.to_string()])?;
        Ok(())
    }

    /// Lets a guest in no more and ends its connections; the last one closes the port. False where there is none of that name.
    ///
    /// # Errors
    /// [`ServicesError::Redis`] or [`ServicesError::Write`].
    pub fn expel(&self, name: &str) -> Result<bool, ServicesError> {
        let mut guests = Guests::read(&self.layout)?;
        let Some(at) = guests.guests.iter().position(|guest| guest.name == name) else { return Ok(false) };
        let guest = guests.guests.remove(at);
        guests.write(&self.layout)?;
        let mut redis = RedisTalk::open(&self.layout)?;
        redis.say(&["ACL", "DELUSER", &guest.user()])?;
        if guests.open_port() == 0 {
            redis.say(&["CONFIG", "SET", "port", "0"])?;
        }
        Ok(true)
    }
}

/// A port that nobody listens on: the one used before, if it is still free.
fn free_port(before: u16) -> Result<u16, ServicesError> {
    let mut candidates = Some(before).filter(|port| *port != 0).into_iter().chain(PORTS);
    let free = candidates.find(|port| TcpListener::bind(("0.0.0.0", *port)).is_ok());
    free.ok_or(ServicesError::NoPort { first: *PORTS.start(), last: *PORTS.end() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_guests_there_is_no_port_and_no_user() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let guests = Guests::read(&layout).unwrap();
        assert_eq!(guests.settings(&layout).unwrap(), "port 0\n");
        let left = Guests { port: 8018, guests: Vec::new() };
        assert_eq!(left.settings(&layout).unwrap(), "port 0\n", "the last guest has closed it");
    }

    #[test]
    fn what_is_kept_is_what_redis_gets_and_no_password() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let guest = Guest { name: "attic".into(), password_sha256: digest("secret") };
        let guests = Guests { port: 8020, guests: vec![guest] };
        guests.write(&layout).unwrap();
        assert_eq!(Guests::read(&layout).unwrap(), guests);
        let settings = guests.settings(&layout).unwrap();
        let lines: Vec<&str> = settings.lines().collect();
        assert_eq!(lines[0], "port 8020");
        assert!(lines[1].starts_with("user default reset on #") && !lines[1].contains("nopass"), "{settings}");
        assert!(
            lines[2].starts_with("user hm-worker-attic reset on #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b ~hm:* "),
            "{settings}"
        );
        assert!(!settings.contains("secret"), "{settings}");
        fs::write(layout.redis_door(), "{").unwrap();
        assert!(Guests::read(&layout).is_err(), "who may come is not guessed");
    }
}
