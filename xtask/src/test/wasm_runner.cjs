// Runs the tests of ./tests.js, a module bound for Node.js whose tests use wasm-bindgen-test 0.3.58.
// Usage: node run.cjs [FILTER]

// The context prints its report through this; `console` itself belongs to the tests.
globalThis.__wbgtest_og_console_log = console.log;
globalThis.__wbg_test_invoke = (test) => test();

// What a test logs is kept by the context and shown when that test fails. Replaced before the module is loaded,
// which binds `console` as it finds it.
const sinks = {};
for (const level of ["debug", "log", "info", "warn", "error"]) {
  console[level] = (...args) => sinks[level]?.(args);
}

const wasm = require("./tests.js");

// An export is named __wbgt_<flags>_<path to the test>, the path after the first "::".
const [filter = ""] = process.argv.slice(2);
const all = Object.keys(wasm.__wasm).filter((name) => name.startsWith("__wbgt_"));
const chosen = all.filter((name) => name.slice(name.indexOf("::") + 2).includes(filter));

async function main() {
  for (const level of ["debug", "log", "info", "warn", "error"]) {
    sinks[level] = wasm[`__wbgtest_console_${level}`];
  }
  const context = new wasm.WasmBindgenTestContext(false);
  context.include_ignored(false);
  context.filtered_count(all.length - chosen.length);
  return context.run(chosen.map((name) => wasm.__wasm[name]));
}

main().then(
  (ok) => process.exit(ok ? 0 : 1),
  (error) => {
    globalThis.__wbgtest_og_console_log(error);
    process.exit(1);
  },
);
