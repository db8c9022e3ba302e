//! What a worker does: takes tasks from the queue, runs networks over the pictures, and answers. It knows no database. May import models,
//! media, queue, config and infer.
//!
//! ```text
//! claim → fetch (threads) → decode and prepare (threads) → device (one thread, batches of one lane) → answer
//!   ↑ at most so many tasks in hand        beside them: a heartbeat, and a look at which lanes are wanted
//! ```
//!
//! The stages work at the same time over short channels, so that the device has its next batch ready when one ends. Whatever a worker
//! needs from others may be away for as long as it likes: it is said once, asked for again at growing pauses, and the worker goes on when
//! it is back. Nothing is lost with a worker: what it holds goes to others when its heartbeats stop, and an answer that comes too late
//! changes nothing.
//!
//! Asked to stop, it ends the batch on the device, answers it, gives everything else back and is gone within seconds.

mod busy;
mod desk;
mod device;
mod held;
mod line;
#[cfg(feature = "library")]
mod mounted;
mod networks;
mod pictures;
mod points;
mod server;
mod stages;
#[cfg(test)]
mod tests;
mod trouble;

pub use desk::{Desk, DeskError, QueueDesk, Report};
pub use line::{Plan, Summary, work};
#[cfg(feature = "library")]
pub use mounted::Mounted;
pub use networks::{Engine, Network, Networks, NotRun};
pub use pictures::{Http, Local, NoPicture, PictureSource};
pub use server::Server;
