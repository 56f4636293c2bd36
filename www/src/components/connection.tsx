import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";

import type { Connection } from "../session.js";

const LABELS: Record<Connection["state"], string> = {
  starting: "Starting",
  connecting: "Connecting",
  connected: "Connected",
  exhausted: "Connected, no new links",
  lost: "No relay",
  broken: "Broken",
};

export function StatusDot({ connection }: { connection: Connection }) {
  return (
    <span class="status" data-testid="connection" data-state={connection.state}>
      {LABELS[connection.state]}
    </span>
  );
}

/** A line across the page whenever something is not as it should be; announced to screen readers. */
export function Banner({ connection }: { connection: Connection }) {
  const text = useBannerText(connection);
  return (
    <div class="banner" role="status" data-testid="banner" data-state={connection.state} hidden={text === ""}>
      {text}
    </div>
  );
}

function useBannerText(connection: Connection): string {
  const seconds = useSecondsUntil("retryAtMs" in connection ? connection.retryAtMs : undefined);
  switch (connection.state) {
    case "connected":
      return "";
    case "exhausted": {
      const minutes = Math.max(1, Math.ceil(seconds / 60));
      return `This page has tried as many direct links as a browser allows. It keeps those it has; for new ones reload it, or wait ${minutes} min`;
    }
    case "starting":
      return "Loading the network code…";
    case "connecting":
      return "Connecting to the relay…";
    case "broken":
      return `This does not work: ${connection.reason}`;
    case "lost": {
      const what = connection.before ? "Relay lost" : "The relay does not answer";
      return seconds > 0 ? `${what}, trying again in ${seconds} s` : `${what}, trying again…`;
    }
  }
}

function useSecondsUntil(pointMs: number | undefined): number {
  const ticks = useSignal(0);
  useEffect(() => {
    if (pointMs === undefined) return;
    const timer = setInterval(() => (ticks.value += 1), 250);
    return () => clearInterval(timer);
  }, [pointMs]);
  // Read, so that each tick draws again.
  void ticks.value;
  return pointMs === undefined ? 0 : Math.max(0, Math.ceil((pointMs - Date.now()) / 1000));
}
