/** What the Guide needs besides the descent: a sheet of memories, and the names to choose from in its guessing game. */

import { sum } from "../energy.js";
import { countMemories, memoryEnergy, memoryPatches } from "./memories.js";

const MEMORIES = 25; // on the sheet

/** The memories that contribute most at the end of a descent, as patches, the most active one first, and their share of it. */
export async function readMemorySheet(service, question) {
  const request = await service.readRequest(question);
  const { model } = request;
  const { states } = await service.trace(request);
  const bytes = memoryPatches(model, model.descent.last);
  const area = 3 * model.patch ** 2;
  const used = memoryEnergy(model, states[states.length - 1]); // 0 or negative: the lowest contributes most
  const most = Array.from(used.keys()).sort((a, b) => used[a] - used[b]);
  const chosen = most.slice(0, MEMORIES);
  const patches = chosen.map((memory) => bytes.slice(memory * area, (memory + 1) * area));
  const share = sum(chosen.map((memory) => used[memory])) / sum(Array.from(used)) || 0; // 0 of 0: none is active
  return { size: model.patch, count: countMemories(model), patches, share };
}

/** A few names to choose from, the right one among them; none where the name of the picture is not known. */
export async function readChoices(service, question) {
  const { asked, model } = await service.readRequest(question);
  if (asked.pixels !== undefined) return { choices: [], label: null };
  const pictures = await service.pictures(asked.dataset, model.size);
  return { choices: pictures.choices(asked.index), label: pictures.label(asked.index) };
}
