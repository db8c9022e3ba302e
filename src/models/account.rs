//! Who may do what: roles, names, passwords, and the secrets that stand for an account.

use std::{fmt, str::FromStr};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use serde::{Deserialize, Serialize};

/// Shortest password, in characters.
pub const SHORTEST_PASSWORD: usize = 10;
/// Longest password, in bytes: more would only cost time.
pub const LONGEST_PASSWORD: usize = 1000;
/// Longest name of an account, in characters.
pub const LONGEST_NAME: usize = 60;
/// How many failures lock a name or an address out, and for how long.
pub const LOCK_MINUTES: i32 = 15;

/// What whoever asks may do; a later one may do all that an earlier one may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A machine that was invited to run networks: fetches pictures and networks, and nothing else. No account has this role.
    Worker,
    /// Looks at everything, changes nothing but its own password and tokens.
    Viewer,
    /// Also rates, tags, places, groups, and starts scans.
    Editor,
    /// Also manages accounts and reads the audit log.
    Owner,
}

impl Role {
    /// All that an account can have, from the least.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Editor, Self::Owner];

    /// The word in forms, in the database and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Owner => "owner",
        }
    }

    /// What it may do, for people.
    pub fn help(self) -> &'static str {
        match self {
            Self::Worker => "fetches pictures and networks for a machine that was invited to work",
            Self::Viewer => "looks at everything, changes nothing",
            Self::Editor => "looks, rates, tags, places and groups, and starts scans",
            Self::Owner => "does all that can be done, manages accounts and reads the audit log",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Role {
    type Err = AccountError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.word() == text).ok_or(AccountError::Role)
    }
}

/// A name or password that cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// Not a role.
    #[error("there is no such role: expected viewer, editor or owner")]
    Role,
    /// Empty, endless, or with letters that cannot be seen.
    #[error("a name has 1 to {LONGEST_NAME} characters, all of which can be seen")]
    Name,
    /// Names of authors in the history that are no person's.
    #[error("the history uses this name for what no person did: choose another")]
    ReservedName,
    /// Too short.
    #[error("a password has at least {SHORTEST_PASSWORD} characters; a few words in a row are easy to remember")]
    ShortPassword,
    /// Too long.
    #[error("a password has at most {LONGEST_PASSWORD} bytes")]
    LongPassword,
    /// The name itself.
    #[error("the password is the name")]
    PasswordIsName,
}

/// A name as it is kept: without white space around it.
///
/// # Errors
/// [`AccountError::Name`], or [`AccountError::ReservedName`] for the authors that are no person.
pub fn checked_name(name: &str) -> Result<String, AccountError> {
    let name = name.trim();
    let is_seen = |letter: char| {
        !letter.is_control() && !matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    if name.is_empty() || name.chars().count() > LONGEST_NAME || !name.chars().all(is_seen) {
        return Err(AccountError::Name);
    }
    if matches!(super::fold(name).as_str(), "outside" | "merge") {
        return Err(AccountError::ReservedName);
    }
    Ok(name.to_owned())
}

/// What is kept of a password: argon2id with a salt of its own, as a PHC string.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordKept(String);

impl PasswordKept {
    /// Hashes the password of the account called `name`. Takes 19 MiB and some tens of milliseconds.
    ///
    /// # Errors
    /// [`AccountError`] when it may not be one.
    ///
    /// # Panics
    /// Never: the parameters are the library's own.
    pub fn of(password: &str, name: &str) -> Result<Self, AccountError> {
        if password.chars().count() < SHORTEST_PASSWORD {
            return Err(AccountError::ShortPassword);
        }
        if password.len() > LONGEST_PASSWORD {
            return Err(AccountError::LongPassword);
        }
        if super::fold(password) == super::fold(name) {
            return Err(AccountError::PasswordIsName);
        }
        let hash = Argon2::default().hash_password(password.as_bytes()).expect("argon2's own parameters are valid");
        Ok(Self(hash.to_string()))
    }

    /// Takes what the database holds.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// As it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `password` is the one. Takes as long as [`Self::of`].
    pub fn is(&self, password: &str) -> bool {
        password.len() <= LONGEST_PASSWORD
            && PasswordHash::new(&self.0).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
    }

    /// Takes as long as checking a password, so that a name that is nobody's cannot be told from a wrong password.
    pub fn pretend(password: &str) {
        // Whatever comes of it.
        let _ = Argon2::default().hash_password(&password.as_bytes()[..password.len().min(LONGEST_PASSWORD)]);
    }
}

/// Nothing that can be guessed from is printed.
impl fmt::Debug for PasswordKept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordKept(…)")
    }
}

/// Hash of a session's or token's secret: what the database holds of it. Plain BLAKE3, for the secret has 256 random bits.
pub type SecretHash = [u8; 32];

