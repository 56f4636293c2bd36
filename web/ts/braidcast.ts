import { kernel, live_bytes, WasmNode, type WasmEvent } from "./wasm/braidcast_web.js";
import { toContent, type Publishable } from "./content.js";
import { Emitter } from "./emitter.js";
import { Engine, type WasmSource } from "./engine.js";
import { ConfigError, StoppedError, UnsupportedError } from "./errors.js";
import { fromHex } from "./hex.js";
import { toIceServers, type IceServer } from "./ice.js";
import { keep, pageMemory, recall, type Memory } from "./memory.js";
import { Message } from "./message.js";
import { toSettings, type TopicOptions } from "./options.js";
import { outsider } from "./outsider.js";
import { resolveRelays } from "./relays.js";
import { Subscriptions, type Sink } from "./subscriptions.js";
import { Topic, type PublishOptions } from "./topic.js";
import type { NodeEvents, Path, Peer, Published, Relay, Stats } from "./types.js";
import { Validator } from "./validator.js";

/** Longest payload unless said otherwise, in bytes. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

/** How long after a change what is to be remembered is kept, in milliseconds. */
const KEEP_AFTER_MS = 2_000;

/** How long one task may take events and hand them out before the page may draw, in milliseconds. */
const SLICE_MS = 8;

export interface StartOptions {
  /** Multiaddrs (`/dns4/relay.example.org/tcp/443/wss/p2p/12D3KooW...`, or in a page
   * `/ip4/192.0.2.1/udp/4041/webrtc-direct/certhash/uEi.../p2p/12D3KooW...`, which needs no TLS certificate), or `http(s)` URLs
   * of relays, which are asked where they listen. */
  relays?: readonly string[];
  /** The 32-byte secret of an identity to be kept: whoever has it can sign as this node. Fresh when not given, so
   * that two tabs are two nodes. Never run two nodes with one seed at a time. */
  identitySeed?: Uint8Array;
  /** Longest payload to publish or to accept, in bytes; 64 MiB when not given. Use one value in all nodes. */
  maxMessageBytes?: number;
  /** STUN and TURN servers for direct links between pages, as in the browser's `RTCConfiguration`; none when not given.
   * Without one, pages find each other in one network, and where one of them has a public address. A STUN server sees
   * this page's address, a TURN server also whom it talks to. */
  iceServers?: readonly IceServer[];
  /** Most peer connections made in an hour, all nodes of the page together; 400 when not given. Beyond it the node keeps the
   * links that it has, dials no others but a lost relay, and says `exhausted`. Browsers stop a page at 500 that they have not
   * forgotten yet. */
  peerConnectionsPerHour?: number;
  /** What is kept over a reload, so that the room is found again also when a relay does not answer: `localStorage` in a page
   * when not given, nothing in Node.js, nothing for `null`. */
  memory?: Memory | null;
  /** Gives up starting. A started node is ended with `stop()`. */
  signal?: AbortSignal;
  /** Where the wasm module comes from, when not from beside this package. The first node of a page decides. */
  wasm?: WasmSource;
}

/** A node: one identity, its connections, its topics. */
export class Braidcast {
  /** Its id: the public key, in libp2p's text form `12D3KooW...`. */
  readonly id: string;
  readonly #engine: Engine;
  readonly #wasm: WasmNode;
  readonly #maxMessageBytes: number;
  readonly #emitter = new Emitter<NodeEvents>();
  readonly #relays = new Map<string, Relay>();
  readonly #memory: Memory | undefined;
  /** The addresses of each relay that was given. */
  readonly #found: ReadonlyMap<string, readonly string[]>;
  #acquaintances: readonly Uint8Array[];
  #keeping: ReturnType<typeof setTimeout> | undefined;
  readonly #subscriptions: Subscriptions;
  readonly #validators = new Map<string, Validator>();
  /** Closed topics, and how to leave those that this node has spoken in. */
  readonly #closed = new Map<string, (() => void) | undefined>();
  readonly #pump: Promise<void>;
  /** Set once the node has ended. */
  #end: { error: Error | undefined } | undefined;

