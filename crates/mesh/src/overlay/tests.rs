//! Who is taken in, who is let go, and in which lane.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{upkeep::IMPROVE_PERIOD, *};
use crate::{
    lane::Lane,
    params::{CheckedParams, Params, TopicParams},
    trace::Refusal,
};

struct Fixture {
    overlay: Overlay,
    topic: Topic,
    rng: Rng,
    params: Params,
    scores: Scores,
    now: Time,
}

impl Fixture {
    /// Subscribed, with peers 0 to `count`.
    fn new(count: u8, direction: Direction) -> Self {
        let mut fixture = Self {
            overlay: Overlay::default(),
            topic: Topic::new("t").expect("a name"),
            rng: Rng::from_seed([1; 32]),
            params: Params::new(CheckedParams::default()),
            scores: Scores::default(),
            now: Time::ZERO,
        };
        fixture.overlay.subscribe(&fixture.topic);
        fixture.know(0..count, direction);
        fixture
    }

    fn know(&mut self, peers: impl IntoIterator<Item = u8>, direction: Direction) {
        peers.into_iter().for_each(|at| self.overlay.on_peer_joined(peer(at), direction, &self.topic));
    }

    fn with<T>(&mut self, what: impl FnOnce(&mut Overlay, &Topic, &mut Scene<'_>) -> T) -> T {
        let (now, params, scores) = (self.now, &self.params, &self.scores);
        let mut scene = Scene { now, params, scores, rng: &mut self.rng };
        what(&mut self.overlay, &self.topic, &mut scene)
    }

    fn graft(&mut self, at: u8) -> Grafted {
        self.with(|overlay, topic, scene| overlay.on_graft(peer(at), topic, scene))
    }

    /// As several heartbeats do.
    fn fill(&mut self) -> Vec<Change> {
        let fill = |overlay: &mut Overlay, topic: &Topic, scene: &mut Scene<'_>| overlay.fill(topic, scene);
        (0..4).flat_map(|_| self.with(fill)).collect()
    }

    fn maintain(&mut self) -> Vec<Change> {
        self.with(|overlay, _, scene| overlay.maintain(scene))
    }

    fn mesh(&self) -> Vec<u8> {
        self.overlay.mesh(&self.topic).map(|peer| peer.0[0]).collect()
    }

    fn limit(&mut self, mesh_max: usize) {
        let params = TopicParams { mesh_max, ..TopicParams::default() };
        self.params = Params::new(params.checked().expect("they fit"));
    }

    fn be_silent(&mut self, at: u8) {
        assert!((0..3).any(|_| self.scores.on_unserved(peer(at))));
    }
}

fn peer(at: u8) -> PeerId {
    PeerId([at; 32])
}

#[test]
fn fills_to_the_target_and_thins_when_too_many() {
    let mut fixture = Fixture::new(30, Direction::Inbound);
    assert_eq!(fixture.fill().len(), 8);
    (0..30).for_each(|at| assert_ne!(fixture.graft(at), Grafted::Unknown));
    assert_eq!(fixture.mesh().len(), 12, "inbound grafts stop at mesh_max");
    // Those refused have to wait for their back-off.
    fixture.now = Time::ZERO + PRUNE_BACKOFF;
    fixture.limit(30);
    assert!((0..30).all(|at| fixture.graft(at) == Grafted::Accepted));
    fixture.limit(12);
    assert_eq!(fixture.maintain().len(), 22);
    assert_eq!(fixture.mesh().len(), 8);
}

#[test]
fn half_of_a_mesh_are_the_nearest() {
    let mut fixture = Fixture::new(40, Direction::Inbound);
    (0..40).for_each(|at| fixture.overlay.set_round_trip(peer(at), Duration::from_millis(100)));
    fixture.fill();
    let near: Vec<u8> = (0..40).filter(|at| !fixture.mesh().contains(at)).take(6).collect();
    near.iter().for_each(|&at| fixture.overlay.set_round_trip(peer(at), Duration::from_millis(10)));
    (0..20).for_each(|_| drop(fixture.maintain()));
    let mesh = fixture.mesh();
    assert_eq!(mesh.iter().filter(|at| near.contains(at)).count(), 4, "{mesh:?}");
    assert_eq!(mesh.len(), 8);
}

#[test]
fn only_the_first_two_are_taken_in_at_once() {
    let mut fixture = Fixture::new(4, Direction::Inbound);
    let welcome = |fixture: &mut Fixture, at| {
        fixture.with(|overlay, topic, scene| overlay.welcome(peer(at), topic, scene).len())
    };
    assert_eq!((0..4).map(|at| welcome(&mut fixture, at)).collect::<Vec<_>>(), [1, 1, 0, 0]);
}

#[test]
fn a_graft_within_the_backoff_is_refused() {
    let mut fixture = Fixture::new(1, Direction::Inbound);
    assert_eq!(fixture.graft(0), Grafted::Accepted);
    let forever = Duration::from_secs(u64::MAX);
    assert!(fixture.overlay.on_prune(peer(0), &fixture.topic, forever, Time::ZERO));
    fixture.now = Time::ZERO + Duration::from_secs(3599);
    assert_eq!(fixture.graft(0), Grafted::Refused(Refusal::TooSoon));
}

#[test]
fn a_graft_for_an_unknown_topic_leaves_nothing_behind() {
    let mut fixture = Fixture::new(1, Direction::Inbound);
    fixture.overlay.unsubscribe(&fixture.topic);
    assert_eq!(fixture.graft(0), Grafted::Unknown);
    assert!(!fixture.overlay.on_prune(peer(0), &fixture.topic, PRUNE_BACKOFF, Time::ZERO));
    assert!(fixture.overlay.topics.is_empty());
}

#[test]
fn lanes_are_told_to_those_whose_lane_changed() {
    let mut fixture = Fixture::new(40, Direction::Inbound);
    fixture.limit(40);
    let mut graft = |at: u8| {
        fixture.graft(at);
        fixture.overlay.assign_lanes(&fixture.scores)
    };
    let topic = Topic::new("t").expect("a name");
    assert_eq!(graft(0), [(peer(0), topic, Lane { slot: 0, of: 1 })]);
    assert_eq!(graft(1).len(), 2, "there are more lanes now");
    let told: usize = (2..40).map(|at| graft(at).len()).sum();
    assert_eq!(told, (3..=16).sum::<usize>(), "beyond 16 nobody is told");
    fixture.overlay.on_peer_left(peer(0), &fixture.topic);
    let told = fixture.overlay.assign_lanes(&fixture.scores);
    assert_eq!(told.len(), 16);
    assert!(told.iter().any(|(peer, _, _)| peer.0[0] == 16), "the next moves in");
    assert!(!fixture.overlay.is_lane_due());
}

#[test]
fn links_of_our_own_choice_and_the_most_useful_survive_thinning() {
    let mut fixture = Fixture::new(20, Direction::Inbound);
    fixture.know(100..105, Direction::Outbound);
    fixture.limit(30);
    (0..20).chain(100..105).for_each(|at| assert_ne!(fixture.graft(at), Grafted::Unknown));
    fixture.limit(12);
    fixture.scores.on_useful(peer(7), 1);
    fixture.maintain();
    let mesh = fixture.mesh();
    assert_eq!(mesh.iter().filter(|&&at| at >= 100).count(), 5);
    assert!(mesh.len() == 8 && mesh.contains(&7), "{mesh:?}");
}

#[test]
fn inbound_peers_never_take_all_places() {
    let mut fixture = Fixture::new(200, Direction::Inbound);
    fixture.know([250, 251, 252], Direction::Outbound);
    fixture.fill();
    assert_eq!(fixture.mesh().iter().filter(|&&at| at >= 250).count(), 2);
    fixture.overlay.on_peer_left(peer(250), &fixture.topic);
    fixture.overlay.on_peer_left(peer(251), &fixture.topic);
    (0..12).for_each(|at| assert_ne!(fixture.graft(at), Grafted::Unknown));
    fixture.maintain();
    assert!(fixture.mesh().contains(&252), "also when the mesh is full");
}

#[test]
fn the_silent_are_pruned_when_others_serve_and_stay_out() {
    let mut fixture = Fixture::new(4, Direction::Inbound);
    fixture.fill();
    [0, 1].into_iter().for_each(|at| fixture.be_silent(at));
    assert_eq!(fixture.maintain(), [], "nobody serves: it may be us");
    let lanes = fixture.overlay.assign_lanes(&fixture.scores);
    assert_eq!(lanes.iter().map(|(peer, _, _)| peer.0[0]).collect::<Vec<_>>(), [2, 3]);
    [2, 3].into_iter().for_each(|at| fixture.scores.on_useful(peer(at), 1));
    assert_eq!(fixture.maintain().len(), 2);
    assert_eq!(fixture.mesh(), [2, 3]);
    fixture.now = Time::ZERO + PRUNE_BACKOFF;
    assert_eq!(fixture.maintain(), []);
    assert_eq!(fixture.graft(0), Grafted::Refused(Refusal::Unwelcome));
    // But better they than nobody.
    fixture.overlay.on_peer_left(peer(2), &fixture.topic);
    fixture.now = fixture.now + PRUNE_BACKOFF;
    fixture.maintain();
    assert_eq!(fixture.mesh().len(), 2);
}

#[test]
fn far_more_useful_peers_are_taken_in_once_in_a_while() {
    let mut fixture = Fixture::new(30, Direction::Inbound);
    fixture.fill();
    fixture.maintain();
    let outside = (0..30).find(|at| !fixture.mesh().contains(at)).expect("22 of them");
    fixture.scores.on_useful(peer(outside), 5_000);
    assert_eq!(fixture.maintain(), []);
    fixture.now = Time::ZERO + IMPROVE_PERIOD;
    let topic = fixture.topic.clone();
    assert_eq!(fixture.maintain(), [Change::Graft { peer: peer(outside), topic }]);
}

#[test]
fn who_never_sends_makes_room_for_others() {
    let mut fixture = Fixture::new(12, Direction::Inbound);
    (0..12).for_each(|at| assert_eq!(fixture.graft(at), Grafted::Accepted));
    let look = |fixture: &mut Fixture| {
        fixture.now = fixture.now + IMPROVE_PERIOD;
        fixture.maintain().len()
    };
    assert_eq!(look(&mut fixture), 0);
    (0..40).for_each(|number| fixture.scores.on_spare(peer(number % 10)));
    assert_eq!(look(&mut fixture), 0, "there are no others");
    fixture.know([20, 21, 22], Direction::Inbound);
    assert_eq!(look(&mut fixture), 4);
    assert_eq!(fixture.mesh().iter().filter(|&&at| at >= 20).count(), 2);
    assert_eq!(fixture.graft(10), Grafted::Refused(Refusal::TooSoon));
    assert_eq!(look(&mut fixture), 0, "the new ones have not had their time");
}

#[test]
fn a_last_resort_is_a_neighbour_only_among_few() {
    let mut fixture = Fixture::new(3, Direction::Inbound);
    fixture.overlay.set_last_resort(peer(0));
    assert_eq!(fixture.fill().len(), 3, "few others");
    fixture.know([3], Direction::Inbound);
    assert_eq!(fixture.graft(3), Grafted::Accepted);
    assert_eq!(fixture.maintain(), [], "a few others");
    fixture.know([4], Direction::Inbound);
    assert_eq!(fixture.graft(4), Grafted::Accepted);
    let topic = fixture.topic.clone();
    let spared = Change::Prune { peer: peer(0), topic, why: Parting::Spared };
    assert_eq!(fixture.maintain(), [spared]);
    fixture.now = fixture.now + Parting::Spared.backoff();
    assert_eq!(fixture.graft(0), Grafted::Refused(Refusal::Spared));
    let few = CheckedParams::default().mesh_target;
    assert!(!fixture.with(|overlay, topic, scene| overlay.audience(topic, few, scene)).contains(&peer(0)));

    for at in [3, 4] {
        fixture.overlay.on_peer_left(peer(at), &fixture.topic);
    }
    assert_eq!(fixture.maintain(), [], "it waits, as it was told");
    fixture.now = fixture.now + Refusal::Spared.backoff();
    let topic = fixture.topic.clone();
    assert_eq!(fixture.maintain(), [Change::Graft { peer: peer(0), topic }]);
}
