/**
 * What each kind of question comes back with: the readings of etviz/ui/readings. Types only: nothing here runs.
 * `Base64` stands for bytes, or for float32 numbers where the shape is given, and null for what is not finite. A host in
 * the same browser hands over the bytes and numbers themselves.
 */

import type { Numbers } from "./types.d.ts";

export type Base64 = string;

/** Pictures, as the page unpacks them. */
export type Pictures = Base64 | Uint8Array;

/** Energies of each token, (T+1, 1+N): CLS first, then the patches row by row. */
export interface TokenEnergies {
  attention: Base64;
  hopfield: Base64;
}

/** Low quantile, median and high quantile over the steps, for each of the three energies. */
export type Quantiles = Record<"energy" | "attention_energy" | "hopfield_energy", [Numbers, Numbers, Numbers]>;

export interface EnergyBand {
  /** Of pictures; 0 where the server was busy with other bands. */
  count: number;
  source: string;
  values: Quantiles;
  changes: Quantiles;
}

export interface Attention {
  patch: number;
  states: number;
  heads: number;
  tokens: number;
  /** (T+1, H, N), CLS first. */
  as_query: Base64;
  as_key: Base64;
  /** (T+1, H), in bits. */
  entropy: Base64;
  entropy_maximum: number;
  /** Whether this is the descent of a decoder, after an encoder's. */
  decoder: boolean;
}

export interface Memories {
  count: number;
  patch_size: number;
  /** Bytes by block, memory, row, column and channel. */
  patches: Pictures;
  /** The block of each state. */
  blocks: number[];
  /** (T+1, M), 0 or negative. */
  energy: Base64;
  decoder: boolean;
  /** (blocks, M), in cycles per pixel. */
  frequency?: Base64;
}

export interface MemoryUse {
  /** Of pictures; 0 where the server was busy with other people's. */
  count: number;
  source: string;
  /** (M,), 0 or negative: the mean over the pictures. */
  energy: Base64;
}

export interface MemoriesOfPatch {
  patch: number;
  /** (T+1, M), 0 or negative. */
  energy: Base64;
}

export interface MemoryPlaces {
  memory: number;
  /** (T+1, N), CLS first, 0 or negative. */
  energy: Base64;
}

export interface GradientLines {
  /** 1 where each state has a line, 2 where every second has, and so on. */
  every: number;
  lines: GradientLine[];
}

export interface GradientLine {
  step: number;
  sizes: number[];
  energy: Numbers;
  step_size: number;
  energy_here: number | null;
  energy_next: number | null;
  /** Whether a step was taken from here. */
  moved: boolean;
}

export interface EnergyPlane {
  /** Coordinates along both axes, and the energy row by row along the second. */
  first: number[];
  second: number[];
  energy: Base64;
  path: [number, number][];
  path_energy: number[];
  steps: number[];
  /** The shares of the path's variance that both axes hold. */
  variance: [number, number];
  block: number;
  blocks: number;
}

/** A picture on the way, or where a descent settles. */
export interface State {
  frame: Base64;
  mse: number | null;
  energy: number;
}

/** Where a descent settles after its end; `steps` is null where it did not within the limit. */
export interface Valley extends State {
  steps: number | null;
}

/** The end of a descent. */
export interface End extends State {
  valley: Valley;
}

export interface Run extends End {
  barrier: number | null;
  same_basin: boolean;
  path: [number, number][];
}

/** Descents from disturbed starts, and the end of the one without noise. */
export interface Perturbations extends End {
  noise: number;
  seed: number;
  /** The largest barrier that counts as none. */
  criterion: number;
  /** The most steps in which a descent may settle. */
  limit: number;
  /** Another picture under the same mask. */
  control: { caption: string; frame: Base64; barrier: number | null; same_basin: boolean; valley: Valley };
  runs: Run[];
}

export interface Metrics {
  mse: number | null;
  psnr: number | null;
  ssim: number | null;
}

/** Metrics of a filler that learns nothing. */
export interface Filled extends Metrics {
  name: string;
}

export interface Quality {
  ssim: Numbers | null;
  mean_fill: Filled;
  /** The one of four with the lowest error on this picture under this mask. */
  best_fill: Filled;
}

/** The descent of one column of a comparison; energy and rises are null for a model without an energy. */
export interface ColumnReading {
  error?: string;
  size: number;
  mask: string;
  image: Base64;
  frames: Base64;
  mse: Numbers;
  psnr: Numbers;
  ssim: Numbers;
  energy: Numbers | null;
  rises: number[] | null;
  milliseconds: number;
}

/** A checkpoint or a training run; `problem` says why nothing can be loaded (yet). */
export interface RunInfo {
  name: string;
  problem?: string;
  energy?: boolean;
  patches?: number;
  size?: number;
  step_size?: number | null;
  beta?: number | null;
  snapshots?: { file: string; epoch: number }[];
  epoch?: number | null;
  dataset?: string | null;
}

/** The weights of one epoch; `file` is null for the final ones. */
export interface Epoch {
  file: string | null;
  epoch: number | null;
  frames: Base64;
  mse: Numbers;
  psnr: Numbers;
}

export interface Epochs {
  size: number;
  image: Base64;
  epochs: Epoch[];
}

export interface MemorySheet {
  size: number;
  count: number;
  /** Of the Hopfield energy, that the memories on the sheet carry together. */
  share: number;
  patches: Base64[];
}

/** Names to choose from in the guessing game, and the right one where it is known. */
export interface Choices {
  choices: string[];
  label: string | null;
}
