#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const NOW: Time = Time::from_micros(1);
const LIMITS: Limits = Limits { links: 2, connections: 4, made: Some(6) };

fn id(number: usize) -> ConnectionId {
    ConnectionId::new_unchecked(number)
}

fn peer(number: u8) -> PeerId {
    PeerId([number; 32])
}

/// Makes all that it may.
fn attempt(quota: &mut Quota, id: ConnectionId, count: usize, now: Time) -> Result<(), Refused> {
    quota.attempt(id, count, false, now)?;
    make(quota, count, now);
    Ok(())
}

/// Makes peer connections, for this node or another of the page.
fn make(quota: &mut Quota, count: usize, now: Time) {
    let mut made = quota.made.clone();
    made.total += count;
    made.times.extend(std::iter::repeat_n(now, count));
    quota.on_made(made);
}

fn link(quota: &mut Quota, number: u8, now: Time) {
    attempt(quota, id(number.into()), 1, now).expect("room");
    let place = quota.place(peer(number), false, now, |_| 0).expect("room");
    quota.on_link(id(number.into()), peer(number), place, now);
}

#[test]
fn attempts_count_while_they_last() {
    let mut quota = Quota::new(Limits { made: None, ..LIMITS });
    attempt(&mut quota, id(1), 3, NOW).expect("room");
    assert_eq!(attempt(&mut quota, id(2), 2, NOW), Err(Refused::Full { open: 3, limit: 4 }));
    attempt(&mut quota, id(2), 0, NOW).expect("no peer connection");
    attempt(&mut quota, id(3), 1, NOW).expect("room");
    quota.on_gone(id(1));
    quota.on_other(id(3), true);
    attempt(&mut quota, id(4), 2, NOW).expect("room");
    assert_eq!(quota.open(), 3);
}

#[test]
fn a_page_stops_well_before_its_browser_does() {
    let mut quota = Quota::new(LIMITS);
    for number in 0..6 {
        attempt(&mut quota, id(number), 1, NOW).expect("room");
        quota.on_gone(id(number));
    }
    let spent = attempt(&mut quota, id(6), 1, NOW).expect_err("too many");
    assert_eq!(spent, Refused::Spent { made: 6, limit: 6 });
    assert!(spent.to_string().contains("reload"));
    attempt(&mut quota, id(6), 1, NOW + PERIOD).expect("forgotten");
}

#[test]
fn what_was_not_made_is_not_counted() {
    let mut quota = Quota::new(LIMITS);
    for number in 0..100 {
        quota.attempt(id(number), 2, false, NOW).expect("nothing was made");
        quota.on_gone(id(number));
    }
    make(&mut quota, 6, NOW);
    assert!(quota.attempt(id(100), 1, false, NOW).is_err(), "others of the page made them");
}

#[test]
fn a_second_node_of_the_page_knows_when_the_first_made_its_own() {
    let (mut first, mut second) = (Quota::new(LIMITS), Quota::new(LIMITS));
    make(&mut first, 6, NOW);
    let later = NOW + PERIOD;
    second.on_made(first.made.clone());
    second.attempt(id(1), 1, false, later).expect("they are forgotten");
    second.on_gone(id(1));
    make(&mut first, 6, later);
    second.on_made(first.made);
    assert_eq!(second.attempt(id(1), 1, false, later), Err(Refused::Spent { made: 6, limit: 6 }));
}

#[test]
fn what_is_being_made_is_counted() {
    let mut quota = Quota::new(Limits { made: Some(1), ..LIMITS });
    quota.attempt(id(1), 1, false, NOW).expect("the first");
    assert!(quota.attempt(id(2), 1, false, NOW).is_err());
    quota.on_gone(id(1));
    quota.attempt(id(2), 1, false, NOW).expect("nothing came of it");
}

