//! The production machines in the laboratory.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use braidcast_core::{
    Command, Config, Core, Event, Frame,
    frame::Body,
    machine::Rng,
    mesh::{self, Content, Mode, Publish, Secret, TopicParams, frame::Body as MeshBody},
    wire::{Identity, PeerId, Topic},
};
use bytes::Bytes;

use super::{
    baseline::validation,
    dice,
    outcome::Ledger,
    plan::{Message, Plan},
    shared,
    system::{Observer, System},
};

/// Braidcast.
#[derive(Clone, Debug)]
pub(crate) struct Braidcast {
    seed: u64,
    topic: Topic,
    ids: Vec<PeerId>,
    mode: Mode,
}

impl Braidcast {
    /// `open` mode.
    pub(crate) fn open(plan: &Plan) -> Self {
        Self::of(plan, Mode::Open)
    }

    /// `closed` mode: all are members.
    pub(crate) fn closed(plan: &Plan) -> Self {
        Self::of(plan, Mode::Closed { secret: Secret([7; 32]) })
    }

    fn of(plan: &Plan, mode: Mode) -> Self {
        shared::forget();
        let seed = plan.choice.seed;
        let topic = Topic::new("lab").expect("it is short enough");
        let ids = (0..plan.network.hosts.len() as u32).map(|node| identity(seed, node).peer_id()).collect();
        Self { seed, topic, ids, mode }
    }

    fn original(&self, number: u32, bytes: u32) -> Bytes {
        let mut payload = vec![0; bytes as usize];
        dice(self.seed, &format!("payload {number}")).fill(&mut payload);
        payload.into()
    }
}

/// The key of a node.
pub(crate) fn identity(seed: u64, node: u32) -> Identity {
    let mut key = [0; 32];
    dice(seed, &format!("identity {node}")).fill(&mut key);
    Identity::from_seed(&key)
}

/// A node that shares pieces, and verdicts on signatures, with all others of this thread.
pub(crate) fn core(mut config: Config, identity: Identity, mut rng: Rng) -> Core {
    config.mesh.share = shared::piece;
    config.mesh.verify = shared::verdict;
    let mut seed = [0; 32];
    rng.fill(&mut seed);
    Core::new(config, identity, seed)
}

impl System for Braidcast {
    type Machine = Core;
    type Event = Event;

    fn peer(&self, node: u32) -> PeerId {
        self.ids[node as usize]
    }

    /// It forms its own mesh, within the same bounds of degree.
    fn machine(&self, plan: &Plan, node: u32, _: BTreeSet<PeerId>, rng: Rng) -> Core {
        let overlay = plan.scenario.overlay;
        let mut config = Config::default();
        let params = TopicParams {
            mode: self.mode.clone(),
            mesh_min: overlay.min as usize,
            mesh_target: overlay.degree as usize,
            mesh_max: overlay.max as usize,
            ..TopicParams::default()
        };
        config.mesh.topic = params.checked().expect("scenarios name bounds in order");
        core(config, identity(self.seed, node), rng)
    }

    fn start(&self) -> Option<Command> {
        Some(Command::Mesh(mesh::Command::Subscribe(self.topic.clone())))
    }

    fn publish(&self, number: u32, message: &Message) -> Command {
        let payload = self.original(number, message.bytes).into();
        let content = Content { payload, ..Content::default() };
        let publish = Publish { ticket: number.into(), topic: self.topic.clone(), content };
        Command::Mesh(mesh::Command::Publish(publish))
    }

    fn payload(frame: &Frame) -> u64 {
        payload_of(frame).map_or(0, |payload| payload.len() as u64)
    }

    fn is_announcement(frame: &Frame) -> bool {
        let Some(Body::Mesh(mesh::Frame { body: Some(body) })) = &frame.body else { return false };
        matches!(body, MeshBody::Have(_) | MeshBody::Rank(_) | MeshBody::IHave(_))
    }

    fn pollute(frame: &mut Frame) {
        if let Some(payload) = payload_mut(frame).filter(|payload| !payload.is_empty()) {
            let mut bytes = payload.to_vec();
            bytes.iter_mut().zip(MARK).for_each(|(byte, mark)| *byte = mark);
            *payload = bytes.into();
        }
    }

    fn is_polluted(frame: &Frame) -> bool {
        payload_of(frame).is_some_and(|payload| payload.starts_with(&MARK))
    }

    /// Delivery is when an application would have validated what it was handed.
    fn observer(&self, ledger: Rc<RefCell<Ledger>>) -> Observer<Self> {
        let mut published = BTreeMap::new();
        let this = self.clone();
        Box::new(move |time, node, event| match event {
            Event::Mesh(mesh::Event::Published { ticket, id, .. }) => {
                let number = u32::try_from(ticket).expect("tickets are numbers of ours");
                let bytes = ledger.borrow().bytes(number);
                published.insert(id, (number, this.original(number, bytes)));
            }
            Event::Mesh(mesh::Event::Message(message)) => {
                let mut ledger = ledger.borrow_mut();
                match published.get(&message.id) {
                    Some((number, payload)) if is_same(&message.content.payload, payload) => {
                        ledger.deliver(*number, node.0, time, validation(payload.len() as u64));
                    }
                    _ => ledger.corrupt += 1,
                }
            }
            Event::Mesh(mesh::Event::Refused { ticket, error }) => {
                eprintln!("message {ticket} was refused: {error}");
            }
            _ => {}
        })
    }

    fn verifies_frames(&self) -> bool {
        true
    }
}

/// True for part of a mixture of pieces.
pub(crate) fn is_shard(frame: &Frame) -> bool {
    let Some(Body::Mesh(mesh::Frame { body: Some(body) })) = &frame.body else { return false };
    matches!(body, MeshBody::Chunk(chunk) if !chunk.coefficients.is_empty())
}

fn payload_of(frame: &Frame) -> Option<&Bytes> {
    let Some(Body::Mesh(mesh::Frame { body: Some(body) })) = &frame.body else { return None };
    match body {
        MeshBody::Manifest(manifest) => Some(&manifest.payload),
        MeshBody::Chunk(chunk) => Some(&chunk.bytes),
        _ => None,
    }
}

fn payload_mut(frame: &mut Frame) -> Option<&mut Bytes> {
    let Some(Body::Mesh(mesh::Frame { body: Some(body) })) = &mut frame.body else { return None };
    match body {
        MeshBody::Manifest(manifest) => Some(&mut manifest.payload),
        MeshBody::Chunk(chunk) => Some(&mut chunk.bytes),
        _ => None,
    }
}

/// How a polluter's bytes begin.
const MARK: [u8; 16] = *b"not what was sig";

/// Whether a payload is what was published.
pub(crate) fn is_same(got: &mesh::Payload, expected: &Bytes) -> bool {
    let mut rest: &[u8] = expected;
    let matches = got.segments().iter().all(|segment| {
        let Some((head, tail)) = rest.split_at_checked(segment.len()) else { return false };
        rest = tail;
        head == &segment[..]
    });
    matches && rest.is_empty()
}
