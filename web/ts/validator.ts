import { guarded } from "./emitter.js";
import { InvalidError } from "./errors.js";
import type { Message } from "./message.js";

/** What becomes of a message: `accept` hands it to the subscribers and spreads it, `ignore` does neither, and `reject` blames its
 * publisher besides, who is banned when it happens four times within 20 seconds. */
export type Verdict = "accept" | "ignore" | "reject";

export interface ValidatorOptions {
  /**
   * Judges each message from others before the subscribers get it. A message of up to 4 KiB goes to nobody else until it is
   * accepted; a longer one is passed on in pieces while it comes, and no longer once it is not accepted. One that throws, or
   * says anything else, ignores the message, and the error is reported as uncaught.
   */
  validate?: (message: Message) => Verdict | PromiseLike<Verdict>;
  /** How long a message may wait for its verdict, its turn included; then it is ignored. 5,000 when not given, at most 60,000. */
  validateTimeoutMs?: number;
  /** How many messages may be judged at a time, those that are late not counted; 32 when not given. More wait in order. While
   * 1,024 messages or 128 MiB wait or are judged, over all topics, what comes is ignored unseen and counted in
   * `stats().refused`. */
  validateAtOnce?: number;
}

/** Messages that are judged or wait for their turn: the core waits for the verdicts on as many. */
const LIMIT = 1024;

interface Entry {
  readonly message: Message;
  readonly dueMs: number;
}

/** The judge of one topic. */
export class Validator {
  readonly timeoutMs: number;
  readonly #validate: NonNullable<ValidatorOptions["validate"]>;
  readonly #atOnce: number;
  readonly #settle: (message: Message, verdict: Verdict) => void;
  readonly #waiting: Entry[] = [];
  #underWay = 0;

  /** `settle` is called once for each message. Undefined without `validate`. */
  static of(options: ValidatorOptions, settle: (message: Message, verdict: Verdict) => void): Validator | undefined {
    const { validate, validateTimeoutMs = 5_000, validateAtOnce = 32 } = options;
    within("validateTimeoutMs", validateTimeoutMs, 60_000);
    within("validateAtOnce", validateAtOnce, LIMIT);
    if (validate === undefined) return undefined;
    if (typeof validate !== "function") throw new InvalidError("validate is no function");
    return new Validator(validate, validateTimeoutMs, validateAtOnce, settle);
  }

  private constructor(
    validate: NonNullable<ValidatorOptions["validate"]>,
    timeoutMs: number,
    atOnce: number,
    settle: (message: Message, verdict: Verdict) => void,
  ) {
    this.#validate = validate;
    this.timeoutMs = timeoutMs;
    this.#atOnce = atOnce;
    this.#settle = settle;
  }

  push(message: Message): void {
    // The core has forgotten some that still wait here, when there are so many.
    if (this.#underWay + this.#waiting.length >= LIMIT) return this.#settle(message, "ignore");
    this.#waiting.push({ message, dueMs: performance.now() + this.timeoutMs });
    this.#next();
  }

  #next(): void {
    while (this.#underWay < this.#atOnce && this.#waiting.length > 0) void this.#judge(this.#waiting.shift()!);
  }

  async #judge({ message, dueMs }: Entry): Promise<void> {
    this.#underWay += 1;
    let verdict: Verdict = "ignore";
    const leftMs = dueMs - performance.now();
    if (leftMs > 0) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<Verdict>((resolve) => (timer = setTimeout(resolve, leftMs, "ignore")));
      verdict = await Promise.race([this.#ask(message), late]);
      clearTimeout(timer);
    }
    this.#underWay -= 1;
    this.#settle(message, verdict);
    this.#next();
  }

  async #ask(message: Message): Promise<Verdict> {
    try {
      const verdict = await this.#validate(message);
      if (verdict === "accept" || verdict === "ignore" || verdict === "reject") return verdict;
      throw new InvalidError(`validate said ${JSON.stringify(verdict)}, expected "accept", "ignore" or "reject"`);
    } catch (error) {
      guarded(() => {
        throw error;
      }, undefined);
      return "ignore";
    }
  }
}

function within(name: string, value: number, max: number): void {
  if (!Number.isInteger(value) || value < 1 || value > max) {
    throw new InvalidError(`${name} is ${value}, expected a whole number from 1 to ${max}`);
  }
}
