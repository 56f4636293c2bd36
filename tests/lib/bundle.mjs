import { createRequire } from "node:module";

const LIB = new URL(".", import.meta.url).pathname;

/** A module of this folder and all that it imports, as one text for a page; by the bundler that the demo app has. */
export async function bundle(module) {
  const vite = createRequire(new URL("../../www/package.json", import.meta.url)).resolve("vite");
  const { build } = await import(vite);
  const { output } = (
    await build({
      configFile: false,
      root: LIB,
      logLevel: "error",
      build: { write: false, minify: false, target: "es2023", lib: { entry: module, formats: ["es"], fileName: "bundle" } },
    })
  )[0];
  if (output.length !== 1) throw new Error(`${module} became ${output.length} files`);
  return output[0].code;
}
