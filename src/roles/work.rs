//! `hm work`: runs the networks, for the library of this machine or for one that invited it.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use rustix::process::nice;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::{Exit, agreed, host::host_name};
use crate::{
    cli::{GlobalArgs, WorkArgs},
    config::Config,
    infer::{
        engine::{self, Device, device_name},
        shelf::Shelf,
    },
    models::invitation::Invitation,
    queue::Queue,
    services::Services,
    work::{self, Engine, Http, Local, PictureSource, Plan, QueueDesk, Server, Summary},
};

/// How far a worker beside the server stands back.
const NICE: i32 = 15;
/// Pictures at a time on a GPU, to begin with: it is halved where the memory does not take so many.
const GPU_BATCH: usize = 64;
/// Pictures at a time on the CPU: more of them are no quicker, and the first waits for the last.
const CPU_BATCH: usize = 8;
/// Memory that a picture may need on the CPU, in bytes: with less of it free, there are fewer at a time.
const CPU_BYTES_A_PICTURE: u64 = 256 << 20;
/// What a build without a library says where no other library has invited the machine.
const UNINVITED: &str =
    "this machine works for no library\nhint: run `hm worker invite` on the server, and paste here the line that it prints";
/// Pause between two attempts to reach the queue at the start.
const PAUSE: Duration = Duration::from_secs(2);

/// Runs the role until Ctrl-C or SIGTERM, or with `--once` until nothing is left to do.
///
/// # Errors
/// When there is no GPU and one is asked for, the invitation cannot be kept, or the private Redis does not start. A server, Redis or
/// network that is away is no error: they are waited for.
pub(super) fn run(args: &WorkArgs, global: &GlobalArgs, config: &Config) -> anyhow::Result<Exit> {
    if args.leave {
        return leave(config);
    }
    if args.beside_server {
        // Without it the machine is a little slower for others.
        let _ = nice(NICE);
    }
    let device = engine::device(args.gpu).map_err(|error| anyhow!("{error}"))?;
    let threads = use_threads(config)?;
    if let Some(invitation) = &args.join {
        keep(invitation, config)?;
        tracing::info!("this machine now works for {}; the invitation is kept in {}", invitation.server, invitation_file(config).display());
    }
    let invitation = if args.beside_server { None } else { args.join.clone().map_or_else(|| kept(config), |word| Ok(Some(word)))? };
    match &invitation {
        Some(invitation) if args.join.is_none() => {
            tracing::info!("working for {}, which invited this machine; `hm work --leave` ends that", invitation.server);
        }
        None if !cfg!(feature = "library") && config.redis.url.is_empty() => bail!("{UNINVITED}"),
        _ => {}
    }
    let stop = stop_flag()?;
    if args.beside_server {
        stop_with_standard_input(Arc::clone(&stop));
    }
    let plan = plan(args, config, &device, threads);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let shelf = Shelf::new(&config.models.dir);
    let host = host_name(config)?;
    let summary = match invitation {
        Some(invitation) => {
            let Some(queue) = reach(&runtime, &invitation.redis_url(), &stop) else { return Ok(Exit::Interrupted) };
            let desk = QueueDesk::new(queue, runtime.handle().clone(), &invitation.name, &host);
            let server = Server::new(&invitation.server, &invitation.token);
            let engine = Engine::new(shelf, device, Some(server.clone()));
            let pictures = pictures(server, vaults(args, config), global, config, plan.preparers)?;
            work::work(desk, pictures, engine, plan, Arc::clone(&stop))
        }
        None => {
            if !args.vaults.is_empty() {
                tracing::warn!("--vault is for a machine that another library has invited: this library's proxies are at hand");
            }
            let services = Services::open_redis(config).context("while starting the private Redis")?;
            let Some(queue) = reach(&runtime, services.redis_url(), &stop) else { return Ok(Exit::Interrupted) };
            let desk = QueueDesk::new(queue, runtime.handle().clone(), &host.to_lowercase(), &host);
            let engine = Engine::new(shelf, device, None);
            work::work(desk, Local::new(config.thumbs.dir.clone()), engine, plan, Arc::clone(&stop))
        }
    };
    let summary = summary.map_err(|error| anyhow!("{error}"))?;
    tell(&summary);
    Ok(if args.once || args.beside_server { Exit::Done } else { Exit::Interrupted })
}

fn tell(summary: &Summary) {
    let Summary { answered, failed, given_back, from_vaults, busy, busy_share } = summary;
    let from_vaults = from_vaults.map_or_else(String::new, |count| format!("{count} pictures made from mounted vaults; "));
    tracing::info!(
        "ended: {answered} answers, {failed} of them failures; {given_back} tasks given back; {from_vaults}the device computed for {:.1} s, {:.0} % of the time",
        busy.as_secs_f32(),
        busy_share * 100.0
    );
}

