/** The licenses of the packages that are in the bundle. */
import { readFile } from "node:fs/promises";
import path from "node:path";

/** Licenses that a bundle may contain; each asks for its text and the copyright notice, and for nothing else. */
const ACCEPTED = ["Apache-2.0", "ISC", "MIT"];
const NAMES_OF_TEXTS = ["LICENSE", "LICENSE.md", "LICENSE.txt", "license"];
const MIT = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`;

/**
 * Return name, version and license text of every package that a bundle contains, by name.
 *
 * @param {string[]} inputs paths of the bundled files, absolute or relative to this folder
 * @returns {Promise<string>} one text for all packages; "" without any
 * @throws {Error} if the license of a package is not an accepted one, or its text is missing
 */
export async function describeLicenses(inputs) {
  const folders = new Set(inputs.flatMap((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0] ?? []));
  const texts = await Promise.all([...folders].map((folder) => describe(path.resolve(import.meta.dirname, folder))));
  return texts.sort().join(`\n${"-".repeat(80)}\n\n`);
}

/** @param {string} folder of an installed package */
async function describe(folder) {
  const { name, version, license, author } = JSON.parse(await readFile(path.join(folder, "package.json"), "utf8"));
  if (!ACCEPTED.includes(license)) {
    throw new Error(`${name} ${version} has the license ${license}: expected one of ${ACCEPTED.join(", ")}; use another package`);
  }
  return `${name} ${version}, license ${license}\n\n${await readLicense(folder, license, author?.name ?? author)}`;
}

/**
 * @param {string} folder of an installed package
 * @param {string} license its identifier by SPDX
 * @param {string | undefined} author
 */
async function readLicense(folder, license, author) {
  for (const name of NAMES_OF_TEXTS) {
    try {
      return await readFile(path.join(folder, name), "utf8");
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== "ENOENT") throw error;
    }
  }
  if (license === "MIT" && author) return `Copyright (c) ${author}\n\n${MIT}`;
  throw new Error(`${folder} does not contain the text of its license ${license}`);
}
