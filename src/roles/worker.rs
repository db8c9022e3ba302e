//! `hm worker`: invites other machines to run the networks for this library, lists them, and takes invitations back.

use std::{
    fs,
    io::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, anyhow, bail, ensure};

use super::Exit;
use crate::{
    cli::{InviteArgs, WorkerAction, WorkerArgs},
    config::Config,
    db::{
        self, PgConnection,
        accounts::{Action, insert_audit},
        workers::{InvitedWorker, delete_worker, insert_worker, list_workers},
    },
    models::{
        account::Secret,
        invitation::{Invitation, LONGEST_WORKER_NAME, is_worker_name},
    },
    services::{Door, Services},
};

/// Who the audit log says did it.
const ACTOR: &str = "command line";
/// How long a server on this machine may take to answer a connection.
const GLANCE: Duration = Duration::from_millis(300);

/// Runs the role.
///
/// # Errors
/// When no other machine could reach this server, the name is taken or none, or a service fails.
pub(super) fn run(args: &WorkerArgs, config: &Config) -> anyhow::Result<Exit> {
    let services = Services::open(config).context("while starting the private services")?;
    db::migrate(services.database_url())?;
    let db = db::Db::connect(services.database_url(), 1)?;
    let mut conn = db.get()?;
    let said = match &args.action {
        WorkerAction::List => list(&list_workers(&mut conn)?),
        WorkerAction::Invite(args) => invite(&mut conn, args, config)?,
        WorkerAction::Revoke { name } => revoke(&mut conn, name, config)?,
    };
    writeln!(std::io::stdout(), "{said}")?;
    Ok(Exit::Done)
}

fn list(workers: &[InvitedWorker]) -> String {
    if workers.is_empty() {
        return "No other machine works for this library. Invite one: hm worker invite NAME".to_owned();
    }
    let width = workers.iter().map(|worker| worker.name.len()).max().unwrap_or_default();
    let line = |worker: &InvitedWorker| {
        let seen = worker.used_at.map_or_else(|| "never came".to_owned(), |at| format!("last came {}", at.format("%Y-%m-%d %H:%M UTC")));
        let wake = worker.wake_address.as_ref().map(|address| format!("  woken at {address}")).unwrap_or_default();
        format!("{:width$}  invited {}  {seen}{wake}", worker.name, worker.created_at.format("%Y-%m-%d"))
    };
    workers.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn invite(conn: &mut PgConnection, args: &InviteArgs, config: &Config) -> anyhow::Result<String> {
    let name = match &args.name {
        Some(name) => name.clone(),
        None => next_name(&list_workers(conn)?),
    };
    ensure!(
        is_worker_name(&name),
        "`{name}` is no name for a worker: expected 1 to {LONGEST_WORKER_NAME} small letters, digits and `-`, not `-` first"
    );
    let server = server_address(args.address.as_deref(), config)?;
    let is_external = !config.redis.url.is_empty();
    if is_external && args.redis.is_none() {
        bail!(
            "redis.url names a Redis of your own, and hm opens no doors in it\n\
             hint: add a user there that may do what a worker has to, such as\n  \
             ACL SETUSER hm-worker-{name} on >PASSWORD ~hm:* {}\n\
             and invite with --redis redis://hm-worker-{name}:PASSWORD@HOST:PORT",
            Door::worker_rules()
        );
    }
    ensure!(is_external || args.redis.is_none(), "--redis is for a Redis of your own (redis.url), and this library has its private one");
    let secret = Secret::random();
    let wake = args.wake.map(|wake| wake.to_string());
    insert_worker(conn, &name, &secret.hash(), wake.as_deref())?
        .map_err(|taken| anyhow!("{taken}\nhint: choose another name, or revoke that one first: hm worker revoke {name}"))?;
    let of_redis = match &args.redis {
        Some(url) => Ok((url.clone(), String::new(), String::new())),
        None => Door::of(config)
            .admit(&name, args.redis_port)
            .map(|admitted| (format!("redis://{}:{}", host_of(&server), admitted.port), admitted.user, admitted.password)),
    };
    let (redis, user, password) = match of_redis {
        Ok(of_redis) => of_redis,
        Err(error) => {
            delete_worker(conn, &name)?;
            return Err(error.into());
        }
    };
    let invitation = Invitation { name: name.clone(), server, token: secret.expose_token(), redis, user, password };
    // What cannot be read on the other side is not handed out.
    let word = invitation.to_string();
    if let Err(error) = word.parse::<Invitation>() {
        revoke(conn, &name, config)?;
        return Err(error.into());
    }
    insert_audit(conn, ACTOR, Action::WorkerInvited, &name, "")?;
    let port = invitation.redis.rsplit(':').next().unwrap_or_default();
    Ok(format!(
        "Paste this on the other machine, where hm is installed (without --gpu where it has none). Whoever has it may read all pictures, \
         and learn the names of their files.\n\
         It reaches {} and port {port} for Redis there; a firewall has to let both through.\n\n\
         hm work --gpu --join {word}",
        invitation.server
    ))
}

fn revoke(conn: &mut PgConnection, name: &str, config: &Config) -> anyhow::Result<String> {
    let was_known = delete_worker(conn, name)?;
    let was_guest = config.redis.url.is_empty() && Door::of(config).expel(name)?;
    ensure!(was_known || was_guest, "there is no worker called `{name}`\nhint: hm worker list");
    insert_audit(conn, ACTOR, Action::WorkerRevoked, name, "")?;
    let mut said = format!("`{name}` is cut off, and can read no more pictures");
    if !config.redis.url.is_empty() {
        said.push_str(&format!("; remove its user from your own Redis, too: ACL DELUSER hm-worker-{name}"));
    }
    Ok(said)
}

/// The first of `worker-1`, `worker-2`, … that is free.
fn next_name(workers: &[InvitedWorker]) -> String {
    let is_free = |name: &String| workers.iter().all(|worker| worker.name != *name);
    (1..).map(|number| format!("worker-{number}")).find(is_free).unwrap_or_default()
}

/// Where the address of the server that runs is kept, for those who invite.
pub(super) fn serving_file(config: &Config) -> PathBuf {
    config.data_dir.join("run/serving")
}

/// Where another machine reaches the server.
fn server_address(said: Option<&str>, config: &Config) -> anyhow::Result<String> {
    let running: Option<SocketAddr> = fs::read_to_string(serving_file(config)).ok().and_then(|text| text.trim().parse().ok());
    // A server that was killed has left its address behind.
    let bound = running.filter(|address| is_answered(*address)).unwrap_or(config.web.bind);
    if let Some(said) = said {
        return complete(said, bound.port());
    }
    if bound.ip().is_loopback() {
        bail!(
            "`hm serve` listens on {bound}, which no other machine can reach\n\
             hint: set web.bind = \"0.0.0.0:{}\" (HM_WEB_BIND, or hm serve --bind), which requires accounts, and invite again; \
             behind a proxy, say what the other machine calls it with --address https://…",
            bound.port()
        );
    }
    let ip = if bound.ip().is_unspecified() {
        own_address().context("this machine seems to be in no network\nhint: --address")?
    } else {
        bound.ip()
    };
    Ok(format!("http://{}", SocketAddr::new(ip, bound.port())))
}

/// An address as it was typed, with what it leaves out.
fn complete(said: &str, port: u16) -> anyhow::Result<String> {
    let said = said.trim().trim_end_matches('/');
    if said.starts_with("http://") || said.starts_with("https://") {
        return Ok(said.to_owned());
    }
    ensure!(!said.is_empty() && !said.contains("://") && !said.contains(char::is_whitespace), "`{said}` is no address of a server");
    if let Ok(ip) = said.parse::<IpAddr>() {
        return Ok(format!("http://{}", SocketAddr::new(ip, port)));
    }
    let has_port = said.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if has_port { format!("http://{said}") } else { format!("http://{said}:{port}") })
}

