//! Another machine: invited by one word, let into Redis and to the pictures with it and to nothing else, and cut off again.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use hm::{
    config::{Config, ModelsConfig},
    models::{invitation::Invitation, task::Task},
    queue::{LaneOffer, Queue},
    services::Services,
};

use super::tools::{Disk, SOON, key, runtime};
use crate::support::{
    TestDatabase, hm_command,
    http::App,
    library::{folder, image, vault},
    wait_until,
};

/// A library with a database of the tests' server and a private Redis.
pub(super) struct Library {
    pub(super) disk: Disk,
    pub(super) database: TestDatabase,
    pub(super) data_dir: PathBuf,
}

impl Library {
    pub(super) fn new() -> Self {
        let disk = Disk::new();
        let data_dir = disk.data("server").canonicalize().unwrap_or_else(|_| disk.data("server"));
        Self { disk, database: TestDatabase::new(), data_dir }
    }

    /// Holds the private Redis open.
    pub(super) fn open(&self) -> Services {
        let mut config = Config::load(None).unwrap();
        config.move_data_dir(&self.data_dir);
        config.database.url = self.database.url().to_owned().into();
        config.redis.url = String::new().into();
        Services::open_through(&config, Path::new(env!("CARGO_BIN_EXE_hm"))).unwrap()
    }

    fn command(&self) -> Command {
        let mut command = hm_command();
        command.env("HM_DATA_DIR", &self.data_dir).env("HM_DATABASE_URL", self.database.url()).env("HM_MODELS_DIR", self.disk.models());
        command
    }

