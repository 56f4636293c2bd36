import { readFile } from "node:fs/promises";
import { parentPort, workerData } from "node:worker_threads";

import { Braidcast } from "../../web/dist/slim.js";

/** Two nodes in a thread of their own, for the package loads one module per thread. The first publishes what it is told. */
const { relay, module } = workerData;
const wasm = await readFile(new URL(`../../web/dist/wasm/${module}.wasm`, import.meta.url));
const nodes = await Promise.all([0, 1].map(() => Braidcast.start({ relays: [relay], wasm })));
const topics = nodes.map((node) => node.topic("coded"));
for (const topic of topics) topic.subscribe((message) => parentPort.postMessage(message.bytes));
await Promise.all(topics.map((topic) => topic.ready()));
parentPort.on("message", (bytes) => topics[0].publish(bytes));
parentPort.postMessage({ kernel: nodes[0].stats().kernel });
