//! Edits of sidecars as several programs write them: what changes, and that nothing else does.

use serde_json::json;

use super::*;
use crate::models::edit::{ColorLabel, Keywords, Pick};

fn value(field: Field, json: serde_json::Value) -> Value {
    Value::from_json(field, &json).unwrap().checked().unwrap()
}

fn rating(stars: i8) -> Value {
    Value::Rating(Some(stars))
}

fn keywords(list: &[&str]) -> Value {
    Value::Keywords(Keywords::new(list.iter().copied(), [""; 0]))
}

fn edited(existing: &str, changes: &[Value]) -> String {
    let bytes = edit(Some(existing.as_bytes()), changes).unwrap_or_else(|refusal| panic!("{refusal}\n{existing}"));
    bytes.map_or_else(|| existing.to_owned(), |bytes| String::from_utf8(bytes).unwrap())
}

fn refused(existing: &str, change: Value) -> String {
    match edit(Some(existing.as_bytes()), &[change]) {
        Err(refusal) => refusal.to_string(),
        Ok(bytes) => panic!("{existing} became {bytes:?}"),
    }
}

fn packet(body: &str) -> String {
    format!(
        "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">{body}</rdf:RDF></x:xmpmeta>"
    )
}

fn described(attributes: &str, body: &str) -> String {
    packet(&format!(
        "<rdf:Description rdf:about=\"\" xmlns:xap=\"http://ns.adobe.com/xap/1.0/\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\" \
         xmlns:lr=\"http://ns.adobe.com/lightroom/1.0/\" xmlns:digiKam=\"http://www.digikam.org/ns/1.0/\" \
         xmlns:exif=\"http://ns.adobe.com/exif/1.0/\" xmlns:z=\"urn:z\" {attributes}>{body}</rdf:Description>"
    ))
}

fn read_back(content: &str, field: Field) -> Option<Value> {
    read(content.as_bytes(), field, None).unwrap()
}

