import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";

import type { Delivery, Entry, Room, TextEntry } from "../room.js";
import { milliseconds, plural } from "../text.js";
import { Avatar } from "./avatar.js";
import { FileCard } from "./file.js";

/** Lines of one person within this time stand under one name. */
const TOGETHER_MS = 3 * 60_000;
/** This near to the end counts as reading along. */
const NEAR_END_PX = 80;

export function Timeline({ room, roomName }: { room: Room | undefined; roomName: string }) {
  const entries = room?.entries.value ?? [];
  const { list, behind, toEnd } = useFollow(entries);
  return (
    <div class="timeline-frame">
      <div class="timeline" ref={list} role="log" aria-label="Messages" tabIndex={0}>
        {entries.length === 0 && <Welcome roomName={roomName} />}
        <ol>
          {entries.map((entry, index) => (
            <Line key={entry.key} room={room!} entry={entry} follows={follows(entries[index - 1], entry)} />
          ))}
        </ol>
      </div>
      {behind > 0 && (
        <button class="to-end" type="button" onClick={toEnd}>
          {plural(behind, "new message")}
        </button>
      )}
    </div>
  );
}

function Welcome({ roomName }: { roomName: string }) {
  return (
    <div class="welcome">
      <h2>
        This is <bdi>#{roomName}</bdi>
      </h2>
      <p>
        Open the link in a second tab or send it to someone: whoever has it is in. Type something, or drop a file
        anywhere on this page. It goes from browser to browser in coded pieces, and nothing is stored on the way.
      </p>
    </div>
  );
}

function Line({ room, entry, follows }: { room: Room; entry: Entry; follows: boolean }) {
  const mine = entry.from === room.id;
  return (
    <li
      class="entry"
      data-testid="entry"
      data-kind={entry.kind}
      data-from={entry.from}
      data-mine={mine}
      data-follows={follows}
    >
      {!follows && <Avatar id={entry.from} />}
      <div class="body">
        {!follows && (
          <p class="by">
            <bdi class="name">{mine ? "You" : room.people.nick(entry.from)}</bdi>
            <time dateTime={new Date(entry.atMs).toISOString()}>{clock(entry.atMs)}</time>
          </p>
        )}
        {entry.kind === "text" ? <Text entry={entry} /> : <FileCard entry={entry} />}
        <DeliveryLine entry={entry} />
      </div>
    </li>
  );
}

function Text({ entry }: { entry: TextEntry }) {
  const title = entry.latencyMs === undefined ? undefined : `${milliseconds(entry.latencyMs)} after it was sent`;
  return (
    <p class="text" dir="auto" data-testid="text" title={title}>
      {entry.text}
    </p>
  );
}

function DeliveryLine({ entry }: { entry: Entry }) {
  const delivery = entry.delivery?.value;
  if (!delivery) return null;
  return (
    <p class="delivery" data-testid="delivery" data-state={delivery.state}>
      {describe(delivery)}
    </p>
  );
}

function describe(delivery: Delivery): string {
  switch (delivery.state) {
    case "sending":
      return "sending…";
    case "waiting":
      return "nobody is connected, goes out as soon as somebody is";
    case "sent":
      return "on its way";
    case "reached":
      return `✓ reached ${delivery.peers} of ${plural(delivery.of, "neighbour")}`;
    case "failed":
      return `Not sent: ${delivery.reason}`;
  }
}

function follows(before: Entry | undefined, entry: Entry): boolean {
  return before?.from === entry.from && entry.atMs - before.atMs < TOGETHER_MS;
}

function clock(ms: number): string {
  return new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

/** Keeps the end in view for whoever reads along, and counts what came for whoever does not. */
function useFollow(entries: readonly Entry[]) {
  const list = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const seen = useRef(0);
  const behind = useSignal(0);
  const toEnd = () => {
    const element = list.current!;
    element.scrollTop = element.scrollHeight;
  };
  useEffect(() => {
    const element = list.current!;
    const onScroll = () => {
      atEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END_PX;
      if (atEnd.current) behind.value = 0;
    };
    element.addEventListener("scroll", onScroll, { passive: true });
    // Pictures and progress change the height without a new entry.
    const observer = new ResizeObserver(() => atEnd.current && toEnd());
    observer.observe(element);
    observer.observe(element.querySelector("ol")!);
    return () => {
      element.removeEventListener("scroll", onScroll);
      observer.disconnect();
    };
  }, []);
  useLayoutEffect(() => {
    if (atEnd.current) toEnd();
    else behind.value += Math.max(0, entries.length - seen.current);
    seen.current = entries.length;
  }, [entries]);
  return { list, behind: behind.value, toEnd };
}
