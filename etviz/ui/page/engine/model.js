/**
 * The Energy Transformers: embedding, descent, decoder (etviz/models/energy_transformer.py and asymmetric.py).
 *
 * A picture is a Float32Array (3, S, S) in [0, 1], a mask a Uint8Array (N,) in which 1 is hidden, and tokens are a
 * Float32Array (1 + N, D) with CLS first. Hidden pixels reach no output.
 *
 * @import { Kernel } from "./kernel.js"
 */

import { EnergyDescent } from "./descent.js";
import { EnergyBlock, layerNorm } from "./energy.js";
import { createKernel, packedSize, transposed } from "./kernel.js";
import { patchPlaces } from "./patches.js";

const DECODER_EPSILON = 1e-5;

/**
 * The model of a checkpoint.
 *
 * @param {any} config its name and options, complete, as etviz.models.model_config gives them
 * @param {Record<string, {data: Float32Array, shape: number[]}>} weights
 */
export function createModel(config, weights, simd = undefined) {
  const kinds = { et: EnergyTransformer, et_asym: AsymmetricEnergyTransformer };
  const kernel = createKernel(roomFor(config, weights), simd);
  return new kinds[config.name](config, weights, kernel);
}

/** How many numbers a model needs room for: its weights twice, packed for both directions, and what a state takes. */
function roomFor(config, weights) {
  const sizes = Object.values(weights).map(({ shape }) => shape.reduce((product, length) => product * length, 1));
  const packed = sizes.reduce((total, size) => total + size, 0) * 2;
  const tokens = 1 + (config.img_size / config.patch_size) ** 2;
  const width = Math.max(config.embed_dim, config.decoder_embed_dim ?? 0);
  const heads = Math.max(config.num_heads * config.head_dim, config.decoder_num_heads * config.decoder_head_dim || 0);
  const memories = Math.max(config.memory_ratio, config.decoder_memory_ratio ?? 0) * width;
  const projected = 2 * heads + memories;
  const state = tokens * (2 * width + 2 * projected) + config.num_heads * tokens * tokens;
  const head = 4 * (tokens + 16) * (tokens + heads + 16);
  return Math.ceil(packed + 64 * (width + projected) + width * projected + state + head + 65536);
}

/** x W^T + b: (n, in) -> (n, out). */
class Linear {
  /** @param {Kernel} kernel */
  constructor(kernel, weight, bias) {
    const [out, width] = weight.shape;
    const room = kernel.room(packedSize(width, out));
    this.kernel = kernel;
    this.bias = bias.data;
    this.width = width;
    kernel.scratch(() => {
      this.packed = kernel.packed(transposed(kernel.matrixOf(weight.data, out, width)), room);
    });
  }

  apply(x) {
    const { kernel, packed, bias, width } = this;
    const product = kernel.scratch(() =>
      kernel.product(kernel.matrixOf(x, x.length / width, width), packed).data.slice(),
    );
    for (let row = 0; row < product.length; row += bias.length) {
      for (let i = 0; i < bias.length; i++) product[row + i] += bias[i];
    }
    return product;
  }
}

/**
 * What the Energy Transformers share: a descent in which hidden patches form, and every state decoded. Subclasses set
 * `descent` and write `startTokens`.
 */
class EnergyModel {
  /** @type {EnergyDescent} */ descent;
  /** @type {EnergyDescent | undefined} */ encoder;

  /**
   * The state before the first step, (1 + N, D).
   *
   * @returns {Generator<void, Float32Array>}
   */
  // biome-ignore lint/correctness/useYield: a subclass may descend here, and then yields
  *startTokens(_picture, _mask) {
    throw new Error("A model starts from tokens.");
  }

  constructor(config, weights, kernel) {
    const { img_size: size, patch_size: patch, in_chans: channels } = config;
    this.config = config;
    this.size = size;
    this.patch = patch;
    this.kernel = kernel;
    this.places = patchPlaces(size, patch, channels);
    this.patches = (size / patch) ** 2;
    this.tensor = (name) => weights[name].data;
    this.linear = (name) => new Linear(kernel, weights[`${name}.weight`], weights[`${name}.bias`]);
    this.embed = this.linear("embed");
    this.decoder = { gain: this.tensor("decoder.0.weight"), offset: this.tensor("decoder.0.bias") };
    this.decoder.linear = this.linear("decoder.1");
  }

  /** The blocks of a descent; `prefix` is that of the options' names. */
  descentOf(name, prefix, beta) {
    const { config, kernel, tensor } = this;
    const option = (key) => config[prefix + key];
    const shape = { heads: option("num_heads"), headDim: option("head_dim"), beta, excludeSelf: config.exclude_self };
    const blocks = Array.from({ length: config.depth }, (_, index) => {
      const part = (key) => tensor(`${name}.blocks.${index}.${key}`);
      const norm = { gamma: part("norm.gamma")[0], delta: part("norm.delta") };
      const weights = { query: part("query"), key: part("key"), memories: part("memories"), ...norm };
      return new EnergyBlock(kernel, weights, shape);
    });
    const { steps, step_size: stepSize, normalise_tokens: normaliseTokens } = config;
    return new EnergyDescent(blocks, { steps, stepSize, normaliseTokens });
  }

