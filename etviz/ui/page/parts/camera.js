/** A picture from the camera. */

import { centredSquare } from "../lib/crop.js";
import { h } from "../lib/tools.js";

const SIZE = 256; // pixels a side that are sent: more than any model takes
const REFUSALS = {
  NotAllowedError: "The browser was not allowed to use the camera: allow it beside the address, or upload a picture.",
  NotFoundError: "The browser found no camera: upload a picture.",
  NotReadableError: "Another program is using the camera: close that one first.",
};

/** A button and the dialog that it opens, or null where the browser has no camera to offer. `onFile(file)` when taken. */
export function createCamera({ onFile, onProblem }) {
  if (!navigator.mediaDevices?.getUserMedia) return null;
  const video = h("video", {
    autoplay: true,
    playsinline: true,
    "aria-label": "What the camera sees: all of this square is used",
  });
  const dialog = h(
    "dialog",
    { class: "etviz-camera", "aria-label": "Take a picture", close: stop },
    h("div", { class: "etviz-viewfinder" }, video),
    h(
      "div",
      { class: "etviz-choose" },
      h("button", { type: "button", click: take }, "Take the picture"),
      h("button", { type: "button", click: () => dialog.close() }, "Cancel"),
    ),
  );
  const button = h(
    "button",
    { type: "button", title: "Take a picture with this device's camera", click: open },
    "Camera…",
  );
  video.muted = true;

  async function open() {
    button.disabled = true; // a second click would open a second stream, and nothing would ever stop the first
    try {
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } } });
      dialog.showModal();
    } catch (error) {
      onProblem(REFUSALS[/** @type {Error} */ (error).name] ?? "The camera could not be opened: upload a picture.");
    } finally {
      button.disabled = false;
    }
  }

  function stop() {
    video.srcObject?.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  }

  /** What the dialog shows: the square in the middle. */
  async function take() {
    const { left, top, side } = centredSquare(video.videoWidth, video.videoHeight);
    if (!side) return; // no picture yet
    const canvas = h("canvas", { width: SIZE, height: SIZE });
    canvas.getContext("2d").drawImage(video, left, top, side, side, 0, 0, SIZE, SIZE);
    dialog.close();
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    onFile(new File([blob], "webcam picture.png", { type: "image/png" }));
  }

  return { button, dialog };
}
