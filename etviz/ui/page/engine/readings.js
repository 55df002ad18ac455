/** What the page can ask, one file for each view, as etviz/ui/readings. Each takes the service and a question. */

import { readAttention } from "./readings/attention.js";
import { readCompare } from "./readings/compare.js";
import { readDescent, readFirstSteps } from "./readings/descent.js";
import { readEnergyBand, readTokenEnergies } from "./readings/energies.js";
import { readExport } from "./readings/export.js";
import { readGallery } from "./readings/gallery.js";
import { readChoices, readMemorySheet } from "./readings/guide.js";
import { readGradientLines } from "./readings/lines.js";
import { readMemories, readMemoriesOfPatch, readMemoryPlaces, readMemoryUse } from "./readings/memories.js";
import { readPerturbations } from "./readings/perturbations.js";
import { readEnergyPlane } from "./readings/plane.js";
import { readQuality } from "./readings/quality.js";
import { readEpochs, readRuns, readTraining } from "./readings/training.js";

export const READINGS = {
  trace: readDescent,
  first_steps: readFirstSteps,
  export: readExport,
  gallery: readGallery,
  quality: readQuality,
  attention: readAttention,
  memories: readMemories,
  memories_of_patch: readMemoriesOfPatch,
  memory_places: readMemoryPlaces,
  memory_use: readMemoryUse,
  gradient_lines: readGradientLines,
  energy_plane: readEnergyPlane,
  perturbations: readPerturbations,
  memory_sheet: readMemorySheet,
  choices: readChoices,
  compare: readCompare,
  runs: readRuns,
  training: readTraining,
  epochs: readEpochs,
  token_energies: readTokenEnergies,
  energy_band: readEnergyBand,
};
