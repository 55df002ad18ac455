/**
 * Answers questions by the page's own engine, in node: node answer.js FOLDER, which holds catalogue.json, the files that
 * it names, and questions.json. Prints the answers in JSON, with typed arrays in base64, as Python's service has them.
 */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Service } from "../../etviz/ui/page/engine/service.js";

const folder = process.argv[2];
const load = async (path) => new Uint8Array(await readFile(join(folder, path)));
const readJson = async (name) => JSON.parse(await readFile(join(folder, name), "utf8"));

/** A sprite without compression: its width in four bytes, then red, green, blue and opacity of each pixel. */
async function decode(file) {
  const [width, data] = [new DataView(file.buffer).getUint32(0, true), file.subarray(4)];
  return { width, height: data.length / 4 / width, data };
}

function inBase64(_name, value) {
  if (!ArrayBuffer.isView(value)) return value;
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64");
}

const service = new Service(await readJson("catalogue.json"), load, decode);
const answers = [];
for (const question of await readJson("questions.json")) answers.push(await service.ask(question));
process.stdout.write(JSON.stringify(answers, inBase64));