/// The vaults of the inviting library that are mounted here: what is said on the command line goes before the settings.
fn vaults(args: &WorkArgs, config: &Config) -> BTreeMap<String, PathBuf> {
    let mut vaults = config.work.vaults.clone();
    vaults.extend(args.vaults.iter().map(|(name, folder)| (name.clone(), std::path::absolute(folder).unwrap_or_else(|_| folder.clone()))));
    vaults
}

/// Where a worker of another library gets its pictures.
#[cfg(feature = "library")]
fn pictures(
    server: Server,
    vaults: BTreeMap<String, PathBuf>,
    global: &GlobalArgs,
    config: &Config,
    at_once: usize,
) -> anyhow::Result<Box<dyn PictureSource>> {
    if vaults.is_empty() {
        return Ok(Box::new(Http::new(server)));
    }
    for (name, folder) in &vaults {
        if folder.is_dir() {
            tracing::info!("pictures of the vault `{name}` are made of the originals in {}", folder.display());
        } else {
            tracing::warn!("the vault `{name}` is not at {}: its pictures come from the server until it is", folder.display());
        }
    }
    let program = std::env::current_exe().context("while looking for this program")?;
    let program = (program, super::child_arguments(global, "pixel-worker"));
    Ok(Box::new(work::Mounted::new(server, vaults, &config.thumbs, program, at_once)))
}

/// Where a worker of another library gets its pictures: without decoders for originals, from its server.
#[cfg(not(feature = "library"))]
fn pictures(
    server: Server,
    vaults: BTreeMap<String, PathBuf>,
    _: &GlobalArgs,
    _: &Config,
    _: usize,
) -> anyhow::Result<Box<dyn PictureSource>> {
    if !vaults.is_empty() {
        tracing::warn!("this hm was built without decoders for originals: all pictures come from the server, whatever is mounted here");
    }
    Ok(Box::new(Http::new(server)))
}

/// The queue, waited for; none when the worker is asked to stop before.
fn reach(runtime: &tokio::runtime::Runtime, url: &str, stop: &AtomicBool) -> Option<Queue> {
    let mut is_said = false;
    while !stop.load(Ordering::Relaxed) {
        match runtime.block_on(Queue::connect(url)) {
            Ok(queue) => return Some(queue.with_settings(agreed())),
            Err(error) if is_said => tracing::debug!("the queue is still away: {error}"),
            Err(error) => {
                tracing::warn!("the queue does not answer, and is asked again until it does: {error}");
                is_said = true;
            }
        }
        for _ in 0..20 {
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            thread::sleep(PAUSE / 20);
        }
    }
    None
}

/// Lets the networks use so many threads as configured; how many that are.
fn use_threads(config: &Config) -> anyhow::Result<usize> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = if config.work.threads == 0 { cores } else { config.work.threads };
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().context("while starting the threads of the networks")?;
    Ok(threads)
}

fn plan(args: &WorkArgs, config: &Config, device: &Device, threads: usize) -> Plan {
    let is_cpu = matches!(device, Device::Cpu);
    let memory_bytes = if is_cpu { available_memory_bytes() } else { None };
    let by_device = if is_cpu {
        memory_bytes.map_or(CPU_BATCH, |bytes| usize::try_from(bytes / CPU_BYTES_A_PICTURE).unwrap_or(CPU_BATCH).clamp(1, CPU_BATCH))
    } else {
        GPU_BATCH
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    Plan {
        device: if is_cpu { format!("CPU, {threads} {}", if threads == 1 { "thread" } else { "threads" }) } else { device_name(device) },
        memory_bytes,
        batch_size: if config.work.batch_size == 0 { by_device } else { config.work.batch_size },
        // On the CPU the networks want the cores themselves.
        preparers: if is_cpu { (threads / 4).max(1) } else { cores },
        once: args.once,
    }
}

/// Memory that is free or can be freed, in bytes, where the system says.
fn available_memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

/// Set by Ctrl-C and SIGTERM; a second one ends the process at once.
fn stop_flag() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // In this order: the first finds the flag unset.
        signal_hook::flag::register_conditional_shutdown(signal, Exit::Interrupted as i32, Arc::clone(&asked))?;
        signal_hook::flag::register(signal, Arc::clone(&asked))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

/// The server holds the other end: it closes however the server ends.
fn stop_with_standard_input(stop: Arc<AtomicBool>) {
    thread::spawn(move || {
        let mut byte = [0];
        while !matches!(std::io::stdin().read(&mut byte), Ok(0) | Err(_)) {}
        stop.store(true, Ordering::Relaxed);
    });
}

fn invitation_file(config: &Config) -> PathBuf {
    config.data_dir.join("invitation")
}

/// Keeps the invitation where only the user hm runs as can read it.
fn keep(invitation: &Invitation, config: &Config) -> anyhow::Result<()> {
    let path = invitation_file(config);
    write_private(&path, format!("{invitation}\n").as_bytes())
        .with_context(|| format!("while keeping the invitation in `{}`", path.display()))
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

/// The invitation that was kept, if any was.
pub(super) fn kept(config: &Config) -> anyhow::Result<Option<Invitation>> {
    let path = invitation_file(config);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let read = text.parse::<Invitation>();
            read.map(Some).map_err(|error| anyhow!("`{}`: {error}\nhint: join again, or forget it with `hm work --leave`", path.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("while reading `{}`", path.display())),
    }
}

/// Forgets the invitation, also one that cannot be read any more.
fn leave(config: &Config) -> anyhow::Result<Exit> {
    let path = invitation_file(config);
    let invitation = kept(config);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("while forgetting the invitation in `{}`", path.display()));
        }
        _ => {}
    }
    writeln!(std::io::stdout(), "{}", farewell(invitation.as_ref().map(Option::as_ref).map_err(|_| ())))?;
    Ok(Exit::Done)
}

