//! Parquet through the low-level writer: a row group is gathered column by column in memory and written when it is full.

use std::{io::Write, sync::Arc};

use parquet::{
    basic::Compression,
    column::writer::ColumnWriter,
    data_type::ByteArray,
    errors::ParquetError,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};

use super::columns::{Cell, Column, Kind};

/// Rows of a row group: with texts of usual length some tens of megabytes while gathered.
const GROUP_ROWS: usize = 32_768;

/// A Parquet file being written.
pub(super) struct ParquetTable<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    columns: Vec<Gathered>,
    rows: usize,
}

/// One column of the row group that is being gathered.
struct Gathered {
    column: Column,
    values: Values,
    /// Definition levels: what is there. Empty for required columns.
    definitions: Vec<i16>,
    /// Repetition levels: where a list goes on. Empty but for lists.
    repetitions: Vec<i16>,
}

enum Values {
    Int(Vec<i64>),
    Float(Vec<f64>),
    Bool(Vec<bool>),
    Text(Vec<ByteArray>),
}

impl<W: Write + Send> ParquetTable<W> {
    /// Writes the file's head.
    pub(super) fn new(file: W, columns: &'static [Column]) -> Result<Self, ParquetError> {
        let schema = parse_message_type(&schema_text(columns))?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))?;
        Ok(Self { writer, columns: columns.iter().map(|column| Gathered::new(*column)).collect(), rows: 0 })
    }

    /// Adds a row; writes a row group when it is full.
    pub(super) fn push(&mut self, cells: &[Cell<'_>]) -> Result<(), ParquetError> {
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            column.push(cell)?;
        }
        self.rows += 1;
        if self.rows >= GROUP_ROWS { self.write_group() } else { Ok(()) }
    }

    /// Writes what is left and the footer, and hands the receiver back.
    pub(super) fn finish(mut self) -> Result<W, ParquetError> {
        if self.rows > 0 {
            self.write_group()?;
        }
        self.writer.into_inner()
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.columns {
            let mut writer = group.next_column()?.ok_or_else(|| ParquetError::General("a column too few in the schema".to_owned()))?;
            column.write(writer.untyped())?;
            writer.close()?;
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

impl Gathered {
    fn new(column: Column) -> Self {
        let values = match column.kind {
            Kind::Int | Kind::LocalTime | Kind::UtcTime => Values::Int(Vec::new()),
            Kind::Float => Values::Float(Vec::new()),
            Kind::Bool => Values::Bool(Vec::new()),
            Kind::Text | Kind::List => Values::Text(Vec::new()),
        };
        Self { column, values, definitions: Vec::new(), repetitions: Vec::new() }
    }

    fn push(&mut self, cell: &Cell<'_>) -> Result<(), ParquetError> {
        if self.column.optional {
            self.definitions.push(i16::from(*cell != Cell::Null));
        }
        match (&mut self.values, cell) {
            (_, Cell::Null) if self.column.optional => {}
            (Values::Int(values), Cell::Int(number)) => values.push(*number),
            (Values::Int(values), Cell::Time(time)) => values.push(time.and_utc().timestamp_micros()),
            (Values::Float(values), Cell::Float(number)) => values.push(*number),
            (Values::Bool(values), Cell::Bool(yes)) => values.push(*yes),
            (Values::Text(values), Cell::Text(text)) => values.push(ByteArray::from(text.as_bytes().to_vec())),
            (Values::Text(values), Cell::List(items)) => {
                if items.is_empty() {
                    self.definitions.push(0);
                    self.repetitions.push(0);
                }
                for (at, item) in items.iter().enumerate() {
                    values.push(ByteArray::from(item.as_bytes().to_vec()));
                    self.definitions.push(1);
                    self.repetitions.push(i16::from(at > 0));
                }
            }
            _ => return Err(ParquetError::General(format!("column `{}` got {cell:?}", self.column.name))),
        }
        Ok(())
    }

    fn write(&mut self, writer: &mut ColumnWriter<'_>) -> Result<(), ParquetError> {
        let levels = |levels: &Vec<i16>, used: bool| if used { Some(levels.clone()) } else { None };
        let list = self.column.kind == Kind::List;
        let definitions = levels(&self.definitions, list || self.column.optional);
        let repetitions = levels(&self.repetitions, list);
        let (definitions, repetitions) = (definitions.as_deref(), repetitions.as_deref());
        match (&self.values, writer) {
            (Values::Int(values), ColumnWriter::Int64ColumnWriter(writer)) => writer.write_batch(values, definitions, repetitions)?,
            (Values::Float(values), ColumnWriter::DoubleColumnWriter(writer)) => writer.write_batch(values, definitions, repetitions)?,
            (Values::Bool(values), ColumnWriter::BoolColumnWriter(writer)) => writer.write_batch(values, definitions, repetitions)?,
            (Values::Text(values), ColumnWriter::ByteArrayColumnWriter(writer)) => writer.write_batch(values, definitions, repetitions)?,
            _ => return Err(ParquetError::General(format!("column `{}` has another type in the schema", self.column.name))),
        };
        *self = Self::new(self.column);
        Ok(())
    }
}

/// The schema in Parquet's own notation.
fn schema_text(columns: &[Column]) -> String {
    let mut text = String::from("message table {\n");
    for column in columns {
        let repetition = if column.optional { "OPTIONAL" } else { "REQUIRED" };
        let name = column.name;
        let line = match column.kind {
            Kind::Int => format!("{repetition} INT64 {name};"),
            Kind::Float => format!("{repetition} DOUBLE {name};"),
            Kind::Bool => format!("{repetition} BOOLEAN {name};"),
            Kind::Text => format!("{repetition} BYTE_ARRAY {name} (STRING);"),
            Kind::LocalTime => format!("{repetition} INT64 {name} (TIMESTAMP(MICROS,false));"),
            Kind::UtcTime => format!("{repetition} INT64 {name} (TIMESTAMP(MICROS,true));"),
            Kind::List => format!("{repetition} GROUP {name} (LIST) {{ REPEATED GROUP list {{ REQUIRED BYTE_ARRAY element (STRING); }} }}"),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::tables::{FileRow, ImageRow, columns::Row};

    #[test]
    fn both_schemas_are_parquet() {
        for columns in [ImageRow::COLUMNS, FileRow::COLUMNS] {
            let schema = parse_message_type(&schema_text(columns)).unwrap();
            assert_eq!(schema.get_fields().len(), columns.len());
        }
    }
}
