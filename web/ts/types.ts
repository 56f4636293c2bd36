/** A connected peer. */
export interface Peer {
  /** `12D3KooW...`, the public key in libp2p's text form. */
  readonly id: string;
  /** A relay, a direct connection, or one through a relay. */
  readonly link: "relay" | "direct" | "circuit";
  /** A multiaddr, as this side sees it. */
  readonly address: string;
  /** What it calls itself; unverified, may be empty. */
  readonly agent: string;
  /** Latest round trip, once one was measured. */
  readonly rttMs: number | undefined;
  /** Topics in which it takes part, of those this node knows of: it subscribes, and is a member where this node closed one. */
  readonly topics: readonly string[];
  /** True when it dialled us. */
  readonly inbound: boolean;
}

/** How what a peer publishes comes to us. */
export interface Path {
  /** As in {@link Peer}; undefined when there is no link to it and all comes through other peers. A circuit carries no
   * messages: they come through other peers until a direct link is made. */
  readonly link: "relay" | "direct" | "circuit" | undefined;
  /** Id of the relay whose circuit the link is. */
  readonly via: string | undefined;
  /** Why there is no direct link, or none yet, for people. */
  readonly obstacle: string | undefined;
}

/** The connection to one configured relay. A lost one is dialled again for ever. */
export type Relay =
  | { readonly state: "connecting"; readonly address: string }
  | { readonly state: "connected"; readonly address: string; readonly peerId: string }
  | {
      readonly state: "lost";
      readonly address: string;
      /** Why, for people. */
      readonly error: string;
      /** From the loss to the next attempt. */
      readonly retryInMs: number;
      /** The same as a point in time, in milliseconds like `Date.now()`. */
      readonly retryAtMs: number;
    };

/** A change among the connected peers. */
export type PeerChange =
  | { readonly type: "connected"; readonly peer: Peer }
  | { readonly type: "disconnected"; readonly id: string }
  | { readonly type: "joined"; readonly id: string; readonly topic: string }
  | { readonly type: "left"; readonly id: string; readonly topic: string };

/** How far a large message is: told at most every 50 ms, so that it may lag by what came in that time, and when all of it is there. */
export interface Progress {
  /** `in`: to us. `out`: a message of our own, to the neighbour that has most of it. */
  readonly direction: "in" | "out";
  readonly id: string;
  readonly topic: string;
  /** Id of its publisher. */
  readonly from: string;
  /** Its name, often a file's; may be empty. */
  readonly name: string;
  readonly heldBytes: number;
  readonly totalBytes: number;
}

/** Neighbours hold the whole of a message of our own. They pass it on; this is no count of all receivers. */
export interface Reached {
  readonly id: string;
  readonly peers: number;
  /** Neighbours that it was offered to. */
  readonly of: number;
}

/** So many peer connections were made within an hour that no new one is for a while: a browser allows a page 500 in its life.
 * Those there are and the relays go on. A reload begins anew. */
export interface Exhausted {
  /** Within the hour. */
  readonly attempts: number;
  /** From now to the next attempt. */
  readonly retryInMs: number;
  /** The same as a point in time, in milliseconds like `Date.now()`. */
  readonly retryAtMs: number;
}

/** Messages were dropped, the oldest first, because nobody took them. */
export interface Lagged {
  readonly messages: number;
  /** Whose iterator was slow; undefined when the whole page was. */
  readonly topic: string | undefined;
}

/** The node ended. */
export interface Stopped {
  /** Undefined after `stop()`, else why. */
  readonly error: Error | undefined;
}

/** A connected peer and this node take no part in a closed topic together: nothing of it goes to that peer or is taken from it.
 * Told once per link and cause. It may still introduce members to each other. */
export interface Outsider {
  readonly id: string;
  readonly topic: string;
  /** `otherKey`: its key is not ours, so one of the two is wrong. `noProof`: it would take part and proved nothing, as a relay
   * that has no key. `noKey`: it wants a proof, and the topic is open here. */
  readonly why: "otherKey" | "noProof" | "noKey";
  /** The same for people, with what to do. */
  readonly message: string;
}

/** What `node.on` can tell. */
export interface NodeEvents {
  relay: Relay;
  peer: PeerChange;
  progress: Progress;
  reached: Reached;
  outsider: Outsider;
  exhausted: Exhausted;
  lagged: Lagged;
  stopped: Stopped;
}

/** A message on its way. */
export interface Published {
  /** 64 hexadecimal digits, the same at every receiver. */
  readonly id: string;
  /** Neighbours that it is offered to; at least 1. */
  readonly peers: number;
}

/** Counters since the start of the node; the numbers only grow, but for `peers`. */
export interface Stats {
  readonly messagesIn: number;
  readonly messagesOut: number;
  /** Of our protocol, encryption not counted: the sum of bulk and control. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly bulkBytesIn: number;
  readonly bulkBytesOut: number;
  readonly controlBytesIn: number;
  readonly controlBytesOut: number;
  /** Pieces of large messages that were lacking, */
  readonly piecesNew: number;
  /** that were here already, */
  readonly piecesDuplicate: number;
  /** of a message that was whole already, */
  readonly piecesUnnecessary: number;
  /** and that did not match the publisher's hash. */
  readonly piecesCorrupt: number;
  readonly piecesSent: number;
  /** Pieces asked for. */
  readonly wants: number;
  /** Mesh links added and removed. */
  readonly grafts: number;
  readonly prunes: number;
  /** Payload of the messages that arrived. */
  readonly deliveredBytes: number;
  /** Unfinished messages given up. */
  readonly abandoned: number;
  /** Messages that the application did not accept, or was not asked about because too many waited. */
  readonly refused: number;
  /** Rules broken by peers. */
  readonly offences: number;
  /** Connected now. */
  readonly peers: number;
  /** Events dropped because the page was slow. */
  readonly inboxLost: number;
  /** The instructions that code large messages: `relaxed-simd` or `simd128`. */
  readonly kernel: string;
  /** Of the wasm module, all nodes of the page together; it never shrinks. */
  readonly memoryBytes: number;
  /** Those of them that are in use. */
  readonly liveBytes: number;
}
