// The colour that a picture is remembered by: its strongest hue, in a tone that shows on light and dark.
// The same rule as on the page of a recording.
const SIZE = 24;
const HUES = 24;

export const tintOf = async (blob) => {
  const bitmap = await createImageBitmap(blob);
  const canvas = Object.assign(document.createElement("canvas"), { width: SIZE, height: SIZE });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0, SIZE, SIZE);
  bitmap.close();
  const { data } = context.getImageData(0, 0, SIZE, SIZE);
  const weights = new Array(HUES).fill(0);
  for (let i = 0; i < data.length; i += 4) {
    const [red, green, blue] = [data[i] / 255, data[i + 1] / 255, data[i + 2] / 255];
    const most = Math.max(red, green, blue), range = most - Math.min(red, green, blue);
    if (!range) continue;
    const sixth = most === red ? ((green - blue) / range + 6) % 6 : most === green ? (blue - red) / range + 2 : (red - green) / range + 4;
    weights[Math.floor((sixth / 6) * HUES) % HUES] += (range / most) ** 2 * most;
  }
  const strongest = weights.indexOf(Math.max(...weights));
  return weights[strongest] < 4 ? "hsl(30 8% 52%)" : `hsl(${strongest * 15 + 7} 52% 52%)`;
};
