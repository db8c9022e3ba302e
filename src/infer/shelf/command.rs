//! What a person types about networks, so that it means those of this program. Apart, because a page and a command say it.

use std::path::Path;

use crate::config::ModelsConfig;

/// What every command about networks begins with: `hm models`, with the folder where that is not the usual one.
pub fn command(config: &ModelsConfig) -> String {
    if config.dir.as_os_str().is_empty() || config.is_usual_dir() {
        return "hm models".to_owned();
    }
    format!("HM_MODELS_DIR={} hm models", quoted(&config.dir))
}

/// What to type to give an imported network its tokenizer. The weights are at hand: those that were imported.
pub fn tokenizer_command(folder: &Path, config: &ModelsConfig) -> String {
    format!("{} import {} --tokenizer tokenizer.json", command(config), quoted(folder))
}

/// A path as a shell reads it, whatever is in it.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_mean_the_networks_of_this_program() {
        let config = ModelsConfig { dir: "/data/it's here/models".into(), ..ModelsConfig::default() };
        assert_eq!(command(&config), r"HM_MODELS_DIR='/data/it'\''s here/models' hm models");
        assert_eq!(command(&ModelsConfig::default()), "hm models");
        let typed = tokenizer_command(Path::new("/m/clip"), &ModelsConfig::default());
        assert_eq!(typed, "hm models import '/m/clip' --tokenizer tokenizer.json");
    }
}
