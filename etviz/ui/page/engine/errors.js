/** What a visitor did that cannot be done; the message is for the page. */
export class UsageError extends Error {}

/** A value in a sentence, cut short. */
export const quoted = (value, most = 60) => `'${String(value).slice(0, most)}'`;

export const NOT_UNDERSTOOD = "The app did not understand the page: reload it.";

/** A value from outside that must be an object. */
export function anObject(given) {
  if (given === null || typeof given !== "object" || Array.isArray(given)) throw new UsageError(NOT_UNDERSTOOD);
  return given;
}

/** A value from outside that must be a whole number from 0 to `count` - 1. */
export function aNumber(given, name, count) {
  if (!Number.isInteger(given) || given < 0 || given >= count) {
    throw new UsageError(`There is no ${name} ${String(given).slice(0, 20)}: they are numbered 0 to ${count - 1}.`);
  }
  return given;
}
