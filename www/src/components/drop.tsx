import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import type { Room } from "../room.js";

/** The whole page takes files. */
export function DropTarget({ room }: { room: Room | undefined }) {
  const over = useSignal(false);
  useEffect(() => {
    const stop = new AbortController();
    const on = <Type extends keyof WindowEventMap>(type: Type, handler: (event: WindowEventMap[Type]) => void) =>
      addEventListener(type, handler, { signal: stop.signal });
    const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    on("dragover", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      over.value = true;
    });
    on("dragleave", (event) => {
      // Only when it leaves the window; between elements there is always a next one.
      if (event.relatedTarget === null) over.value = false;
    });
    on("drop", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      over.value = false;
      for (const file of event.dataTransfer!.files) room?.sendFile(file);
    });
    return () => stop.abort();
  }, [room]);
  return (
    <div class="drop" hidden={!over.value} aria-hidden="true">
      <p>Drop to send to everyone in the room</p>
    </div>
  );
}
