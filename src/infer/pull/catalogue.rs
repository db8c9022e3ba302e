//! The networks that hm can fetch by a short name: which files, from whose pages, under which licence, and what each unlocks. Apart,
//! because the page and the command say the same of them. None is shipped, and none is fetched unasked.
//!
//! # Source
//! The pages of their makers: `openai/clip-vit-base-patch32`, `google/siglip-base-patch16-224`, `facebook/dinov2-small` and
//! `facebook/sam2.1-hiera-tiny` at Hugging Face; `ultralytics/assets` and `ChaoningZhang/MobileSAM` at GitHub. Sizes are those of their
//! parameters in the precision that they are kept in.

use crate::infer::shelf::Use;

/// Where files of weights are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hub {
    /// Hugging Face.
    HuggingFace,
    /// GitHub.
    GitHub,
}

impl Hub {
    /// What its addresses begin with, without a slash at the end.
    pub fn base(self) -> &'static str {
        match self {
            Self::HuggingFace => "https://huggingface.co",
            Self::GitHub => "https://github.com",
        }
    }

    /// What people call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::HuggingFace => "Hugging Face",
            Self::GitHub => "GitHub",
        }
    }
}

/// A file of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfferedFile {
    /// Where it is on its hub; the first of several that is there is taken.
    pub paths: &'static [&'static str],
}

impl OfferedFile {
    /// Its name: that of the first place.
    pub fn name(&self) -> &'static str {
        self.paths.first().and_then(|path| path.rsplit('/').next()).unwrap_or_default()
    }
}

/// A network that can be fetched by a short name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Its short name, which it also has on the shelf.
    pub name: &'static str,
    /// Other names that people type.
    pub aliases: &'static [&'static str],
    /// What people call it.
    pub title: &'static str,
    /// What it is there for.
    pub use_: Use,
    /// What a library can do with it.
    pub unlocks: &'static str,
    /// What is to be said for it.
    pub advice: &'static str,
    /// The licence of its weights.
    pub licence: &'static str,
    /// Where it is.
    pub hub: Hub,
    /// Its page there, below the hub's base.
    pub page: &'static str,
    /// Its files.
    pub files: &'static [OfferedFile],
    /// How much is fetched, in MB, about.
    pub about_mb: u32,
}

impl Offer {
    /// The whole address of its page.
    pub fn page_address(&self) -> String {
        format!("{}{}", self.hub.base(), self.page)
    }
}

