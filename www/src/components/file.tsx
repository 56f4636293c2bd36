import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";

import type { FileEntry } from "../room.js";
import { bytes, milliseconds } from "../text.js";

/** Without a new piece for so long, a file is said to wait. */
const STALLED_MS = 5000;

export function FileCard({ entry }: { entry: FileEntry }) {
  const content = entry.content.value;
  const delivery = entry.delivery?.value.state;
  const moving = delivery ? delivery === "sending" || delivery === "sent" : content.state === "moving";
  return (
    <div class="file" data-testid="file" data-state={content.state} data-held={entry.heldBytes.value}>
      {content.state === "here" && content.image && (
        <a class="picture" href={content.url} download={entry.name}>
          <img src={content.url} alt={entry.name} loading="lazy" decoding="async" data-testid="file-image" />
        </a>
      )}
      <div class="file-line">
        <FileIcon />
        <span class="file-what">
          <bdi class="file-name" data-testid="file-name">{entry.name}</bdi>
          <span class="file-size">
            {bytes(entry.bytes)}
            {content.state === "here" && content.latencyMs !== undefined && ` in ${milliseconds(content.latencyMs)}`}
            {content.state === "gone" && ", no longer kept"}
          </span>
        </span>
        {content.state === "here" && !entry.delivery && (
          <a class="button" href={content.url} download={entry.name} data-testid="file-link">
            Save<span class="unseen"> {entry.name}</span>
          </a>
        )}
      </div>
      {moving && <Moving entry={entry} />}
    </div>
  );
}

function Moving({ entry }: { entry: FileEntry }) {
  const stalled = useStalled(entry);
  const share = entry.bytes === 0 ? 1 : entry.heldBytes.value / entry.bytes;
  const percent = Math.floor(share * 100);
  // Of what we send, the first news may be that it is there.
  const unknown = entry.delivery !== undefined && share === 0;
  return (
    <div class="moving" data-stalled={stalled && !unknown} data-unknown={unknown}>
      <div
        class="braid"
        role="progressbar"
        aria-label={`${entry.delivery ? "Sending" : "Receiving"} ${entry.name}`}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={unknown ? undefined : percent}
        data-testid="file-progress"
      >
        <div class="braid-done" style={{ width: unknown ? "100%" : `${share * 100}%` }} />
      </div>
      <span class="percent">{unknown ? "sending" : stalled ? "waiting" : `${percent} %`}</span>
    </div>
  );
}

function useStalled(entry: FileEntry): boolean {
  const stalled = useSignal(false);
  const movedAtMs = entry.movedAtMs.value;
  useEffect(() => {
    stalled.value = false;
    const timer = setTimeout(() => (stalled.value = true), STALLED_MS);
    return () => clearTimeout(timer);
  }, [movedAtMs]);
  return stalled.value;
}

function FileIcon() {
  return (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
      <path d="M5 2.5h6.5L15.5 6.5v11h-10.5z M11.5 2.5v4h4" />
    </svg>
  );
}
