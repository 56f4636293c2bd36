import { line } from "./text.js";

const ADJECTIVES = [
  "amber", "brisk", "calm", "clever", "coral", "dapper", "early", "fable", "gentle", "golden", "hazel", "honest",
  "indigo", "jolly", "keen", "lively", "lucky", "mellow", "nimble", "olive", "patient", "quiet", "rapid", "sunny",
  "swift", "tidy", "umber", "velvet", "warm", "witty", "young", "zesty",
];
const ANIMALS = [
  "badger", "beaver", "bison", "crane", "dolphin", "falcon", "ferret", "finch", "fox", "gecko", "hare", "heron",
  "ibis", "jay", "koala", "lark", "lemur", "lynx", "marten", "newt", "orca", "otter", "owl", "panda",
  "puffin", "raven", "robin", "seal", "stoat", "tapir", "walrus", "wren",
];

/** Longest nickname, in characters. */
export const NICK_LENGTH = 32;

/** Longest name of a room, in bytes of UTF-8; the network allows topics of 256. */
const ROOM_BYTES = 200;

const NICK_KEY = "braidcast.nick";

/** The room of the page's address; undefined when it names none. */
export function roomOf(hash: string): string | undefined {
  const name = line(decode(hash.replace(/^#/u, "")), ROOM_BYTES);
  return name && new TextEncoder().encode(name).byteLength <= ROOM_BYTES ? name : undefined;
}

export function randomRoom(): string {
  return `${pick(ADJECTIVES)}-${pick(ANIMALS)}-${10 + random(90)}`;
}

/** This tab's nickname; a new tab gets a new one. */
export function loadNick(): string {
  const stored = line(sessionStorage.getItem(NICK_KEY) ?? "", NICK_LENGTH);
  return stored || saveNick(`${capital(pick(ADJECTIVES))} ${capital(pick(ANIMALS))}`);
}

export function saveNick(nick: string): string {
  sessionStorage.setItem(NICK_KEY, nick);
  return nick;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function pick(words: readonly string[]): string {
  return words[random(words.length)]!;
}

function random(below: number): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]! % below;
}

function capital(word: string): string {
  return word[0]!.toUpperCase() + word.slice(1);
}
