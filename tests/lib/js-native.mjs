// js-libp2p in Node.js for pages to dial. Prints its addresses, one a line.
import { start } from "./js-links.mjs";

const node = await start(["/ip4/127.0.0.1/tcp/0/ws", "/ip4/127.0.0.1/udp/0/webrtc-direct"]);
for (const address of node.getMultiaddrs()) console.log(address.toString());
