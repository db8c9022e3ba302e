//! CSV and JSON lines.
//!
//! Times are ISO 8601 to the microsecond, instants with `Z`. In CSV a list is one field, its items joined by `;`, with `\;` and `\\` for
//! those characters inside an item; in JSON it is an array. Empty is an empty field, and `null`.

use std::{
    borrow::Cow,
    io::{self, BufWriter, Write},
};

use super::columns::{Cell, Column, Kind};

/// A CSV file being written.
pub(super) struct CsvTable<W: Write> {
    writer: csv::Writer<W>,
    columns: &'static [Column],
}

impl<W: Write> CsvTable<W> {
    /// Writes the header.
    pub(super) fn new(file: W, columns: &'static [Column]) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(file);
        writer.write_record(columns.iter().map(|column| column.name))?;
        Ok(Self { writer, columns })
    }

    /// Writes a row.
    pub(super) fn push(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        for (column, cell) in self.columns.iter().zip(cells) {
            let field: Cow<'_, str> = match cell {
                Cell::Null => "".into(),
                Cell::Int(number) => number.to_string().into(),
                Cell::Float(number) => number.to_string().into(),
                Cell::Bool(yes) => (if *yes { "true" } else { "false" }).into(),
                Cell::Text(text) => Cow::Borrowed(text),
                Cell::Time(time) => time_text(*time, column.kind).into(),
                Cell::List(items) => {
                    items.iter().map(|item| item.replace('\\', r"\\").replace(';', r"\;")).collect::<Vec<_>>().join(";").into()
                }
            };
            self.writer.write_field(field.as_bytes())?;
        }
        Ok(self.writer.write_record(None::<&[u8]>)?)
    }

    /// Hands the receiver back, all written.
    pub(super) fn finish(self) -> io::Result<W> {
        self.writer.into_inner().map_err(|error| io::Error::new(error.error().kind(), error.to_string()))
    }
}

/// A JSON-lines file being written.
pub(super) struct JsonTable<W: Write> {
    writer: BufWriter<W>,
    columns: &'static [Column],
}

impl<W: Write> JsonTable<W> {
    /// Starts an empty file.
    pub(super) fn new(file: W, columns: &'static [Column]) -> Self {
        Self { writer: BufWriter::new(file), columns }
    }

    /// Writes a row.
    pub(super) fn push(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        for (at, (column, cell)) in self.columns.iter().zip(cells).enumerate() {
            write!(self.writer, "{}\"{}\":", if at == 0 { '{' } else { ',' }, column.name)?;
            match cell {
                Cell::Null => self.writer.write_all(b"null")?,
                Cell::Int(number) => write!(self.writer, "{number}")?,
                Cell::Float(number) => serde_json::to_writer(&mut self.writer, number)?,
                Cell::Bool(yes) => write!(self.writer, "{yes}")?,
                Cell::Text(text) => serde_json::to_writer(&mut self.writer, text)?,
                Cell::Time(time) => write!(self.writer, "\"{}\"", time_text(*time, column.kind))?,
                Cell::List(items) => serde_json::to_writer(&mut self.writer, items)?,
            }
        }
        self.writer.write_all(b"}\n")
    }

    /// Hands the receiver back, all written.
    pub(super) fn finish(self) -> io::Result<W> {
        self.writer.into_inner().map_err(|error| io::Error::new(error.error().kind(), error.to_string()))
    }
}

fn time_text(time: chrono::NaiveDateTime, kind: Kind) -> String {
    let zone = if kind == Kind::UtcTime { "Z" } else { "" };
    format!("{}{zone}", time.format("%Y-%m-%dT%H:%M:%S%.f"))
}
