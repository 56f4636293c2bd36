// `cargo xtask demo --check`: the demo as a visitor meets it. Two browsers and the command line share a room; a text
// and a file go from one browser to everyone, and from the command line to both browsers. RELAY_URL names the relay.
import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { launch, meet, Tab } from "./lib/browser.mjs";
import { required } from "./lib/environment.mjs";
import { png, sha256 } from "./lib/files.mjs";
import { publish, scratch, subscribe } from "./lib/native.mjs";

const FILE_BYTES = 2 * 1024 * 1024;
const ROOM = "demo-check";

/** What the helpers expect of a test: someone who cleans up. */
const cleanups = [];
const t = { after: (step) => cleanups.push(step) };

async function check() {
  const url = required("RELAY_URL");
  const dir = await scratch(t);
  const inbox = join(dir, "inbox");
  const terminal = await subscribe(t, ROOM, url, { output: `files:${inbox}` });
  const [ada, bob] = await Promise.all(
    ["Ada", "Bob"].map(async (nick) => Tab.open(await launch(t), url, ROOM, { nick })),
  );
  await meet(ada, bob);

  const start = performance.now();
  const tally = { receivers: new Set(), bytes: 0 };
  const got = (receiver, bytes, expected) => {
    assert.equal(sha256(bytes), sha256(expected), `${receiver} got something else`);
    tally.receivers.add(receiver);
    tally.bytes += bytes.length;
  };

  const fromTab = { text: Buffer.from("hello from a browser"), file: png(FILE_BYTES, 1) };
  await writeFile(join(dir, "browser.png"), fromTab.file);
  await ada.say(fromTab.text.toString());
  await ada.send(join(dir, "browser.png"));
  got("Bob's tab", Buffer.from(await bob.hears("a browser")), fromTab.text);
  got("Bob's tab", (await bob.save("browser.png")).bytes, fromTab.file);
  await terminal.line("the file", (text) => text.endsWith("browser.png"));
  got("the terminal", await readFile(join(inbox, "browser.png")), fromTab.file);
  got("the terminal", await savedText(terminal, inbox), fromTab.text);

  const fromTerminal = { text: Buffer.from("hello from a terminal"), file: png(FILE_BYTES, 2) };
  await writeFile(join(dir, "terminal.png"), fromTerminal.file);
  await publish(ROOM, url, ["--text", fromTerminal.text.toString()]);
  await publish(ROOM, url, ["--file", join(dir, "terminal.png")]);
  for (const [name, tab] of [["Ada's tab", ada], ["Bob's tab", bob]]) {
    got(name, Buffer.from(await tab.hears("a terminal")), fromTerminal.text);
    got(name, (await tab.save("terminal.png")).bytes, fromTerminal.file);
    await tab.assertClean();
  }
  return `demo: ok, ${tally.receivers.size} receivers, ${tally.bytes} bytes, ${Math.round(performance.now() - start)} ms`;
}

/** The text has no name; it is the one file beside the pictures. */
async function savedText(terminal, inbox) {
  await terminal.line("the text", (text) => text.endsWith(".txt"));
  const [name] = (await readdir(inbox)).filter((name) => name.endsWith(".txt"));
  return readFile(join(inbox, name));
}

async function cleanUp() {
  for (const step of cleanups.reverse()) await Promise.resolve(step()).catch(() => {});
}

try {
  const verdict = await check();
  await cleanUp();
  console.log(verdict);
} catch (error) {
  await cleanUp();
  console.error(`demo: failed: ${error.stack}`);
  process.exitCode = 1;
}
