//! Small real files made on the spot: JPEGs with EXIF and XMP, and sidecars.

use std::{io::Cursor, path::Path};

use exif::{Field, In, Rational, Tag, Value, experimental::Writer};

/// A JPEG to be: a colour gradient with the metadata asked for.
#[derive(Debug)]
pub(crate) struct Jpeg {
    width_px: usize,
    height_px: usize,
    shade: u8,
    /// Left, top, right and bottom of what is red on blue.
    patch: Option<[usize; 4]>,
    fields: Vec<Field>,
    xmp: Option<String>,
}

impl Jpeg {
    /// A gradient of this size without metadata.
    pub(crate) fn new(width_px: usize, height_px: usize) -> Self {
        Self { width_px, height_px, shade: 0, patch: None, fields: Vec::new(), xmp: None }
    }

    /// Makes the pixels differ from another picture's of the same size.
    pub(crate) fn shade(mut self, shade: u8) -> Self {
        self.shade = shade;
        self
    }

    /// Instead of the gradient: blue, and red between these columns and rows (left, top, right, bottom).
    pub(crate) fn patch(mut self, sides: [usize; 4]) -> Self {
        self.patch = Some(sides);
        self
    }

    /// Any tag of the first directory, of EXIF or of GPS.
    pub(crate) fn field(mut self, tag: Tag, value: Value) -> Self {
        self.fields.push(Field { tag, ifd_num: In::PRIMARY, value });
        self
    }

    /// A tag that holds text.
    pub(crate) fn text(self, tag: Tag, text: &str) -> Self {
        self.field(tag, Value::Ascii(vec![text.as_bytes().to_vec()]))
    }

    /// `Make` and `Model`.
    pub(crate) fn camera(self, make: &str, model: &str) -> Self {
        self.text(Tag::Make, make).text(Tag::Model, model)
    }

    /// `DateTimeOriginal`, as `2024:05:31 12:30:00`.
    pub(crate) fn taken(self, local_time: &str) -> Self {
        self.text(Tag::DateTimeOriginal, local_time)
    }

    /// `Orientation`, 1 to 8.
    pub(crate) fn orientation(self, exif: u16) -> Self {
        self.field(Tag::Orientation, Value::Short(vec![exif]))
    }

    /// Where it was taken, in degrees north and east.
    pub(crate) fn place(self, latitude_deg: f64, longitude_deg: f64) -> Self {
        self.text(Tag::GPSLatitudeRef, if latitude_deg < 0.0 { "S" } else { "N" })
            .field(Tag::GPSLatitude, degrees(latitude_deg))
            .text(Tag::GPSLongitudeRef, if longitude_deg < 0.0 { "W" } else { "E" })
            .field(Tag::GPSLongitude, degrees(longitude_deg))
    }

    /// An XMP packet inside the file, as [`xmp`] makes it.
    pub(crate) fn xmp(mut self, packet: &str) -> Self {
        self.xmp = Some(packet.to_owned());
        self
    }

    /// The file's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let pixels = (0..self.height_px).flat_map(|y| (0..self.width_px).flat_map(move |x| self.pixel(x, y))).collect::<Vec<u8>>();
        let image = turbojpeg::Image {
            pixels: pixels.as_slice(),
            width: self.width_px,
            pitch: self.width_px * 3,
            height: self.height_px,
            format: turbojpeg::PixelFormat::RGB,
        };
        let jpeg = turbojpeg::compress(image, 85, turbojpeg::Subsamp::Sub2x2).expect("the buffer has the size it says");
        let mut bytes = jpeg[..2].to_vec();
        if !self.fields.is_empty() {
            bytes.extend(segment(b"Exif\0\0", &self.tiff()));
        }
        if let Some(packet) = &self.xmp {
            bytes.extend(segment(b"http://ns.adobe.com/xap/1.0/\0", packet.as_bytes()));
        }
        bytes.extend_from_slice(&jpeg[2..]);
        bytes
    }

    /// Writes the file, with its folders.
    pub(crate) fn write(&self, path: &Path) {
        write(path, &self.encode());
    }

    fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        if let Some([left, top, right, bottom]) = self.patch {
            let is_inside = (left..right).contains(&x) && (top..bottom).contains(&y);
            return if is_inside { [230, 20, 20] } else { [30, 60, 200] };
        }
        let across = x * 255 / self.width_px;
        let down = y * 255 / self.height_px;
        [across as u8, down as u8, self.shade]
    }

    fn tiff(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        for field in &self.fields {
            writer.push_field(field);
        }
        let mut tiff = Cursor::new(Vec::new());
        writer.write(&mut tiff, true).expect("the fields fit the format");
        tiff.into_inner()
    }
}

/// An XMP packet with these properties of its description, such as `xmp:Rating="3"`, and these flat keywords.
pub(crate) fn xmp(attributes: &str, keywords: &[&str]) -> String {
    let items: String = keywords.iter().map(|keyword| format!("<rdf:li>{keyword}</rdf:li>")).collect();
    let subject = if keywords.is_empty() { String::new() } else { format!("<dc:subject><rdf:Bag>{items}</rdf:Bag></dc:subject>") };
    format!(
        r#"<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" {attributes}>{subject}</rdf:Description>
</rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>
"#
    )
}

/// Writes a file, with its folders.
pub(crate) fn write(path: &Path, bytes: &[u8]) {
    let folder = path.parent().expect("a file has a folder");
    std::fs::create_dir_all(folder).expect("the test's folder is writable");
    std::fs::write(path, bytes).expect("the test's folder is writable");
}

/// An APP1 segment.
fn segment(name: &[u8], body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(2 + name.len() + body.len()).expect("test metadata is smaller than 64 KiB");
    [&[0xff, 0xe1], &length.to_be_bytes()[..], name, body].concat()
}

/// Degrees, minutes and hundredths of a second, without the sign.
fn degrees(value: f64) -> Value {
    let hundredths = (value.abs() * 360_000.0).round() as u32;
    let rational = |num, denom| Rational { num, denom };
    Value::Rational(vec![rational(hundredths / 360_000, 1), rational(hundredths / 6_000 % 60, 1), rational(hundredths % 6_000, 100)])
}

#[test]
fn what_was_asked_for_is_in_the_file() {
    let bytes = Jpeg::new(40, 30)
        .camera("Canon", "EOS R5")
        .taken("2024:05:31 12:30:00")
        .orientation(6)
        .place(-33.8568, 151.2153)
        .xmp(&xmp(r#"xmp:Rating="3""#, &["harbour"]))
        .encode();
    let exif = exif::Reader::new().read_from_container(&mut Cursor::new(&bytes)).unwrap();
    let shown = |tag| exif.get_field(tag, In::PRIMARY).unwrap().display_value().to_string();
    assert_eq!((shown(Tag::Model), shown(Tag::DateTimeOriginal)), (r#""EOS R5""#.to_owned(), "2024-05-31 12:30:00".to_owned()));
    assert_eq!((shown(Tag::GPSLatitudeRef), shown(Tag::GPSLatitude)), ("S".to_owned(), "33 deg 51 min 24.48 sec".to_owned()));
    let header = turbojpeg::read_header(&bytes).unwrap();
    assert_eq!((header.width, header.height), (40, 30));
}
