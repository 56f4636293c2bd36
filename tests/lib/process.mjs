import { execFile, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const PACKAGE = new URL("../../web", import.meta.url).pathname;

/** For anything at all; what works needs a fraction of it. */
export const PATIENCE_MS = 60_000;

/** Settles as `promise`, or fails after a while saying what was waited for. */
export async function within(promise, what, ms = PATIENCE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A running program whose lines can be waited for. */
export class Program {
  #child;
  #lines = [];
  #waiters = new Set();
  #name;

  constructor(command, args) {
    this.#name = `${command.split("/").at(-1)} ${args.join(" ")}`;
    this.#child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env: cleanEnvironment() });
    for (const stream of ["stdout", "stderr"]) {
      createInterface({ input: this.#child[stream] }).on("line", (text) => this.#onLine(stream, text));
    }
    this.ended = new Promise((resolve, reject) => {
      this.#child.on("error", reject);
      this.#child.on("close", (code, signal) => {
        resolve({ code, signal });
        for (const waiter of this.#waiters) waiter.end(code ?? signal);
      });
    });
    // Whoever waits for the end hears of it; nobody has to.
    this.ended.catch(() => {});
  }

  /** The first line, past or future, for which `accept(text, stream)` is truthy; its value. */
  line(what, accept) {
    const waiting = new Promise((resolve, reject) => {
      const waiter = {
        see: (text, stream) => {
          const value = accept(text, stream);
          if (!value) return;
          this.#waiters.delete(waiter);
          resolve(value);
        },
        end: (how) => reject(new Error(`${this.#name} ended (${how}) before ${what}:\n${this.output}`)),
      };
      this.#waiters.add(waiter);
      for (const { text, stream } of this.#lines) waiter.see(text, stream);
      if (this.#child.exitCode !== null && this.#waiters.has(waiter)) waiter.end(this.#child.exitCode);
    });
    return within(waiting, `${what} from ${this.#name}`).catch((error) => {
      throw new Error(`${error.message}\nit said:\n${this.output}`);
    });
  }

  /** The first object on standard output for which `accept` is truthy. */
  json(what, accept) {
    return this.line(what, (text, stream) => {
      if (stream !== "stdout" || !text.startsWith("{")) return false;
      const value = JSON.parse(text);
      return accept(value) && value;
    });
  }

  get output() {
    return this.#lines.map(({ text, stream }) => `  ${stream}: ${text.slice(0, 300)}`).join("\n");
  }

  /** Ends it and waits until it has. */
  async stop(signal = "SIGTERM") {
    this.#child.kill(signal);
    await within(this.ended, `the end of ${this.#name}`);
  }

  #onLine(stream, text) {
    this.#lines.push({ stream, text });
    for (const waiter of [...this.#waiters]) waiter.see(text, stream);
  }
}

/** Runs a program in the npm package's folder, where it may import the package by its name. */
export function runInPackage(code, ...flags) {
  const args = [...flags, "--input-type=module", "--eval", code];
  return promisify(execFile)(process.execPath, args, { cwd: PACKAGE, timeout: PATIENCE_MS });
}

/** Without the settings of whoever runs the tests. */
function cleanEnvironment() {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith("BRAIDCAST_") && name !== "RUST_LOG");
  return Object.fromEntries(own);
}
