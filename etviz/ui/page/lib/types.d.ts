/** The shapes of data that the page's modules hand to each other. Types only: nothing here runs. */

import type { createActing } from "../explorer/acting.js";
import type { createAsking } from "../explorer/asking.js";
import type { createDrawing } from "../explorer/drawing.js";
import type { createHistory } from "../explorer/history.js";
import type { createLayout, createParts } from "../explorer/layout.js";
import type { createAddress } from "./address.js";

// ---- between the page and its host ---------------------------------------------------------------------------------

/** Who the page talks to: the Gradio app, a notebook's kernel, or nobody. */
export interface Host {
  start: Start;
  /** Answers a question; without it, the first answer is replayed and nothing else can be asked for. */
  ask?(question: Question): Promise<Reading>;
  /** Makes a picture of an upload, for the model of that name. */
  readFile?(file: File, model: string): Promise<{ pixels: string; caption?: string; error?: string }>;
  /** Told of every new mask. */
  onMask?(hex: string): void;
  /** Told of every descent that comes on screen. */
  onAnswer?(answer: Answer): void;
  /** Names of the views to show; all where left out. */
  views?: string[];
  /** The window whose address holds the state. */
  address?: Window;
  /** Whether the window shows nothing else, so that keys pressed nowhere in particular are meant for the page. */
  alone?: boolean;
}

/** What is known at load; see `Service.start` in etviz/ui/service.py. A replay has a heading and an answer alone. */
export interface Start {
  answer: Answer;
  heading?: { title: string; text: string };
  models?: { name: string; facts: string; patches: number; size?: number }[];
  datasets?: { name: string; title: string }[];
  gallery?: Gallery;
  uploads?: boolean;
  /** Published models that are missing and can be fetched. */
  offers?: { source: string; checkpoint: string; title: string; megabytes: number }[];
  limits?: Limits;
  note?: string;
  count?: number;
}

/** What the server accepts. */
export interface Limits {
  /** Of one descent. */
  steps: number;
  /** Of a descent that runs until it settles. */
  settling_steps: number;
  /** The share of the gradient that may be left along the sphere once a descent has settled. */
  settled: number;
  /** Of a picture file: its size, and the pixels of its longer side. */
  file: FileLimit;
}

export interface FileLimit {
  bytes: number;
  side: number;
}

/** A page of thumbnails; see etviz/ui/readings/gallery.py. */
export interface Gallery {
  dataset: string;
  label: string | null;
  classes: string[];
  page: number;
  pages: number;
  per_page: number;
  count: number;
  total: number;
  thumbs: { index: number; caption: string; image: string }[];
}

/** A picture of a dataset, by its index, or an upload, by its pixels in base64. A link may leave the dataset out. */
export interface Picture {
  dataset?: string;
  index?: number;
  pixels?: string;
  name?: string;
}

/** How to descend; what is left out is the model's own. */
export interface Settings {
  steps?: number;
  step_size?: number;
  beta?: number;
  rule?: string | null;
  settle?: boolean;
}

/** The settings in effect, and those that the model was trained with. */
export interface EffectiveSettings extends Required<Settings> {
  own: { steps: number; step_size: number; beta: number };
}

/** What the page asks. Every kind but "trace" is a reading; see etviz/ui/readings. */
export interface Question {
  kind?: string;
  seq?: number;
  picture?: Picture;
  model?: string;
  snapshot?: string | null;
  /** In hexadecimal. */
  mask?: string;
  settings?: Settings;
  [more: string]: unknown;
}

/** One descent of T steps; see `payload` in etviz/ui/payload.py. Numbers are null where they are not finite. */
export interface Answer {
  error?: string;
  seq?: number;
  model: string;
  snapshot: string | null;
  picture: Picture;
  caption: string;
  settings: EffectiveSettings;
  /** Pixels a side. */
  size: number;
  mask: string;
  /** size x size x 3 bytes, in base64 or from a sheet. */
  image: string | Uint8Array;
  /** The same for each of the T + 1 states, one after another. */
  frames: string | Uint8Array;
  /** Whether the frames are as computed; lossy compression may have changed large ones. */
  exact?: boolean;
  energy: Numbers;
  attention_energy: Numbers;
  hopfield_energy: Numbers;
  gradient_norm: Numbers;
  stationarity: Numbers;
  mse: Numbers;
  psnr: Numbers;
  /** Which steps, from 1, raised the energy. */
  rises: number[];
  /** T numbers: the sizes of the steps as taken. */
  step_sizes: number[];
  /** The step at which the descent settled, if it did. */
  settled: number | null;
}

