import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { required } from "./environment.mjs";
import { Program, within } from "./process.mjs";

export const APP = new URL("../../www/dist", import.meta.url).pathname;

/** A folder that is gone when the test is over. */
export async function scratch(t) {
  const dir = await mkdtemp(join(tmpdir(), "braidcast-test-"));
  t.after(() => rm(dir, { recursive: true, force: true, maxRetries: 3 }));
  return dir;
}

/** A relay, with the demo app unless told otherwise, on free ports that it keeps when it is started again. */
export class Relay {
  #program;
  #dataDir;
  #app;
  #more;
  #listen;
  #http = "127.0.0.1:0";

  static async start(t, { app = true, listen = "/ip4/127.0.0.1/tcp/0/ws", more = [] } = {}) {
    const relay = new Relay();
    relay.#more = more;
    relay.#listen = listen;
    relay.#app = app ? ["--app", APP] : [];
    relay.#dataDir = await scratch(t);
    t.after(() => relay.kill());
    await relay.#start();
    return relay;
  }

  /** Its URL, which also serves the app. */
  get url() {
    return `http://${this.#http}`;
  }

  /** Where it is dialled, with its id; `listen` may name several places, the first is `address`. */
  address;
  addresses;

  /** Ends it as a crash would. */
  async kill() {
    await this.#program?.stop("SIGKILL");
    this.#program = undefined;
  }

  /** Same place, same identity. */
  async startAgain() {
    await this.#start();
  }

  async #start() {
    const args = ["relay", "--http", this.#http, ...this.#app, "--data-dir", this.#dataDir, "--listen", this.#listen, ...this.#more];
    this.#program = new Program(required("BRAIDCAST_BIN"), [...args, "--output", "json"]);
    const ready = await this.#program.json("its first line", (line) => line.ready);
    this.peerId = ready.peerId;
    this.#http = new URL(ready.http).host;
    // Without the hash of the certificate, which follows from the identity, and cannot be asked for.
    this.addresses = ready.addresses;
    [this.address] = ready.addresses;
    this.#listen = this.address.replace(/\/(certhash|p2p)\/.*/, "");
  }
}

/** `braidcast subscribe TOPIC`, once a relay answers. */
export async function subscribe(t, topic, relay, { output = "json", more = [] } = {}) {
  const args = ["subscribe", topic, "--relay", relay, "--output", output, ...more];
  const program = new Program(required("BRAIDCAST_BIN"), args);
  t.after(() => program.stop("SIGKILL"));
  await program.line("an answer of the relay", (text) => text.includes('"ready":true') || text.includes("listening to"));
  return program;
}

/** Makes the key of a closed topic, as `braidcast keygen --topic-key` does: its file, and its text. */
export async function topicKey(t) {
  const file = join(await scratch(t), "topic.key");
  await promisify(execFile)(required("BRAIDCAST_BIN"), ["keygen", "--topic-key", "--out", file]);
  return { file, text: await readFile(file, "utf8") };
}

/** `braidcast publish TOPIC`, to its end. */
export async function publish(topic, relay, content) {
  const args = ["publish", topic, "--relay", relay, "--output", "json", ...content];
  const program = new Program(required("BRAIDCAST_BIN"), args);
  const { code } = await within(program.ended, "braidcast publish");
  if (code !== 0) throw new Error(`braidcast publish ended with ${code}:\n${program.output}`);
}