  protected constructor(
    engine: Engine,
    wasm: WasmNode,
    settings: { relays: ReadonlyMap<string, readonly string[]>; acquaintances: readonly Uint8Array[]; memory: Memory | undefined; maxMessageBytes: number },
  ) {
    this.#engine = engine;
    this.#memory = settings.memory;
    this.#found = settings.relays;
    this.#acquaintances = settings.acquaintances;
    this.#wasm = wasm;
    this.#maxMessageBytes = settings.maxMessageBytes;
    this.id = wasm.peer_id();
    for (const address of [...settings.relays.values()].flat()) this.#relays.set(address, { state: "connecting", address });
    // Both fail only when the node has ended, which every subscriber is told anyway.
    this.#subscriptions = new Subscriptions(
      (topic) => void this.#wait(() => wasm.subscribe(topic)).catch(() => {}),
      (topic) => void this.#wait(() => wasm.unsubscribe(topic)).catch(() => {}),
    );
    this.#pump = this.#run();
  }

  /**
   * Loads the module if need be and starts a node. Does not wait for the relays: `relay` events tell.
   *
   * @throws {ConfigError} for an option that can never work.
   * @throws {RelayError} when a relay's URL does not answer. A multiaddr that does not answer is dialled for ever.
   * @throws {LoadError} when the wasm module cannot be loaded.
   * @throws {UnsupportedError} on a platform without `WebSocket`, such as Node.js before 22, or without
   * WebAssembly SIMD; for a `/webrtc-direct` relay also in a worker, in Node.js, and where WebRTC is turned off.
   */
  static start(options: StartOptions & { wasm: WasmSource }): Promise<Braidcast> {
    return this.launch(options, () => options.wasm);
  }

  protected static async launch(
    options: StartOptions,
    source: () => WasmSource | Promise<WasmSource>,
  ): Promise<Braidcast> {
    const { signal, maxMessageBytes = MAX_MESSAGE_BYTES } = options;
    signal?.throwIfAborted();
    if (typeof WebSocket === "undefined") {
      throw new UnsupportedError("there is no WebSocket here: use a browser, or Node.js 22 or later");
    }
    if (!Number.isSafeInteger(maxMessageBytes) || maxMessageBytes < 1) {
      throw new ConfigError(`maxMessageBytes is ${maxMessageBytes}, expected a positive whole number`);
    }
    const { peerConnectionsPerHour = 400 } = options;
    if (!Number.isSafeInteger(peerConnectionsPerHour) || peerConnectionsPerHour < 0 || peerConnectionsPerHour > 1e6) {
      throw new ConfigError(`peerConnectionsPerHour is ${peerConnectionsPerHour}, expected a whole number up to 1000000`);
    }
    const iceServers = toIceServers(options.iceServers ?? []);
    const seed = options.identitySeed ?? crypto.getRandomValues(new Uint8Array(32));
    const memory = options.memory === undefined ? pageMemory() : (options.memory ?? undefined);
    const known = await recall(memory);
    const [engine, found] = await Promise.all([
      Engine.load(source),
      resolveRelays(options.relays ?? [], known.relays, signal),
    ]);
    signal?.throwIfAborted();
    const addresses = new Map([...found].map(([relay, { addresses }]) => [relay, addresses]));
    const relays = [...new Set([...addresses.values()].flat())];
    const webrtcDirectV2 = [...found.values()].flatMap(({ addresses, v2 }) => (v2 ? addresses : []));
    const acquaintances = [...known.peers];
    const settings = { relays, webrtcDirectV2, acquaintances, maxMessageBytes, iceServers, peerConnectionsPerHour };
    const wasm = await engine.wait(() => WasmNode.start(settings, seed));
    return new this(engine, wasm, { relays: addresses, acquaintances, memory, maxMessageBytes });
  }

  /**
   * The topic of this name, 1 to 256 bytes of UTF-8. With `options`, they hold from now on for all of the topic in this node;
   * without, what was said before holds, or else the defaults. To change who takes part (`mode`, `key`) is to leave the topic
   * and to come back.
   *
   * @throws {InvalidError} for any other name, and for options that can never work: its text has value, limit and what to do.
   * @throws {StoppedError} {@link CrashedError} with options.
   */
  topic(name: string, options?: TopicOptions): Topic {
    const topic = new Topic(name, this.#hub);
    if (options) this.#configure(name, options);
    return topic;
  }

  /** The connections to the configured relays as they are now. */
  relays(): Relay[] {
    return [...this.#relays.values()];
  }

  /**
   * The connected peers, relays included.
   *
   * @throws {StoppedError} {@link CrashedError}
   */
  peers(): Promise<Peer[]> {
    return this.#wait(() => this.#wasm.peers());
  }

  /**
   * How what this peer publishes comes to us, and why not over a direct link.
   *
   * @throws {InvalidError} for what is no peer id.
   * @throws {StoppedError} {@link CrashedError}
   */
  path(peerId: string): Promise<Path> {
    return this.#wait(() => this.#wasm.path(peerId));
  }

  /**
   * The counters now; also those of a stopped node.
   *
   * @throws {CrashedError}
   */
  stats(): Stats {
    const memoryBytes = this.#engine.memoryBytes;
    return this.#engine.run(() => ({ ...this.#wasm.stats(), kernel: kernel(), memoryBytes, liveBytes: live_bytes() }));
  }

  /** Calls `handler` at each event of this type, until the returned function is called. */
  on<Type extends keyof NodeEvents>(type: Type, handler: (event: NodeEvents[Type]) => void): () => void {
    return this.#emitter.on(type, handler);
  }

  /** Closes every connection. Loops over messages end; later calls reject. Again is nothing. */
  async stop(): Promise<void> {
    if (!this.#end) await this.#engine.wait(() => this.#wasm.stop()).catch(() => {});
    await this.#pump;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  readonly #hub = {
    subscribe: (topic: string, sink: Sink): (() => void) => {
      this.#assertRunning();
      return this.#subscriptions.add(topic, sink);
    },
    publish: (topic: string, data: Publishable, options: PublishOptions) => this.#publish(topic, data, options),
    ready: (topic: string, signal: AbortSignal | undefined) => this.#ready(topic, signal),
    lagged: (topic: string) => this.#emitter.emit("lagged", { messages: 1, topic }),
  };

  #configure(topic: string, options: TopicOptions): void {
    this.#assertRunning();
    const validator = Validator.of(options, (message, verdict) => this.#settle(message, verdict));
    const settings = { ...toSettings(options), ...(validator && { validateWithinMs: validator.timeoutMs }) };
    const configured = this.#engine.run(() => this.#wasm.configure(topic, settings));
    // Fails only when the node has ended.
    this.#engine.wait(() => configured).catch(() => {});
    if (validator) this.#validators.set(topic, validator);
    else this.#validators.delete(topic);
    if (options.mode === "closed") return void this.#closed.set(topic, this.#closed.get(topic));
    this.#closed.get(topic)?.();
    this.#closed.delete(topic);
  }

  /** To speak in a closed topic takes a subscription, by which the members know each other. It lasts. */
  #takePart(topic: string): void {
    if (!this.#closed.has(topic) || this.#closed.get(topic)) return;
    this.#closed.set(topic, this.#hub.subscribe(topic, { push() {}, end() {} }));
  }

  #settle(message: Message, verdict: "accept" | "ignore" | "reject"): void {
    if (this.#end) return;
    this.#wait(() => this.#wasm.judge(fromHex(message.id)!, verdict)).catch(() => {});
    if (verdict === "accept") this.#subscriptions.deliver(message);
  }

  async #publish(topic: string, data: Publishable, options: PublishOptions): Promise<Published> {
    options.signal?.throwIfAborted();
    const pending = toContent(data, options, this.#maxMessageBytes);
    const { bytes, contentType, name } = pending instanceof Promise ? await pending : pending;
    options.signal?.throwIfAborted();
    this.#assertRunning();
    this.#takePart(topic);
    return this.#wait(() => this.#wasm.publish(topic, bytes, contentType, name));
  }

  async #ready(topic: string, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    this.#assertRunning();
    this.#takePart(topic);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = () => reject(signal?.reason);
    signal?.addEventListener("abort", abort);
    const end = (error: Error | undefined) => reject(error ?? new StoppedError());
    const undo = [
      this.#hub.subscribe(topic, { push() {}, end }),
      this.on("peer", (change) => change.type === "joined" && change.topic === topic && resolve()),
      () => signal?.removeEventListener("abort", abort),
    ];
    this.peers().then((peers) => peers.some((peer) => peer.topics.includes(topic)) && resolve(), reject);
    await promise.finally(() => undo.forEach((step) => step()));
  }

  async #wait<T>(call: () => Promise<T>): Promise<T> {
    this.#assertRunning();
    return this.#engine.wait(call);
  }

  #assertRunning(): void {
    if (this.#end) throw this.#end.error ?? new StoppedError();
  }

  /** Takes events from the module and hands them out, until the node ends. */
  async #run(): Promise<void> {
    let error: Error | undefined;
    try {
      // Whoever started the node gets to add handlers before the first event.
      await nextTask();
      while (await this.#engine.wait(() => this.#wasm.ready())) await this.#drain();
    } catch (cause) {
      error = cause instanceof Error ? cause : new Error(String(cause));
    }
    this.#end = { error };
    clearTimeout(this.#keeping);
    this.#subscriptions.end(error);
    this.#emitter.emit("stopped", { error });
  }

  async #drain(): Promise<void> {
    let start = performance.now();
    const breathe = async () => {
      if (performance.now() - start < SLICE_MS) return;
      await nextTask();
      start = performance.now();
    };
    for (let event; (event = this.#engine.run(() => this.#wasm.next_event())); ) {
      // Taking a large message over is work enough for one task; what the application does with it is another.
      await breathe();
      this.#dispatch(event);
      await breathe();
    }
  }

  #dispatch(event: WasmEvent): void {
    switch (event.type) {
      case "message": {
        const validator = this.#validators.get(event.topic);
        return validator ? validator.push(new Message(event)) : this.#subscriptions.deliver(new Message(event));
      }
      case "progress": {
        const { type: _, ...progress } = event;
        return this.#emitter.emit("progress", { direction: event.from === this.id ? "out" : "in", ...progress });
      }
      case "reached":
        return this.#emitter.emit("reached", { id: event.id, peers: event.peers, of: event.of });
      case "peerConnected":
        this.#remember();
        return this.#emitter.emit("peer", { type: "connected", peer: event.peer });
      case "peerDisconnected":
        return this.#emitter.emit("peer", { type: "disconnected", id: event.id });
      case "joined":
      case "left":
        return this.#emitter.emit("peer", event);
      case "outsider":
        return this.#emitter.emit("outsider", outsider(event));
      case "relayConnected":
        return this.#relay({ state: "connected", address: event.address, peerId: event.peerId });
      case "relayLost": {
        const { address, error, retryInMs } = event;
        return this.#relay({ state: "lost", address, error, retryInMs, retryAtMs: Date.now() + retryInMs });
      }
      case "exhausted": {
        const { attempts, retryInMs } = event;
        return this.#emitter.emit("exhausted", { attempts, retryInMs, retryAtMs: Date.now() + retryInMs });
      }
      case "lagged":
        return this.#emitter.emit("lagged", { messages: event.messages, topic: undefined });
    }
  }

  /** Soon: a peer shows its record a moment after it is there, and many may come at once. */
  #remember(): void {
    const memory = this.#memory;
    if (!memory || this.#keeping !== undefined) return;
    this.#keeping = setTimeout(() => {
      this.#keeping = undefined;
      this.#wait(() => this.#wasm.acquaintances())
        .then((peers) => {
          // Those of before are better than none.
          if (peers.length > 0) this.#acquaintances = peers;
          return keep(memory, { relays: Object.fromEntries(this.#found), peers: this.#acquaintances });
        })
        .catch(() => {});
    }, KEEP_AFTER_MS);
  }

  #relay(relay: Relay): void {
    this.#relays.set(relay.address, relay);
    this.#emitter.emit("relay", relay);
  }
}

/** Lets the page draw and react. Not by a timer: those are slowed to a second in a background tab. */
function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