/** The first steps of a descent whose answer is on its way. */
export interface FirstSteps {
  seq: number;
  size: number;
  mask: string;
  image: string | Uint8Array;
  /** The last of these steps. */
  frame: string | Uint8Array;
  step: number;
}

/** Large pictures in one WebP file; see `encode_sheet` in etviz/ui/payload.py. */
export interface Sheet {
  /** Base64. */
  webp: string;
  /** Pixels a side, of each picture. */
  size: number;
  count: number;
  /** Pictures in a row of the sheet. */
  columns: number;
  lossless: boolean;
}

export type Numbers = (number | null)[];

/** What a view's question came back with: the reading's own fields, or an error. */
export interface Reading {
  error?: string;
  // biome-ignore lint/suspicious/noExplicitAny: each kind of reading has fields of its own
  [field: string]: any;
}

// ---- inside the page -----------------------------------------------------------------------------------------------

/** One byte for each patch, row by row: 1 = hidden. */
export type Mask = Uint8Array;

/** A pixel's colour by its number, row by row; null leaves a hole. */
export type Pixel = ((i: number) => ArrayLike<number> | null) & {
  /** All pixels as bytes, where there are no holes. */
  pixels?: Uint8Array;
};

/** What is kept from the reader in the guessing game. */
export type Veil = "all" | "original" | null;

/** What was asked for, perhaps ahead of the answer on screen. */
export interface Wanted {
  picture: Picture;
  model: string;
  snapshot: string | null;
  /** As painted. */
  mask: Mask;
  settings: Settings;
}

export interface State {
  wanted: Wanted;
  /** The one that is wanted. */
  readonly mask: Mask;
  /** The descent on screen, its original and its frames as bytes, and the patch of each pixel. */
  answer: Answer | null;
  original: Uint8Array;
  frames: Uint8Array[];
  /** The frames with the visible pixels as given, as far as they were looked at. */
  completed: Pixel[];
  patches: Uint16Array;
  step: number;
  /** The patch that views look at. */
  patch: number | null;
  tab: string;
  /** Of what is drawn at random. */
  seed: number;
  veil: Veil;
  /** The tab to lead back to. */
  from: string | null;
  /** What views keep in the address, by name, as text. */
  links: Record<string, string | null>;
  /** Number of the newest question. */
  seq: number;
}

/** What the address holds. */
export interface Shareable {
  picture: Picture;
  model: string;
  snapshot: string | null;
  mask: string;
  settings: Settings;
  seed: number;
  step: number;
  tab: string;
  patch: number | null;
  linked?: Record<string, string | null>;
}

/** What an address says, as far as it does; "lost" stands for an upload that only its owner's browser has. */
export interface Travelled extends Partial<Omit<Shareable, "picture">> {
  picture?: Picture | "lost";
}

/** What a view sees of the page. It reads the state, and changes it by these functions only. */
export interface App extends State {
  start: Start;
  host: Host;
  /** The question whose answer is on screen. */
  question(): Question;
  /** One state of the descent as `draw` takes it, the visible pixels as given unless `keep` is false. */
  pixel(step: number, options?: { keep?: boolean }): Pixel;
  /** A view's text in the address. */
  linked(name: string): string | null;
  link(name: string, text: string | null, options?: { passing?: boolean }): void;
  change(part: Partial<Wanted>, options?: { remember?: boolean }): Promise<void>;
  lead(where: { tab: string; mask?: Mask; step?: number | null } & Partial<Wanted>): Promise<void>;
  offer(run: { name: string; patches: number; size?: number; facts?: string }): void;
  openTab(name: string): void;
  choosePatch(patch: number): void;
  setStep(step: number): void;
  setSeed(seed: number): void;
  setMask(mask: Mask | string, options?: { passing?: boolean }): void;
  setVeil(veil: Veil): void;
  say(sentence: string): void;
}

/** A tab. Its functions are called while it is open, and when it is opened. */
export interface View {
  name: string;
  title: string;
  text?: string;
  node: HTMLElement;
  show(answer: Answer): void;
  step(step: number): void;
  paint?(mask: Mask): void;
  preview?(first: FirstSteps): void;
  choose?(patch: number | null): void;
}

/** What the modules in explorer/ share. */
export interface Page {
  root: HTMLElement;
  host: Host;
  start: Start;
  /** Whether there is somebody to ask. */
  live: boolean;
  state: State;
  history: ReturnType<typeof createHistory>;
  asking: ReturnType<typeof createAsking>;
  acting: ReturnType<typeof createActing>;
  drawing: ReturnType<typeof createDrawing>;
  app: App;
  views: View[];
  parts: ReturnType<typeof createParts>;
  layout: ReturnType<typeof createLayout>;
  address: ReturnType<typeof createAddress>;
}
