import type { Peer } from "braidcast";

import { NICK_LENGTH } from "../names.js";
import type { Person, Tie } from "../people.js";
import type { Room } from "../room.js";
import type { Session } from "../session.js";
import { line, milliseconds, shortId } from "../text.js";
import { Avatar } from "./avatar.js";

const TIES: Record<Tie, string> = {
  direct: "direct",
  circuit: "relayed link",
  relay: "relay",
  none: "via the mesh",
};

export function PeopleList({ session, room }: { session: Session; room: Room | undefined }) {
  const others = room?.people.list.value ?? [];
  return (
    <section class="card" aria-labelledby="people-heading">
      <h2 id="people-heading">
        Here now <span class="count" data-testid="people-count">{others.length + 1}</span>
      </h2>
      <ul class="people">
        <Me session={session} id={room?.id ?? ""} />
        {others.map((person) => <Other key={person.id} person={person} />)}
        {room?.people.relays.value.map((relay) => <RelayRow key={relay.id} relay={relay} />)}
      </ul>
    </section>
  );
}

function Me({ session, id }: { session: Session; id: string }) {
  const rename = (field: HTMLInputElement) => {
    const nick = line(field.value, NICK_LENGTH);
    if (nick && nick !== session.nick.value) session.rename(nick);
    field.value = session.nick.value;
  };
  return (
    <li class="person" data-testid="me" data-id={id}>
      <Avatar id={id} />
      <label class="who">
        <span class="unseen">Your name</span>
        <input
          class="nick"
          data-testid="nick-input"
          maxLength={NICK_LENGTH}
          defaultValue={session.nick.value}
          autocomplete="off"
          spellcheck={false}
          onChange={(event) => rename(event.currentTarget)}
          onKeyDown={(event) => event.key === "Enter" && event.currentTarget.blur()}
        />
        <span class="tie">you{id && `, ${shortId(id)}`}</span>
      </label>
    </li>
  );
}

function Other({ person }: { person: Person }) {
  const tie = person.rttMs === undefined ? TIES[person.tie] : `${TIES[person.tie]}, ${milliseconds(person.rttMs)}`;
  return (
    <li class="person" data-testid="person" data-id={person.id} data-named={person.nick !== ""} data-tie={person.tie}>
      <Avatar id={person.id} />
      <span class="who">
        <bdi class="name" data-testid="person-name">{person.nick || `guest ${shortId(person.id)}`}</bdi>
        <span class="tie">{tie}</span>
      </span>
    </li>
  );
}

function RelayRow({ relay }: { relay: Peer }) {
  return (
    <li class="person" data-testid="relay" data-id={relay.id}>
      <span class="avatar relay-mark" aria-hidden="true">R</span>
      <span class="who">
        <span class="name">relay</span>
        <span class="tie">
          {shortId(relay.id)}
          {relay.rttMs !== undefined && `, ${milliseconds(relay.rttMs)}`}
        </span>
      </span>
    </li>
  );
}
