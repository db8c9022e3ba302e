//! The data frames, read back as another program would.

use std::{fs, fs::File, path::Path};

use hm::{
    export::tables::{FileRow, Format, ImageRow, TableWriter, TablesError, write_tables},
    models::{FileFormat, FileRole},
};
use parquet::{
    basic::{LogicalType, TimeUnit},
    file::reader::{FileReader, SerializedFileReader},
    record::{Field, RowAccessor},
};

const IMAGE_COLUMNS: &str = "image_index base_name subdirectory file_count suffixes total_size_bytes has_raw has_jpeg has_sidecar captured_at \
    captured_at_source captured_offset_minutes camera_make camera_model lens iso f_number exposure_s focal_length_mm gps_latitude gps_longitude \
    gps_altitude_m width_px height_px orientation title description keywords rating";
const FILE_COLUMNS: &str = "image_index base_name subdirectory filename suffix extension file_path file_size_bytes file_modified_at format role \
    width_px height_px fingerprint error";

fn image(image_index: i64) -> ImageRow {
    ImageRow {
        image_index,
        base_name: format!("IMG_{image_index}"),
        subdirectory: "2020/Zoé \"quoted\", comma".to_owned(),
        file_count: 2,
        suffixes: vec![".CR2".to_owned(), ".JPG".to_owned()],
        total_size_bytes: 30_000_000,
        has_raw: true,
        has_jpeg: true,
        has_sidecar: false,
        captured_at: "1919-05-04T10:11:12.345".parse().unwrap(),
        captured_at_source: "EXIF:DateTimeOriginal".to_owned(),
        captured_offset_minutes: Some(-330),
        camera_make: Some("Canon".to_owned()),
        camera_model: None,
        lens: None,
        iso: Some(100),
        f_number: Some(2.8),
        exposure_s: Some(0.005),
        focal_length_mm: None,
        gps_latitude: Some(-45.5),
        gps_longitude: Some(11.0),
        gps_altitude_m: None,
        width_px: Some(6000),
        height_px: Some(4000),
        orientation: Some(6),
        title: None,
        description: Some("two\nlines".to_owned()),
        keywords: if image_index % 2 == 0 { vec![] } else { vec!["a;b".to_owned(), r"c\d".to_owned(), "é".to_owned()] },
        rating: Some(-1),
    }
}

fn file(image_index: Option<i64>) -> FileRow {
    FileRow {
        image_index,
        base_name: image_index.map(|index| format!("IMG_{index}")),
        subdirectory: String::new(),
        filename: "IMG_1.CR2".to_owned(),
        suffix: ".CR2".to_owned(),
        extension: "cr2".to_owned(),
        file_path: "/photos/IMG_1.CR2".to_owned(),
        file_size_bytes: 25_000_000,
        file_modified_at: "2020-05-04T08:11:12".parse().unwrap(),
        format: FileFormat::Cr2,
        role: FileRole::Original,
        width_px: None,
        height_px: None,
        fingerprint: Some([0xab; 16]),
        error: None,
    }
}

fn write(dir: &Path, format: Format, count: i64) {
    write_tables(dir, format, (0..count).map(image), [file(Some(1)), file(None)].into_iter()).unwrap();
}

