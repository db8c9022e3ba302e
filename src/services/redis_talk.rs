//! A few words with the private Redis over its socket, and the secret that this machine's own processes say to it. Apart from the queue,
//! which speaks through a client with a pool: this is said once, by whoever opens or closes the door.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::{fs::OpenOptionsExt, net::UnixStream},
    path::Path,
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::{ServicesError, layout::Layout};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer that is read, in bytes.
const LONGEST_ANSWER: usize = 1 << 20;

/// 256 random bits in hexadecimal.
pub(super) fn random_secret() -> String {
    hexadecimal(&rand::random::<[u8; 32]>())
}

/// What Redis keeps of a password.
pub(super) fn digest(secret: &str) -> String {
    hexadecimal(&Sha256::digest(secret.as_bytes()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The secret of the data directory, made by whoever needs it first; only the user hm runs as can read it.
///
/// # Errors
/// [`ServicesError::Write`].
pub(super) fn own_secret(layout: &Layout) -> Result<String, ServicesError> {
    let path = layout.redis_secret();
    let failed = |source| ServicesError::Write { path: path.clone(), source };
    if let Some(secret) = read_secret(&path).map_err(failed)? {
        return Ok(secret);
    }
    // Two may come at once: the first to give it its name has made it.
    let new = path.with_extension(format!("new-{:016x}", rand::random::<u64>()));
    write_private(&new, random_secret().as_bytes()).map_err(failed)?;
    let linked = match fs::hard_link(&new, &path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    };
    linked.and(fs::remove_file(&new)).map_err(failed)?;
    let kept = read_secret(&path).map_err(failed)?;
    kept.ok_or_else(|| failed(io::Error::new(io::ErrorKind::InvalidData, "it does not hold a secret: remove it")))
}

/// The secret in a file; none where there is no such file, or it is not whole.
fn read_secret(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text).filter(|text| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file that only its owner can read.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    super::guard::remove_if_there(path)?;
    let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A connection as the user who may do everything.
pub(super) struct RedisTalk {
    stream: BufReader<UnixStream>,
}

impl RedisTalk {
    /// Connects and says the secret.
    ///
    /// # Errors
    /// [`ServicesError::Write`] when nobody listens there; [`ServicesError::Redis`] when the secret is refused.
    pub(super) fn open(layout: &Layout) -> Result<Self, ServicesError> {
        let socket = layout.redis_socket();
        let connect = || {
            let stream = UnixStream::connect(&socket)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        };
        let stream = connect().map_err(|source| ServicesError::Write { path: socket.clone(), source })?;
        let mut talk = Self { stream: BufReader::new(stream) };
        talk.say(&["AUTH", "default", &own_secret(layout)?])?;
        Ok(talk)
    }

    /// Says one command and hears the answer: a word, a number or a text.
    ///
    /// # Errors
    /// [`ServicesError::Redis`] when it is refused or nothing comes.
    pub(super) fn say(&mut self, words: &[&str]) -> Result<String, ServicesError> {
        // No secrets in errors.
        let command = words.iter().take(2).copied().filter(|word| word.len() < 40).collect::<Vec<_>>().join(" ");
        let refused = |problem: String| ServicesError::Redis { command: command.clone(), problem };
        let mut text = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| text.push_str(&format!("${}\r\n{word}\r\n", word.len())));
        self.stream.get_mut().write_all(text.as_bytes()).map_err(|error| refused(error.to_string()))?;
        self.hear().map_err(|error| refused(error.to_string()))?.map_err(refused)
    }

    fn hear(&mut self) -> io::Result<Result<String, String>> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let line = line.trim_end();
        let odd = || io::Error::new(io::ErrorKind::InvalidData, "an answer that is not understood");
        match line.split_at_checked(1).ok_or_else(odd)? {
            ("+" | ":", word) => Ok(Ok(word.to_owned())),
            ("-", problem) => Ok(Err(problem.to_owned())),
            ("$", "-1") => Ok(Ok(String::new())),
            ("$", length) => {
                let length = length.parse::<usize>().ok().filter(|length| *length <= LONGEST_ANSWER).ok_or_else(odd)?;
                let mut bytes = vec![0; length + 2];
                self.stream.read_exact(&mut bytes)?;
                bytes.truncate(length);
                Ok(Ok(String::from_utf8_lossy(&bytes).into_owned()))
            }
            _ => Err(odd()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_secret_is_made_once_and_nobody_else_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let secrets: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| own_secret(&layout).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(secrets.iter().all(|secret| *secret == secrets[0] && secret.len() == 64), "{secrets:?}");
        let mode = fs::metadata(layout.redis_secret()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
