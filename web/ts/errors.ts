import type { WasmFailure } from "./wasm/braidcast_web.js";

/** What a program can tell failures apart by. */
export type ErrorCode =
  | "NO_PEERS"
  | "TOO_LARGE"
  | "INVALID"
  | "BUSY"
  | "STOPPED"
  | "CONFIG"
  | "RELAY"
  | "LOAD"
  | "UNSUPPORTED"
  | "CRASHED";

/** Every failure of this package. `message` says what to do next. */
export class BraidcastError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** No connected peer subscribes to the topic, or none is known to be a member of a closed one; nothing was sent.
 * `topic.ready()` waits for one. */
export class NoPeersError extends BraidcastError {
  constructor(message: string) {
    super("NO_PEERS", message);
  }
}

/** The payload is longer than this node's limit; nothing was sent. */
export class TooLargeError extends BraidcastError {
  constructor(
    /** The payload, in bytes. */
    readonly size: number,
    /** `maxMessageBytes` of this node. */
    readonly limit: number,
  ) {
    super("TOO_LARGE", `payload is ${size} bytes, the limit is ${limit}: send less, or raise maxMessageBytes on every node`);
  }
}

/** An argument that can never work: an empty topic, a name that is too long, data that is not JSON. */
export class InvalidError extends BraidcastError {
  constructor(message: string, options?: ErrorOptions) {
    super("INVALID", message, options);
  }
}

/** Too many messages are being published at once; nothing was sent. Wait for some of them. */
export class BusyError extends BraidcastError {
  constructor(message: string) {
    super("BUSY", message);
  }
}

/** The node was stopped; nothing was done. */
export class StoppedError extends BraidcastError {
  constructor(message = "the node has stopped: start a new one") {
    super("STOPPED", message);
  }
}

/** An option of `Braidcast.start` that can never work; nothing was started. */
export class ConfigError extends BraidcastError {
  constructor(message: string, options?: ErrorOptions) {
    super("CONFIG", message, options);
  }
}

/** A relay's URL did not say where the relay listens; nothing was started. Trying again later may help. */
export class RelayError extends BraidcastError {
  constructor(
    /** As given to `Braidcast.start`. */
    readonly url: string,
    reason: string,
    options?: ErrorOptions,
  ) {
    super("RELAY", `relay ${url} cannot be looked up: ${reason}`, options);
  }
}

/** The wasm module was not fetched or not compiled. Trying again may help. */
export class LoadError extends BraidcastError {
  constructor(message: string, options?: ErrorOptions) {
    super("LOAD", message, options);
  }
}

/** This platform lacks something that the node needs: `WebSocket`, WebAssembly SIMD, or WebRTC for a `/webrtc-direct` relay. */
export class UnsupportedError extends BraidcastError {
  constructor(message: string) {
    super("UNSUPPORTED", message);
  }
}

/** A bug in Braidcast ended every node of this page. Only loading the page again helps. */
export class CrashedError extends BraidcastError {
  constructor(reason: string, options?: ErrorOptions) {
    super("CRASHED", `braidcast crashed: ${reason}`, options);
  }
}

/** The class for what the module rejected with; undefined when it is none of its own failures. */
export function fromWasm(failure: unknown): BraidcastError | undefined {
  if (!isFailure(failure)) return undefined;
  const { code, message, size = 0, limit = 0 } = failure;
  switch (code) {
    case "NO_PEERS":
      return new NoPeersError(message);
    case "TOO_LARGE":
      return new TooLargeError(size, limit);
    case "BUSY":
      return new BusyError(message);
    case "STOPPED":
      return new StoppedError();
    case "CONFIG":
      return new ConfigError(message);
    case "UNSUPPORTED":
      return new UnsupportedError(message);
    default:
      return new InvalidError(message);
  }
}

function isFailure(value: unknown): value is WasmFailure {
  return typeof value === "object" && value !== null && !(value instanceof Error) && "code" in value;
}