/// The host of an address, in brackets where it is IPv6.
fn host_of(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    match authority.find(']') {
        Some(end) => &authority[..=end],
        None => authority.split(':').next().unwrap_or(authority),
    }
}

fn is_answered(address: SocketAddr) -> bool {
    let near = if address.ip().is_unspecified() { SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()) } else { address };
    TcpStream::connect_timeout(&near, GLANCE).is_ok()
}

/// The address of this machine in its network: the one it would send from. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // Any address outside will do; this one is nobody's (RFC 5737).
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_completed_and_their_hosts_found() {
        let complete = |said| complete(said, 8017).unwrap();
        assert_eq!(complete("nas.local"), "http://nas.local:8017");
        assert_eq!(complete("nas.local:80"), "http://nas.local:80");
        assert_eq!(complete("192.168.1.5"), "http://192.168.1.5:8017");
        assert_eq!(complete("fe80::1"), "http://[fe80::1]:8017");
        assert_eq!(complete("https://photos.example.org/"), "https://photos.example.org");
        assert_eq!(host_of("https://photos.example.org/hm"), "photos.example.org");
        assert_eq!(host_of("http://[fe80::1]:8017"), "[fe80::1]");
        assert_eq!(host_of("http://192.168.1.5:8017"), "192.168.1.5");
        assert!(super::complete("ftp://x", 1).is_err() && super::complete("", 1).is_err());
    }

    #[test]
    fn a_server_that_nobody_else_reaches_invites_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::load(None).unwrap();
        config.move_data_dir(dir.path());
        config.web.bind = "127.0.0.1:8017".parse().unwrap();
        let error = server_address(None, &config).unwrap_err().to_string();
        assert!(error.contains("0.0.0.0:8017") && error.contains("--address"), "{error}");
        assert_eq!(server_address(Some("127.0.0.1"), &config).unwrap(), "http://127.0.0.1:8017");
        config.web.bind = "192.0.2.7:9000".parse().unwrap();
        assert_eq!(server_address(None, &config).unwrap(), "http://192.0.2.7:9000");
    }
}
