//! Who is being connected to, and how many connections there are.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use futures::channel::oneshot;
use libp2p::PeerId;

/// How many peer connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Being set up at once, in both directions.
    pub sessions: usize,
    /// In all, those that are being set up included.
    pub connections: usize,
}

/// Why no session is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There are enough.
    #[error("{0} peer connections are there or being made, which is the limit")]
    Full(usize),
    /// A session with the same peer runs, in the same direction or in the one that has precedence.
    #[error("the peer is being connected to already")]
    Busy,
}

/// All sessions of a node, at most one with each peer, and a count of the connections that came of them.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    local: PeerId,
    table: Arc<Mutex<Table>>,
}

#[derive(Debug)]
struct Table {
    limits: Limits,
    running: BTreeMap<PeerId, Running>,
    /// Sessions begun, ever.
    begun: u64,
    connections: usize,
}

#[derive(Debug)]
struct Running {
    number: u64,
    role: Role,
}

#[derive(Debug)]
enum Role {
    Dials {
        /// The peer may have our offer.
        offered: bool,
        /// Dropped when the peer's dial takes precedence.
        _live: oneshot::Sender<()>,
    },
    Accepts,
}

impl Sessions {
    pub(crate) fn new(local: PeerId, limits: Limits) -> Self {
        let table = Table { limits, running: BTreeMap::new(), begun: 0, connections: 0 };
        Self { local, table: Arc::new(Mutex::new(table)) }
    }

    /// Begins a session in which we offer. The receiver ends when the peer's own dial takes precedence.
    pub(crate) fn dial(&self, peer: PeerId) -> Result<(Session, oneshot::Receiver<()>), Refusal> {
        let mut table = lock(&self.table);
        if table.running.contains_key(&peer) {
            return Err(Refusal::Busy);
        }
        table.check()?;
        let (live, lost) = oneshot::channel();
        let number = table.begin(peer, Role::Dials { offered: false, _live: live });
        drop(table);
        Ok((self.session(peer, number), lost))
    }

    /// Begins a session in which we answer an offer that has come. When we have offered as well, the offer of the
    /// smaller id holds. Both sides find the same, since each marks its offer before that leaves.
    pub(crate) fn accept(&self, peer: PeerId) -> Result<Session, Refusal> {
        let mut table = lock(&self.table);
        match table.running.get(&peer).map(|running| &running.role) {
            Some(Role::Accepts) => return Err(Refusal::Busy),
            Some(Role::Dials { offered: true, .. }) if self.local < peer => return Err(Refusal::Busy),
            // It ends, and leaves its place to this one.
            Some(Role::Dials { .. }) => {}
            None => table.check()?,
        }
        let number = table.begin(peer, Role::Accepts);
        drop(table);
        Ok(self.session(peer, number))
    }

    /// Sessions begun, ever.
    pub(crate) fn begun(&self) -> u64 {
        lock(&self.table).begun
    }

    /// Connections that are there or being made.
    pub(crate) fn connections(&self) -> usize {
        lock(&self.table).connections
    }

    fn session(&self, peer: PeerId, number: u64) -> Session {
        Session { peer, number, place: Place(self.table.clone()) }
    }
}

impl Table {
    fn check(&self) -> Result<(), Refusal> {
        let Limits { sessions, connections } = self.limits;
        if self.running.len() >= sessions {
            return Err(Refusal::Full(sessions));
        }
        if self.connections >= connections {
            return Err(Refusal::Full(connections));
        }
        Ok(())
    }

    fn begin(&mut self, peer: PeerId, role: Role) -> u64 {
        self.begun += 1;
        self.connections += 1;
        self.running.insert(peer, Running { number: self.begun, role });
        self.begun
    }
}

/// A running session; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Session {
    peer: PeerId,
    number: u64,
    place: Place,
}

