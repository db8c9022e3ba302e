//! Random queries: every kind of condition, with values that a small library has and that nobody has.

use hm::models::{
    FileFormat, ImageId, Query, RegionId,
    edit::{ColorLabel, Pick},
    query::{Area, Bounds, FileType, Has, Is, Like, Name, Near, PartialDate, Term},
};
use proptest::{prelude::*, sample::select};

fn bounds<T: Copy + PartialOrd + std::fmt::Debug + 'static>(values: &'static [T]) -> BoxedStrategy<Bounds<T>> {
    let one = || select(values);
    prop_oneof![
        one().prop_map(Bounds::Is),
        one().prop_map(Bounds::Above),
        one().prop_map(Bounds::AtLeast),
        one().prop_map(Bounds::Below),
        one().prop_map(Bounds::AtMost),
        (one(), one()).prop_map(|(a, b)| if a <= b { Bounds::Between(a, b) } else { Bounds::Between(b, a) }),
    ]
    .boxed()
}

fn name(values: &'static [&'static str]) -> impl Strategy<Value = Name> {
    (select(values), any::<bool>())
        .prop_map(|(text, is_whole)| Name { text: text.to_owned(), is_whole: is_whole || text.contains([' ', '(']) })
}

fn date() -> impl Strategy<Value = Bounds<PartialDate>> {
    let plain = || {
        (2018..=2020_i32, proptest::option::of((1..=3_u32, proptest::option::of(1..=4_u32)))).prop_map(|(year, rest)| PartialDate {
            year: Some(year),
            month: rest.map(|(month, _)| month),
            day: rest.and_then(|(_, day)| day),
        })
    };
    let days = |date: &PartialDate| date.days();
    prop_oneof![
        plain().prop_map(Bounds::Is),
        plain().prop_map(Bounds::Above),
        plain().prop_map(Bounds::AtLeast),
        plain().prop_map(Bounds::Below),
        plain().prop_map(Bounds::AtMost),
        (plain(), plain()).prop_map(move |(a, b)| if days(&a) <= days(&b) { Bounds::Between(a, b) } else { Bounds::Between(b, a) }),
        (proptest::option::of(2018..=2019_i32), proptest::option::of(1..=3_u32), proptest::option::of(1..=4_u32))
            .prop_map(|(year, month, day)| Bounds::Is(PartialDate { year, month, day })),
    ]
}

/// One condition.
pub(crate) fn term() -> impl Strategy<Value = Term> {
    const STARS: &[i64] = &[-1, 0, 1, 2, 3, 4, 5];
    let types = [FileType::Raw, FileType::Jpeg, FileType::Video, FileType::Photo, FileType::Format(FileFormat::Heif)];
    prop_oneof![
        2 => select(&["lake", "LAKES", "zoé", "ZOE", "img", "1", "lake,img", "nothing", "IMG_1"][..]).prop_map(|text| Term::Words(text.to_owned())),
        1 => select(&["lake", "lake geneva", "Lake Geneva", "img 1", "IMG_1", "zoe", "outer"][..]).prop_map(|text| Term::Phrase(text.to_owned())),
        1 => bounds(STARS).prop_map(Term::Rating),
        1 => bounds(&[100_i64, 200, 400, 3200]).prop_map(Term::Iso),
        1 => bounds(&[1.4, 2.8, 4.0]).prop_map(Term::FNumber),
        1 => bounds(&[0.004, 0.5, 2.0]).prop_map(Term::Exposure),
        1 => bounds(&[24.0, 35.0, 200.0]).prop_map(Term::Focal),
        1 => bounds(&[0_i64, 1_000, 20_000_000]).prop_map(Term::Size),
        1 => bounds(&[0_i64, 4000, 6000]).prop_map(Term::Width),
        1 => bounds(&[0_i64, 3000, 4000]).prop_map(Term::Height),
        2 => date().prop_map(Term::Date),
        1 => bounds(&[2018_i64, 2019, 2020]).prop_map(Term::Year),
        1 => bounds(&[1_i64, 2, 12]).prop_map(Term::Month),
        1 => name(&["camera", "Camera 1", "éra 1", "nobody's", "CAM*1"]).prop_map(Term::Camera),
        1 => name(&["Lens 0", "ens", "0"]).prop_map(Term::Lens),
        2 => name(&["animal", "dog", "animal|dog", "animal/dog", "an*", "zoe", "d*g", "none*"]).prop_map(Term::Tag),
        1 => name(&["dog", "DOG", "traffic light", "t*", "do", "unicorn"]).prop_map(Term::Shows),
        1 => name(&["geneva", "Lake Geneva", "l*e", "%"]).prop_map(Term::Title),
        1 => name(&["zoe", "a_b", "(x)"]).prop_map(Term::Description),
        2 => name(&["IMG_1", "1", "*.jpg", "img", "img_1.jpg", "outer/inner/img", "*mg_2*"]).prop_map(Term::File),
        1 => name(&["outer", "outer/inner", "inn", "other", "in*r", "photos", "nowhere"]).prop_map(Term::Folder),
        1 => name(&["zur", "york", "New York", "n*k", "nowhere"]).prop_map(Term::City),
        1 => name(&["NO", "norway", "way"]).prop_map(Term::Country),
        1 => name(&["york", "norw", "bavaria"]).prop_map(Term::Place),
        1 => name(&["bavaria"]).prop_map(Term::State),
        1 => proptest::collection::vec(select(ColorLabel::ALL), 1..3).prop_map(Term::Label),
        1 => proptest::collection::vec(select(Pick::ALL), 1..3).prop_map(Term::Pick),
        1 => proptest::collection::vec(select(types.to_vec()), 1..3).prop_map(Term::Type),
        1 => proptest::collection::vec(select(Has::ALL), 1..3).prop_map(Term::Has),
        1 => proptest::collection::vec(select(Is::ALL), 1..3).prop_map(Term::Is),
        1 => (select(&[(48.1, 11.5), (-17.0, 179.9), (89.9, 0.0)][..]), select(&[500.0, 30_000.0, 2_000_000.0][..]))
            .prop_map(|((latitude_deg, longitude_deg), radius_m)| Term::Near(Near { latitude_deg, longitude_deg, radius_m })),
        1 => select(&[(48.0, 11.0, 48.105, 12.0), (-18.0, 179.0, 90.0, -179.0), (-90.0, -180.0, 90.0, 180.0), (0.0, 12.0, 1.0, 11.0)][..])
            .prop_map(|(south_deg, west_deg, north_deg, east_deg)| Term::Within(Area { south_deg, west_deg, north_deg, east_deg })),
    ]
}

/// What images can be put into an order by.
pub(crate) fn like() -> impl Strategy<Value = Like> {
    prop_oneof![
        select(&["snow", "a red truck in snow", "123", "image:7", "region:", "say \"cheese\"", "back\\slash", "雪"][..])
            .prop_map(|text| Like::Words(text.to_owned())),
        (1..=i64::MAX).prop_map(|id| Like::Image(ImageId(id))),
        (1..=i64::MAX).prop_map(|id| Like::Region(RegionId(id))),
    ]
}

/// A query in normal form.
pub(crate) fn query() -> impl Strategy<Value = Query> {
    term().prop_map(Query::Term).prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            3 => proptest::collection::vec(inner.clone(), 2..4).prop_map(Query::all),
            2 => proptest::collection::vec(inner.clone(), 2..4).prop_map(Query::any),
            2 => inner.prop_map(|inner| Query::Not(Box::new(inner))),
        ]
    })
}
