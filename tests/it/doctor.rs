//! `hm doctor`, through the real program.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Output},
};

use rustix::process::geteuid;

use crate::support::{self, TestDatabase};

fn output(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    eprintln!("{}", String::from_utf8_lossy(&stderr));
    (status.code(), String::from_utf8(stdout).unwrap())
}

/// Waits until the guard that the program started has gone, so that nothing is left behind.
fn wait_until_gone(data_dir: &Path) {
    support::wait_until("the guard is gone", std::time::Duration::from_secs(60), || !data_dir.join("run/guard.sock").exists());
    support::wait_until("PostgreSQL is gone", std::time::Duration::from_secs(60), || !data_dir.join("postgres/postmaster.pid").exists());
}

fn has_line(text: &str, start: &str) -> bool {
    text.lines().any(|line| line.starts_with(start))
}

#[test]
fn private_services_are_opened_and_ticked() {
    let dir = support::temp_dir();
    let data_dir = dir.path().join("data");
    let (code, text) = output(support::hm_command().arg("--data-dir").arg(&data_dir).arg("doctor"));
    wait_until_gone(&data_dir);
    assert_eq!(code, Some(0), "{text}");
    for line in ["✓ PostgreSQL ", "✓ Redis ", "✓ backups ", "✓ database ", "✓ pg_dump ", "✓ queue ", "! tables ", "✓ exiv2 "]
    {
        assert!(has_line(&text, line), "no `{line}` in\n{text}");
    }
    if cfg!(target_os = "linux") {
        let exiv2 = text.lines().find(|line| line.starts_with("✓ exiv2 ")).unwrap();
        assert!(exiv2.contains("libexiv2.so.") && exiv2.contains("libgexiv2.so."), "{exiv2}");
    }
}

#[test]
fn an_ordinary_user_needs_nothing_of_root() {
    if !geteuid().is_root() {
        eprintln!("skipped: all the other tests run as an ordinary user already");
        return;
    }
    let dir = support::temp_dir();
    let home = dir.path().join("home");
    fs::create_dir(&home).unwrap();
    chown(&home, Some(65_534), Some(65_534)).unwrap();
    let program = dir.path().join("hm");
    fs::copy(env!("CARGO_BIN_EXE_hm"), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();

    let mut command = Command::new(&program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", &home).current_dir("/");
    let (code, text) = output(command.arg("doctor").uid(65_534).gid(65_534));
    let data_dir = home.join(".local/share/hm");
    wait_until_gone(&data_dir);
    assert_eq!(code, Some(0), "{text}");
    assert!(has_line(&text, "✓ database ") && has_line(&text, "✓ queue "), "{text}");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&fs::metadata(data_dir.join("postgres")).unwrap()), 65_534);
}

#[test]
fn servers_of_ones_own_and_unreadable_vaults_are_ticked() {
    let (database, dir) = (TestDatabase::new(), support::temp_dir());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let vault = dir.path().join("vault");
    support::media::write(&vault.join("a.jpg"), b"");
    let mut conn = database.connection();
    hm::db::vaults::upsert_vault(&mut conn, "here", &host, &vault).unwrap();
    hm::db::vaults::upsert_vault(&mut conn, "away", &host, &dir.path().join("not-mounted")).unwrap();
    hm::db::vaults::upsert_vault(&mut conn, "elsewhere", "another-host", Path::new("/mnt")).unwrap();

    let data_dir = dir.path().join("data");
    let mut command = support::hm_command();
    command.env("HM_DATABASE_URL", database.url()).env("HM_REDIS_URL", support::redis_url());
    let (code, text) = output(command.arg("--data-dir").arg(&data_dir).arg("doctor"));
    assert_eq!(code, Some(0), "{text}");
    assert!(has_line(&text, "✓ tables "), "{text}");
    assert!(has_line(&text, "✓ vault            here at ") && has_line(&text, "! vault            away at "), "{text}");
    assert!(!text.contains("elsewhere") && !data_dir.exists(), "{text}");
}

#[test]
fn what_is_broken_is_marked_with_what_to_do() {
    let dir = support::temp_dir();
    let mut command = support::hm_command();
    command.env("HM_DATABASE_BIN_DIR", dir.path()).env("HM_REDIS_URL", support::redis_url());
    let (code, text) = output(command.arg("--data-dir").arg(dir.path().join("data")).arg("doctor"));
    assert_eq!(code, Some(1), "{text}");
    assert!(has_line(&text, "✗ PostgreSQL ") && text.contains("→ correct database.bin_dir"), "{text}");
    wait_until_gone(&dir.path().join("data"));

    let mut command = support::hm_command();
    command.env("HM_DATABASE_URL", "postgres://nobody@127.0.0.1:1/none?connect_timeout=2").env("HM_REDIS_URL", "redis://127.0.0.1:1");
    let (code, text) = output(command.arg("--data-dir").arg(dir.path().join("data")).arg("doctor"));
    assert_eq!(code, Some(1), "{text}");
    assert!(has_line(&text, "✗ database ") && has_line(&text, "✗ queue "), "{text}");
}