/// What is said to who leaves a library: which it was, none, or one that could not be read.
fn farewell(left: Result<Option<&Invitation>, ()>) -> String {
    match left {
        Ok(None) => "this machine was invited by no library: nothing was changed".to_owned(),
        Ok(Some(Invitation { name, server, .. })) => format!(
            "this machine no longer works for {server}; an `hm work` that runs here does until it is stopped\n\
             hint: `hm worker revoke {name}` on the server makes the invitation worthless, too"
        ),
        Err(()) => "the invitation, which could not be read, is forgotten".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_invitation_is_kept_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::load(None).unwrap();
        config.move_data_dir(&dir.path().join("data"));
        assert_eq!(kept(&config).unwrap(), None);
        let invitation = Invitation {
            name: "attic".into(),
            server: "http://192.168.1.5:8017".into(),
            token: crate::models::account::Secret::random().expose_token(),
            redis: "redis://192.168.1.5:8018".into(),
            user: "hm-worker-attic".into(),
            password: "0a1b".into(),
        };
        keep(&invitation, &config).unwrap();
        keep(&invitation, &config).unwrap();
        assert_eq!(kept(&config).unwrap().as_ref(), Some(&invitation));
        assert_eq!(fs::metadata(invitation_file(&config)).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(invitation_file(&config), "hm1.x").unwrap();
        assert!(kept(&config).unwrap_err().to_string().contains("hm work --leave"));
    }

    #[test]
    fn a_library_is_left_also_where_its_invitation_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::load(None).unwrap();
        config.move_data_dir(dir.path());
        for damaged in [true, false] {
            if damaged {
                fs::write(invitation_file(&config), "hm1.x").unwrap();
            }
            assert_eq!(leave(&config).unwrap(), Exit::Done);
            assert!(!invitation_file(&config).exists());
        }
    }

    #[test]
    fn vaults_on_the_command_line_go_before_those_of_the_settings() {
        let mut config = Config::load(None).unwrap();
        config.work.vaults = BTreeMap::from([("a".to_owned(), "/mnt/a".into()), ("b".to_owned(), "/mnt/b".into())]);
        let said = vec![("b".to_owned(), "/media/b".into()), ("c".to_owned(), PathBuf::from("c"))];
        let args = WorkArgs { gpu: false, join: None, leave: false, vaults: said, once: true, beside_server: false };
        let vaults = vaults(&args, &config);
        assert_eq!((vaults["a"].as_path(), vaults["b"].as_path()), (Path::new("/mnt/a"), Path::new("/media/b")));
        assert!(vaults["c"].is_absolute() && vaults.len() == 3, "{vaults:?}");
    }

    #[test]
    fn batches_are_sized_by_the_settings_or_the_device() {
        let mut config = Config::load(None).unwrap();
        let args = WorkArgs { gpu: false, join: None, leave: false, vaults: Vec::new(), once: true, beside_server: false };
        let by_device = plan(&args, &config, &Device::Cpu, 4);
        assert!((1..=CPU_BATCH).contains(&by_device.batch_size), "{by_device:?}");
        assert_eq!((by_device.device.as_str(), by_device.preparers), ("CPU, 4 threads", 1));
        config.work.batch_size = 3;
        assert_eq!(plan(&args, &config, &Device::Cpu, 1).batch_size, 3);
    }
}
