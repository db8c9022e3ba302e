//! What can be in a picture, how it is painted, and the words for it.

use super::{
    canvas::Canvas,
    landscape,
    noise::Rng,
    sky::Light,
    subjects::{self, Animal, FAMILY},
    town::{self, Wheels},
};

/// The motif of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scene {
    /// Open water.
    Sea,
    /// A beach.
    Beach,
    /// Mountains.
    Mountains,
    /// Mountains over a lake.
    Lake,
    /// A winter landscape.
    Snow,
    /// Fields.
    Fields,
    /// Hot-air balloons over fields.
    Balloons,
    /// Dunes.
    Desert,
    /// A green forest.
    Forest,
    /// A forest in autumn.
    Autumn,
    /// The Milky Way.
    Stars,
    /// Northern lights.
    Aurora,
    /// Towers at the water.
    Skyline,
    /// Old houses at the water.
    Houses,
    /// A vehicle on the road.
    Vehicle(Wheels),
    /// One of the family, by number.
    Person(u8),
    /// Some of the family.
    Group,
    /// An animal.
    Animal(Animal),
    /// Flowers.
    Flower,
    /// A birthday cake.
    Cake,
    /// A laid table.
    Table,
}

/// The names of the demo's family, in the order of [`FAMILY`].
const NAMES: [&str; 6] = ["Ida", "Jonas", "Greta", "Amara", "Großvater", "Lotte"];

impl Scene {
    /// Paints the scene; `light` counts outdoors only.
    pub(super) fn paint(self, light: Light, width_px: usize, height_px: usize, rng: &mut Rng) -> Canvas {
        let mut canvas = Canvas::new(width_px, height_px);
        let on = &mut canvas;
        match self {
            Self::Sea => landscape::sea(on, light, rng),
            Self::Beach => landscape::beach(on, light, rng),
            Self::Mountains => landscape::mountains(on, light, false, rng),
            Self::Lake => landscape::mountains(on, light, true, rng),
            Self::Snow => landscape::snow(on, light, rng),
            Self::Fields => landscape::fields(on, light, false, rng),
            Self::Balloons => landscape::fields(on, light, true, rng),
            Self::Desert => landscape::desert(on, light, rng),
            Self::Forest => landscape::forest(on, false, rng),
            Self::Autumn => landscape::forest(on, true, rng),
            Self::Stars => landscape::night_sky(on, false, rng),
            Self::Aurora => landscape::night_sky(on, true, rng),
            Self::Skyline => town::skyline(on, light, rng),
            Self::Houses => town::houses(on, light, rng),
            Self::Vehicle(kind) => town::vehicle(on, kind, light, rng),
            Self::Person(who) => subjects::people(on, &[FAMILY[usize::from(who)]], rng),
            Self::Group => {
                let first = rng.below(FAMILY.len());
                let count = if width_px > height_px { 2 + rng.below(2) } else { 2 };
                let who: Vec<_> = (0..count).map(|i| FAMILY[(first + i) % FAMILY.len()]).collect();
                subjects::people(on, &who, rng);
            }
            Self::Animal(kind) => subjects::animal(on, kind, rng),
            Self::Flower => subjects::flower(on, rng),
            Self::Cake => subjects::cake(on, 5 + rng.below(5), rng),
            Self::Table => subjects::table(on, rng),
        }
        canvas
    }

