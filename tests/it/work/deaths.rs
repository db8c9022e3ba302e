//! Workers that are killed, at every point of their work and at any moment.

use std::{
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::tools::{Disk, Drain, RedisServer, Results, SOON, Worker, worker_command};

/// How often a worker is killed.
const DEATHS: u32 = 200;
/// Where, in turn: `anywhere` is a signal from outside at some moment.
pub(super) const POINTS: [&str; 6] = ["claimed", "fetched", "prepared", "computed", "answered", "anywhere"];

#[test]
fn workers_that_die_two_hundred_times_lose_nothing() {
    let (redis, disk, results) = (RedisServer::start(), Disk::new(), Results::of(60));
    let _drain = Drain::start(&redis.url(), "server", &disk, &results, false);
    let deaths = AtomicU32::new(0);
    let by_point = POINTS.map(|_| AtomicU32::new(0));
    let until = Instant::now() + SOON * 4;
    thread::scope(|scope| {
        for first in 0..3 {
            let (redis, disk, results, deaths, by_point) = (&redis, &disk, &results, &deaths, &by_point);
            scope.spawn(move || {
                let mut turn = first;
                while deaths.load(Ordering::Relaxed) < DEATHS {
                    assert!(Instant::now() < until, "only {deaths:?} workers have died");
                    let place = turn as usize % POINTS.len();
                    if die_once(worker_command(&redis.url(), disk), POINTS[place], turn) {
                        deaths.fetch_add(1, Ordering::Relaxed);
                        by_point[place].fetch_add(1, Ordering::Relaxed);
                    }
                    // Something is left to do for the next.
                    results.images.fetch_max(results.count() + 40, Ordering::Relaxed);
                    turn += 1;
                }
            });
        }
    });
    let by_point = by_point.map(AtomicU32::into_inner);
    eprintln!("deaths by point: {:?}", POINTS.iter().zip(by_point).collect::<Vec<_>>());
    assert!(by_point.iter().all(|deaths| *deaths > 0), "{by_point:?}");
    let _workers = [0; 3].map(|_| Worker::start(&redis.url(), &disk));
    results.wait_until_whole(&disk);
}

/// Starts a worker that dies there; false when it did not.
pub(super) fn die_once(mut command: Command, point: &str, turn: u32) -> bool {
    command.env("HM_LOG_LEVEL", "error").stderr(Stdio::null());
    // Not the same moment each time, without a generator of numbers whose seed would have to be told.
    let chance = turn.wrapping_mul(2_654_435_761) >> 16;
    if point != "anywhere" {
        command.env("HM_TEST_DIE_AT", format!("{point}:{}", 1 + chance % 3));
    }
    let mut child = command.spawn().unwrap();
    let started = Instant::now();
    let patience = if point == "anywhere" { Duration::from_millis(u64::from(20 + chance % 500)) } else { Duration::from_secs(20) };
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert_eq!(status.signal(), Some(9), "a worker ended by itself: {status}");
            return true;
        }
        if started.elapsed() > patience {
            child.kill().unwrap();
            child.wait().unwrap();
            return point == "anywhere";
        }
        thread::sleep(Duration::from_millis(5));
    }
}
