import assert from "node:assert/strict";
import { test } from "node:test";

import { soak } from "../lib/soak.mjs";

test("tabs that come and go leave nothing behind", async (t) => {
  const { level, end, failures, complaints, rounds, seconds } = await soak(t, { seconds: 25, everyMs: 0, quietMs: 11_000, tolerance: 0.3 });
  t.diagnostic(`${rounds} rounds in ${seconds} s: ${JSON.stringify(level)}, then ${JSON.stringify(end)}`);
  assert.deepEqual(failures, []);
  assert.deepEqual(complaints, []);
});
