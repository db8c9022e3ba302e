//! The command line: clap types only. What each flag changes is said in its help, with unit and default.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::models::{
    account::Role,
    invitation::{Invitation, WakeAddress},
};

/// What a build without the library is.
#[cfg(not(feature = "library"))]
const WITHOUT_LIBRARY: &str = "The networks of a private photo library, for a machine that the library's server has invited";
/// What it lacks, and how to get that.
#[cfg(not(feature = "library"))]
const MORE: &str = "This hm was built to run networks only. serve, scan, export, backup, restore, user, worker and demo are in the one that \
                    `cargo build --release` makes.";

/// A private library for a household's photographs: finds and groups the files on your disks, shows them by date, never touches an original.
#[derive(Debug, Parser)]
#[command(name = "hm", version, max_term_width = 110)]
#[cfg_attr(not(feature = "library"), command(about = WITHOUT_LIBRARY, after_help = MORE))]
pub struct Cli {
    /// Settings for every role.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// The role to play.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every role takes.
#[derive(Debug, Args)]
pub struct GlobalArgs {
    /// Configuration file read over the defaults [default: config/local.toml if it exists; environment: HM_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where hm keeps its own things [default: see `data_dir` in `hm config`]
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Say more: -v for debug, -vv for trace
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// What `hm` can be.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the library in a browser, and keep thumbnails and scans going
    #[cfg(feature = "library")]
    Serve(ServeArgs),
    /// Find new, changed and missing files, and group them into images
    #[cfg(feature = "library")]
    Scan(ScanArgs),
    /// Write the library's images and files, or those that pass a search, as tables
    #[cfg(feature = "library")]
    Export(ExportArgs),
    /// Write the library's database into one file, and read it back to be sure
    #[cfg(feature = "library")]
    Backup(BackupArgs),
    /// Bring a backup back
    #[cfg(feature = "library")]
    Restore(RestoreArgs),
    /// Render a small library to try hm on: photographs nobody took, with real metadata
    #[cfg(feature = "library")]
    Demo(DemoArgs),
    /// List, import, fetch and check the networks that see what is in pictures
    Models(ModelsArgs),
    /// Manage the accounts of people who may sign in
    #[cfg(feature = "library")]
    User(UserArgs),
    /// Run the networks: on this machine for its own library, or for one on another machine that invited it
    Work(WorkArgs),
    /// Manage the machines that may work for this library
    #[cfg(feature = "library")]
    Worker(WorkerArgs),
    /// Tick off what works on this machine, and say what to do about the rest
    Doctor,
    /// Print the manual of all settings (config/default.toml)
    Config,
    /// Read metadata for a scan (started by hm itself)
    #[command(hide = true)]
    #[cfg(feature = "library")]
    MetaWorker,
    /// Decode pictures for the server (started by hm itself)
    #[command(hide = true)]
    #[cfg(feature = "library")]
    PixelWorker,
    /// Keep PostgreSQL and Redis alive while an hm needs them (started by hm itself)
    #[command(hide = true)]
    Guard,
}

/// `hm serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Folders to scan at the start; they are remembered
    #[arg(value_name = "PHOTOS")]
    pub photos: Vec<PathBuf>,
    /// Address and port to listen on [default: 127.0.0.1:8017]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub bind: Option<SocketAddr>,
    /// Start no worker on this machine: the networks run where `hm work` does [default: see `work.local` in `hm config`]
    #[arg(long)]
    pub no_work: bool,
}

/// `hm scan`.
#[derive(Debug, Args)]
pub struct ScanArgs {
    /// Folders or files to scan; a folder that no vault holds yet becomes a vault
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Read and group, but write no database
    #[arg(long)]
    pub dry_run: bool,
    /// Read every file again, also those whose size and time are as before
    #[arg(long)]
    pub full: bool,
    /// Write images.* and files.* into this folder
    #[arg(long, value_name = "DIR")]
    pub export: Option<PathBuf>,
    /// Format of the tables
    #[arg(long, value_enum, default_value_t = TableFormat::Parquet)]
    pub format: TableFormat,
    /// Print one JSON event a line on stdout instead of progress for people
    #[arg(long)]
    pub json: bool,
}

