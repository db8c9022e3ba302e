//! `hm demo`: renders a small library to try hm on.

use anyhow::Context;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::Exit;
use crate::{
    cli::DemoArgs,
    media::demo::{DemoOptions, render_library},
};

/// Renders the demo, or says that it is there.
pub(super) fn run(args: &DemoArgs, bars: &MultiProgress) -> anyhow::Result<Exit> {
    let dir = std::path::absolute(&args.dir).with_context(|| format!("while looking for `{}`", args.dir.display()))?;
    let options = DemoOptions { count: args.count as usize, ..DemoOptions::default() };
    let bar = bars.add(ProgressBar::new(u64::from(args.count)));
    bar.set_style(ProgressStyle::with_template("rendering {bar:30} {pos}/{len} {eta}").context("while drawing the progress bar")?);
    let summary = render_library(&dir, &options, || bar.inc(1));
    bar.finish_and_clear();
    bars.remove(&bar);
    let summary = summary?;
    match summary.files {
        0 => tracing::info!(dir = %dir.display(), "the demo is there already"),
        files => tracing::info!(
            dir = %dir.display(),
            moments = args.count,
            files,
            size_mb = summary.bytes / 1_000_000,
            "rendered a demo library: pictures nobody took, with the metadata of real cameras"
        ),
    }
    Ok(Exit::Done)
}
