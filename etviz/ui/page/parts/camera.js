/** A picture from the camera. */

import { centredSquare } from "../lib/crop.js";
import { h } from "../lib/tools.js";

const SIZE = 256; // pixels a side of what is sent: more than any model takes
const REFUSALS = {
  NotAllowedError: "The browser may not use the camera. Allow it next to the address bar, or upload a picture.",
  NotFoundError: "The browser found no camera. Upload a picture instead.",
  NotReadableError: "Another program is using the camera. Close it first.",
};

/** A button and the dialog that it opens, or null where there is no camera. `onFile(file)` when a picture is taken. */
export function createCamera({ onFile, onProblem }) {
  if (!navigator.mediaDevices?.getUserMedia) return null;
  const video = h("video", {
    autoplay: true,
    playsinline: true,
    "aria-label": "What the camera sees; the whole square is used",
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
    button.disabled = true; // a second click would open a second stream, and the first would never stop
    try {
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } } });
      dialog.showModal();
    } catch (error) {
      onProblem(
        REFUSALS[/** @type {Error} */ (error).name] ?? "The camera could not be opened. Upload a picture instead.",
      );
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
    if (!side) return; // the camera has not started yet
    const canvas = h("canvas", { width: SIZE, height: SIZE });
    canvas.getContext("2d").drawImage(video, left, top, side, side, 0, 0, SIZE, SIZE);
    dialog.close();
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    onFile(new File([blob], "webcam picture.png", { type: "image/png" }));
  }

  return { button, dialog };
}
