import { useSignal } from "@preact/signals";
import type { Braidcast, Stats } from "braidcast";
import { useEffect } from "preact/hooks";

import type { Room } from "../room.js";
import { bytes, milliseconds } from "../text.js";

const HISTORY = 60;

/** What goes over the wire, as it goes. */
export function Counters({ node, room }: { node: Braidcast | undefined; room: Room | undefined }) {
  const { stats, rates } = useStats(node);
  const twice = (stats?.piecesDuplicate ?? 0) + (stats?.piecesUnnecessary ?? 0);
  return (
    <section class="card" aria-labelledby="counters-heading">
      <h2 id="counters-heading">Under the hood</h2>
      <Flow rates={rates} />
      <dl class="counters">
        <Counter name="messages" label="Messages" value={`${stats?.messagesIn ?? 0} in, ${stats?.messagesOut ?? 0} out`} />
        <Counter name="bytes" label="Bytes" value={`${bytes(stats?.bytesIn ?? 0)} in, ${bytes(stats?.bytesOut ?? 0)} out`} />
        <Counter name="shards" label="Shards" value={`${stats?.piecesNew ?? 0} new, ${twice} twice`} />
        <Counter name="sent" label="Shards sent" value={`${stats?.piecesSent ?? 0}`} />
        <Counter name="corrupt" label="Refused as corrupt" value={`${stats?.piecesCorrupt ?? 0}`} />
        <Counter name="latency" label="Last latency" value={show(room?.latencyMs.value)} />
        <Counter name="rtt" label="Relay round trip" value={show(room?.people.relays.value[0]?.rttMs)} />
        <Counter name="memory" label="Wasm memory" value={bytes(stats?.memoryBytes ?? 0)} />
      </dl>
    </section>
  );
}

function Counter({ name, label, value }: { name: string; label: string; value: string }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd data-testid={`counter-${name}`}>{value}</dd>
    </div>
  );
}

function show(value: number | undefined): string {
  return value === undefined ? "–" : milliseconds(value);
}

interface Rate {
  inBytes: number;
  outBytes: number;
}

/** The last minute: what came above the line, what went below. */
function Flow({ rates }: { rates: readonly Rate[] }) {
  const most = Math.max(1024, ...rates.flatMap(({ inBytes, outBytes }) => [inBytes, outBytes]));
  const last = rates.at(-1) ?? { inBytes: 0, outBytes: 0 };
  return (
    <figure class="flow">
      <svg viewBox={`0 0 ${HISTORY} 40`} preserveAspectRatio="none" aria-hidden="true">
        <path class="flow-in" d={area(rates.map(({ inBytes }) => 20 - (19 * inBytes) / most))} />
        <path class="flow-out" d={area(rates.map(({ outBytes }) => 20 + (19 * outBytes) / most))} />
        <path class="flow-axis" d={`M0 20H${HISTORY}`} />
      </svg>
      <figcaption>
        <span class="in">↓ {bytes(last.inBytes)}/s</span>
        <span class="out">↑ {bytes(last.outBytes)}/s</span>
      </figcaption>
    </figure>
  );
}

function area(heights: readonly number[]): string {
  const start = HISTORY - heights.length;
  const points = heights.map((y, index) => `L${start + index + 1} ${y.toFixed(1)}`).join("");
  return heights.length === 0 ? "" : `M${start + 1} 20${points}L${HISTORY} 20Z`;
}

function useStats(node: Braidcast | undefined) {
  const state = useSignal<{ stats: Stats | undefined; rates: readonly Rate[] }>({ stats: undefined, rates: [] });
  useEffect(() => {
    if (!node) return;
    const look = () => {
      if (document.visibilityState === "hidden") return;
      const { stats: before, rates } = state.value;
      let stats: Stats;
      try {
        stats = node.stats();
      } catch {
        return clearInterval(timer);
      }
      const rate = {
        inBytes: stats.bytesIn - (before?.bytesIn ?? stats.bytesIn),
        outBytes: stats.bytesOut - (before?.bytesOut ?? stats.bytesOut),
      };
      state.value = { stats, rates: [...rates, rate].slice(-HISTORY) };
    };
    const timer = setInterval(look, 1000);
    look();
    return () => clearInterval(timer);
  }, [node]);
  return state.value;
}
