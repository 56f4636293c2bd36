import { ConfigError } from "./errors.js";

/** A STUN or TURN server, in the shape of the browser's `RTCIceServer`. */
export interface IceServer {
  /** `stun:`, `turn:` or `turns:` URLs of one server. */
  readonly urls: string | readonly string[];
  /** For TURN. */
  readonly username?: string;
  /** For TURN. */
  readonly credential?: string;
}

/** As the module takes them. A browser would find such mistakes only when it makes the first direct link. */
export function toIceServers(servers: readonly IceServer[]) {
  return servers.map(({ urls, username, credential }) => {
    const list = typeof urls === "string" ? [urls] : [...urls];
    const strange = list.find((url) => !/^(stun|turn)s?:[^\s/]/i.test(url));
    if (strange !== undefined || list.length === 0) {
      throw new ConfigError(`iceServers: ${strange ?? "an entry without urls"}, expected stun:, turn: or turns: URLs`);
    }
    if (list.some((url) => /^turn/i.test(url)) && (username === undefined || credential === undefined)) {
      throw new ConfigError(`iceServers: ${list[0]} needs a username and a credential`);
    }
    return { urls: list, ...(username !== undefined && { username }), ...(credential !== undefined && { credential }) };
  });
}
