//! The feeder: knows the lanes, and fills them with what is lacking, a few thousand tasks at a time.

use std::time::{Duration, Instant};

use super::{
    FindingsProgress, Health, LaneProgress, NetworkOnOffer, Offered, PAUSE_AFTER_TROUBLE, Shared, Trouble,
    walk::{FreshWalk, WholeWalk},
};
use crate::{
    db::{
        nearest::count_embedded,
        networks::{self, NetworkCard},
        results::{self, LackingImage},
        vectors::find_vectors,
    },
    models::{
        ImageId, NetworkId,
        task::{Lane, Priority, Task, TaskKind},
    },
    queue::{LaneDepth, LaneOffer, LaneView},
};

/// How often lanes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often it is asked which networks there are.
const ASK_NETWORKS_EVERY: Duration = Duration::from_secs(5);
const TELL_EVERY: Duration = Duration::from_secs(1);
/// Longer than the pause between two words of progress.
const PROGRESS_EXPIRES_S: u64 = 10;
/// Tasks that wait in a lane at most; it is filled again when half of them are gone.
const MOST_WAITING: u64 = 2_000;
/// Images on screens that are asked for at once.
const WISHES_AT_ONCE: usize = 500;
/// Time that one look may take to walk along the timeline.
const WALK_FOR: Duration = Duration::from_millis(150);

/// A network and how far it has been fed.
struct LaneFeed {
    id: NetworkId,
    card: NetworkCard,
    whole: WholeWalk,
    fresh: FreshWalk,
}

/// What the feeder remembers.
#[derive(Default)]
struct Feeder {
    lanes: Vec<LaneFeed>,
    on_offer: Vec<NetworkOnOffer>,
    asked_at: Option<Instant>,
    told_at: Option<Instant>,
    problem: Option<String>,
}

impl Shared {
    /// Fills the lanes until the end.
    pub(super) fn feed(&self) {
        let mut feeder = Feeder::default();
        let mut health = Health::new("networks get no new work until the queue and the database answer");
        while !self.is_stopping() {
            let looked = self.look(&mut feeder);
            health.note(looked.as_ref().err());
            if looked.is_ok() {
                self.rest(LOOK_EVERY);
                continue;
            }
            // Whatever was under way may be lost.
            let now = Instant::now();
            feeder.lanes.iter_mut().for_each(|lane| lane.whole.begin_again(now));
            self.rest(PAUSE_AFTER_TROUBLE);
        }
    }

    fn look(&self, feeder: &mut Feeder) -> Result<(), Trouble> {
        if feeder.asked_at.is_none_or(|at| at.elapsed() >= ASK_NETWORKS_EVERY) {
            self.choose(feeder)?;
            feeder.asked_at = Some(Instant::now());
        }
        if feeder.lanes.is_empty() {
            return self.publish(feeder, &[]);
        }
        let wishes = self.tell(self.context.queue.take_wanted_findings(WISHES_AT_ONCE))?;
        let views = self.tell(self.context.queue.lanes())?;
        for lane in &mut feeder.lanes {
            let depth = views.iter().find(|view| view.lane == lane.card.lane).map(|view| view.depth).unwrap_or_default();
            self.grant(lane, &wishes)?;
            self.fill(lane, &depth)?;
        }
        self.publish(feeder, &views)
    }

    /// Asks which networks shall work, and makes them known.
    fn choose(&self, feeder: &mut Feeder) -> Result<(), Trouble> {
        let on_offer = match self.context.networks.list() {
            Ok(on_offer) => on_offer,
            Err(error) => {
                tracing::warn!(error, "it cannot be told which networks there are");
                return Ok(());
            }
        };
        let problem = self.ask(|conn| find_vectors(conn))?.problem();
        if on_offer == feeder.on_offer && problem == feeder.problem {
            return Ok(());
        }
        let makes_vectors = |network: &NetworkOnOffer| network.card.lane.kind == TaskKind::Embed;
        if let Some(problem) = problem.as_ref().filter(|_| on_offer.iter().any(makes_vectors)) {
            tracing::warn!("nothing can be found by words: {problem}");
        }
        let can_work = |network: &&NetworkOnOffer| problem.is_none() || !makes_vectors(network);
        let mut lanes = Vec::new();
        for network in on_offer.iter().filter(can_work) {
            let (id, begun_at) =
                self.ask(|conn| Ok::<_, crate::db::DbError>((networks::register(conn, &network.card)?, results::now(conn)?)))?;
            let now = Instant::now();
            match feeder.lanes.iter().position(|lane| lane.id == id) {
                Some(known) => lanes.push(feeder.lanes.swap_remove(known)),
                None => {
                    tracing::info!(network.lane = %network.card.lane, "{} works on this library", network.card.title);
                    let (whole, fresh) = (WholeWalk::new(now), FreshWalk::new(begun_at, now));
                    lanes.push(LaneFeed { id, card: network.card.clone(), whole, fresh });
                }
            }
        }
        let gone: Vec<Lane> = feeder.lanes.drain(..).map(|lane| lane.card.lane).collect();
        feeder.lanes = lanes;
        let lane_offer = |network: &NetworkOnOffer| LaneOffer { lane: network.card.lane.clone(), facts: network.facts.clone() };
        *self.offered() = Offered {
            offers: on_offer.iter().filter(can_work).map(lane_offer).collect(),
            with_vectors: feeder.lanes.iter().filter(|lane| lane.card.lane.kind == TaskKind::Embed).map(|lane| lane.id).collect(),
        };
        (feeder.on_offer, feeder.problem) = (on_offer, problem);
        for lane in gone {
            tracing::info!(network.lane = %lane, "a network works on this library no more");
            self.tell(self.context.queue.forget_lane(&lane))?;
        }
        Ok(())
    }