impl Session {
    /// To be called before our offer leaves. False when the peer's dial has taken precedence.
    pub(crate) fn offer(&self) -> bool {
        match lock(&self.place.0).running.get_mut(&self.peer) {
            Some(Running { number, role: Role::Dials { offered, .. } }) if *number == self.number => {
                *offered = true;
                true
            }
            _ => false,
        }
    }

    /// What the connection that came of it holds as long as it lives.
    pub(crate) fn place(&self) -> Place {
        lock(&self.place.0).connections += 1;
        Place(self.place.0.clone())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut table = lock(&self.place.0);
        if table.running.get(&self.peer).is_some_and(|running| running.number == self.number) {
            table.running.remove(&self.peer);
        }
    }
}

/// One of the connections; it counts until dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Mutex<Table>>);

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.0).connections -= 1;
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().expect("no code panics while it holds this lock")
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const LIMITS: Limits = Limits { sessions: 2, connections: 3 };

    fn peer(seed: u8) -> PeerId {
        let key = libp2p::identity::Keypair::ed25519_from_bytes([seed; 32]).expect("a seed");
        key.public().to_peer_id()
    }

    /// Two peers, the smaller first.
    fn pair() -> (PeerId, PeerId) {
        let (a, b) = (peer(1), peer(2));
        (a.min(b), a.max(b))
    }

    #[test]
    fn one_session_with_each_peer() {
        let sessions = Sessions::new(peer(0), LIMITS);
        let (dial, _lost) = sessions.dial(peer(1)).expect("room");
        assert_eq!(sessions.dial(peer(1)).map(drop), Err(Refusal::Busy));
        drop(dial);
        let accept = sessions.accept(peer(1)).expect("the other has ended");
        assert_eq!(sessions.accept(peer(1)).map(drop), Err(Refusal::Busy));
        assert_eq!(sessions.dial(peer(1)).map(drop), Err(Refusal::Busy));
        assert_eq!((accept.offer(), sessions.begun()), (false, 2));
    }

    #[test]
    fn of_two_offers_the_one_of_the_smaller_holds() {
        let (small, large) = pair();
        let (at_small, at_large) = (Sessions::new(small, LIMITS), Sessions::new(large, LIMITS));
        let (dial_small, mut lost_small) = at_small.dial(large).expect("room");
        let (dial_large, mut lost_large) = at_large.dial(small).expect("room");
        assert!(dial_small.offer() && dial_large.offer());
        assert_eq!(at_small.accept(large).map(drop), Err(Refusal::Busy));
        let accept = at_large.accept(small).expect("the smaller offers");
        assert_eq!(lost_small.try_recv(), Ok(None));
        assert!(lost_large.try_recv().is_err() && !dial_large.offer());
        // What is over must not end what took its place.
        drop(dial_large);
        assert_eq!(at_large.accept(small).map(drop), Err(Refusal::Busy));
        drop(accept);
        assert_eq!(at_large.connections(), 0);
    }

    #[test]
    fn an_offer_that_comes_before_ours_left_is_taken() {
        let (small, large) = pair();
        let sessions = Sessions::new(small, LIMITS);
        let (dial, _lost) = sessions.dial(large).expect("room");
        let _accept = sessions.accept(large).expect("ours has not left");
        assert!(!dial.offer());
    }

    #[test]
    fn sessions_and_connections_have_limits() {
        let sessions = Sessions::new(peer(0), LIMITS);
        let (first, _lost) = sessions.dial(peer(1)).expect("room");
        let second = sessions.accept(peer(2)).expect("room");
        assert_eq!(sessions.accept(peer(3)).map(drop), Err(Refusal::Full(2)));
        let places = (first.place(), second.place());
        drop((first, second));
        let third = sessions.accept(peer(3)).expect("room");
        assert_eq!(sessions.accept(peer(4)).map(drop), Err(Refusal::Full(3)));
        drop(places);
        assert!(sessions.accept(peer(4)).is_ok());
        drop(third);
        assert_eq!(sessions.connections(), 0);
    }
}