#[test]
fn a_new_sidecar_is_a_packet_with_what_was_said() {
    let changes = [
        rating(4),
        value(Field::ColorLabel, json!("red")),
        value(Field::Pick, json!("picked")),
        value(Field::Title, json!("Cats & <dogs>")),
        keywords(&["animal|dog", "red"]),
        value(Field::Gps, json!({"latitude_deg": 48.142_016_7, "longitude_deg": -11.5, "altitude_m": -3.25})),
        value(Field::CapturedAt, json!("2019-08-03T12:33:00.250+02:00")),
        value(Field::Place, json!({"city": "Paris", "country_code": "FR"})),
    ];
    let content = String::from_utf8(edit(None, &changes).unwrap().unwrap()).unwrap();
    insta::assert_snapshot!(content.replace(concat!("hm ", env!("CARGO_PKG_VERSION")), "hm [VERSION]").replace('\u{feff}', "[BOM]"), @r###"
    <?xpacket begin="[BOM]" id="W5M0MpCehiHzreSzNTczkc9d"?>
    <x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="hm [VERSION]">
     <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
      <rdf:Description rdf:about="" xmlns:Iptc4xmpCore="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:lr="http://ns.adobe.com/lightroom/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:digiKam="http://www.digikam.org/ns/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/">
       <xmp:Rating>4</xmp:Rating>
       <xmp:Label>Red</xmp:Label>
       <digiKam:ColorLabel>1</digiKam:ColorLabel>
       <digiKam:PickLabel>3</digiKam:PickLabel>
       <dc:title>
        <rdf:Alt>
         <rdf:li xml:lang="x-default">Cats &amp; &lt;dogs&gt;</rdf:li>
        </rdf:Alt>
       </dc:title>
       <dc:subject>
        <rdf:Bag>
         <rdf:li>animal</rdf:li>
         <rdf:li>dog</rdf:li>
         <rdf:li>red</rdf:li>
        </rdf:Bag>
       </dc:subject>
       <lr:hierarchicalSubject>
        <rdf:Bag>
         <rdf:li>animal|dog</rdf:li>
         <rdf:li>red</rdf:li>
        </rdf:Bag>
       </lr:hierarchicalSubject>
       <digiKam:TagsList>
        <rdf:Seq>
         <rdf:li>animal/dog</rdf:li>
         <rdf:li>red</rdf:li>
        </rdf:Seq>
       </digiKam:TagsList>
       <exif:GPSLatitude>48,8.521002N</exif:GPSLatitude>
       <exif:GPSLongitude>11,30.0000W</exif:GPSLongitude>
       <exif:GPSAltitude>325/100</exif:GPSAltitude>
       <exif:GPSAltitudeRef>1</exif:GPSAltitudeRef>
       <exif:GPSVersionID>2.3.0.0</exif:GPSVersionID>
       <exif:DateTimeOriginal>2019-08-03T12:33:00.25+02:00</exif:DateTimeOriginal>
       <photoshop:DateCreated>2019-08-03T12:33:00.25+02:00</photoshop:DateCreated>
       <photoshop:City>Paris</photoshop:City>
       <Iptc4xmpCore:CountryCode>FR</Iptc4xmpCore:CountryCode>
      </rdf:Description>
     </rdf:RDF>
    </x:xmpmeta>
    <?xpacket end="w"?>
    "###);
    for change in &changes {
        assert_eq!(read_back(&content, change.field()).as_ref(), Some(change));
    }
}

#[test]
fn nothing_to_say_makes_no_sidecar() {
    for silent in Field::ALL.iter().filter_map(|field| silence(*field)).chain([rating(0)]) {
        assert_eq!(edit(None, std::slice::from_ref(&silent)), Ok(None), "{silent:?}");
    }
    assert_eq!(edit(None, &[]), Ok(None));
    let existing = described("xap:Rating=\"3.0\"", "");
    assert_eq!(edit(Some(existing.as_bytes()), &[rating(3)]), Ok(None));
}

#[test]
fn a_value_is_exchanged_where_it_stands() {
    for (before, after) in [
        ("xap:Rating = '3'  z:a=\"&#x41;\"", "xap:Rating = '5'  z:a=\"&#x41;\""),
        ("z:a='b'\n\txap:Rating=\"\"", "z:a='b'\n\txap:Rating=\"5\""),
    ] {
        assert_eq!(edited(&described(before, " <!-- x -->"), &[rating(5)]), described(after, " <!-- x -->"));
    }
    for (before, after) in [
        ("<z:y/>\n<xap:Rating>3</xap:Rating>\n", "<z:y/>\n<xap:Rating>5</xap:Rating>\n"),
        ("<xap:Rating/>", "<xap:Rating>5</xap:Rating>"),
        ("<xap:Rating >\n 3<!-- why --></xap:Rating>", "<xap:Rating >5<!-- why --></xap:Rating>"),
        ("<xap:Rating><![CDATA[3]]></xap:Rating>", "<xap:Rating>5</xap:Rating>"),
    ] {
        assert_eq!(edited(&described("", before), &[rating(5)]), described("", after));
    }
}

#[test]
fn a_value_is_taken_away_with_its_line() {
    let before = described("", "\n  <z:y/>\n  <xap:Label>Red</xap:Label>\n  <z:x/>\n");
    assert_eq!(edited(&before, &[Value::ColorLabel(ColorLabel::None)]), described("", "\n  <z:y/>\n  <z:x/>\n"));
    let before = described("xap:Label=\"Rot\" z:a=\"\"", "");
    assert_eq!(edited(&before, &[Value::ColorLabel(ColorLabel::None)]), described("z:a=\"\"", ""));
    // Another program's label is not a colour, and stays until a colour is chosen.
    let winner = described("xap:Label=\"Winner\"", "");
    assert_eq!(edited(&winner, &[Value::ColorLabel(ColorLabel::None)]), winner);
}

#[test]
fn a_new_value_looks_like_its_neighbours() {
    let adobe = "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\r\n  <rdf:Description rdf:about=\"\"\r\n    xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\"\r\n   xmp:CreatorTool=\"x\">\r\n  </rdf:Description>\r\n</rdf:RDF>";
    let expected = adobe.replace("xmp:CreatorTool=\"x\">", "xmp:CreatorTool=\"x\"\r\n   xmp:Rating=\"2\">");
    assert_eq!(edited(adobe, &[rating(2)]), expected);
    let closed = "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\n <rdf:Description rdf:about=\"\" />\n</rdf:RDF>";
    let tagged = edited(closed, &[keywords(&["a"])]);
    assert!(tagged.contains("about=\"\" xmlns:") && !tagged.contains("/>"), "{tagged}");
    assert!(tagged.contains(">\n  <dc:subject>\n   <rdf:Bag>\n    <rdf:li>a</rdf:li>\n   </rdf:Bag>\n  </dc:subject>\n"), "{tagged}");
    let elements = "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\n\n <rdf:Description rdf:about=''\n  xmlns:xmp='http://ns.adobe.com/xap/1.0/'>\n  <xmp:CreatorTool>x</xmp:CreatorTool>\n </rdf:Description>\n</rdf:RDF>";
    let expected = elements.replace("</xmp:CreatorTool>", "</xmp:CreatorTool>\n  <xmp:Rating>2</xmp:Rating>");
    assert_eq!(edited(elements, &[rating(2)]), expected);
}

#[test]
fn prefixes_are_the_documents_own() {
    let taken = packet("<rdf:Description xmlns:xmp=\"urn:other\" xmp:x=\"1\"/>");
    let after = edited(&taken, &[rating(2)]);
    assert!(after.contains("xmlns:xmp1=\"http://ns.adobe.com/xap/1.0/\" xmp1:Rating=\"2\"/>"), "{after}");
    let default = "<RDF xmlns=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"><Description/></RDF>";
    let after = edited(default, &[rating(2), keywords(&["a"]), Value::Title(Some("t".into()))]);
    assert_eq!(read_back(&after, Field::Keywords), Some(keywords(&["a"])), "{after}");
    assert_eq!(read_back(&after, Field::Title), Some(Value::Title(Some("t".into()))), "{after}");
    for empty in [
        "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"/>",
        "<RDF xmlns=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"></RDF>",
    ] {
        let after = edited(empty, &[rating(2), keywords(&["a"])]);
        assert_eq!(
            (read_back(&after, Field::Rating), read_back(&after, Field::Keywords)),
            (Some(rating(2)), Some(keywords(&["a"]))),
            "{after}"
        );
    }
}

#[test]
fn three_lists_say_the_same_and_end_together() {
    let before = described(
        "",
        "\n <dc:subject>\n  <rdf:Bag>\n   <rdf:li>old</rdf:li>\n   <!-- c -->\n   <rdf:li>dog</rdf:li>\n  </rdf:Bag>\n </dc:subject>\n <z:y/>\n",
    );
    let after = edited(&before, &[keywords(&["animal|dog", "24/7"])]);
    assert!(
        after.contains(
            "\n  <rdf:Bag>\n   <!-- c -->\n   <rdf:li>dog</rdf:li>\n   <rdf:li>24/7</rdf:li>\n   <rdf:li>animal</rdf:li>\n  </rdf:Bag>"
        ),
        "{after}"
    );
    assert!(after.contains("<rdf:li>animal|dog</rdf:li>") && after.contains("<rdf:li>animal/dog</rdf:li>"), "{after}");
    assert!(after.contains("<lr:hierarchicalSubject>\n  <rdf:Bag>") && after.contains("<digiKam:TagsList>\n  <rdf:Seq>"), "{after}");
    assert_eq!(read_back(&after, Field::Keywords), Some(keywords(&["animal|dog", "24/7"])));
    let cleared = edited(&after, &[keywords(&[])]);
    assert_eq!(cleared, described("", "\n <z:y/>\n"));
}

#[test]
fn a_program_that_knows_one_list_only_is_heard() {
    let written = keywords(&["animal|dog", "red"]);
    let whole = edited(&described("", ""), std::slice::from_ref(&written));
    let cases = [
        // Lightroom removes `red` from the lists it knows, and leaves levels of trees out of the flat one.
        (whole.replace("<rdf:li>animal</rdf:li>", "").replacen("<rdf:li>red</rdf:li>", "", 2), keywords(&["animal|dog"])),
        // exiftool adds to and removes from the flat one alone.
        (whole.replacen("<rdf:li>red</rdf:li>", "<rdf:li>blue</rdf:li>", 1), keywords(&["animal|dog", "blue"])),
        // Immich writes digiKam's alone.
        (whole.replace("<rdf:li>animal/dog</rdf:li>", ""), keywords(&["red"])),
        (whole.clone(), written.clone()),
    ];
    for (content, expected) in cases {
        assert_eq!(read(content.as_bytes(), Field::Keywords, Some(&written)).unwrap(), Some(expected), "{content}");
    }
}

#[test]
fn a_text_for_everybody_leaves_the_other_languages() {
    let body = |text: &str| {
        format!("<dc:title><rdf:Alt><rdf:li xml:lang=\"de\">Hund</rdf:li><rdf:li xml:lang='X-Default'>{text}</rdf:li></rdf:Alt></dc:title>")
    };
    assert_eq!(edited(&described("", &body("Dog")), &[Value::Title(Some("Big <dog>".into()))]), described("", &body("Big &lt;dog&gt;")));
    assert_eq!(edited(&described("", &body("Dog")), &[Value::Title(None)]), described("", ""));
    let plain = described("", "<dc:title>Dog</dc:title>");
    assert_eq!(read_back(&plain, Field::Title), Some(Value::Title(Some("Dog".into()))));
    let expected = "<dc:title><rdf:Alt><rdf:li xml:lang=\"x-default\">Cat</rdf:li></rdf:Alt></dc:title>";
    assert_eq!(edited(&plain, &[Value::Title(Some("Cat".into()))]), described("", expected));
    assert_eq!(
        edited(&described("dc:title=\"Dog\"", ""), &[Value::Title(Some("Cat".into()))]),
        described("", expected).replace("\"urn:z\" >", "\"urn:z\">").replace(" >", ">")
    );
    let german = described("", "<dc:title><rdf:Alt><rdf:li xml:lang=\"de\">Hund</rdf:li></rdf:Alt></dc:title>");
    let after = edited(&german, &[Value::Title(Some("Dog".into()))]);
    assert!(after.contains("<rdf:Alt><rdf:li xml:lang=\"x-default\">Dog</rdf:li><rdf:li xml:lang=\"de\">Hund</rdf:li>"), "{after}");
}

#[test]
fn copies_that_stand_there_follow_and_none_are_added() {
    let before = packet(
        "<rdf:Description xmlns:MicrosoftPhoto=\"http://ns.microsoft.com/photo/1.0/\" xmlns:acdsee=\"http://ns.acdsee.com/iptc/1.0/\" \
         MicrosoftPhoto:Rating=\"50\" acdsee:rating=\"3\" acdsee:categories=\"\"><MicrosoftPhoto:LastKeywordXMP><rdf:Bag>\
         <rdf:li>old</rdf:li></rdf:Bag></MicrosoftPhoto:LastKeywordXMP></rdf:Description>",
    );
    let after = edited(&before, &[rating(5), keywords(&["a|b"])]);
    assert!(after.contains("MicrosoftPhoto:Rating=\"99\" acdsee:rating=\"5\"") && after.contains("<rdf:li>a/b</rdf:li>"), "{after}");
    assert!(after.contains("acdsee:categories=\"&lt;Categories&gt;&lt;Category Assigned=&quot;0&quot;&gt;a"), "{after}");
    let gone = edited(&after, &[Value::Rating(None), keywords(&[])]);
    assert!(!gone.contains("ating=") && !gone.contains("LastKeyword") && !gone.contains("categories"), "{gone}");
    assert!(!edited(&described("", ""), &[rating(5)]).contains("Microsoft"));
}

#[test]
fn what_the_picture_says_itself_is_denied_by_name() {
    let title = |text: Option<&str>| Value::Title(text.map(str::to_owned));
    let empty = described("", "");
    let beside = |text: &str, changes: &[Value]| {
        let bytes = edit_beside(Some(text.as_bytes()), changes, &[Field::Title, Field::Keywords, Field::Rating]).unwrap();
        bytes.map_or_else(|| text.to_owned(), |bytes| String::from_utf8(bytes).unwrap())
    };
    let denied = beside(&empty, &[title(None), keywords(&[]), Value::Description(None)]);
    assert_eq!(denied.matches("<rdf:li>").count(), 2, "{denied}");
    assert!(denied.contains("xmlns:hm=\"urn:hm:sidecar/\"") && denied.contains("<rdf:li>title</rdf:li>"), "{denied}");
    assert_eq!((read_back(&denied, Field::Title), read_back(&denied, Field::Description)), (Some(title(None)), None));
    assert_eq!(beside(&denied, &[title(None)]), denied);
    let given = beside(&denied, &[title(Some("A"))]);
    assert!(!given.contains(">title<") && given.contains(">keywords<"), "{given}");
    assert_eq!(beside(&given, &[title(None)]).matches("<rdf:li>title</rdf:li>").count(), 1);
    // What the picture no longer says needs no denial.
    assert!(!edited(&given, &[keywords(&[])]).contains("cleared"));
    // A rating has a value that means none.
    assert!(beside(&empty, &[Value::Rating(None)]).contains("<xap:Rating>0</xap:Rating>"));
    assert_eq!(edited(&empty, &[Value::Rating(None)]), empty);
    // What another program says since wins.
    let theirs = denied.replace("<hm:cleared>", "<dc:title>B</dc:title><hm:cleared>");
    assert_eq!(read_back(&theirs, Field::Title), Some(title(Some("B"))));
}

#[test]
fn a_place_goes_whole_and_leaves_what_is_no_place() {
    let place = value(Field::Gps, json!({"latitude_deg": 1.5, "longitude_deg": 2.0, "altitude_m": 10}));
    let before = described("exif:GPSImgDirection=\"90/1\"", "");
    let with = edited(&before, std::slice::from_ref(&place));
    assert!(
        with.contains("exif:GPSLatitude=\"1,30.0000N\"")
            && with.contains("exif:GPSAltitude=\"10/1\"")
            && with.contains("GPSVersionID=\"2.3.0.0\"")
    );
    let moved = edited(&with, &[value(Field::Gps, json!({"latitude_deg": -1.5, "longitude_deg": 2.0}))]);
    assert!(moved.contains("1,30.0000S") && !moved.contains("Altitude"), "{moved}");
    let gone = edited(&with, &[Value::Gps(None)]);
    assert!(gone.contains("GPSImgDirection") && gone.contains("GPSVersionID") && !gone.contains("Altitude") && !gone.contains("itude"));
    assert_eq!(edited(&edited(&described("", ""), &[place]), &[Value::Gps(None)]), described("", ""));
    // Written by hand to the second: the same place, and left as it is.
    let seconds = described("exif:GPSLatitude='1,30,0N' exif:GPSLongitude='2,0,0E'", "");
    assert_eq!(edited(&seconds, &[value(Field::Gps, json!({"latitude_deg": 1.5, "longitude_deg": 2.0}))]), seconds);
}

#[test]
fn a_time_takes_its_parts_in() {
    let before = described(
        "exif:DateTimeOriginal=\"2019-08-03T12:33:00\" exif:SubSecTimeOriginal=\"25\" exif:OffsetTimeOriginal=\"+02:00\" exif:GPSTimeStamp=\"2019-08-03T10:33:00Z\"",
        "",
    );
    assert_eq!(read_back(&before, Field::CapturedAt), Some(value(Field::CapturedAt, json!("2019-08-03T12:33:00.25+02:00"))));
    let after = edited(&before, &[value(Field::CapturedAt, json!("2019-08-03T11:33:00"))]);
    assert!(after.contains("exif:DateTimeOriginal=\"2019-08-03T11:33:00\" exif:GPSTimeStamp=\"2019-08-03T10:33:00Z\""), "{after}");
    assert!(after.contains("photoshop:DateCreated=\"2019-08-03T11:33:00\"") && !after.contains("SubSec") && !after.contains("Offset"));
}

#[test]
fn digikams_flags_and_colours_are_its_numbers() {
    let before = described("digiKam:PickLabel=\"1\" digiKam:ColorLabel=\"2\" xap:Label=\"Orange\"", "");
    // Rejected there is no flag here, and orange no colour: both stay.
    assert_eq!(edited(&before, &[Value::Pick(Pick::None), Value::ColorLabel(ColorLabel::None)]), before);
    let after = edited(&before, &[Value::Pick(Pick::Pending), Value::ColorLabel(ColorLabel::Purple)]);
    assert_eq!(after, described("digiKam:PickLabel=\"2\" digiKam:ColorLabel=\"6\" xap:Label=\"Purple\"", ""));
    let stale = after.replace("\"Purple\"", "\"Green\"");
    let written = Value::ColorLabel(ColorLabel::Purple);
    assert_eq!(read(stale.as_bytes(), Field::ColorLabel, Some(&written)), Ok(Some(Value::ColorLabel(ColorLabel::Green))));
    let stale = after.replace("ColorLabel=\"6\"", "ColorLabel=\"1\"");
    assert_eq!(read(stale.as_bytes(), Field::ColorLabel, Some(&written)), Ok(Some(Value::ColorLabel(ColorLabel::Red))));
}

#[test]
fn all_encodings_of_unicode_stay_as_they_are() {
    let text = described("z:a=\"Zoé 🚐\"", "");
    let little = |text: &str| -> Vec<u8> { [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect() };
    let after = edit(Some(&little(&text)), &[rating(1)]).unwrap().unwrap();
    assert_eq!(after, little(&edited(&text, &[rating(1)])));
    let marked = format!("\u{feff}{text}");
    assert!(edited(&marked, &[rating(1)]).starts_with("\u{feff}<x:xmpmeta"));
}

#[test]
fn what_is_not_understood_is_refused_with_the_reason() {
    let whole = described("xap:Rating=\"3\"", "<z:y/>");
    for (content, reason) in [
        (whole[..whole.len() - 20].to_owned(), "not readable XML"),
        (whole[..whole.len() - 12].to_owned(), "cut off"),
        ("just words".to_owned(), "XML"),
        ("\0\0\0\0".to_owned(), "XML"),
        ("<svg/>".to_owned(), "`svg`"),
        (whole.replace("adobe:ns:meta/", "adobe:ns:other/"), "outermost"),
        (format!("{whole}{whole}"), "more than one"),
        (format!("<!DOCTYPE x [<!ENTITY a \"b\">]>{whole}"), "document type"),
        (whole.replace("<z:y/>", "&b;"), "XML"),
        (whole.replace("<z:y/>", "<z:y rdf:nodeID=\"a\"/>"), "nodeID"),
        (whole.replace("<z:y/>", "<xap:Rating>4</xap:Rating>"), "twice"),
        (whole.replace("\"3\"", "\"three\""), "no rating"),
        (whole.replace("\"3\"", "\"7\""), "no rating"),
        (described("", "<xap:Rating rdf:resource=\"3\"/>"), "resource"),
        (described("", "<xap:Rating rdf:parseType=\"Resource\"><rdf:value>3</rdf:value></xap:Rating>"), "parseType"),
        (described("", "<xap:Rating rdf:parseType=\"Literal\">3</xap:Rating>"), "parseType"),
        (described("", "<xap:Rating><rdf:Description><rdf:value>3</rdf:value></rdf:Description></xap:Rating>"), "Description"),
        (described("", "<xap:Rating><rdf:Bag><rdf:li>3</rdf:li></rdf:Bag></xap:Rating>"), "Bag"),
        (packet("<z:Thing xmlns:z=\"urn:z\" rdf:about=\"\"/>"), "z:Thing"),
        (packet("<rdf:Description rdf:about=\"a\"/><rdf:Description rdf:about=\"b\"/>"), "two things"),
        (packet("<rdf:Description>words</rdf:Description>"), "text in a description"),
        (packet("") + "<a/>", "more than one"),
        (
            packet("").replace("</rdf:RDF>", "</rdf:RDF><r:RDF xmlns:r=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"/>"),
            "more than one rdf:RDF",
        ),
    ] {
        let said = refused(&content, rating(4));
        assert!(said.contains(reason), "{said}\n{content}");
    }
    for list in [
        "<dc:subject><rdf:Bag><rdf:li rdf:resource=\"x\"/></rdf:Bag></dc:subject>",
        "<dc:subject><rdf:Bag><rdf:_1>x</rdf:_1></rdf:Bag></dc:subject>",
        "<dc:subject><rdf:Bag><rdf:li><rdf:Description><rdf:value>x</rdf:value></rdf:Description></rdf:li></rdf:Bag></dc:subject>",
        "<dc:subject rdf:parseType=\"Collection\"><rdf:Description/></dc:subject>",
        "<dc:subject><rdf:Bag><rdf:li>a</rdf:li></rdf:Bag></dc:subject><dc:subject><rdf:Bag><rdf:li>b</rdf:li></rdf:Bag></dc:subject>",
    ] {
        assert!(refused(&described("", list), keywords(&["a"])).contains("dc:subject"), "{list}");
    }
}

#[test]
fn what_is_said_twice_alike_is_said_once_afterwards() {
    let before = described("xap:Rating=\"3\"", "<xap:Rating>3</xap:Rating>");
    assert_eq!(edited(&before, &[rating(4)]), described("xap:Rating=\"4\"", ""));
}

#[test]
fn an_address_without_its_slash_gives_way_to_the_right_one() {
    let before = packet("<rdf:Description xmlns:m=\"http://ns.adobe.com/xap/1.0\" m:Rating=\"3\"/>");
    assert_eq!(read_back(&before, Field::Rating), Some(rating(3)));
    let after = edited(&before, &[rating(4)]);
    assert!(after.contains("xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\"") && !after.contains("m:Rating"), "{after}");
}

#[test]
fn what_xml_cannot_hold_is_not_written() {
    let bad = Value::Title(Some("a\u{1}b".into()));
    assert!(matches!(edit(None, &[bad]), Err(Refusal::Unwritable { field: Field::Title, .. })));
    let lines = Value::Description(Some("a\nb\tc".into()));
    assert_eq!(read_back(&edited(&described("", ""), std::slice::from_ref(&lines)), Field::Description), Some(lines));
}
