// `cargo xtask soak`: SOAK_SECONDS in the environment; with JSON=1 one object on standard output, else lines for people.
import { required } from "./lib/environment.mjs";
import { soak } from "./lib/soak.mjs";

const ends = [];
const test = { after: (end) => ends.push(end) };
const json = process.env.JSON === "1";
const onSample = ({ seconds, round, tabs }) => json || console.log(`${seconds} s, round ${round}: ${tabs.map((tab) => JSON.stringify(tab)).join(" ")}`);
try {
  const result = await soak(test, { seconds: Number(required("SOAK_SECONDS")), everyMs: 10_000, quietMs: 75_000, tolerance: 0.05, onSample });
  const { failures, complaints } = result;
  const { rounds, seconds, level, end } = result;
  const lines = [...failures, ...complaints, `${rounds} rounds in ${seconds} s, from ${JSON.stringify(level)} to ${JSON.stringify(end)}`];
  console.log(json ? JSON.stringify(result) : lines.join("\n"));
  if (failures.length + complaints.length > 0) process.exitCode = 1;
} finally {
  for (const end of ends.reverse()) await end();
}
