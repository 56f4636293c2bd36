//! Signalling between two peers that share a neighbour: a room goes on forming links when its relay is gone.
//!
//! The neighbour passes it on over one hop, and checks the origin's signature before it does. So a wrong signature is the
//! fault of whoever handed it over, and what a carrier changes is found out and charged to it. What is right and makes no sense
//! to the target is the origin's fault, and nobody is charged: the origin has no link to be judged by.

use alloc::{collections::BTreeMap, vec::Vec};

use braidcast_machine::{Offence, Time};
use braidcast_wire::{Domain, Identity, PeerId, limits, verify};
use bytes::Bytes;

use crate::frame::Carry;

/// What each link may have carried.
#[derive(Debug, Default)]
pub(crate) struct Carriage(BTreeMap<PeerId, Bucket>);

/// Bytes that may still be carried, as of a time.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: u64,
    at: Time,
}

/// What is to be done with a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// It is for us.
    Take { origin: PeerId, sealed: Bytes },
    /// It is for this peer.
    Pass(PeerId),
}

impl Carriage {
    pub(crate) fn on_disconnected(&mut self, peer: PeerId) {
        self.0.remove(&peer);
    }

    /// Judges what `from` handed over to us, who are `local`.
    pub(crate) fn judge(
        &mut self,
        now: Time,
        local: PeerId,
        from: PeerId,
        carry: &Carry,
    ) -> Result<Duty, Offence> {
        let (origin, target) = (key(&carry.origin)?, key(&carry.target)?);
        if carry.sealed.len() > limits::SEALED_BYTES {
            return Err(Offence::fatal("carried signalling is longer than the limit"));
        }
        if origin == local || (target != local && origin != from) {
            return Err(Offence::minor("signalling goes over one hop, from its origin to its target"));
        }
        if !self.0.entry(from).or_insert(Bucket { left: limits::CARRY_BURST_BYTES, at: now }).take(now, carry)
        {
            return Err(Offence::harmless("more signalling to carry than the limit"));
        }
        if !verify(origin, Domain::Carry, &signed(origin, target, &carry.sealed), &carry.signature) {
            return Err(Offence::fatal("carried signalling does not have its origin's signature"));
        }
        Ok(match target == local {
            true => Duty::Take { origin, sealed: carry.sealed.clone() },
            false => Duty::Pass(target),
        })
    }
}

impl Bucket {
    fn take(&mut self, now: Time, carry: &Carry) -> bool {
        let fresh = now.since(self.at).as_micros().saturating_mul(limits::CARRY_BYTES_PER_SECOND) / 1_000_000;
        // What is less than a byte is not lost.
        if fresh > 0 {
            (self.left, self.at) = (self.left.saturating_add(fresh).min(limits::CARRY_BURST_BYTES), now);
        }
        let cost = carry.sealed.len() as u64 + OVERHEAD;
        let Some(left) = self.left.checked_sub(cost) else { return false };
        self.left = left;
        true
    }
}

/// Puts `sealed` on its way to `target`.
pub(crate) fn carry(identity: &Identity, target: PeerId, sealed: Bytes) -> Carry {
    let origin = identity.peer_id();
    let signature = identity.sign(Domain::Carry, &signed(origin, target, &sealed));
    Carry {
        origin: Bytes::copy_from_slice(&origin.0),
        target: Bytes::copy_from_slice(&target.0),
        sealed,
        signature: Bytes::copy_from_slice(&signature),
    }
}

/// The key in a frame.
pub(crate) fn key(bytes: &Bytes) -> Result<PeerId, Offence> {
    let key = <[u8; 32]>::try_from(&bytes[..]);
    key.map(PeerId).map_err(|_| Offence::fatal("a public key is 32 bytes"))
}

fn signed(origin: PeerId, target: PeerId, sealed: &[u8]) -> Vec<u8> {
    [&origin.0[..], &target.0, sealed].concat()
}

/// Keys, signature, and a check that takes longer than the bytes do.
const OVERHEAD: u64 = 256;