  /** The patches of a picture in normalised units, 0 where hidden, so that no hidden pixel reaches any output. */
  visiblePatches(picture, mask) {
    const [mean, std] = [this.tensor("mean"), this.tensor("std")];
    const [area, dim] = [this.size ** 2, this.places.length / this.patches];
    return Float32Array.from(this.places, (place, i) => {
      const channel = Math.floor(place / area);
      return mask[Math.floor(i / dim)] ? 0 : (picture[place] - mean[channel]) / std[channel];
    });
  }

  /** Tokens, CLS first, to a picture in [0, 1]. */
  decode(tokens) {
    return this.toPicture(this.decodeTokens(tokens.subarray(this.descent.width)));
  }

  /** Tokens (n, D) to patches in normalised units. */
  decodeTokens(tokens) {
    const { gain, offset, linear } = this.decoder;
    const width = gain.length;
    const epsilon = this.config.decoder_eps ?? DECODER_EPSILON;
    const normed = layerNorm(tokens, width, epsilon);
    for (let token = 0; token < normed.length; token += width) {
      for (let i = 0; i < width; i++) normed[token + i] = normed[token + i] * gain[i] + offset[i];
    }
    return linear.apply(normed);
  }

  /** Patches in normalised units to a picture. */
  toPicture(patches) {
    const colours = this.toColours(patches);
    const picture = new Float32Array(colours.length);
    for (let i = 0; i < colours.length; i++) picture[this.places[i]] = colours[i];
    return picture;
  }

  /** Patches in normalised units to patches in [0, 1], clipped there; the channels come last. */
  toColours(patches) {
    const [mean, std] = [this.tensor("mean"), this.tensor("std")];
    const channels = mean.length;
    const colours = new Float32Array(patches.length);
    for (let i = 0; i < patches.length; i += channels) {
      for (let c = 0; c < channels; c++) colours[i + c] = Math.min(Math.max(patches[i + c] * std[c] + mean[c], 0), 1);
    }
    return colours;
  }

  /**
   * Reconstruct, keeping every state on the way. Yields between two evaluations, so that others may compute.
   *
   * @returns {Generator<void, any>} states, each with its decoded frame; stepSizes; settled: a step, or -1; settings
   */
  *trace(picture, mask, { keepAttention = false, start = null, ...asked } = {}) {
    const settings = this.descent.settings(asked);
    const tokens = start ?? (yield* this.startTokens(picture, mask));
    const record = yield* this.descent.record(tokens, settings, { keepAttention });
    for (const state of record.states) state.frame = this.decode(state.tokens);
    return { ...record, settings, mask };
  }
}

/** All patches and a CLS token descend one energy; hidden patches start as a learned mask token. */
class EnergyTransformer extends EnergyModel {
  constructor(config, weights, kernel) {
    super(config, weights, kernel);
    this.descent = this.descentOf("descent", "", config.beta);
  }

  /** The state before the first step, mask tokens put in before the positions. */
  // biome-ignore lint/correctness/useYield: the other model descends here, and yields
  *startTokens(picture, mask) {
    const embedded = this.embed.apply(this.visiblePatches(picture, mask));
    return placed(embedded, mask, this.tensor("cls_token"), this.tensor("mask_token"), this.tensor("positions"));
  }
}

/** Encoder descent over CLS and visible patches; decoder descent over CLS and all patches. */
class AsymmetricEnergyTransformer extends EnergyModel {
  constructor(config, weights, kernel) {
    super(config, weights, kernel);
    this.encoder = this.descentOf("encoder", "", config.beta);
    this.descent = this.descentOf("descent", "decoder_", config.decoder_beta ?? config.decoder_head_dim ** -0.5);
    this.toDecoder = this.linear("to_decoder");
  }

  /** The decoder's state before its first step, after the encoder's whole descent. */
  *startTokens(picture, mask) {
    const dim = this.descent.width;
    const record = yield* this.encoder.record(this.encoderTokens(picture, mask));
    const { tokens } = record.states[record.states.length - 1];
    const projected = this.toDecoder.apply(this.encoder.last.norm.apply(tokens)); // CLS, then the visible patches
    const patches = new Float32Array(mask.length * dim);
    visible(mask).forEach((patch, i) => patches.set(projected.subarray((1 + i) * dim, (2 + i) * dim), patch * dim));
    const cls = projected.subarray(0, dim);
    return placed(patches, mask, cls, this.tensor("mask_token"), this.tensor("decoder_positions"));
  }

  /** The encoder's start: CLS and the visible patches, each with its position. */
  encoderTokens(picture, mask) {
    const dim = this.encoder.width;
    const embedded = this.embed.apply(this.visiblePatches(picture, mask));
    const nothing = new Uint8Array(mask.length);
    const all = placed(embedded, nothing, this.tensor("cls_token"), null, this.tensor("positions"));
    const kept = [0, ...visible(mask).map((patch) => 1 + patch)];
    const tokens = new Float32Array(kept.length * dim);
    kept.forEach((token, i) => tokens.set(all.subarray(token * dim, (token + 1) * dim), i * dim));
    return tokens;
  }
}

/** The numbers of the visible patches. */
const visible = (mask) => Array.from(mask.keys()).filter((patch) => !mask[patch]);

/** CLS, then the patches with the mask token in place of the hidden ones, and the positions added: (1 + N, D). */
function placed(patches, mask, cls, maskToken, positions) {
  const dim = cls.length;
  return positions.map((position, i) => {
    const [patch, channel] = [Math.floor(i / dim) - 1, i % dim];
    if (patch < 0) return cls[channel] + position;
    return (mask[patch] ? maskToken[channel] : patches[i - dim]) + position;
  });
}
