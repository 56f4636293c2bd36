import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect } from "preact/hooks";

import type { Session } from "../session.js";
import { plural } from "../text.js";
import { Banner, StatusDot } from "./connection.js";
import { Composer } from "./composer.js";
import { Counters } from "./counters.js";
import { DropTarget } from "./drop.js";
import { Invite } from "./invite.js";
import { PeopleList } from "./people.js";
import { Timeline } from "./timeline.js";

export function App({ session }: { session: Session }) {
  const room = session.room.value;
  const aside = useSignal(false);
  useSignalEffect(() => {
    const unread = session.room.value?.unread.value ?? 0;
    document.title = `${unread > 0 ? `(${unread}) ` : ""}#${session.roomName.value} · Braidcast`;
  });
  useEffect(() => {
    const look = () => room && !document.hidden && (room.unread.value = 0);
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, [room]);
  return (
    <div class="app" data-aside={aside.value ? "open" : "closed"}>
      <header class="top">
        <img class="logo" src="./logo.svg" alt="" width="32" height="32" />
        <div class="title">
          <h1>
            <span class="hash">#</span>
            <bdi data-testid="room-name">{session.roomName.value}</bdi>
          </h1>
          <StatusDot connection={session.connection.value} />
        </div>
        <Invite room={session.roomName.value} />
        <button
          class="quiet people-toggle"
          type="button"
          aria-expanded={aside.value}
          aria-controls="aside"
          onClick={() => (aside.value = !aside.value)}
        >
          {plural((room?.people.list.value.length ?? 0) + 1, "person", "people")}
        </button>
      </header>
      <Banner connection={session.connection.value} />
      <main class="talk">
        <Timeline room={room} roomName={session.roomName.value} />
        <Composer room={room} roomName={session.roomName.value} />
      </main>
      <aside class="side" id="aside" aria-label="The room">
        <PeopleList session={session} room={room} />
        <Counters node={session.node.value} room={room} />
      </aside>
      <DropTarget room={room} />
    </div>
  );
}
