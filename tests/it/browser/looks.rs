//! What a person would see at once in a picture of a page, asked of the page itself: it fits its window; words are of twelve pixels or more, told
//! from their ground (WCAG's 4.5, or 3 where they are large), not cut or broken, and on nothing else; what is pressed lies below nothing, is large
//! enough for a finger on a phone, and shows that it has the focus. Light and dark, a screen at a time, each with a picture to be looked at.

use serde_json::{Value, json};

use super::{Browser, KEY_TAB};

/// Screens of a page that are looked at.
const MOST_SCREENS: usize = 4;

impl Browser {
    /// Looks at the page as it is now; `name` names its pictures.
    pub(super) async fn looks_right(&self, name: &str) {
        // Whoever used keys last is shown where the focus is.
        self.press(KEY_TAB).await;
        self.js("document.activeElement?.blur()").await;
        let mut wrong: Vec<String> = Vec::new();
        for theme in ["light", "dark"] {
            self.js(&format!("document.documentElement.dataset.theme = '{theme}'; scrollTo({{ top: 0, behavior: 'instant' }})")).await;
            for screen in 0..MOST_SCREENS {
                // What fades from one theme into the other has done so.
                tokio::time::sleep(std::time::Duration::from_millis(300)).await;
                self.shot(&format!("{name}-{theme}-{screen}")).await;
                let found = self.js(include_str!("looks.js")).await;
                let lines = found.as_array().unwrap().iter().filter_map(Value::as_str);
                wrong.extend(lines.map(|line| format!("{theme}, screen {screen}, {line}")));
                let on = "const from = scrollY; scrollBy({ top: innerHeight - 120, behavior: 'instant' }); return scrollY > from";
                if self.js(on).await != json!(true) {
                    break;
                }
            }
        }
        self.js("delete document.documentElement.dataset.theme; scrollTo({ top: 0, behavior: 'instant' })").await;
        assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
    }
}
