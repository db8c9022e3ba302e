//! The programs of PostgreSQL as children: told where the database is without anybody seeing its password, heard when they fail.

use std::{
    io::Read,
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    thread,
};

use percent_encoding::percent_decode_str;

use super::BackupError;
use crate::services::ClientPrograms;

/// Most of what a failing program says that is shown, in bytes.
const LONGEST_SAYING: usize = 2_000;

/// The programs, and the database they work on.
#[derive(Debug, Clone)]
pub(super) struct Tools {
    programs: ClientPrograms,
    /// The address without the password.
    address: String,
    password: Option<String>,
}

impl Tools {
    /// Tools for the database at a `postgres://` URL.
    pub(super) fn new(programs: ClientPrograms, url: &str) -> Self {
        let (address, password) = without_password(url);
        Self { programs, address, password }
    }

    pub(super) fn pg_dump(&self) -> Tool {
        self.on_database(&self.programs.pg_dump(), "pg_dump")
    }

    pub(super) fn psql(&self) -> Tool {
        self.on_database(&self.programs.psql(), "psql")
    }

    /// Reads archives; no database is asked.
    pub(super) fn pg_restore(&self) -> Tool {
        Tool::new(&self.programs.pg_restore(), "pg_restore")
    }

    fn on_database(&self, program: &Path, name: &'static str) -> Tool {
        let mut tool = Tool::new(program, name);
        tool.command.args(["--no-password", "--dbname", &self.address]);
        if let Some(password) = &self.password {
            tool.command.env("PGPASSWORD", password);
        }
        tool
    }
}

/// A program about to be started.
pub(super) struct Tool {
    name: &'static str,
    pub(super) command: Command,
}

impl Tool {
    fn new(program: &Path, name: &'static str) -> Self {
        let mut command = Command::new(program);
        command
            .env("LC_ALL", "C")
            .env("PGAPPNAME", "hm")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        Self { name, command }
    }

    pub(super) fn start(mut self) -> Result<RunningTool, BackupError> {
        let name = self.name;
        let mut child = self.command.spawn().map_err(|error| BackupError::Failed { program: name, said: error.to_string() })?;
        let stderr = child.stderr.take().expect("it is a pipe");
        let listener = thread::spawn(move || listen(stderr));
        Ok(RunningTool { name, child, listener: Some(listener) })
    }
}

/// The first of what a program says; the rest is heard too, so that it never waits for us.
fn listen(mut stderr: ChildStderr) -> String {
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stderr.read(&mut buffer) {
        let room = LONGEST_SAYING.saturating_sub(said.len());
        said.extend_from_slice(&buffer[..length.min(room)]);
    }
    String::from_utf8_lossy(&said).trim().to_owned()
}

/// A program at work; killed when dropped.
pub(super) struct RunningTool {
    name: &'static str,
    pub(super) child: Child,
    listener: Option<thread::JoinHandle<String>>,
}

impl RunningTool {
    /// Waits for its end.
    ///
    /// # Errors
    /// [`BackupError::Failed`] with what it said.
    pub(super) fn finish(mut self) -> Result<(), BackupError> {
        let status = self.child.wait();
        let said = self.listener.take().and_then(|listener| listener.join().ok()).unwrap_or_default();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                let said = if said.is_empty() { format!("it ended with {status}") } else { said };
                Err(BackupError::Failed { program: self.name, said })
            }
            Err(error) => Err(BackupError::Failed { program: self.name, said: error.to_string() }),
        }
    }
}

impl Drop for RunningTool {
    fn drop(&mut self) {
        if self.listener.is_some() {
            // It may have ended by itself.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Takes the password out of a database URL: what stands in a command line can be read by everybody on the machine.
fn without_password(url: &str) -> (String, Option<String>) {
    let mut password = None;
    let (head, query) = url.split_once('?').map_or((url, None), |(head, query)| (head, Some(query)));
    let mut address = head.to_owned();
    if let Some((scheme, rest)) = head.split_once("://") {
        let (authority, path) = rest.split_once('/').map_or((rest, None), |(authority, path)| (authority, Some(path)));
        if let Some((user, host)) = authority.rsplit_once('@')
            && let Some((user, secret)) = user.split_once(':')
        {
            password = Some(secret);
            let path = path.map_or_else(String::new, |path| format!("/{path}"));
            address = format!("{scheme}://{user}@{host}{path}");
        }
    }
    let mut kept = Vec::new();
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        match pair.strip_prefix("password=") {
            Some(secret) => password = Some(secret),
            None => kept.push(pair),
        }
    }
    if !kept.is_empty() {
        address = format!("{address}?{}", kept.join("&"));
    }
    (address, password.map(|secret| percent_decode_str(secret).decode_utf8_lossy().into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_stands_in_a_command_line() {
        let taken = |url: &str| {
            let (address, password) = without_password(url);
            (address, password.unwrap_or_default())
        };
        let is = |address: &str, password: &str| (address.to_owned(), password.to_owned());
        assert_eq!(taken("postgres://zoe:p%40ss:w@db.local:5432/hm"), is("postgres://zoe@db.local:5432/hm", "p@ss:w"));
        assert_eq!(taken("postgres://zoe@db.local/hm?sslmode=require"), is("postgres://zoe@db.local/hm?sslmode=require", ""));
        assert_eq!(
            taken("postgres:///postgres?host=/var/lib/hm/run/sockets&user=hm"),
            is("postgres:///postgres?host=/var/lib/hm/run/sockets&user=hm", "")
        );
        assert_eq!(taken("postgres:///hm?user=zoe&password=a%26b"), is("postgres:///hm?user=zoe", "a&b"));
        assert_eq!(taken("postgres://zoe:@h"), is("postgres://zoe@h", ""));
    }
}