/// `hm export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Folder for images.* and files.*
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Format of the tables
    #[arg(long, value_enum, default_value_t = TableFormat::Parquet)]
    pub format: TableFormat,
    /// Only images that pass this search, missing ones too [default: every image that is there]; such as "rating:>=4 date:2019"
    #[arg(long, value_name = "SEARCH", allow_hyphen_values = true)]
    pub filter: Option<String>,
}

/// `hm backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// Folder for the backup [default: see `backup.dir` in `hm config`]
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Put thumbnails and proxies in too; they can also be made again from the originals
    #[arg(long)]
    pub thumbnails: bool,
}

/// `hm restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The backup
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Put it in the place of a library that is not empty, which is backed up before
    #[arg(long)]
    pub replace: bool,
    /// Only read the backup and say whether it is whole; nothing is changed
    #[arg(long, conflicts_with = "replace")]
    pub check: bool,
}

/// `hm demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Folder to fill; created if it is not there
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Moments to render
    #[arg(long, default_value_t = 300)]
    pub count: u32,
}

/// `hm user`.
#[derive(Debug, Args)]
pub struct UserArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: UserAction,
}

/// What `hm user` can do. A password is asked for on the terminal; without one, the first line of standard input is it.
#[derive(Debug, Subcommand)]
pub enum UserAction {
    /// List all accounts
    List,
    /// Add an account; its password is asked for, or read from standard input
    Add {
        /// Name to sign in with
        name: String,
        /// viewer (looks), editor (also changes) or owner (also manages accounts) [default: owner for the first account, else viewer]
        #[arg(long)]
        role: Option<Role>,
    },
    /// Give an account another role
    Role {
        /// Name of the account
        name: String,
        /// viewer, editor or owner
        role: Role,
    },
    /// Give an account another password, and sign all its browsers out
    Password {
        /// Name of the account
        name: String,
    },
    /// Remove an account; what it did stays in the history
    Remove {
        /// Name of the account
        name: String,
    },
}

/// `hm models`.
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: ModelsAction,
}

/// What `hm models` can do. hm ships no network, and fetches none unasked.
#[derive(Debug, Subcommand)]
pub enum ModelsAction {
    /// List the imported networks, which are in use, and whose results are in the library though they are not
    List {
        /// Print a JSON list instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Import weights: safetensors, a zip of PyTorch (.pt, .pth, .bin), or a folder of Hugging Face; nothing in them is executed
    Import {
        /// The file or folder
        #[arg(value_name = "PATH")]
        path: PathBuf,
        /// Name to give it [default: made of what it is, such as yolo11n-seg]
        #[arg(long)]
        name: Option<String>,
        /// Licence of the weights [default: what the file says, else what its makers usually give]
        #[arg(long, value_name = "LICENCE")]
        licence: Option<String>,
        /// Where the weights are from [default: the name of the file]
        #[arg(long, value_name = "TEXT")]
        source: Option<String>,
        /// tokenizer.json, or CLIP's bpe_simple_vocab_16e6.txt.gz [default: the one beside the weights]
        #[arg(long, value_name = "FILE")]
        tokenizer: Option<PathBuf>,
    },
    /// Fetch networks and import them, after asking; without a name: list those that can be fetched by name
    Pull {
        /// Short names such as yolo11n-seg, or the whole address of a file
        #[arg(value_name = "NAME|URL")]
        what: Vec<String>,
        /// Name to give it, for a single one
        #[arg(long)]
        name: Option<String>,
        /// Licence of weights that are fetched by their address
        #[arg(long, value_name = "LICENCE")]
        licence: Option<String>,
        /// Digest that a single file must have, in hexadecimal digits [default: what its server states]
        #[arg(long, value_name = "DIGITS")]
        sha256: Option<String>,
        /// Ask this server for files of short names, instead of their own
        #[arg(long, value_name = "URL", env = "HM_MODELS_HUB")]
        hub: Option<String>,
        /// Do not ask before fetching
        #[arg(short, long)]
        yes: bool,
    },
    /// Read all files of the imported networks, or of one, and compare their digests
    Verify {
        /// Name of the network
        name: Option<String>,
    },
    /// Run networks on inputs whose outputs are known, and print the largest error of each output beside its tolerance
    Check {
        /// A folder with weights and golden.safetensors, or a folder of such folders
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Imported network to run instead of the weights in the folder
        #[arg(long, value_name = "NAME")]
        network: Option<String>,
    },
    /// Remove an imported network, after asking; what it found stays in the library
    Remove {
        /// Name of the network
        name: String,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Remove from the library what a network found that is not in use any more, after asking; what people decided on stays
    #[cfg(feature = "library")]
    Forget {
        /// Name of the network [default version: all that are not in use]
        #[arg(value_name = "NAME[@VERSION]")]
        name: String,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

/// `hm work`.
#[derive(Debug, Args)]
pub struct WorkArgs {
    /// Use the GPU; without it networks run on the CPU
    #[arg(long)]
    pub gpu: bool,
    /// Work for the library that printed this word (`hm worker invite`), now and from now on
    #[arg(long, value_name = "WORD")]
    pub join: Option<Invitation>,
    /// Forget the library that invited this machine, and end: from then on `hm work` is for its own
    #[arg(long, conflicts_with_all = ["join", "gpu", "once", "vaults"])]
    pub leave: bool,
    /// Where a vault of that library is mounted here, by its name there, such as photos=/mnt/nas/Photos; may be given several times.
    /// Pictures are then made of the originals in it, wherever they are as the library knows them, instead of being fetched
    /// [default: see `work.vaults` in `hm config`]
    #[arg(long = "vault", value_name = "NAME=FOLDER", value_parser = vault_mount)]
    pub vaults: Vec<(String, PathBuf)>,
    /// End when nothing is left to do
    #[arg(long)]
    pub once: bool,
    /// Stand back for everything else, and end when standard input does (set by hm itself)
    #[arg(long, hide = true)]
    pub beside_server: bool,
}

/// The name of a vault and its folder on this machine.
fn vault_mount(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, folder)) if !name.is_empty() && !folder.is_empty() => Ok((name.to_owned(), PathBuf::from(folder))),
        _ => Err("expected NAME=FOLDER, such as photos=/mnt/nas/Photos".to_owned()),
    }
}

/// `hm worker`.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: WorkerAction,
}

