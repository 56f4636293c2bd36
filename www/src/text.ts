/** Texts for people, made of strings that strangers wrote. */

/** Control characters, and the marks that turn the direction of what follows. */
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/** One line without control and direction characters, cut to `limit` characters. */
export function line(text: string, limit: number): string {
  const clean = text.replace(UNSEEN, " ").replace(/\s+/gu, " ").trim();
  return [...clean].slice(0, limit).join("");
}

/** As `line`, with line breaks kept. */
export function paragraph(text: string, limit: number): string {
  const clean = text.replace(/\r\n?/gu, "\n").replace(UNSEEN, (character) => (character === "\n" ? "\n" : ""));
  return [...clean].slice(0, limit).join("").trim();
}

/** A name to save under: no folders, nothing hidden, nothing that a system would take for something else. */
export function fileName(name: string): string {
  const clean = line(name, 180).replace(/[/\\:*?"<>|]/gu, "_").replace(/^\.+/u, "").replace(/[. ]+$/u, "");
  return clean || "file";
}

export function bytes(count: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit > 0 && value < 99.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function milliseconds(value: number): string {
  return value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`;
}

/** The tail of a peer id; all ids begin alike. */
export function shortId(id: string): string {
  return id.slice(-6);
}

export function plural(count: number, noun: string, many = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : many}`;
}
