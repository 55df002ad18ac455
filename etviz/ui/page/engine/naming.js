/** A picture's name for that of a file: of a dataset and a number, or of an upload without its suffix. */
export function pictureName(picture) {
  const name = "pixels" in picture ? picture.name.replace(/\.[^.]*$/, "") : `${picture.dataset}-${picture.index}`;
  const plain = name.replace(/[^A-Za-z0-9_-]+/g, "-").replace(/^-+|-+$/g, "");
  return plain.slice(-40) || "picture";
}
