/**
 * Bundle the scripts and the style sheet of the page into the package that serves them.
 *
 * The names contain a hash of the content, so that browsers may keep the files for ever.
 */
import { rm } from "node:fs/promises";
import { build } from "esbuild";

const OUTPUT = "../crypto_predict/web/page/built";

await rm(OUTPUT, { recursive: true, force: true });
await build({
  entryPoints: ["scripts/main.js", "style.css"],
  entryNames: "[name]-[hash]",
  outdir: OUTPUT,
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022"],
  legalComments: "none", // the footer of the page has the notices
});
