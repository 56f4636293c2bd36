//! One seed's network and everything that happens in it, drawn before it begins.

use braidcast_core::machine::{Duration, Rng, Time};
use braidcast_sim::{LinkProfile, NodeProfile, Window};

use crate::lab::{dice, fault::Rogue};

/// A trial's draw.
#[derive(Debug)]
pub(crate) struct Draw {
    pub(crate) nodes: Vec<NodeDraw>,
    /// Who dials whom, and over what.
    pub(crate) links: Vec<(u32, u32, LinkProfile)>,
    /// In order of time, up to [`END`].
    pub(crate) acts: Vec<(Time, Act)>,
    /// By number of a topic: it is for members only.
    closed: Vec<bool>,
}

#[derive(Debug)]
pub(crate) struct NodeDraw {
    pub(crate) profile: NodeProfile,
    pub(crate) rogue: Option<Rogue>,
    /// By number.
    pub(crate) topics: Vec<usize>,
    /// Its key of closed topics.
    key: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Node, topic, payload bytes.
    Publish(u32, usize, u32),
    /// Node, and when its neighbours notice.
    Stop(u32, Option<Duration>),
    Start(u32),
    /// Of links, and when it is noticed.
    Cut(u32, Option<Duration>),
    Heal(u32),
    /// Bytes/s, up and down.
    Slow(u32, u64),
}

/// When the last fault is over.
pub(crate) const END: Duration = Duration::from_secs(40);

impl Draw {
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = dice(seed, "soak");
        let count = 20 + rng.below(21) as u32;
        let topics = 1 + rng.below(3) as usize;
        let rogues = rng.below(26);
        let mut nodes: Vec<NodeDraw> = (0..count).map(|_| NodeDraw::of(&mut rng, topics, rogues)).collect();
        let links = links(&mut rng, count);
        let acts = acts(&mut rng, &nodes, &links);
        let closed = (0..topics).map(|_| rng.below(3) == 0).collect();
        // Most have the same key, and the others are strangers to them.
        nodes.iter_mut().for_each(|node| node.key = u8::from(rng.below(10) == 0));
        Self { nodes, links, acts, closed }
    }

    /// The key that a node has of a topic; none where it takes none.
    pub(crate) fn key(&self, node: u32, topic: usize) -> Option<u8> {
        self.closed[topic].then_some(self.nodes[node as usize].key)
    }
}

impl NodeDraw {
    fn of(rng: &mut Rng, topics: usize, rogues_percent: u64) -> Self {
        let (up, down) = pick(rng, &[(2, 10), (5, 20), (10, 20), (50, 50), (50, 50), (1000, 1000)]);
        let profile = NodeProfile {
            bulk_handling: Duration::from_micros(rng.below(1_000)),
            work_slice: Duration::from_micros(rng.below(2_000)),
            // Some tabs are hidden.
            timer_grain: Duration::from_millis(if rng.below(10) == 0 { 1_000 } else { 4 }),
            wall_skew_ms: rng.below(20_001) as i64 - 10_000,
            ..NodeProfile::rates(up * 125_000, down * 125_000)
        };
        let rogue = (rng.below(100) < rogues_percent)
            .then(|| pick(rng, &[Rogue::Freerider, Rogue::Silent, Rogue::Polluter]));
        let mut joined: Vec<usize> = (0..topics).filter(|_| rng.below(4) > 0).collect();
        if joined.is_empty() {
            joined.push(rng.below(topics as u64) as usize);
        }
        Self { profile, rogue, topics: joined, key: 0 }
    }
}

fn links(rng: &mut Rng, nodes: u32) -> Vec<(u32, u32, LinkProfile)> {
    let mut links: Vec<(u32, u32, LinkProfile)> = Vec::new();
    for node in 1..nodes {
        for _ in 0..=2 + rng.below(4) {
            let other = rng.below(node.into()) as u32;
            if links.iter().any(|&(a, b, _)| (a, b) == (node, other)) {
                continue;
            }
            let profile = LinkProfile {
                jitter: Duration::from_micros(rng.below(20_000)),
                loss_ppm: pick(rng, &[0, 0, 1_000, 30_000]),
                window: if rng.below(3) == 0 {
                    Window::Cold { first: 14_700, extra: 64 * 1024 }
                } else {
                    Window::default()
                },
                ..LinkProfile::new(Duration::from_millis(1 + rng.below(120)))
            };
            links.push((node, other, profile));
        }
    }
    links
}

fn acts(rng: &mut Rng, nodes: &[NodeDraw], links: &[(u32, u32, LinkProfile)]) -> Vec<(Time, Act)> {
    let mut acts = Vec::new();
    let honest: Vec<u32> =
        (0..).zip(nodes).filter(|(_, node)| node.rogue.is_none()).map(|(at, _)| at).collect();
    for _ in 0..3 + rng.below(10) {
        let node = pick(rng, &honest);
        let topic = pick(rng, &nodes[node as usize].topics);
        let bytes = pick(rng, &[0, 1, 200, 3_000, 4_096, 4_097, 10_000, 40_000, 130_000, 130_000, 400_000]);
        acts.push((moment(rng), Act::Publish(node, topic, bytes)));
    }
    // Each fault has a node or a link of its own, so that what ends it is its own end.
    let mut places: Vec<u32> = (0..nodes.len() as u32).collect();
    rng.shuffle(&mut places);
    for node in places.drain(..rng.below(nodes.len() as u64 / 4) as usize) {
        let (from, until) = span(rng);
        acts.push((from, Act::Stop(node, notice(rng))));
        acts.push((until, Act::Start(node)));
    }
    for node in places.drain(..rng.below(4) as usize) {
        acts.push((moment(rng), Act::Slow(node, 100_000 + rng.below(500_000))));
    }
    let mut cuts: Vec<u32> = (0..links.len() as u32).collect();
    rng.shuffle(&mut cuts);
    let is_parted = rng.below(4) == 0;
    let middle = nodes.len() as u32 / 2;
    if is_parted {
        // All links between the low and the high numbers, at once.
        let ((from, until), notice) = (span(rng), notice(rng));
        let across = |&at: &u32| (links[at as usize].0 < middle) != (links[at as usize].1 < middle);
        for at in cuts.extract_if(.., |at| across(at)) {
            acts.push((from, Act::Cut(at, notice)));
            acts.push((until, Act::Heal(at)));
        }
    }
    for at in cuts.into_iter().take(rng.below(10) as usize) {
        let (from, until) = span(rng);
        acts.push((from, Act::Cut(at, notice(rng))));
        acts.push((until, Act::Heal(at)));
    }
    acts.sort_by_key(|&(at, _)| at);
    acts
}

fn moment(rng: &mut Rng) -> Time {
    Time::ZERO + Duration::from_micros(3_000_000 + rng.below(END.as_micros() - 4_000_000))
}

/// Two moments, in order.
fn span(rng: &mut Rng) -> (Time, Time) {
    let (a, b) = (moment(rng), moment(rng));
    (a.min(b), a.max(b))
}

fn notice(rng: &mut Rng) -> Option<Duration> {
    (rng.below(3) > 0).then(|| Duration::from_millis(rng.below(10_000)))
}

fn pick<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.below(choices.len() as u64) as usize]
}
