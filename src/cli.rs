//! The command line: clap types only. What each flag changes is said in its help, with unit and default.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::models::account::Role;

/// A private library for a household's photographs: finds and groups the files on your disks, shows them by date, never touches an original.
#[derive(Debug, Parser)]
#[command(name = "hm", version, max_term_width = 110)]
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
    Serve(ServeArgs),
    /// Find new, changed and missing files, and group them into images
    Scan(ScanArgs),
    /// Write the library's images and files, or those that pass a search, as tables
    Export(ExportArgs),
    /// Write the library's database into one file, and read it back to be sure
    Backup(BackupArgs),
    /// Bring a backup back
    Restore(RestoreArgs),
    /// Render a small library to try hm on: photographs nobody took, with real metadata
    Demo(DemoArgs),
    /// Manage the accounts of people who may sign in
    User(UserArgs),
    /// Tick off what works on this machine, and say what to do about the rest
    Doctor,
    /// Print the manual of all settings (config/default.toml)
    Config,
    /// Read metadata for a scan (started by hm itself)
    #[command(hide = true)]
    MetaWorker,
    /// Decode pictures for the server (started by hm itself)
    #[command(hide = true)]
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
