//! How model types go in and out of columns: ids are bigint.

use diesel::{
    backend::Backend,
    deserialize::{self, FromSql, Queryable},
    expression::AsExpression,
    internal::derives::as_expression::Bound,
    pg::Pg,
    serialize::{self, Output, ToSql},
    sql_types::{BigInt, Nullable, SingleValue},
};

use crate::models::{BatchId, FileId, FolderId, ImageId, ScanId, SearchId, VaultId};

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

bigint_ids!(VaultId, FolderId, ImageId, FileId, ScanId, SearchId, BatchId);
