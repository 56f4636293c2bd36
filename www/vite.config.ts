import { defineConfig } from "vite";

export default defineConfig({
  // Relative, so that a relay may serve the app from any path.
  base: "./",
  // Vite's pre-bundling would lose the wasm module that lies beside the package's code.
  optimizeDeps: { exclude: ["braidcast"] },
  // `npm run dev` reads the package where it lies, outside this folder.
  server: { fs: { allow: [".", "../web"] } },
  build: {
    target: "es2023",
    // The page's policy allows no data: addresses and no inline scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
