import type { Message } from "braidcast";

import { NICK_LENGTH } from "./names.js";
import { fileName, line, paragraph } from "./text.js";

/** Media type of what these pages say to each other. */
export const CHAT_TYPE = "application/vnd.braidcast.chat+json";

/** Where they say it: beside the room, so that a terminal in the room shows what people say and nothing else. */
export function presenceTopic(room: string): string {
  return `${room}/presence`;
}

/** Longest line of chat, in characters. */
export const TEXT_LENGTH = 4000;

/** Longest payload that is shown as text; anything longer is a file. */
const TEXT_BYTES = 32 * 1024;

/** Longest payload that is looked into for a word of a page. */
const CHAT_BYTES = 4096;

/** Types that a browser draws without running anything. SVG is not among them: opened by itself it is a program. */
const IMAGES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp"]);

/** `here` is repeated while one stays; with `ask`, others answer with theirs. */
export type Chat = { kind: "here"; nick: string; ask: boolean } | { kind: "gone" };

/** What people say is plain text; anything else is a file. Strangers' words, but cut and cleaned. */
export type Received = { kind: "text"; text: string } | ReceivedFile;

export interface ReceivedFile {
  kind: "file";
  name: string;
  type: string;
  image: boolean;
}

export function read(message: Message): Received {
  const type = message.contentType.split(";")[0]!.trim().toLowerCase();
  if (message.bytes.byteLength <= TEXT_BYTES && !message.name && type === "text/plain") {
    return { kind: "text", text: paragraph(message.text(), TEXT_LENGTH) };
  }
  return { kind: "file", name: fileName(message.name), type, image: isImage(type) };
}

export function isImage(type: string): boolean {
  return IMAGES.has(type);
}

/** Undefined for what no page of ours would send. */
export function readChat(message: Message): Chat | undefined {
  if (message.contentType !== CHAT_TYPE || message.bytes.byteLength > CHAT_BYTES) return undefined;
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
