/** A question once it is checked: a model, a picture, a mask, and how to descend, as etviz/ui/request.py. */

import { isMaskHex, maskFromHex } from "../lib/masks.js";
import { RULES } from "./descent.js";
import { anObject, quoted, UsageError } from "./errors.js";

const ALLOWED = [1e-6, 1e6]; // of a step size and of beta

/** Settings from outside, each of which may be missing or null; null stands for the model's own value. */
export function readSettings(given, limits) {
  const { steps = null, step_size = null, beta = null, rule = null, settle } = anObject(given ?? {});
  if (steps !== null && !(Number.isInteger(steps) && steps >= 1 && steps <= limits.steps)) {
    const asked = String(steps).slice(0, 20);
    throw new UsageError(`The number of steps is a whole number from 1 to ${limits.steps}, not ${asked}.`);
  }
  if (rule !== null && !Object.hasOwn(RULES, rule)) {
    const known = Object.keys(RULES).join(", ");
    throw new UsageError(`There is no step rule ${quoted(rule, 20)}: choose one of ${known}.`);
  }
  checkPositive(step_size, "The step size");
  checkPositive(beta, "beta");
  return { steps, step_size, beta, rule: rule ?? "fixed", settle: settle === true };
}

function checkPositive(value, name) {
  if (value === null) return;
  if (!Number.isFinite(value)) throw new UsageError(`${name} must be a number, not ${String(value).slice(0, 20)}.`);
  if (value < ALLOWED[0] || value > ALLOWED[1]) {
    throw new UsageError(`${name} must lie between 0.000001 and 1,000,000, not ${String(value).slice(0, 20)}.`);
  }
}

/** A mask in hexadecimal, four patches to a digit. */
export function readMask(text, patches) {
  if (typeof text !== "string" || !isMaskHex(text, patches)) {
    const digits = patches / 4;
    throw new UsageError(`A mask of ${patches} patches is ${digits} hexadecimal digits, not ${quoted(text)}.`);
  }
  return maskFromHex(text);
}

/** Everything that an answer depends on. */
export class Request {
  /** `picture` holds the pixels, `asked` what the page asks for to get them. */
  constructor({ model, modelName, snapshot, picture, asked, caption, mask, settings, limits }) {
    this.model = model;
    this.modelName = modelName;
    this.snapshot = snapshot;
    this.picture = picture;
    this.asked = asked;
    this.caption = caption;
    this.mask = mask;
    this.settings = settings;
    this.limits = limits;
  }

  /** The settings of the descent, with the model's own values filled in. */
  get descent() {
    const { settings, limits, model } = this;
    const steps = settings.settle ? limits.settling_steps : settings.steps;
    const own = model.descent.steps;
    if (steps === null && own > limits.settling_steps) {
      throw new UsageError(`${this.modelName} descends ${own} steps: choose at most ${limits.steps} of them.`);
    }
    return model.descent.settings({
      steps: steps ?? undefined,
      stepSize: settings.step_size ?? undefined,
      beta: settings.beta ?? undefined,
      rule: settings.rule,
      tolerance: settings.settle ? limits.settled : null,
    });
  }

  /** What tells two requests apart. */
  get key() {
    return JSON.stringify([this.modelName, this.snapshot, this.descent, this.pictureKey]);
  }

  /** What tells two masked pictures apart. */
  get pictureKey() {
    const { dataset, index, pixels } = this.asked;
    return JSON.stringify([pixels ?? [dataset, index], this.model.size, Array.from(this.mask).join("")]);
  }

  /** The settings in effect, as the page shows them, and the model's own under "own". */
  get settingsForPage() {
    const { steps, stepSize, beta } = this.model.descent;
    const own = { steps, step_size: stepSize, beta };
    const chosen = Object.entries(this.settings).filter(([, value]) => value !== null);
    return { ...own, ...Object.fromEntries(chosen), own };
  }
}
