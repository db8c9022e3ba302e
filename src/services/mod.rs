//! The embedded default: finds, starts, guards and joins a private PostgreSQL and Redis below the data directory.
//!
//! ```text
//! hm serve ──┐ one connection each, held as long as the process lives
//! hm scan  ──┼──→ run/guard.sock   hm guard ──→ postgres      (run/sockets/.s.PGSQL.5432)
//! hm …     ──┘                       │     └──→ redis-server  (run/sockets/redis.sock)
//!                                    └ flock on run/guard.lock: one guard a data directory
//! ```
//!
//! Every process that needs the services connects to the *guard*, a detached `hm guard`, and starts one where there is none.
//! The guard starts what is asked for, starts again what dies, and stops everything a moment after the last connection
//! closes; the kernel closes the connection of a process that is killed, so nobody has to say goodbye. A guard that is itself
//! killed leaves orphans; its successor, which alone holds the lock, ends them cleanly and starts anew, and the processes that
//! were connected start that successor and join it.
//!
//! Both services listen on unix sockets only, in a folder that only their own user may enter; that is the whole access control, until
//! another machine is invited to work: then Redis also listens on a port, for users with a password who may do what a worker has to
//! ([`Door`]), and its unnamed user needs this machine's own secret.
//! Apart because nothing else starts long-lived processes. May import config only.

mod account;
mod client;
mod door;
mod error;
mod guard;
mod layout;
mod logs;
mod postgres;
mod process;
mod programs;
mod redis_server;
mod redis_talk;

pub use client::Services;
pub use door::{Admitted, Door};
pub use error::ServicesError;
pub use guard::run as run_guard;
pub use layout::free_bytes;
pub use postgres::total_memory_bytes;
pub use programs::{ClientPrograms, PostgresPrograms, RedisProgram};
