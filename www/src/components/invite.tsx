import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

/** Copies the room's link; where a page may not do that by itself, shows it to be copied by hand. */
export function Invite({ room }: { room: string }) {
  const state = useSignal<"idle" | "copied" | "by-hand">("idle");
  useEffect(() => {
    if (state.value !== "copied") return;
    const timer = setTimeout(() => (state.value = "idle"), 2000);
    return () => clearTimeout(timer);
  }, [state.value]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      state.value = "copied";
    } catch {
      state.value = "by-hand";
    }
  };
  return (
    <div class="invite">
      <button type="button" class="primary" data-testid="invite" onClick={() => void copy()}>
        <span aria-live="polite">{state.value === "copied" ? "Link copied" : "Invite"}</span>
      </button>
      {state.value === "by-hand" && <LinkField key={room} done={() => (state.value = "idle")} />}
    </div>
  );
}

function LinkField({ done }: { done: () => void }) {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.select(), []);
  return (
    <input
      ref={field}
      class="invite-link"
      data-testid="invite-link"
      aria-label="Link to this room"
      readOnly
      value={location.href}
      onBlur={done}
      onKeyDown={(event) => event.key === "Escape" && done()}
    />
  );
}
