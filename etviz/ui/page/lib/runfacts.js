/** What is known of a training run, in words. */

import { epochText } from "./catalogue.js";
import { fixed } from "./tools.js";

/** Some seconds in words: 45 s, 12 min, 5 h, 3 days. */
export function durationText(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

/** What card.json says, in words. */
export function factsText(card) {
  const count = (value) => fixed(value, 0);
  const parts = [
    card.model && card.dataset ? `${card.model} on ${card.dataset}` : null,
    card.parameters ? `${count(card.parameters)} parameters` : null,
    card.epochs
      ? `weights of epoch ${epochText(card.epochs)}${card.planned_epochs ? ` of ${card.planned_epochs}` : ""}`
      : null,
    card.images_seen ? `${count(card.images_seen)} images in ${durationText(card.seconds ?? 0)}` : null,
    card.device ?? null,
    card.validation ? `validation masked PSNR ${card.validation.toFixed(2)} dB` : null,
    card.test ? `test masked PSNR ${card.test.toFixed(2)} dB` : null,
  ];
  return parts.filter(Boolean).join(" · ");
}
