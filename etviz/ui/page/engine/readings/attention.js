/** The attention of one patch at every step, so that the view can walk through the steps without asking again. */

import { aNumber } from "../errors.js";

export async function readAttention(service, question) {
  const request = await service.readRequest(question);
  const { model } = request;
  const patch = aNumber(question.patch, "patch", model.patches);
  const { states } = await service.trace(request, { keepAttention: true });
  const [heads, tokens] = [model.descent.last.heads, 1 + model.patches];
  const [asQuery, asKey] = [0, 1].map(() => new Float32Array(states.length * heads * tokens));
  const entropy = new Float32Array(states.length * heads);
  states.forEach(({ attention }, state) => {
    for (let head = 0; head < heads; head++) {
      const weights = attention.subarray(head * tokens * tokens, (head + 1) * tokens * tokens);
      const place = (state * heads + head) * tokens;
      asQuery.set(weights.subarray((1 + patch) * tokens, (2 + patch) * tokens), place);
      for (let token = 0; token < tokens; token++) asKey[place + token] = weights[token * tokens + 1 + patch];
      entropy[state * heads + head] = entropyOf(weights) / tokens;
    }
  });
  return {
    patch,
    states: states.length,
    heads,
    tokens,
    as_query: asQuery,
    as_key: asKey,
    entropy,
    entropy_maximum: Math.log2(tokens),
    decoder: Boolean(model.encoder),
  };
}

/** In bits, summed over queries; 0 log 0 = 0. */
function entropyOf(weights) {
  let bits = 0;
  for (const weight of weights) bits -= weight && weight * Math.log2(weight);
  return bits;
}