    /// Puts what is on screens before everything else.
    fn grant(&self, lane: &LaneFeed, wishes: &[ImageId]) -> Result<(), Trouble> {
        if wishes.is_empty() {
            return Ok(());
        }
        let lacking = self.ask(|conn| results::list_lacking_among(conn, lane.id, wishes))?;
        self.enqueue(lane, lacking, Priority::Screen)
    }

    /// Puts what is lacking into a lane: what is new if few such tasks wait there, and everything else if few tasks wait at all.
    fn fill(&self, lane: &mut LaneFeed, depth: &LaneDepth) -> Result<(), Trouble> {
        let room = |waiting: u64| (waiting < MOST_WAITING / 2).then_some((MOST_WAITING - waiting.min(MOST_WAITING)) as i64);
        if let Some(room) = room(depth.new)
            && let Some(since) = lane.fresh.next(Instant::now())
        {
            let asked = Instant::now();
            let (begun_at, lacking) = self
                .ask(|conn| Ok::<_, crate::db::DbError>((results::now(conn)?, results::list_lacking_since(conn, lane.id, since, room)?)))?;
            lane.fresh.looked(Instant::now(), begun_at, lacking.len(), asked.elapsed());
            self.enqueue(lane, lacking, Priority::New)?;
        }
        let Some(mut room) = room(depth.waiting()) else { return Ok(()) };
        let started = Instant::now();
        while room > 0 && started.elapsed() < WALK_FOR && !self.is_stopping() {
            let asked = Instant::now();
            let Some(after) = lane.whole.next(asked, depth.total() == 0) else { break };
            let stretch = self.ask(|conn| results::list_lacking(conn, lane.id, after, room))?;
            room -= stretch.images.len() as i64;
            let (found, next, took) = (stretch.images.len(), stretch.next, asked.elapsed());
            // In the lane first: a stretch that was looked at is not looked at again in this pass.
            self.enqueue(lane, stretch.images, Priority::Backlog)?;
            lane.whole.looked(Instant::now(), found, next, took);
        }
        Ok(())
    }

    fn enqueue(&self, lane: &LaneFeed, images: Vec<LackingImage>, priority: Priority) -> Result<(), Trouble> {
        if images.is_empty() {
            return Ok(());
        }
        let task = |lacking: LackingImage| Task {
            lane: lane.card.lane.clone(),
            image: lacking.image(),
            picture: lacking.key,
            priority,
            attempt: 0,
        };
        let tasks: Vec<Task> = images.into_iter().map(task).collect();
        self.tell(self.context.queue.enqueue(&tasks))?;
        Ok(())
    }

    /// Tells how far it is, once a second.
    fn publish(&self, feeder: &mut Feeder, views: &[LaneView]) -> Result<(), Trouble> {
        if feeder.told_at.is_some_and(|at| at.elapsed() < TELL_EVERY) {
            return Ok(());
        }
        feeder.told_at = Some(Instant::now());
        let mut progress = FindingsProgress { lanes: Vec::new(), problem: feeder.problem.clone() };
        for lane in &feeder.lanes {
            let counted = self.ask(|conn| count_embedded(conn, lane.id))?;
            let view = views.iter().find(|view| view.lane == lane.card.lane);
            progress.lanes.push(LaneProgress {
                lane: lane.card.lane.clone(),
                title: lane.card.title.clone(),
                done: counted.embedded,
                failed: counted.failed,
                lacking: counted.to_come(),
                waiting: view.map_or(0, |view| view.depth.waiting()),
                running: view.map_or(0, |view| view.depth.running),
                rate_per_s: view.map_or(0.0, |view| view.rate_per_s),
                is_paused: view.is_some_and(|view| view.is_paused),
            });
        }
        let progress = serde_json::json!(progress);
        self.tell(self.context.queue.publish_progress("findings", &progress, PROGRESS_EXPIRES_S))?;
        Ok(())
    }
}
