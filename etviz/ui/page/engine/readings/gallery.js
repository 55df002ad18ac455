/** A page of pictures to choose from, of all classes or of one. */

import { anObject, quoted, UsageError } from "../errors.js";
import { resizedSquare } from "../resample.js";

const THUMBNAIL = 64; // pixels a side, at most

export async function readGallery(service, question) {
  const { dataset, model, label = null, page } = anObject(question);
  const pictures = await service.pictures(dataset, service.sizeOf(model));
  if (label !== null && !pictures.classes.includes(label)) {
    throw new UsageError(`There is no class ${quoted(label, 40)} here: choose one from the menu.`);
  }
  const [order, perPage] = [pictures.arranged(label), service.limits.thumbnails];
  const pages = Math.ceil(order.length / perPage);
  if (!Number.isInteger(page) || page < 0 || page >= pages) {
    throw new UsageError(`There is no page ${String(page).slice(0, 20)} of pictures: choose 0 to ${pages - 1}.`);
  }
  const chosen = order.slice(page * perPage, (page + 1) * perPage);
  return {
    dataset,
    label,
    page,
    pages,
    per_page: perPage,
    count: order.length,
    total: pictures.count,
    classes: pictures.classes,
    thumbs: chosen.map((index) => ({
      index,
      caption: pictures.caption(index),
      image: thumbnail(pictures.bytes(index)),
    })),
  };
}

/** Large pictures are shown smaller. */
const thumbnail = (bytes) => (bytes.length > 3 * THUMBNAIL ** 2 ? resizedSquare(bytes, THUMBNAIL) : bytes);
