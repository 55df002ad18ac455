/** The tooltip of every chart and map: a box beside the place that the reader points at. */

import { h } from "../lib/tools.js";

const GAP_PX = 12; // between the place and the box

/**
 * `name` is a further class. Its `node` goes into the chart, whose width the placing functions take.
 *
 *   show(...children)                        what it says
 *   beside(x, width, gap?)                   to the right of x, or to its left where there is no room
 *   besideCell({left, right, top}, width)    on the side of a cell that has more room
 *   centreOn(y, height)                      vertically around y, within the chart
 */
export function createTooltip(name = "") {
  const node = h("div", { class: `etviz-tip ${name}`.trim(), hidden: true });
  const { style } = node;
  return {
    node,
    show(...children) {
      node.hidden = false;
      node.replaceChildren(...children);
    },
    hide() {
      node.hidden = true;
    },
    beside(x, width, gap = GAP_PX) {
      const right = x + gap;
      const left = Math.max(0, x - node.offsetWidth - gap);
      style.left = `${right + node.offsetWidth > width ? left : right}px`;
    },
    besideCell({ left, right, top }, width) {
      const rightward = left + right <= width;
      style.left = rightward ? `${right}px` : "auto";
      style.right = rightward ? "auto" : `${width - left}px`;
      style.top = `${top}px`;
    },
    centreOn(y, height) {
      const lowest = Math.max(height - node.offsetHeight - 4, 4);
      style.top = `${Math.min(Math.max(y - node.offsetHeight / 2, 4), lowest)}px`;
    },
  };
}