#[test]
fn parquet_reads_back_over_row_groups() {
    let dir = tempfile::tempdir().unwrap();
    let count = 70_000;
    write(dir.path(), Format::Parquet, count);
    let reader = SerializedFileReader::new(File::open(dir.path().join("images.parquet")).unwrap()).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows(), count);
    assert_eq!(reader.num_row_groups(), 3);
    let fields = reader.metadata().file_metadata().schema().get_fields();
    let names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
    assert_eq!(names.join(" "), IMAGE_COLUMNS);
    let captured = fields[9].get_basic_info().logical_type_ref().cloned();
    assert_eq!(captured, Some(LogicalType::timestamp(false, TimeUnit::MICROS)));

    let mut rows = reader.get_row_iter(None).unwrap();
    let row = rows.nth(65_537).unwrap().unwrap();
    assert_eq!(row.get_long(0).unwrap(), 65_537);
    assert_eq!(row.get_string(2).unwrap(), "2020/Zoé \"quoted\", comma");
    assert_eq!(row.get_list(4).unwrap().len(), 2);
    assert!(row.get_bool(6).unwrap());
    let captured: chrono::NaiveDateTime = "1919-05-04T10:11:12.345".parse().unwrap();
    assert_eq!(row.get_timestamp_micros(9).unwrap(), captured.and_utc().timestamp_micros());
    assert_eq!(row.get_long(11).unwrap(), -330);
    assert!(row.is_null(13).unwrap());
    assert_eq!(row.get_double(19).unwrap(), -45.5);
    assert_eq!(row.get_list(27).unwrap().elements().len(), 3);
    assert_eq!(row.get_long(28).unwrap(), -1);
    assert_eq!(rows.next().unwrap().unwrap().get_list(27).unwrap().len(), 0);

    let reader = SerializedFileReader::new(File::open(dir.path().join("files.parquet")).unwrap()).unwrap();
    let names: Vec<String> = reader.metadata().file_metadata().schema().get_fields().iter().map(|field| field.name().to_owned()).collect();
    assert_eq!(names.join(" "), FILE_COLUMNS);
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows[0].get_string(13).unwrap(), &"ab".repeat(16));
    assert!(rows[1].is_null(0).unwrap());
}

/// A value as the reader shows it, without its own way to write times.
fn shown(field: &Field) -> String {
    let time = |micros: i64| chrono::DateTime::from_timestamp_micros(micros).unwrap().naive_utc().to_string();
    match field {
        Field::TimestampMicros(micros) => time(*micros),
        Field::ListInternal(list) => list.elements().iter().map(shown).collect::<Vec<_>>().join("|"),
        Field::Str(text) => text.clone(),
        Field::Double(number) => number.to_string(),
        other => other.to_string(),
    }
}

fn first_row(path: &Path, columns: &str) -> Vec<(String, String)> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let row = reader.get_row_iter(None).unwrap().next().unwrap().unwrap();
    let values: Vec<(String, String)> = row.get_column_iter().map(|(name, field)| (name.clone(), shown(field))).collect();
    assert_eq!(values.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" "), columns);
    values
}

#[test]
fn every_column_of_parquet_comes_back_as_it_went_in() {
    let dir = tempfile::tempdir().unwrap();
    write_tables(dir.path(), Format::Parquet, [image(1)].into_iter(), [file(Some(1))].into_iter()).unwrap();
    let images = first_row(&dir.path().join("images.parquet"), IMAGE_COLUMNS);
    let expected = [
        ("image_index", "1"),
        ("base_name", "IMG_1"),
        ("subdirectory", "2020/Zoé \"quoted\", comma"),
        ("file_count", "2"),
        ("suffixes", ".CR2|.JPG"),
        ("total_size_bytes", "30000000"),
        ("has_raw", "true"),
        ("has_jpeg", "true"),
        ("has_sidecar", "false"),
        ("captured_at", "1919-05-04 10:11:12.345"),
        ("captured_at_source", "EXIF:DateTimeOriginal"),
        ("captured_offset_minutes", "-330"),
        ("camera_make", "Canon"),
        ("camera_model", "null"),
        ("lens", "null"),
        ("iso", "100"),
        ("f_number", "2.8"),
        ("exposure_s", "0.005"),
        ("focal_length_mm", "null"),
        ("gps_latitude", "-45.5"),
        ("gps_longitude", "11"),
        ("gps_altitude_m", "null"),
        ("width_px", "6000"),
        ("height_px", "4000"),
        ("orientation", "6"),
        ("title", "null"),
        ("description", "two\nlines"),
        ("keywords", r"a;b|c\d|é"),
        ("rating", "-1"),
    ];
    assert_eq!(images, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let files = first_row(&dir.path().join("files.parquet"), FILE_COLUMNS);
    let fingerprint = "ab".repeat(16);
    let expected = [
        ("image_index", "1"),
        ("base_name", "IMG_1"),
        ("subdirectory", ""),
        ("filename", "IMG_1.CR2"),
        ("suffix", ".CR2"),
        ("extension", "cr2"),
        ("file_path", "/photos/IMG_1.CR2"),
        ("file_size_bytes", "25000000"),
        ("file_modified_at", "2020-05-04 08:11:12"),
        ("format", "cr2"),
        ("role", "ORIGINAL"),
        ("width_px", "null"),
        ("height_px", "null"),
        ("fingerprint", &fingerprint),
        ("error", "null"),
    ];
    assert_eq!(files, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn csv_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), Format::Csv, 2);
    let mut reader = csv::Reader::from_path(dir.path().join("images.csv")).unwrap();
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>().join(" "), IMAGE_COLUMNS);
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(&rows[1][2], "2020/Zoé \"quoted\", comma");
    assert_eq!(&rows[1][4], ".CR2;.JPG");
    assert_eq!(&rows[1][9], "1919-05-04T10:11:12.345");
    assert_eq!(&rows[1][13], "");
    assert_eq!(&rows[1][26], "two\nlines");
    assert_eq!(&rows[1][27], r"a\;b;c\\d;é");
    let mut reader = csv::Reader::from_path(dir.path().join("files.csv")).unwrap();
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>().join(" "), FILE_COLUMNS);
    let row = reader.records().next().unwrap().unwrap();
    assert_eq!((&row[8], &row[9], &row[10]), ("2020-05-04T08:11:12Z", "cr2", "ORIGINAL"));
}

