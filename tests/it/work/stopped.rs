//! Workers that are asked to stop, have nothing left to do, or cannot do what they are asked.

use std::{
    os::unix::process::ExitStatusExt,
    process::Stdio,
    time::{Duration, Instant},
};

use hm::{
    models::task::Task,
    queue::{LaneOffer, Queue},
};
use rustix::process::{Pid, Signal, kill_process};

use super::tools::{Disk, Drain, RedisServer, Results, SOON, Worker, runtime, worker_command};
use crate::support::{hm_command, wait_until};

#[test]
fn asked_to_stop_a_worker_gives_back_what_it_holds_and_is_gone() {
    let (redis, disk) = (RedisServer::start(), Disk::new());
    let runtime = runtime();
    let queue = runtime.block_on(Queue::connect(&redis.url())).unwrap();
    let tasks: Vec<Task> = (1..=900).map(|image| disk.task(image)).collect();
    runtime.block_on(async {
        queue.offer_lanes(&[LaneOffer { lane: disk.lane.clone(), facts: serde_json::json!({}) }]).await.unwrap();
        assert_eq!(queue.enqueue(&tasks).await.unwrap(), 900);
    });
    let mut worker = Worker::start(&redis.url(), &disk);
    wait_until("it works", SOON, || runtime.block_on(queue.outcomes()).unwrap().waiting > 8);
    // Its first heartbeat may have come before the network was open.
    wait_until("it says on what", SOON, || {
        let listed = runtime.block_on(queue.workers()).unwrap();
        listed.iter().all(|worker| !worker.card.lanes.is_empty() && worker.card.busy_percent.is_some())
    });
    let listed = runtime.block_on(queue.workers()).unwrap();
    assert_eq!((listed.len(), listed[0].card.batch_size, listed[0].card.lanes.as_slice()), (1, 4, [disk.lane.clone()].as_slice()));
    assert!(listed[0].card.device.starts_with("CPU") && listed[0].card.busy_percent.is_some(), "{listed:?}");
    let asked = Instant::now();
    kill_process(Pid::from_child(&worker.0), Signal::TERM).unwrap();
    let status = worker.0.wait().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert_eq!(status.code(), Some(130));
    let depth = runtime.block_on(queue.lane_depth(&disk.lane)).unwrap();
    let outcomes = runtime.block_on(queue.outcomes()).unwrap();
    assert_eq!((depth.running, depth.waiting() + outcomes.waiting), (0, 900), "{depth:?} {outcomes:?}");
    assert!(runtime.block_on(queue.workers()).unwrap().is_empty(), "it has signed off");
}

#[test]
fn a_second_signal_ends_a_worker_at_once() {
    let disk = Disk::new();
    // Nobody answers there, so that it waits.
    let mut command = worker_command("redis://127.0.0.1:1", &disk);
    let mut worker = Worker(command.stderr(Stdio::null()).spawn().unwrap());
    std::thread::sleep(Duration::from_millis(700));
    let pid = Pid::from_child(&worker.0);
    kill_process(pid, Signal::TERM).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let asked = Instant::now();
    let status = worker.0.wait().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(5) && status.signal().is_none(), "{status}");
    assert_eq!(status.code(), Some(130));
}

#[test]
fn a_worker_for_once_ends_when_nothing_is_left() {
    let (redis, disk, results) = (RedisServer::start(), Disk::new(), Results::of(30));
    let _drain = Drain::start(&redis.url(), "server", &disk, &results, false);
    let runtime = runtime();
    let queue = runtime.block_on(Queue::connect(&redis.url())).unwrap();
    wait_until("there is something to do", SOON, || runtime.block_on(queue.lane_depth(&disk.lane)).unwrap().waiting() == 30);
    let output = worker_command(&redis.url(), &disk).arg("--once").env("HM_LOG_LEVEL", "info").stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("30 answers, 0 of them failures"), "{said}");
    results.wait_until_whole(&disk);
}

#[test]
fn a_gpu_that_is_not_there_is_said_with_the_way_out() {
    if hm::infer::engine::device(true).is_ok() {
        eprintln!("skipped: there is a GPU");
        return;
    }
    let output = hm_command().args(["work", "--gpu"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("GPU") && said.contains("hint: "), "{said}");
}
