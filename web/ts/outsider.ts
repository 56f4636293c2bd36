import type { Outsider } from "./types.js";

/** With a text that says what to do. */
export function outsider({ id, topic, why }: Omit<Outsider, "message">): Outsider {
  const name = JSON.stringify(topic);
  const messages: Record<Outsider["why"], string> = {
    otherKey: `peer ${id} holds another key of topic ${name} than this node: compare the two, one is wrong`,
    noProof: `peer ${id} proved no membership of topic ${name}, as a relay that has no key: it carries nothing for members`,
    noKey: `topic ${name} is closed to this node: peer ${id} takes members only, or carries to members only; ask one for the key`,
  };
  return { id, topic, why, message: messages[why] };
}
