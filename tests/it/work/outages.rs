//! Everything around the workers that ends and comes back: Redis, the server, or their connection; and two servers at once.

use std::{thread, time::Duration};

use super::tools::{Disk, Drain, RedisServer, Results, SOON, Worker};
use crate::support::wait_until;

#[test]
fn a_redis_that_is_flushed_and_killed_in_mid_run_costs_time_alone() {
    let (redis, disk, results) = (RedisServer::start(), Disk::new(), Results::of(120));
    let _drain = Drain::start(&redis.url(), "server", &disk, &results, false);
    let _workers = [0; 3].map(|_| Worker::start(&redis.url(), &disk));
    for round in 1..=4 {
        let before = results.count();
        wait_until("some more are done", SOON, || results.count() > before + 10);
        results.images.fetch_add(120, std::sync::atomic::Ordering::Relaxed);
        if round % 2 == 0 {
            redis.say("FLUSHALL");
        } else {
            redis.kill();
            thread::sleep(Duration::from_millis(900));
            redis.start_again();
        }
    }
    results.wait_until_whole(&disk);
}

#[test]
fn servers_that_end_before_they_settle_store_nothing_wrong() {
    let (redis, disk, results) = (RedisServer::start(), Disk::new(), Results::of(150));
    let _workers = [0; 3].map(|_| Worker::start(&redis.url(), &disk));
    // Two at once, both of which lose what they stored every third time: it is delivered again.
    let servers = [Drain::start(&redis.url(), "one", &disk, &results, true), Drain::start(&redis.url(), "two", &disk, &results, true)];
    wait_until("the servers have stored some", SOON, || results.count() > 60);
    drop(servers);
    results.images.fetch_add(50, std::sync::atomic::Ordering::Relaxed);
    // Nobody is there for a while; then others are.
    thread::sleep(Duration::from_millis(500));
    let _servers = [Drain::start(&redis.url(), "three", &disk, &results, false), Drain::start(&redis.url(), "four", &disk, &results, true)];
    results.wait_until_whole(&disk);
}
