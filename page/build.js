/**
 * Bundle the scripts, the style sheet and the icon of the page into the package that serves them.
 *
 * Their names contain a hash of the content, so that browsers may keep the files for ever. `NOTICE` is the text that
 * the page's footer owes to the library in the bundle, and `licenses-HASH.txt` has its licenses. Nothing is written
 * if a file cannot be bundled, or if a package in the bundle has a license that is not known here.
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { brotliCompress } from "node:zlib";
import { build } from "esbuild";
import { describeLicenses } from "./licenses.js";

const OUTPUT = path.resolve(import.meta.dirname, "../crypto_predict/web/page/built");

/**
 * The module `sections`, of scripts and of styles: what the folder of that name has. The default export has the function
 * `mount` of each script by the name of its file, which is the id of the section's element.
 *
 * @type {import("esbuild").Plugin}
 */
const sections = {
  name: "sections",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^sections$/ }, ({ kind }) => ({ path: kind === "import-rule" ? "styles" : "scripts", namespace: "sections" }));
    onLoad({ filter: /./, namespace: "sections" }, async ({ path: folder }) => {
      const files = (await readdir(path.join(import.meta.dirname, folder, "sections"))).sort();
      const names = files.map((file) => path.parse(file).name);
      const places = files.map((file) => `"./${folder}/sections/${file}";`);
      const resolveDir = import.meta.dirname;
      if (folder === "styles") {
        return { contents: places.map((place) => `@import ${place}`).join("\n"), loader: "css", resolveDir };
      }
      const imports = places.map((place, index) => `import { mount as ${names[index]} } from ${place}`);
      return { contents: [...imports, `export default { ${names.join()} };`].join("\n"), resolveDir };
    });
  },
};

const bundle = await build({
  absWorkingDir: import.meta.dirname,
  entryPoints: ["scripts/main.js", "style.css", "icon.svg"],
  entryNames: "[name]-[hash]",
  outdir: OUTPUT,
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022"],
  loader: { ".svg": "copy" },
  legalComments: "none", // they are in licenses-HASH.txt
  preserveSymlinks: true, // wherever the packages are, the same content has the same name
  plugins: [sections],
  metafile: true,
  write: false,
});
const licenses = await describeLicenses(Object.keys(bundle.metafile.inputs));
const hash = createHash("sha256").update(licenses).digest("hex").slice(0, 8).toUpperCase();

await rm(OUTPUT, { recursive: true, force: true });
await mkdir(OUTPUT, { recursive: true });
for (const file of bundle.outputFiles) {
  await writeFile(file.path, file.contents);
  // An eighth smaller than gzip. The server, which has no library for it, sends what it finds.
  await writeFile(`${file.path}.br`, await promisify(brotliCompress)(file.contents));
}
await writeFile(path.join(OUTPUT, `licenses-${hash}.txt`), licenses);
// The last file: make compares its time with those of the sources.
await writeFile(path.join(OUTPUT, "NOTICE"), await readFile(path.join(import.meta.dirname, "NOTICE")));
