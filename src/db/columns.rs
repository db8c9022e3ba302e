//! How model types go in and out of columns: ids are bigint; texts leave out what PostgreSQL cannot hold; words are a tsvector.

use std::{collections::BTreeSet, io::Write};

use diesel::{
    backend::Backend,
    deserialize::{self, FromSql, Queryable},
    expression::AsExpression,
    internal::derives::as_expression::Bound,
    pg::Pg,
    serialize::{self, IsNull, Output, ToSql},
    sql_types::{BigInt, Jsonb, Nullable, SingleValue, Text},
};
use serde::{Serialize, Serializer};

use super::schema::sql_types::Tsvector;
use crate::models::{
    AccountId, ApartId, BatchId, Facts, FileId, FolderId, ImageId, NetworkId, RegionId, ScanId, SearchId, SessionId, TokenId, VaultId,
    account::Role,
};

macro_rules! bigint_ids {
    ($($id:ident),+) => {$(
        impl ToSql<BigInt, Pg> for $id {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                <i64 as ToSql<BigInt, Pg>>::to_sql(&self.0, out)
            }
        }

        impl ToSql<Nullable<BigInt>, Pg> for $id {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                <Self as ToSql<BigInt, Pg>>::to_sql(self, out)
            }
        }

        impl FromSql<BigInt, Pg> for $id {
            fn from_sql(bytes: <Pg as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
                <i64 as FromSql<BigInt, Pg>>::from_sql(bytes).map(Self)
            }
        }

        impl<ST, DB> Queryable<ST, DB> for $id
        where
            DB: Backend,
            ST: SingleValue,
            Self: FromSql<ST, DB>,
        {
            type Row = Self;

            fn build(row: Self) -> deserialize::Result<Self> {
                Ok(row)
            }
        }

        impl AsExpression<BigInt> for $id {
            type Expression = Bound<BigInt, Self>;

            fn as_expression(self) -> Self::Expression {
                Bound::new(self)
            }
        }

        impl AsExpression<BigInt> for &$id {
            type Expression = Bound<BigInt, Self>;

            fn as_expression(self) -> Self::Expression {
                Bound::new(self)
            }
        }

        impl AsExpression<Nullable<BigInt>> for $id {
            type Expression = Bound<Nullable<BigInt>, Self>;

            fn as_expression(self) -> Self::Expression {
                Bound::new(self)
            }
        }

        impl AsExpression<Nullable<BigInt>> for &$id {
            type Expression = Bound<Nullable<BigInt>, Self>;

            fn as_expression(self) -> Self::Expression {
                Bound::new(self)
            }
        }
    )+};
}

bigint_ids!(VaultId, FolderId, ImageId, FileId, ScanId, SearchId, BatchId, AccountId, SessionId, TokenId, NetworkId, RegionId, ApartId);

impl FromSql<Text, Pg> for Role {
    fn from_sql(bytes: <Pg as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        Ok(<String as FromSql<Text, Pg>>::from_sql(bytes)?.parse()?)
    }
}

/// Text without NUL, which PostgreSQL's text cannot hold; a name or a caption of a hostile file can.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, AsExpression)]
#[diesel(sql_type = Text)]
#[serde(transparent)]
pub struct PlainText(String);

impl PlainText {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for PlainText {
    fn from(text: String) -> Self {
        Self(if text.contains('\0') { text.replace('\0', "") } else { text })
    }
}

impl From<&str> for PlainText {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl ToSql<Text, Pg> for PlainText {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        <str as ToSql<Text, Pg>>::to_sql(&self.0, out)
    }
}

/// What a file says, as its column holds it: JSON in which no text has a NUL.
#[derive(Debug, Clone, AsExpression)]
#[diesel(sql_type = Jsonb)]
pub struct FactsColumn(Facts);

impl FactsColumn {
    fn without_nul(&self) -> Option<serde_json::Value> {
        fn strip(value: &mut serde_json::Value) {
            match value {
                serde_json::Value::String(text) => text.retain(|c| c != '\0'),
                serde_json::Value::Array(values) => values.iter_mut().for_each(strip),
                serde_json::Value::Object(fields) => fields.values_mut().for_each(strip),
                _ => {}
            }
        }
        let mut value = serde_json::to_value(&self.0).ok()?;
        strip(&mut value);
        Some(value)
    }
}

impl From<Facts> for FactsColumn {
    fn from(facts: Facts) -> Self {
        Self(facts)
    }
}

impl Serialize for FactsColumn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.without_nul().serialize(serializer)
    }
}

impl ToSql<Jsonb, Pg> for FactsColumn {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        let mut json = serde_json::to_string(&self.0)?;
        if json.contains("\\u0000") {
            json = serde_json::to_string(&self.without_nul())?;
        }
        // The version of the binary form.
        out.write_all(&[1])?;
        out.write_all(json.as_bytes())?;
        Ok(IsNull::No)
    }
}

/// Words that an image is found by, each once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, AsExpression)]
#[diesel(sql_type = Tsvector)]
#[serde(transparent)]
pub struct SearchWords(BTreeSet<String>);

impl FromIterator<String> for SearchWords {
    fn from_iter<I: IntoIterator<Item = String>>(words: I) -> Self {
        Self(words.into_iter().filter(|word| !word.is_empty() && !word.contains('\0')).collect())
    }
}

/// The binary form of a tsvector without positions: how many words; of each its bytes, a NUL, and no positions.
impl ToSql<Tsvector, Pg> for SearchWords {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(&i32::try_from(self.0.len())?.to_be_bytes())?;
        for word in &self.0 {
            out.write_all(word.as_bytes())?;
            out.write_all(&[0, 0, 0])?;
        }
        Ok(IsNull::No)
    }
}
