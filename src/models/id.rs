//! One newtype for each kind of row, so that a file's id can never stand where an image's is meant.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The text is not a positive whole number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an id: expected a positive whole number")]
pub struct ParseIdError(String);

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text.parse::<i64>() {
                    Ok(number) if number > 0 => Ok(Self(number)),
                    _ => Err(ParseIdError(text.to_owned())),
                }
            }
        }
    )+};
}

ids! {
    /// A disk or share with photographs, known by the same id on every host.
    VaultId,
    /// A folder of a vault.
    FolderId,
    /// One moment: all the files of one press of the shutter.
    ImageId,
    /// One file on a vault.
    FileId,
    /// One run of the scanner.
    ScanId,
    /// One search with a name.
    SearchId,
    /// One action of a person: all that is undone at once.
    BatchId,
    /// One person who may sign in.
    AccountId,
    /// One browser that is signed in.
    SessionId,
    /// One program that acts for an account.
    TokenId,
    /// One version of a network that has worked on the library.
    NetworkId,
    /// Something that can be seen in an image, and where.
    RegionId,
    /// A person's word that some images are no duplicates of each other.
    ApartId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_parse_only_positive_numbers() {
        assert_eq!("12".parse(), Ok(ImageId(12)));
        for bad in ["", "0", "-3", "1.5", "x", "99999999999999999999"] {
            assert!(bad.parse::<ImageId>().is_err(), "{bad}");
        }
    }
}
