import type { Message } from "braidcast";

import { NICK_LENGTH } from "./names.js";
import { fileName, line, paragraph } from "./text.js";

/** Media type of what these pages say to each other. */
export const CHAT_TYPE = "application/vnd.braidcast.chat+json";

/** Longest line of chat, in characters. */
export const TEXT_LENGTH = 4000;

/** Longest payload that is looked into; anything longer is a file. */
const TEXT_BYTES = 32 * 1024;

/** Types that a browser draws without running anything. SVG is not among them: opened by itself it is a program. */
const IMAGES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp"]);

/** What pages say to each other. `here` is repeated while one stays; with `ask`, others answer with theirs.
 * What people say is plain text, so that a terminal can take part. */
export type Chat = { kind: "here"; nick: string; ask: boolean } | { kind: "gone" };

/** A message as this page understands it. Everything in it is a stranger's word, but cut and cleaned. */
export type Received = Chat | { kind: "text"; text: string } | ReceivedFile;

export interface ReceivedFile {
  kind: "file";
  name: string;
  type: string;
  image: boolean;
}

/** Undefined for what no page of ours would send. */
export function read(message: Message): Received | undefined {
  const type = message.contentType.split(";")[0]!.trim().toLowerCase();
  const short = message.bytes.byteLength <= TEXT_BYTES;
  if (type === CHAT_TYPE) return short ? readChat(message) : undefined;
  if (short && !message.name && type === "text/plain") {
    return { kind: "text", text: paragraph(message.text(), TEXT_LENGTH) };
  }
  return { kind: "file", name: fileName(message.name), type, image: isImage(type) };
}

export function isImage(type: string): boolean {
  return IMAGES.has(type);
}

function readChat(message: Message): Chat | undefined {
  let said: unknown;
  try {
    said = message.json();
  } catch {
    return undefined;
  }
  if (typeof said !== "object" || said === null) return undefined;
  const { kind, nick, ask } = said as Record<string, unknown>;
  if (kind === "gone") return { kind };
  if (kind !== "here" || typeof nick !== "string") return undefined;
  return { kind, nick: line(nick, NICK_LENGTH), ask: ask === true };
}