#[test]
fn what_an_attempt_has_made_is_counted_once() {
    let mut quota = Quota::new(LIMITS);
    attempt(&mut quota, id(1), 2, NOW).expect("room");
    quota.attempt(id(2), 2, false, NOW).expect("room");
    make(&mut quota, 1, NOW);
    quota.on_gone(id(1));
    assert_eq!(quota.attempt(id(3), 3, false, NOW), Err(Refused::Full { open: 2, limit: 4 }));
    quota.attempt(id(3), 2, false, NOW).expect("three are made, one may be");
    quota.on_gone(id(3));
    make(&mut quota, 1, NOW);
    quota.attempt(id(3), 2, false, NOW).expect("four are made");
    assert_eq!(quota.made.times.len(), 4);
}

#[test]
fn a_lost_relay_is_dialled_when_all_else_waits() {
    let mut quota = Quota::new(LIMITS);
    make(&mut quota, 6, NOW);
    assert!(quota.attempt(id(1), 1, false, NOW).is_err());
    assert!(quota.take_news().is_some());
    quota.attempt(id(1), 2, true, NOW).expect("the reserve");
    quota.on_gone(id(1));
    assert!(quota.attempt(id(2), 1, false, NOW).is_err());
    assert_eq!(quota.take_news(), None, "it is known");
    make(&mut quota, RESERVE, NOW);
    assert!(quota.attempt(id(3), 1, true, NOW).is_err());
}

#[test]
fn who_has_no_limit_of_attempts_remembers_none() {
    let mut quota = Quota::new(Limits { made: None, ..LIMITS });
    for number in 0..1_000 {
        attempt(&mut quota, id(number), 1, NOW).expect("room");
        quota.on_gone(id(number));
    }
    assert_eq!(quota.made.times.capacity(), 0);
}

#[test]
fn that_attempts_are_used_up_is_told_once_and_until_when() {
    let mut quota = Quota::new(LIMITS);
    let later = |seconds| NOW + Duration::from_secs(seconds);
    for number in 0..6 {
        attempt(&mut quota, id(number as usize), 1, later(number)).expect("room");
        quota.on_gone(id(number as usize));
    }
    assert_eq!(quota.take_news(), None);
    assert!(attempt(&mut quota, id(6), 2, later(10)).is_err());
    let wait = PERIOD - Duration::from_secs(9);
    assert_eq!(quota.take_news(), Some(Spent { made: 6, wait }), "when two are forgotten");
    assert!(attempt(&mut quota, id(6), 1, later(11)).is_err());
    assert_eq!(quota.take_news(), None, "it is known");
    attempt(&mut quota, id(6), 1, NOW + PERIOD).expect("one is forgotten");
    quota.on_gone(id(6));
    assert!(attempt(&mut quota, id(7), 1, NOW + PERIOD).is_err());
    assert_eq!(quota.take_news().map(|spent| spent.wait), Some(Duration::from_secs(1)));
}

#[test]
fn the_least_useful_link_makes_room_once_in_a_while() {
    let mut quota = Quota::new(LIMITS);
    link(&mut quota, 1, NOW);
    link(&mut quota, 2, NOW);
    let worth = |peer: PeerId| 10 - peer.0[0];
    assert_eq!(quota.place(peer(3), true, NOW, worth), Err(Refused::Enough), "all are young");
    let later = NOW + SETTLED;
    assert_eq!(quota.place(peer(1), true, later, worth), Ok(Place::Free), "linked already");
    assert_eq!(quota.place(peer(3), false, later, worth), Err(Refused::Enough), "we did not need it");
    let place = quota.place(peer(3), true, later, worth).expect("room is made");
    assert_eq!(place, Place::Of(peer(2)));
    quota.on_link(id(3), peer(3), place, later);
    quota.on_gone(id(2));
    assert_eq!(quota.place(peer(4), true, later, worth), Err(Refused::Enough), "not so soon again");
    assert_eq!(quota.place(peer(4), true, later + EVICTION, worth), Ok(Place::Of(peer(1))));
    assert_eq!(quota.peers(), [peer(1), peer(3)].into());
}