#[test]
fn json_lines_read_back() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), Format::Jsonl, 2);
    let text = fs::read_to_string(dir.path().join("images.jsonl")).unwrap();
    let rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2);
    let mut at = 0;
    for name in IMAGE_COLUMNS.split_whitespace() {
        at += text[at..].find(&format!("\"{name}\":")).unwrap_or_else(|| panic!("{name} is missing or out of order"));
    }
    assert_eq!(rows[1]["keywords"], serde_json::json!(["a;b", r"c\d", "é"]));
    assert_eq!(rows[1]["title"], serde_json::Value::Null);
    assert_eq!(rows[1]["has_raw"], true);
    assert_eq!(rows[1]["description"], "two\nlines");
    assert_eq!(rows[1]["f_number"], 2.8);
}

#[test]
fn unfinished_tables_leave_the_old_ones_alone() {
    let dir = tempfile::tempdir().unwrap();
    for format in [Format::Parquet, Format::Csv, Format::Jsonl] {
        write(dir.path(), format, 1);
    }
    let list = || {
        let entries = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap());
        let mut entries: Vec<(String, u64)> =
            entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len())).collect();
        entries.sort();
        entries
    };
    let before = list();
    assert_eq!(before.len(), 6);
    for format in [Format::Parquet, Format::Csv, Format::Jsonl] {
        let mut tables = TableWriter::create(dir.path(), format).unwrap();
        tables.push_image(image(1)).unwrap();
        drop(tables);
    }
    assert_eq!(list(), before);
}

#[test]
fn an_empty_library_has_empty_tables() {
    let dir = tempfile::tempdir().unwrap();
    for format in [Format::Parquet, Format::Csv, Format::Jsonl] {
        write_tables(dir.path(), format, std::iter::empty(), std::iter::empty()).unwrap();
    }
    let reader = SerializedFileReader::new(File::open(dir.path().join("images.parquet")).unwrap()).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows(), 0);
    assert_eq!(csv::Reader::from_path(dir.path().join("files.csv")).unwrap().records().count(), 0);
    assert_eq!(fs::read(dir.path().join("images.jsonl")).unwrap(), b"");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = TableWriter::create(&file.join("below"), Format::Csv).err().unwrap();
    assert!(matches!(&error, TablesError::Io { path, .. } if path.ends_with("file/below")), "{error}");
}