/// The secret in a cookie or an `Authorization` header: 256 random bits, in hexadecimal.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// What a token begins with, so that programs that look for leaked secrets find it.
    pub const TOKEN_MARK: &'static str = "hm_";

    /// A new one.
    pub fn random() -> Self {
        let bits: [u8; 32] = rand::random();
        Self(bits.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// What somebody sent.
    ///
    /// # Errors
    /// `None` where it has not the form of one: it need not be looked up.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix(Self::TOKEN_MARK).unwrap_or(text);
        (text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| Self(text.to_ascii_lowercase()))
    }

    /// What the database holds of it.
    pub fn hash(&self) -> SecretHash {
        *blake3::hash(self.0.as_bytes()).as_bytes()
    }

    /// As the cookie holds it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// As a program sends it.
    pub fn expose_token(&self) -> String {
        format!("{}{}", Self::TOKEN_MARK, self.0)
    }
}

/// It is a secret.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The code that the server prints at its first start off loopback: twelve letters in three groups, 55 bits, none of which look alike.
pub fn one_time_code() -> String {
    const LETTERS: &[u8; 24] = b"ABCDEFGHJKLMNPQRSTUVWXYZ";
    let letter = || char::from(LETTERS[rand::random_range(0..LETTERS.len())]);
    let group = || (0..4).map(|_| letter()).collect::<String>();
    [group(), group(), group()].join("-")
}

/// Whether `typed` is `code`, however it was spaced and in whatever case; takes the same time for every answer.
pub fn is_code(typed: &str, code: &str) -> bool {
    let plain = |text: &str| blake3::hash(text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_uppercase().as_bytes());
    // BLAKE3's own equality takes the same time for every answer.
    plain(typed) == plain(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_may_do_what_the_ones_below_it_may() {
        assert!(Role::Owner > Role::Editor && Role::Editor > Role::Viewer && Role::Viewer > Role::Worker);
        for role in Role::ALL {
            assert_eq!(role.word().parse(), Ok(role));
        }
        for word in ["root", "worker"] {
            assert_eq!(word.parse::<Role>(), Err(AccountError::Role), "{word}");
        }
    }

    #[test]
    fn names_are_seen_and_nobody_elses() {
        assert_eq!(checked_name("  Zoë Müller ").unwrap(), "Zoë Müller");
        for bad in ["", "  ", "a\nb", "a\u{202e}b", "a\u{200b}", &"x".repeat(61)] {
            assert_eq!(checked_name(bad), Err(AccountError::Name), "{bad:?}");
        }
        assert_eq!(checked_name("Outside"), Err(AccountError::ReservedName));
    }

    #[test]
    fn a_password_is_known_again_and_no_other() {
        let kept = PasswordKept::of("correct horse battery", "anna").unwrap();
        assert!(kept.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", kept.as_str());
        assert!(PasswordKept::stored(kept.as_str().to_owned()).is("correct horse battery"));
        assert!(!kept.is("correct horse batterY") && !kept.is("") && !kept.is(&"x".repeat(LONGEST_PASSWORD + 1)));
        assert_ne!(kept, PasswordKept::of("correct horse battery", "anna").unwrap(), "the salt is its own");
        assert!(!PasswordKept::stored("no hash".to_owned()).is("no hash"));
        assert!(!format!("{kept:?}").contains("argon2"));
    }

    #[test]
    fn a_password_that_is_easily_guessed_is_refused() {
        assert_eq!(PasswordKept::of("short", "anna"), Err(AccountError::ShortPassword));
        assert_eq!(PasswordKept::of("Anna-Maria-K", "anna-maria-k"), Err(AccountError::PasswordIsName));
        assert_eq!(PasswordKept::of(&"x".repeat(LONGEST_PASSWORD + 1), "anna"), Err(AccountError::LongPassword));
    }

    #[test]
    fn secrets_differ_and_only_their_hash_is_kept() {
        let (one, other) = (Secret::random(), Secret::random());
        assert_ne!(one.expose(), other.expose());
        assert_eq!(Secret::parse(&one.expose_token()).unwrap().hash(), one.hash());
        assert_eq!(Secret::parse(&one.expose().to_uppercase()).unwrap().hash(), one.hash());
        for bad in ["", "hm_", "hm_12", &"g".repeat(64), &"a".repeat(63), &"é".repeat(32)] {
            assert!(Secret::parse(bad).is_none(), "{bad}");
        }
        assert_eq!(format!("{one:?}"), "Secret(…)");
    }

    #[test]
    fn a_code_is_known_however_it_is_typed() {
        let code = one_time_code();
        assert_eq!(code.len(), 14);
        assert!(is_code(&code.to_lowercase().replace('-', " "), &code));
        assert!(!is_code("", &code) && !is_code(&one_time_code(), &code));
    }
}
