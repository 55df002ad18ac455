/** The masks before and after the present one, each in hexadecimal, for undoing and redoing. */

/** @param {string} first */
export function createHistory(first) {
  let [past, now, future] = [[], first, []];

  function travel(from, to) {
    if (!from.length) return null;
    to.push(now);
    now = from.pop();
    return now;
  }

  return {
    /** Remember a new mask; whether it is another than the present one. @param {string} mask */
    commit(mask) {
      if (mask === now) return false;
      past.push(now);
      now = mask;
      future = [];
      return true;
    },
    /** The mask before, or null where there is none. @returns {string | null} */
    undo: () => travel(past, future),
    /** @returns {string | null} */
    redo: () => travel(future, past),
    /** Forget all but one mask. @param {string} mask */
    reset(mask) {
      [past, now, future] = [[], mask, []];
    },
  };
}
