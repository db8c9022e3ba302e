//! The Lua scripts: every change that must happen wholly or not at all is one of them. Redis runs them one after another.

use std::sync::LazyLock;

use deadpool_redis::redis::{self, FromRedisValue, Script, ScriptInvocation};

use crate::queue::{Queue, QueueError};

/// How often a script is brought to Redis again before its absence is an error: somebody flushes scripts in a loop.
const MOST_LOADS: usize = 5;

macro_rules! scripts {
    ($($name:ident = $file:literal;)+) => {$(
        pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(concat!(include_str!("scripts/common.lua"), include_str!(concat!("scripts/", $file)))));
    )+};
}

scripts! {
    ANSWER = "answer.lua";
    BURY = "bury.lua";
    CLAIM = "claim.lua";
    ENQUEUE = "enqueue.lua";
    FORGET = "forget.lua";
    HAND_BACK = "hand_back.lua";
    HEARTBEAT = "heartbeat.lua";
    LANES = "lanes.lua";
    OFFER = "offer.lua";
    OFFERED = "offered.lua";
    OUTCOMES = "outcomes.lua";
    PAUSE = "pause.lua";
    REAP = "reap.lua";
    REFUSE = "refuse.lua";
    SETTLE = "settle.lua";
    SIGN_OFF = "sign_off.lua";
    TAKE = "take.lua";
    WORKERS = "workers.lua";
}

impl Queue {
    /// Begins a call of a script for the keys of this queue.
    pub(super) fn call<'a>(&self, script: &'a Script) -> ScriptInvocation<'a> {
        script.key(&self.prefix)
    }

    /// Runs it. A Redis that does not know the script (it was started anew, or flushed) is told.
    pub(super) async fn run<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> Result<T, QueueError> {
        let mut conn = self.connection().await?;
        let missing = redis::ErrorKind::Server(redis::ServerErrorKind::NoScript);
        for _ in 1..MOST_LOADS {
            match call.invoke_async(&mut conn).await {
                Err(error) if error.kind() == missing => {}
                done => return Ok(done?),
            }
        }
        Ok(call.invoke_async(&mut conn).await?)
    }
}
