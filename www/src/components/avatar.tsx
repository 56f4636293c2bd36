/** Three strands in colours of one's own: the id's hash, drawn. */
export function Avatar({ id }: { id: string }) {
  const [a, b, c] = hues(id);
  return (
    <svg class="avatar" viewBox="0 0 24 24" aria-hidden="true">
      <circle cx="12" cy="12" r="12" fill={`hsl(${a} 42% 30%)`} />
      <g fill="none" stroke-width="3" stroke-linecap="round">
        <path d="M6.5 5C6.5 11 17.5 13 17.5 19" stroke={`hsl(${a} 75% 72%)`} />
        <path d="M12 4.5C18.5 9 18.5 15 12 19.5" stroke={`hsl(${b} 75% 68%)`} />
        <path d="M17.5 5C17.5 11 6.5 13 6.5 19" stroke={`hsl(${c} 80% 66%)`} />
      </g>
    </svg>
  );
}

function hues(id: string): [number, number, number] {
  // FNV-1a over the tail; the head of every id is the same.
  let hash = 0x811c9dc5;
  for (const character of id.slice(-24)) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  const first = (hash >>> 0) % 360;
  const step = 70 + ((hash >>> 9) % 80);
  return [first, (first + step) % 360, (first + 2 * step) % 360];
}
