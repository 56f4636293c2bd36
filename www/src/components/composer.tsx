import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";

import { TEXT_LENGTH } from "../protocol.js";
import type { Room } from "../room.js";

export function Composer({ room, roomName }: { room: Room | undefined; roomName: string }) {
  const text = useSignal("");
  const files = useRef<HTMLInputElement>(null);
  const say = () => {
    if (!room || !text.value.trim()) return;
    room.say(text.value);
    text.value = "";
  };
  const send = (list: FileList | null | undefined) => {
    for (const file of list ?? []) room?.sendFile(file);
  };
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        say();
      }}
    >
      <button
        type="button"
        class="quiet attach"
        aria-label="Send files"
        title="Send files"
        disabled={!room}
        onClick={() => files.current?.click()}
      >
        <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
          <path d="M10 3.5v13M3.5 10h13" />
        </svg>
      </button>
      <input
        ref={files}
        class="unseen"
        type="file"
        multiple
        tabIndex={-1}
        aria-hidden="true"
        data-testid="file-input"
        onChange={(event) => {
          send(event.currentTarget.files);
          event.currentTarget.value = "";
        }}
      />
      <div class="grow" data-text={`${text.value}\n`}>
        <textarea
          rows={1}
          dir="auto"
          aria-label={`Message to ${roomName}`}
          placeholder="Say something"
          data-testid="composer"
          maxLength={TEXT_LENGTH}
          value={text.value}
          onInput={(event) => (text.value = event.currentTarget.value)}
          onPaste={(event) => send(event.clipboardData?.files)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            say();
          }}
        />
      </div>
      <button type="submit" class="primary" data-testid="send" disabled={!room || !text.value.trim()}>
        Send
      </button>
    </form>
  );
}