/// Every network that can be fetched by a short name; of each use the one to begin with comes first.
pub const CATALOGUE: &[Offer] = &[
    Offer {
        name: "clip-vit-b-32",
        aliases: &["clip", "clip-vit-base-patch32", "vit-b-32"],
        title: "CLIP ViT-B/32",
        use_: Use::Embed,
        unlocks: "search by words, and more like this",
        advice: "the quickest",
        licence: "MIT",
        hub: Hub::HuggingFace,
        page: "/openai/clip-vit-base-patch32",
        files: &[
            OfferedFile {
                paths: &[
                    "/openai/clip-vit-base-patch32/resolve/main/model.safetensors",
                    "/openai/clip-vit-base-patch32/resolve/main/pytorch_model.bin",
                ],
            },
            OfferedFile { paths: &["/openai/clip-vit-base-patch32/resolve/main/config.json"] },
            OfferedFile { paths: &["/openai/clip-vit-base-patch32/resolve/main/tokenizer.json"] },
        ],
        about_mb: 605,
    },
    Offer {
        name: "siglip-base-16",
        aliases: &["siglip", "siglip-base", "siglip-base-patch16-224"],
        title: "SigLIP base/16",
        use_: Use::Embed,
        unlocks: "search by words, and more like this",
        advice: "finds more of what is meant, and takes four times as long for each picture",
        licence: "Apache-2.0",
        hub: Hub::HuggingFace,
        page: "/google/siglip-base-patch16-224",
        files: &[
            OfferedFile { paths: &["/google/siglip-base-patch16-224/resolve/main/model.safetensors"] },
            OfferedFile { paths: &["/google/siglip-base-patch16-224/resolve/main/config.json"] },
            OfferedFile { paths: &["/google/siglip-base-patch16-224/resolve/main/tokenizer.json"] },
        ],
        about_mb: 813,
    },
    Offer {
        name: "yolo11n-seg",
        aliases: &[],
        title: "YOLO11n-seg",
        use_: Use::Detect,
        unlocks: "finding things and outlining them",
        advice: "80 kinds of things, with their outlines",
        licence: "AGPL-3.0",
        hub: Hub::GitHub,
        page: "/ultralytics/assets/releases/tag/v8.3.0",
        files: &[OfferedFile { paths: &["/ultralytics/assets/releases/download/v8.3.0/yolo11n-seg.pt"] }],
        about_mb: 6,
    },
    Offer {
        name: "yolo11n",
        aliases: &[],
        title: "YOLO11n",
        use_: Use::Detect,
        unlocks: "finding things",
        advice: "80 kinds of things, without outlines: a little quicker",
        licence: "AGPL-3.0",
        hub: Hub::GitHub,
        page: "/ultralytics/assets/releases/tag/v8.3.0",
        files: &[OfferedFile { paths: &["/ultralytics/assets/releases/download/v8.3.0/yolo11n.pt"] }],
        about_mb: 6,
    },
    Offer {
        name: "yolov8n-seg",
        aliases: &["yolo8n-seg"],
        title: "YOLOv8n-seg",
        use_: Use::Detect,
        unlocks: "finding things and outlining them",
        advice: "the generation before",
        licence: "AGPL-3.0",
        hub: Hub::GitHub,
        page: "/ultralytics/assets/releases/tag/v8.3.0",
        files: &[OfferedFile { paths: &["/ultralytics/assets/releases/download/v8.3.0/yolov8n-seg.pt"] }],
        about_mb: 7,
    },
    Offer {
        name: "mobilesam",
        aliases: &["mobile-sam"],
        title: "MobileSAM",
        use_: Use::Segment,
        unlocks: "outlining what is clicked",
        advice: "for machines without a GPU",
        licence: "Apache-2.0",
        hub: Hub::GitHub,
        page: "/ChaoningZhang/MobileSAM",
        files: &[OfferedFile { paths: &["/ChaoningZhang/MobileSAM/raw/master/weights/mobile_sam.pt"] }],
        about_mb: 41,
    },
    Offer {
        name: "sam-2-1-tiny",
        aliases: &["sam2.1-hiera-tiny", "sam2.1", "sam2"],
        title: "SAM 2.1 tiny",
        use_: Use::Segment,
        unlocks: "outlining what is clicked",
        advice: "finer outlines; better with a GPU",
        licence: "Apache-2.0",
        hub: Hub::HuggingFace,
        page: "/facebook/sam2.1-hiera-tiny",
        files: &[
            OfferedFile { paths: &["/facebook/sam2.1-hiera-tiny/resolve/main/model.safetensors"] },
            OfferedFile { paths: &["/facebook/sam2.1-hiera-tiny/resolve/main/config.json"] },
        ],
        about_mb: 156,
    },
    Offer {
        name: "dinov2-small",
        aliases: &["dinov2"],
        title: "DINOv2 small",
        use_: Use::Objects,
        unlocks: "recognising individual animals and things, and more like this",
        advice: "the smallest of its kind",
        licence: "Apache-2.0",
        hub: Hub::HuggingFace,
        page: "/facebook/dinov2-small",
        files: &[
            OfferedFile {
                paths: &["/facebook/dinov2-small/resolve/main/model.safetensors", "/facebook/dinov2-small/resolve/main/pytorch_model.bin"],
            },
            OfferedFile { paths: &["/facebook/dinov2-small/resolve/main/config.json"] },
        ],
        about_mb: 88,
    },
];

/// The network of a short name, however it is written: `mobile_sam`, `MobileSAM` and `mobile-sam` are one.
pub fn offer(name: &str) -> Option<&'static Offer> {
    let plain = |name: &str| name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect::<String>();
    let wanted = plain(name);
    let names = |offer: &&Offer| std::iter::once(&offer.name).chain(offer.aliases).any(|known| plain(known) == wanted);
    (!wanted.is_empty()).then(|| CATALOGUE.iter().find(names)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::{pull::file_name, shelf::check_name};

    #[test]
    fn names_are_found_however_they_are_written() {
        assert_eq!(offer("mobile_sam").unwrap().title, "MobileSAM");
        assert_eq!(offer("CLIP ViT-B/32").unwrap().name, "clip-vit-b-32");
        assert_eq!(offer("yolo11n").unwrap().name, "yolo11n");
        for unknown in ["", "-", "yolo", "https://h/x"] {
            assert_eq!(offer(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn every_offer_has_files_and_a_name_of_its_own() {
        for one in CATALOGUE {
            check_name(one.name).unwrap();
            assert!(!one.files.is_empty());
            for path in one.files.iter().flat_map(|file| file.paths) {
                file_name(&format!("{}{path}", one.hub.base())).unwrap();
            }
            for name in std::iter::once(&one.name).chain(one.aliases) {
                assert_eq!(offer(name), Some(one), "{name}");
            }
        }
        for use_ in Use::ALL {
            assert!(CATALOGUE.iter().any(|offer| offer.use_ == use_), "{use_:?}");
        }
    }
}
