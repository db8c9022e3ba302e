//! Anything in any order: workers and servers that die at any point, answers that come twice or too late, and a Redis that is emptied.
//! At the end each image has exactly one result.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use hm::{
    models::{
        ImageId,
        task::{Answer, Lane, Outcome, Priority},
    },
    queue::{Claimed, DeliveryId, Queue, Receipt, Settings},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::tools::{NOW, OwnRedis, answered, card, clip, failed, receipts, task, vector};

const IMAGES: i64 = 600;
const STEPS: usize = 1_500;

struct Worker {
    name: String,
    held: Vec<Claimed>,
}

struct Server {
    name: String,
    taken: Vec<(DeliveryId, Outcome)>,
}

/// The household's machines, the database, and who has died with what in hand.
struct World {
    rng: StdRng,
    queue: Queue,
    lanes: [Lane; 1],
    database: BTreeMap<ImageId, Vec<f32>>,
    workers: Vec<Worker>,
    servers: Vec<Server>,
    born: usize,
    /// Answers that were given, or never were: they may come once more.
    echoes: Vec<(Receipt, Outcome)>,
}

impl World {
    fn new(queue: Queue, seed: u64) -> Self {
        let workers = (0..3).map(|number| Worker { name: format!("w{number}"), held: Vec::new() }).collect();
        let servers = (0..2).map(|number| Server { name: format!("s{number}"), taken: Vec::new() }).collect();
        let (rng, lanes) = (StdRng::seed_from_u64(seed), [clip()]);
        Self { rng, queue, lanes, database: BTreeMap::new(), workers, servers, born: 0, echoes: Vec::new() }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    /// The server fills the lane with what the database lacks.
    async fn refill(&mut self, most: usize) {
        let lacking: Vec<i64> = (1..=IMAGES).rev().filter(|image| !self.database.contains_key(&ImageId(*image))).take(most).collect();
        let mut tasks = Vec::new();
        for image in lacking {
            let priority = Priority::ALL[self.rng.random_range(0..3)];
            tasks.push(task(&self.lanes[0], image, priority));
        }
        self.queue.enqueue(&tasks).await.unwrap();
    }

    async fn claim(&mut self, worker: usize) {
        let most = self.rng.random_range(1..9);
        let claimed = self.queue.claim(&self.workers[worker].name, &self.lanes, most, NOW).await.unwrap();
        let suspects = claimed.iter().filter(|one| one.receipt.is_suspect()).count();
        assert!(suspects == 0 || claimed.len() == 1, "a suspect is given out alone");
        self.workers[worker].held.extend(claimed);
    }

    async fn answer(&mut self, worker: usize, percent: u32) {
        let name = self.workers[worker].name.clone();
        let mut outcomes = Vec::new();
        for one in std::mem::take(&mut self.workers[worker].held) {
            if !self.chance(percent) {
                self.workers[worker].held.push(one);
            } else if self.chance(10) {
                outcomes.push(failed(&one, &name, true));
            } else {
                outcomes.push(answered(&one, &name));
            }
        }
        self.queue.answer(&outcomes).await.unwrap();
        if self.chance(30) {
            self.echoes.extend(outcomes);
        }
    }

    /// A worker dies with what it holds, or is only cut off and answers after all.
    fn kill_worker(&mut self, worker: usize) {
        self.born += 1;
        let new = Worker { name: format!("w{worker}-{}", self.born), held: Vec::new() };
        let old = std::mem::replace(&mut self.workers[worker], new);
        self.echoes.extend(old.held.iter().map(|one| answered(one, &old.name)));
    }

    async fn store(&mut self, server: usize, dies: bool) {
        let taken = std::mem::take(&mut self.servers[server].taken);
        for (_, outcome) in &taken {
            match &outcome.answer {
                Ok(Answer::Embedding { vector }) => _ = self.database.insert(outcome.task.image, vector.clone()),
                Ok(other) => panic!("{other:?}"),
                Err(failure) => assert!(self.queue.settings().next_try(outcome).is_some(), "{failure:?}"),
            }
        }
        if !dies {
            self.queue.settle_outcomes(&taken).await.unwrap();
        }
    }

    async fn step(&mut self, redis: &OwnRedis) {
        let (worker, server) = (self.rng.random_range(0..3), self.rng.random_range(0..2));
        match self.rng.random_range(0..1_000) {
            0..130 => {
                let most = self.rng.random_range(1..40);
                self.refill(most).await;
            }
            130..380 => self.claim(worker).await,
            380..560 => self.answer(worker, 60).await,
            560..590 => self.kill_worker(worker),
            590..620 => {
                let held = receipts(&self.workers[worker].held);
                self.workers[worker].held.clear();
                self.queue.hand_back(&held).await.unwrap();
            }
            620..700 => {
                let Worker { name, held } = &self.workers[worker];
                let lost: BTreeSet<String> = {
                    let lost = self.queue.heartbeat(&card(name, &self.lanes), &receipts(held)).await.unwrap();
                    lost.iter().map(|receipt| format!("{receipt:?}")).collect()
                };
                // Half of the workers look at what they are told.
                if self.rng.random() {
                    self.workers[worker].held.retain(|one| !lost.contains(&format!("{:?}", one.receipt)));
                }
            }
            700..800 => {
                let most = self.rng.random_range(1..20);
                let taken = self.queue.take_outcomes(&self.servers[server].name, most, NOW).await.unwrap();
                self.servers[server].taken.extend(taken);
            }
            800..870 => {
                let dies = self.chance(20);
                self.store(server, dies).await;
            }
            870..890 => {
                self.born += 1;
                self.servers[server] = Server { name: format!("s{server}-{}", self.born), taken: Vec::new() };
            }
            890..950 => _ = self.queue.reap().await.unwrap(),
            950..980 => {
                let some = self.echoes.len().min(self.rng.random_range(0..6));
                let from = self.rng.random_range(0..=self.echoes.len() - some);
                self.queue.answer(&self.echoes[from..from + some]).await.unwrap();
            }
            980..986 => redis.ask::<()>(&["FLUSHALL"]).await,
            986..990 => redis.ask::<()>(&["SCRIPT", "FLUSH"]).await,
            _ => {
                let pause = Duration::from_millis(self.rng.random_range(0..30));
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Everybody works on calmly until all is done.
    async fn finish(&mut self) {
        for _ in 0..3_000 {
            self.refill(IMAGES as usize).await;
            for worker in 0..3 {
                self.claim(worker).await;
                self.answer(worker, 100).await;
            }
            for server in 0..2 {
                let taken = self.queue.take_outcomes(&self.servers[server].name, 100, NOW).await.unwrap();
                self.servers[server].taken.extend(taken);
                self.store(server, false).await;
            }
            self.queue.reap().await.unwrap();
            let left = self.queue.lane_depth(&self.lanes[0]).await.unwrap().total();
            let outcomes = self.queue.outcomes().await.unwrap();
            if self.database.len() == IMAGES as usize && left + outcomes.waiting + outcomes.taken == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let depth = self.queue.lane_depth(&self.lanes[0]).await.unwrap();
        panic!("{} of {IMAGES} images are done, and the lane has {depth:?}, {:?}", self.database.len(), self.queue.outcomes().await);
    }
}

#[tokio::test]
async fn in_any_order_and_with_any_loss_each_image_gets_its_one_result() {
    let redis = OwnRedis::start();
    let settings = Settings {
        lease: Duration::from_millis(25),
        first_backoff: Duration::from_millis(3),
        longest_backoff: Duration::from_millis(20),
        // Chance alone is to fail no image here.
        most_attempts: u32::MAX,
        most_deaths: u32::MAX,
        ..Settings::default()
    };
    let first: u64 = std::env::var("HM_TEST_SEED").ok().map_or_else(|| rand::random::<u64>() >> 32, |seed| seed.parse().unwrap());
    for seed in first..first + 4 {
        println!("HM_TEST_SEED={seed}");
        redis.ask::<()>(&["FLUSHALL"]).await;
        let mut world = World::new(redis.queue().await.with_settings(settings), seed);
        for _ in 0..STEPS {
            world.step(&redis).await;
        }
        world.finish().await;
        let expected: BTreeMap<ImageId, Vec<f32>> = (1..=IMAGES).map(|image| (ImageId(image), vector(ImageId(image)))).collect();
        assert_eq!(world.database, expected);
    }
}
