//! Pictures whose original changed or is gone leave the directory; nothing else does.

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use hm::{models::PictureSize, pipeline::PictureStore};

use super::{Library, PATIENCE, glance};
use crate::support::{chart, files_below, media, wait_until};

/// Longer than the walk over a directory with a handful of pictures takes.
const A_WALK: Duration = Duration::from_secs(4);

/// Makes everything below `dir` ten days old.
fn age(dir: &Path) {
    let then = SystemTime::now() - Duration::from_secs(10 * 24 * 60 * 60);
    for file in files_below(dir) {
        std::fs::File::options().write(true).open(file).unwrap().set_modified(then).unwrap();
    }
}

fn proxy(dir: &Path, digit: char) -> PathBuf {
    let key: String = std::iter::repeat_n(digit, 32).collect();
    PictureStore::new(dir).path(&key.parse().unwrap(), PictureSize::Proxy)
}

/// A maker that works for a while and is stopped.
fn run_for(library: &Library, dir: &Path, span: Duration) {
    let maker = library.start_in(dir, 2);
    thread::sleep(span);
    maker.stop();
}

#[test]
fn a_changed_original_is_shown_anew_and_its_old_pictures_go() {
    let library = Library::new();
    let dir = library.thumbs.path();
    let image = library.add("a.jpg", &media::Jpeg::new(900, 600).encode(), '1');
    let maker = library.start();
    wait_until("the first state is made", PATIENCE, || library.is_on_disk('1'));
    let before = glance(&proxy(dir, '1'));

    library.replace(image, "a.jpg", &chart::jpeg(&chart::chart(900, 600), None), '2');
    library.wishes.wanted.lock().unwrap().push(image);
    wait_until("the second state is made", PATIENCE, || library.is_on_disk('2'));
    wait_until("and recorded", PATIENCE, || library.number("SELECT count(*) FROM pictures WHERE key LIKE '22%'") == 1);
    assert_ne!(before, glance(&proxy(dir, '2')), "the old picture under the new name");
    maker.stop();

    let foreign = [proxy(dir, '1').with_file_name("mine.jpg"), dir.join("11/notes.txt"), dir.join("readme.txt")];
    foreign.iter().for_each(|path| std::fs::write(path, "not hm's").unwrap());
    run_for(&library, dir, A_WALK);
    assert!(library.is_on_disk('1'), "young pictures, in a directory that is new to this library, stay");

    age(dir);
    let maker = library.start();
    wait_until("the old state goes", PATIENCE, || !library.is_on_disk('1') && !proxy(dir, '1').exists());
    thread::sleep(A_WALK);
    maker.stop();
    assert!(library.is_on_disk('2') && foreign.iter().all(|path| path.exists()));

    library.run("DELETE FROM images");
    let maker = library.start();
    wait_until("what is gone for good goes", PATIENCE, || !proxy(dir, '2').exists());
    maker.stop();
    assert!(foreign.iter().all(|path| path.exists()));
}

#[test]
fn two_libraries_in_one_directory_lose_nothing() {
    let (ours, theirs) = (Library::new(), Library::new());
    let dir = ours.thumbs.path();
    ours.add("a.jpg", &media::Jpeg::new(90, 60).encode(), '1');
    theirs.add("b.jpg", &media::Jpeg::new(90, 60).shade(90).encode(), '2');
    for (library, digit) in [(&ours, '1'), (&theirs, '2')] {
        let maker = library.start_in(dir, 1);
        wait_until("it is made", PATIENCE, || proxy(dir, digit).exists());
        wait_until("it is recorded", PATIENCE, || library.number("SELECT count(*) FROM pictures") == 1);
        maker.stop();
    }
    let owners = files_below(&dir.join("owners"));
    assert_eq!(owners.len(), 2, "each says that it is there");
    ours.run("DELETE FROM images");
    age(dir);
    run_for(&ours, dir, A_WALK);
    assert!(proxy(dir, '1').exists() && proxy(dir, '2').exists());

    // The other library is given up, by hand: now the directory is ours.
    let own = format!("-{}", ours.number("SELECT oid FROM pg_database WHERE datname = current_database()"));
    owners.iter().filter(|path| !path.to_string_lossy().ends_with(&own)).for_each(|path| std::fs::remove_file(path).unwrap());
    let maker = ours.start_in(dir, 1);
    wait_until("what nobody needs goes", PATIENCE, || !proxy(dir, '1').exists() && !proxy(dir, '2').exists());
    maker.stop();
}