/// What `hm worker` can do.
#[derive(Debug, Subcommand)]
pub enum WorkerAction {
    /// Print the line to paste on another machine, so that it works for this library; whoever has it may read all pictures, and learn the
    /// names of their files
    Invite(InviteArgs),
    /// List the machines that were invited
    List,
    /// Take an invitation back: the machine is cut off at once
    Revoke {
        /// Name of the machine
        name: String,
    },
}

/// `hm worker invite`.
#[derive(Debug, Args)]
pub struct InviteArgs {
    /// What to call the machine: small letters, digits and `-` [default: worker-1, worker-2, …]
    pub name: Option<String>,
    /// Where the machine reaches this server: a name or IP address, with a port or as http(s)://… where it is another than `hm serve`'s
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<String>,
    /// Port of the private Redis for other machines, kept from the first invitation on [default: the first free one from 8018 on]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub redis_port: Option<u16>,
    /// A Redis of your own as the machine reaches it, with user and password: redis://USER:PASSWORD@HOST:PORT
    #[arg(long, value_name = "URL", conflicts_with = "redis_port")]
    pub redis: Option<String>,
    /// Hardware address of the machine's network card, to wake it when work has waited for it, such as 00:11:22:aa:bb:cc
    #[arg(long, value_name = "MAC")]
    pub wake: Option<WakeAddress>,
}

/// Format of a table on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// Apache Parquet, Snappy
    Parquet,
    /// Comma-separated, with a header line
    Csv,
    /// One JSON object a line
    Jsonl,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vault_is_named_before_the_first_equals_sign() {
        assert_eq!(vault_mount("photos=/mnt/a=b"), Ok(("photos".to_owned(), "/mnt/a=b".into())));
        for bad in ["photos", "=/mnt", "photos=", ""] {
            assert!(vault_mount(bad).unwrap_err().contains("NAME=FOLDER"), "{bad}");
        }
        let parsed = Cli::try_parse_from(["hm", "work", "--vault", "a=/mnt/a", "--vault", "b=/mnt/b"]).unwrap();
        let Command::Work(args) = parsed.command else { panic!("{parsed:?}") };
        assert_eq!(args.vaults, [("a".to_owned(), "/mnt/a".into()), ("b".to_owned(), "/mnt/b".into())]);
        assert!(Cli::try_parse_from(["hm", "work", "--leave", "--vault", "a=/mnt/a"]).is_err());
    }
}
