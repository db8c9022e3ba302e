//! What another machine needs to work for this library, as one word to paste: where the server and its Redis are, and the secrets for
//! both. And the message that wakes such a machine.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::account::Secret;

/// What the word begins with: it says what it is, and in which form.
const MARK: &str = "hm1.";
/// Longest word that is read, in bytes.
const LONGEST: usize = 8192;
/// Longest name of a worker, in letters.
pub const LONGEST_WORKER_NAME: usize = 40;

/// An invitation. Whoever has it may read all pictures and where their files lie in their vaults, and take and answer tasks.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// What the server calls the machine.
    pub name: String,
    /// Where the server is: `http://192.168.1.5:8017`.
    pub server: String,
    /// For pictures and networks.
    pub token: String,
    /// Where Redis is: `redis://192.168.1.5:8018`.
    pub redis: String,
    /// Its user there; empty where the address has one.
    pub user: String,
    /// The user's password.
    pub password: String,
}

/// The text is no invitation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInvitation {
    /// Something else, or only a part of it.
    #[error("this is no invitation: expected one word that begins with {MARK}, as `hm worker invite` prints it on the server")]
    Word,
    /// A later program made it.
    #[error("this invitation is of a newer hm than this one: update hm on this machine")]
    Newer,
    /// One of its parts is unusable.
    #[error("the invitation's {0} cannot be used: have the server print another one")]
    Part(&'static str),
}

impl Invitation {
    /// Where Redis is, with the user and its password, for a client of it.
    pub fn redis_url(&self) -> String {
        if self.user.is_empty() {
            return self.redis.clone();
        }
        let rest = self.redis.strip_prefix("redis://").unwrap_or(&self.redis);
        format!("redis://{}:{}@{rest}", self.user, self.password)
    }

    /// Checks what came from elsewhere.
    fn checked(self) -> Result<Self, InvalidInvitation> {
        let is_address = |text: &str, schemes: &[&str]| {
            schemes.iter().any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
                && !text.chars().any(|letter| letter.is_whitespace() || letter.is_control())
        };
        if !is_address(&self.server, &["http://", "https://"]) {
            return Err(InvalidInvitation::Part("server"));
        }
        if Secret::parse(&self.token).is_none() {
            return Err(InvalidInvitation::Part("token"));
        }
        if !is_address(&self.redis, &["redis://"]) {
            return Err(InvalidInvitation::Part("address of Redis"));
        }
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !is_plain(&self.user) || !is_plain(&self.password) {
            return Err(InvalidInvitation::Part("password for Redis"));
        }
        if !is_worker_name(&self.name) {
            return Err(InvalidInvitation::Part("name"));
        }
        Ok(self)
    }
}

/// As it is pasted.
impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_vec(self).map_err(|_| fmt::Error)?;
        write!(f, "{MARK}{}", URL_SAFE_NO_PAD.encode(json))
    }
}

/// Its secrets are not for logs.
impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invitation({} to {})", self.name, self.server)
    }
}

impl FromStr for Invitation {
    type Err = InvalidInvitation;

    /// Reads the word; a terminal may have broken it over lines.
    fn from_str(text: &str) -> Result<Self, InvalidInvitation> {
        let word: String = text.chars().filter(|letter| !letter.is_whitespace()).take(LONGEST + 1).collect();
        let Some(rest) = word.strip_prefix(MARK) else {
            let is_newer =
                word.strip_prefix("hm").and_then(|rest| rest.split_once('.')).is_some_and(|(form, _)| form.parse::<u32>().is_ok());
            return Err(if is_newer { InvalidInvitation::Newer } else { InvalidInvitation::Word });
        };
        let json = URL_SAFE_NO_PAD.decode(rest).ok().filter(|_| word.len() <= LONGEST).ok_or(InvalidInvitation::Word)?;
        serde_json::from_slice::<Self>(&json).map_err(|_| InvalidInvitation::Word)?.checked()
    }
}

/// Whether a worker can be called that: small letters, digits and `-`, not at the front.
pub fn is_worker_name(name: &str) -> bool {
    let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    !name.is_empty() && name.len() <= LONGEST_WORKER_NAME && !name.starts_with('-') && name.bytes().all(is_plain)
}

/// The address of a network card, as six bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WakeAddress([u8; 6]);