    /// The hours at which the scene is worth a picture.
    pub(super) fn lights(self) -> &'static [Light] {
        use Light::{Day, Dusk, Golden, Night};
        match self {
            Self::Stars | Self::Aurora => &[Night],
            Self::Skyline => &[Night, Night, Dusk],
            Self::Houses => &[Day, Day, Golden, Dusk],
            Self::Sea => &[Day, Golden, Golden, Dusk],
            Self::Mountains | Self::Lake | Self::Fields => &[Day, Day, Golden, Dusk],
            Self::Snow => &[Day, Day, Golden, Night],
            Self::Desert | Self::Balloons | Self::Vehicle(_) => &[Day, Day, Golden],
            _ => &[Day],
        }
    }

    /// Whether the camera may be held upright for it.
    pub(super) fn fits_upright(self) -> bool {
        !matches!(self, Self::Group | Self::Vehicle(_) | Self::Skyline)
    }

    /// A title.
    pub(super) fn title(self, light: Light) -> String {
        let words = match self {
            Self::Sea if light == Light::Golden => "Sunset over the sea",
            Self::Sea => "The sea",
            Self::Beach => "At the beach",
            Self::Mountains => "Mountains",
            Self::Lake => "Mountain lake",
            Self::Snow => "Snow",
            Self::Fields => "Fields",
            Self::Balloons => "Balloons",
            Self::Desert => "Dunes",
            Self::Forest => "In the forest",
            Self::Autumn => "Autumn leaves",
            Self::Stars => "The Milky Way",
            Self::Aurora => "Northern lights",
            Self::Skyline => "The city at night",
            Self::Houses => "Old houses on the quay",
            Self::Vehicle(Wheels::Truck) => "Truck",
            Self::Vehicle(Wheels::Car) => "The little car",
            Self::Vehicle(Wheels::Van) => "The camper",
            Self::Vehicle(Wheels::Train) => "Steam train",
            Self::Vehicle(Wheels::Bicycle) => "Bicycle",
            Self::Person(who) => NAMES[usize::from(who)],
            Self::Group => "All of us",
            Self::Animal(Animal::Cat) => "Momo",
            Self::Animal(Animal::Dog) => "Zoey",
            Self::Animal(Animal::Fox) => "A fox",
            Self::Animal(Animal::Bear) => "A bear",
            Self::Animal(Animal::Rabbit) => "A rabbit",
            Self::Animal(Animal::Owl) => "An owl",
            Self::Animal(Animal::Penguin) => "A penguin",
            Self::Flower => "Flowers",
            Self::Cake => "Birthday cake",
            Self::Table => "Lunch",
        };
        words.to_owned()
    }

    /// Its place in the tree of keywords.
    pub(super) fn keyword(self) -> String {
        match self {
            Self::Sea | Self::Beach => "Nature|Sea".into(),
            Self::Mountains | Self::Lake => "Nature|Mountains".into(),
            Self::Snow => "Nature|Winter".into(),
            Self::Fields => "Nature|Fields".into(),
            Self::Balloons => "Things|Vehicles|Balloon".into(),
            Self::Desert => "Nature|Desert".into(),
            Self::Forest | Self::Autumn => "Nature|Forest".into(),
            Self::Stars | Self::Aurora => "Nature|Night sky".into(),
            Self::Skyline | Self::Houses => "Town".into(),
            Self::Vehicle(Wheels::Truck) => "Things|Vehicles|Truck".into(),
            Self::Vehicle(Wheels::Car) => "Things|Vehicles|Car".into(),
            Self::Vehicle(Wheels::Van) => "Things|Vehicles|Camper".into(),
            Self::Vehicle(Wheels::Train) => "Things|Vehicles|Train".into(),
            Self::Vehicle(Wheels::Bicycle) => "Things|Vehicles|Bicycle".into(),
            Self::Person(who) => format!("People|{}", NAMES[usize::from(who)]),
            Self::Group => "People".into(),
            Self::Animal(Animal::Cat) => "Animals|Mammals|Cat|Momo".into(),
            Self::Animal(Animal::Dog) => "Animals|Mammals|Dog|Zoey".into(),
            Self::Animal(Animal::Fox) => "Animals|Mammals|Fox".into(),
            Self::Animal(Animal::Bear) => "Animals|Mammals|Bear".into(),
            Self::Animal(Animal::Rabbit) => "Animals|Mammals|Rabbit".into(),
            Self::Animal(Animal::Owl) => "Animals|Birds|Owl".into(),
            Self::Animal(Animal::Penguin) => "Animals|Birds|Penguin".into(),
            Self::Flower => "Nature|Flowers".into(),
            Self::Cake | Self::Table => "Food".into(),
        }
    }
}