    /// Runs `hm worker …`: whether it succeeded, and all that it said.
    fn worker(&self, args: &[&str]) -> (bool, String) {
        let output = self.command().arg("worker").args(args).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    pub(super) fn invite(&self, args: &[&str]) -> Invitation {
        let (done, said) = self.worker(&[&["invite"], args].concat());
        assert!(done, "{said}");
        let line = said.lines().find(|line| line.starts_with("hm work --gpu --join hm1.")).unwrap_or_else(|| panic!("{said}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

/// A connection to Redis from elsewhere.
struct Talk(BufReader<TcpStream>);

impl Talk {
    fn to(invitation: &Invitation) -> std::io::Result<Self> {
        let stream = TcpStream::connect(invitation.redis.strip_prefix("redis://").unwrap())?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self(BufReader::new(stream)))
    }

    fn say(&mut self, command: &str) -> String {
        let mut line = String::new();
        self.0.get_mut().write_all(format!("{command}\r\n").as_bytes()).unwrap();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn is_cut(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(0) | Err(_))
    }
}

#[test]
fn an_invitation_lets_one_worker_in_and_revoking_it_cuts_it_off() {
    let library = Library::new();
    let services = library.open();
    let (runtime, url) = (runtime(), services.redis_url().to_owned());
    let queue = runtime.block_on(Queue::connect(&url)).unwrap();
    let attic = library.invite(&["attic", "--address", "127.0.0.1:8017", "--wake", "00:11:22:AA:bb:cc"]);
    assert_eq!((attic.name.as_str(), attic.server.as_str()), ("attic", "http://127.0.0.1:8017"));
    let mut talk = Talk::to(&attic).unwrap();
    assert!(talk.say("PING").starts_with("-NOAUTH"));
    assert!(talk.say("AUTH default x").starts_with("-WRONGPASS"), "the unnamed user cannot come this way");
    assert!(talk.say("AUTH x").starts_with("-WRONGPASS"));
    let login = format!("AUTH {} {}", attic.user, attic.password);
    assert_eq!(talk.say(&login), "+OK");
    for forbidden in ["FLUSHALL", "CONFIG GET dir", "KEYS *", "ACL LIST", "GET other", "SHUTDOWN", "CLIENT LIST", "SUBSCRIBE x"] {
        assert!(talk.say(forbidden).starts_with("-NOPERM"), "{forbidden}");
    }
    // Refused to everybody, before it is asked who it is.
    assert!(talk.say("DEBUG SLEEP 0").starts_with('-'));
    assert_eq!(talk.say("PING"), "+PONG");
    // Those of this machine work on, over old connections and new ones.
    runtime.block_on(queue.ping()).unwrap();
    runtime.block_on(async { Queue::connect(&url).await.unwrap().ping().await.unwrap() });

    let second = library.invite(&["--address", "127.0.0.1"]);
    assert_eq!((second.name.as_str(), second.redis.as_str()), ("worker-1", attic.redis.as_str()));
    let (_, list) = library.worker(&["list"]);
    assert!(list.contains("attic") && list.contains("woken at 00:11:22:aa:bb:cc") && list.contains("never came"), "{list}");
    let (done, said) = library.worker(&["invite", "attic", "--address", "127.0.0.1"]);
    assert!(!done && said.contains("another worker has this name") && said.contains("hint: "), "{said}");

    // Who may come outlives a restart.
    drop((services, queue));
    wait_until("Redis is gone", SOON, || TcpStream::connect(attic.redis.strip_prefix("redis://").unwrap()).is_err());
    let services = library.open();
    assert_eq!(services.redis_url(), url);
    let mut talk = Talk::to(&attic).unwrap();
    assert!(talk.say("AUTH default x").starts_with("-WRONGPASS"));
    assert_eq!(talk.say(&login), "+OK");
    runtime.block_on(async { Queue::connect(&url).await.unwrap().ping().await.unwrap() });

    let (done, said) = library.worker(&["revoke", "attic"]);
    assert!(done && said.contains("cut off"), "{said}");
    assert!(talk.is_cut());
    assert!(Talk::to(&attic).unwrap().say(&login).starts_with("-WRONGPASS"));
    assert!(library.worker(&["revoke", "worker-1"]).0);
    wait_until("the port is closed", SOON, || Talk::to(&attic).is_err());
    let (done, said) = library.worker(&["revoke", "worker-1"]);
    assert!(!done && said.contains("hm worker list"), "{said}");
    assert!(library.worker(&["list"]).1.contains("hm worker invite"));
    drop(services);
}

#[test]
fn who_cannot_be_reached_or_opens_no_doors_says_so() {
    let library = Library::new();
    let (done, said) = library.worker(&["invite", "attic"]);
    assert!(!done && said.contains("no other machine can reach") && said.contains("0.0.0.0:8017"), "{said}");
    let (done, said) = library.worker(&["invite", "Attic!", "--address", "127.0.0.1"]);
    assert!(!done && said.contains("no name for a worker"), "{said}");
    let own = |args: &[&str]| {
        let mut command = library.command();
        command.env("HM_REDIS_URL", crate::support::redis_url()).args(["worker", "invite", "attic", "--address", "nas.local"]).args(args);
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (done, said) = own(&[]);
    assert!(!done && said.contains("ACL SETUSER hm-worker-attic") && said.contains("--redis redis://"), "{said}");
    let (done, said) = own(&["--redis", "redis://attic:secret@nas.local:6379"]);
    assert!(done && said.contains("http://nas.local:8017"), "{said}");
    let output = hm_command().args(["work", "--join", "hm1.nonsense"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("hm worker invite"), "{said}");
}

#[test]
fn an_invited_machine_fetches_the_network_and_the_pictures_from_the_server() {
    let library = Library::new();
    let (disk, services) = (&library.disk, library.open());
    let conn = &mut library.database.connection();
    let root = vault(conn, "photos", Path::new("/nowhere"));
    let summer = folder(conn, root, "summer");
    for number in 1..=12 {
        let id = image(&format!("IMG_{number}")).picture(key(number).as_str()).insert(conn, summer);
        assert_eq!(id.0, number);
    }
    let models = ModelsConfig { dir: disk.models(), ..ModelsConfig::default() };
    let app = App::start_as(library.database.pool(), &disk.thumbs(), None, move |state| state.with_models(models));
    let invitation = library.invite(&["attic", "--address", &app.address.to_string()]);
    let runtime = runtime();
    let queue = runtime.block_on(Queue::connect(services.redis_url())).unwrap();
    // Two whose pictures the server has otherwise by now, and one of an image that is gone.
    let of_other_state = |image: i64| Task { picture: key(image + 1), ..disk.task(image) };
    let tasks: Vec<Task> = (1..=10).map(|image| disk.task(image)).chain([of_other_state(11), of_other_state(12), disk.task(99)]).collect();
    runtime.block_on(async {
        queue.offer_lanes(&[LaneOffer { lane: disk.lane.clone(), facts: serde_json::json!({}) }]).await.unwrap();
        assert_eq!(queue.enqueue(&tasks).await.unwrap(), 13);
    });
    let data_dir = disk.data("attic");
    let work = |args: &[&str]| {
        let mut command = hm_command();
        command.args(["work", "--once"]).args(args).env("HM_DATA_DIR", &data_dir).env("HM_LOG_LEVEL", "info");
        command.env("HM_WORK_THREADS", "1").stdin(Stdio::null()).output().unwrap()
    };
    let output = work(&["--join", &invitation.to_string()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("13 answers, 3 of them failures"), "{said}");
    assert!(!said.contains(&invitation.token) && !said.contains(&invitation.password), "{said}");
    let outcomes = runtime.block_on(queue.take_outcomes("server", 100, Duration::ZERO)).unwrap();
    let mut failures = Vec::new();
    for (_, outcome) in &outcomes {
        match &outcome.answer {
            Ok(hm::models::task::Answer::Embedding { vector }) => disk.check(outcome.task.image.0, vector),
            Ok(other) => panic!("{other:?}"),
            Err(failure) => failures.push((outcome.task.image.0, failure.is_passing)),
        }
    }
    failures.sort_unstable();
    assert_eq!((outcomes.len(), failures), (13, vec![(11, true), (12, true), (99, false)]));
    // The network is on its own shelf now, whole; the invitation is kept, so that the word is not needed again.
    let fetched = hm::infer::shelf::Shelf::new(&data_dir.join("models")).find("tiny").unwrap().unwrap();
    fetched.verify().unwrap();
    assert_eq!(fetched.network(), disk.network.network());
    assert_eq!(fs::read_dir(data_dir.join("models")).unwrap().count(), 1, "nothing is left behind");
    runtime.block_on(queue.settle_outcomes(&outcomes)).unwrap();
    assert_eq!(runtime.block_on(queue.enqueue(&[disk.task(3)])).unwrap(), 1);
    let output = work(&[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 answers, 0 of them failures"), "{said}");
    assert!(library.worker(&["list"]).1.contains("last came"));
    // It leaves, and works for its own library again: that has nothing to do.
    let leave = || {
        let output = hm_command().args(["work", "--leave"]).env("HM_DATA_DIR", &data_dir).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let said = leave();
    assert!(said.contains(&invitation.server) && said.contains("hm worker revoke attic"), "{said}");
    assert!(!data_dir.join("invitation").exists() && !said.contains(&invitation.token), "{said}");
    assert!(leave().contains("nothing was changed"));
}