/// The text is no address of a network card.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address of a network card: expected six bytes such as 00:11:22:aa:bb:cc (`ip link` shows it)")]
pub struct InvalidWakeAddress(String);

impl WakeAddress {
    /// The message that wakes its machine, from anybody in the same network.
    ///
    /// # Source
    /// AMD's white paper 20213 “Magic Packet Technology”: six bytes of ones, then the address sixteen times.
    pub fn message(&self) -> [u8; 102] {
        let mut message = [0xff; 102];
        for (at, slot) in message.iter_mut().skip(6).enumerate() {
            *slot = self.0[at % 6];
        }
        message
    }
}

impl fmt::Display for WakeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for WakeAddress {
    type Err = InvalidWakeAddress;

    fn from_str(text: &str) -> Result<Self, InvalidWakeAddress> {
        let invalid = || InvalidWakeAddress(text.to_owned());
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let is_hexadecimal = |part: &&str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            let part = parts.next().filter(is_hexadecimal).ok_or_else(invalid)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| invalid())?;
        }
        if parts.next().is_some() { Err(invalid()) } else { Ok(Self(bytes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invitation() -> Invitation {
        Invitation {
            name: "attic".into(),
            server: "http://192.168.1.5:8017".into(),
            token: Secret::random().expose_token(),
            redis: "redis://192.168.1.5:8018".into(),
            user: "hm-worker-attic".into(),
            password: "0a1b".into(),
        }
    }

    #[test]
    fn an_invitation_is_read_as_it_is_printed() {
        let (invitation, text) = (invitation(), invitation().to_string());
        assert!(text.starts_with("hm1.") && !text.contains(['=', '+', '/', ' ']), "{text}");
        let printed = invitation.to_string();
        assert_eq!(printed.parse(), Ok(invitation.clone()));
        let (start, end) = printed.split_at(80);
        assert_eq!(format!(" {start}\n  {end}\n").parse(), Ok(invitation.clone()), "a terminal broke it over two lines");
        assert_eq!(invitation.redis_url(), "redis://hm-worker-attic:0a1b@192.168.1.5:8018");
        assert!(!format!("{invitation:?}").contains("0a1b"));
    }

    #[test]
    fn what_is_no_invitation_is_refused() {
        let printed = invitation().to_string();
        for text in ["", "hm1.", "hm1.e30", &printed[..printed.len() - 9], &printed[1..], &format!("hm1.{}", "A".repeat(9000))] {
            assert_eq!(text.parse::<Invitation>(), Err(InvalidInvitation::Word), "{text}");
        }
        assert_eq!("hm2.e30".parse::<Invitation>(), Err(InvalidInvitation::Newer));
        let change = |change: fn(&mut Invitation)| {
            let mut invitation = invitation();
            change(&mut invitation);
            invitation.to_string().parse::<Invitation>()
        };
        assert_eq!(change(|one| one.server = "file:///etc/passwd".into()), Err(InvalidInvitation::Part("server")));
        assert_eq!(change(|one| one.token = "hm_1".into()), Err(InvalidInvitation::Part("token")));
        assert_eq!(change(|one| one.redis = "unix:///tmp/redis.sock".into()), Err(InvalidInvitation::Part("address of Redis")));
        assert_eq!(change(|one| one.password = "a@b".into()), Err(InvalidInvitation::Part("password for Redis")));
        assert_eq!(change(|one| one.name = "../x".into()), Err(InvalidInvitation::Part("name")));
    }

    #[test]
    fn a_card_is_woken_by_its_address() {
        let address: WakeAddress = "00-11-22-AA-bb-cc".parse().unwrap();
        assert_eq!(address.to_string(), "00:11:22:aa:bb:cc");
        let message = address.message();
        assert_eq!(message[..12], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x11, 0x22, 0xaa, 0xbb, 0xcc]);
        assert_eq!(message[96..], [0x00, 0x11, 0x22, 0xaa, 0xbb, 0xcc]);
        for bad in ["", "00:11:22:aa:bb", "00:11:22:aa:bb:cc:dd", "0:11:22:aa:bb:cc", "00:11:22:aa:bb:gg", "00:11:22:aa:bb:+c"] {
            assert!(bad.parse::<WakeAddress>().is_err(), "{bad}");
        }
    }
}
