// Pictures come as parts one above the other, so that no two of different frames can ever meet: the frame as it
// came, the restored one, and maybe an overlay. { source, width, height, pitch, parts }

// `split`: the share of the width, from the left, that is shown as it came.
export function draw(canvas, picture, split) {
  const { width, height } = picture;
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext("2d", { alpha: false });
  const edge = Math.round(width * split);
  part(context, picture, 0, 0, edge);
  part(context, picture, 1, edge, width - edge);
  if (picture.parts > 2) over(context, picture);
  if (edge > 0 && edge < width) {
    context.fillStyle = "#fff";
    context.fillRect(edge - 1, 0, 2, height);
  }
}

function part(context, { source, height, pitch }, number, left, width) {
  if (width > 0) context.drawImage(source, left, number * pitch, width, height, left, 0, width, height);
}

// The picture darkens so that the tint is seen on white, too.
function over(context, picture) {
  context.fillStyle = "rgba(0, 0, 0, 0.45)";
  context.fillRect(0, 0, picture.width, picture.height);
  context.globalCompositeOperation = "lighter";
  part(context, picture, 2, 0, picture.width);
  context.globalCompositeOperation = "source-over";
}

// Both halves next to one another, whole.
export function sideBySide({ source, width, height, pitch }) {
  const canvas = document.createElement("canvas");
  canvas.width = 2 * width;
  canvas.height = height;
  const context = canvas.getContext("2d", { alpha: false });
  for (const number of [0, 1]) {
    context.drawImage(source, 0, number * pitch, width, height, number * width, 0, width, height);
  }
  return canvas;
}

// A video's frame changes under one's hands; this one stays.
export async function kept(picture) {
  return { ...picture, source: await createImageBitmap(picture.source) };
}
