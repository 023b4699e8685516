// Loudness as bars, on a canvas.
const STEP = 6; // pixels from bar to bar
const WIDTH = 3;
const SMALLEST = 0.045; // of the height: silence is a row of dots

/** Loudness of 16-bit samples on the scale of the bars: 0 is silence, 1 is loud. */
export const loudness = (samples) => {
  let sum = 0;
  for (const sample of samples) sum += (sample / 32768) ** 2;
  const decibels = 10 * Math.log10(sum / Math.max(1, samples.length) + 1e-9);
  return Math.max(0, Math.min(1, (decibels + 56) / 48));
};

/** Loudness in `count` equal parts of mono samples of -1 to 1. */
export const peaks = (samples, count) => {
  const part = samples.length / count;
  const sums = Array.from({ length: count }, (_, i) => {
    const from = Math.floor(i * part), to = Math.max(from + 1, Math.floor((i + 1) * part));
    const stride = Math.max(1, Math.floor((to - from) / 400));
    let sum = 0, n = 0;
    for (let j = from; j < to; j += stride) { sum += samples[j] ** 2; n += 1; }
    return Math.sqrt(sum / n);
  });
  const loudest = Math.max(...sums, 1e-4);
  return sums.map((value) => Math.sqrt(value / loudest));
};

/** Levels stretched or gathered to `count` bars. */
export const resample = (levels, count) => Array.from({ length: count }, (_, i) => {
  const from = Math.floor((i * levels.length) / count);
  const to = Math.max(from + 1, Math.floor(((i + 1) * levels.length) / count));
  return Math.max(0, ...levels.slice(from, to));
});

/** A canvas as sharp as the screen. `paint(context, width, height)` is called again whenever its size changes. */
export class Surface {
  constructor(canvas, paint) {
    Object.assign(this, { canvas, paint });
    new ResizeObserver(() => this.draw()).observe(canvas);
    for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
      matchMedia(query).addEventListener("change", () => this.draw());
    }
  }

  /** How many bars fit. */
  get bars() {
    return Math.max(1, Math.floor(this.canvas.clientWidth / STEP));
  }

  draw() {
    const { canvas } = this;
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width || !height) return;
    const scale = Math.min(3, devicePixelRatio || 1);
    if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
    if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    this.paint(context, width, height);
  }
}

/** A colour of the style sheet. */
export const colour = (name, element = document.documentElement) => getComputedStyle(element).getPropertyValue(name).trim();

/** One bar, centred on x. */
export const bar = (context, x, height, level) => {
  const length = height * Math.max(SMALLEST, level * 0.96);
  context.beginPath();
  context.roundRect(x - WIDTH / 2, (height - length) / 2, WIDTH, length, WIDTH / 2);
  context.fill();
};

/** The wave above the button: still, growing while somebody speaks, or whole with a part of it in colour. */
export class Wave {
  constructor(canvas) {
    this.levels = [];
    this.mode = "still";
    this.share = 0;
    this.tint = "";
    this.arrived = 0;
    this.every = 64;
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.surface = new Surface(canvas, (...size) => this.paint(...size));
  }

  still() {
    Object.assign(this, { mode: "still", levels: [], share: 0 });
    this.surface.draw();
  }

  listen() {
    Object.assign(this, { mode: "live", levels: [], share: 0, arrived: performance.now() });
    const frame = () => {
      if (this.mode !== "live") return;
      this.surface.draw();
      requestAnimationFrame(frame);
    };
    frame();
  }

  push(level) {
    const now = performance.now();
    if (this.levels.length) this.every += 0.1 * (Math.min(200, now - this.arrived) - this.every);
    this.arrived = now;
    this.levels.push(level);
  }

  /** The whole clip; `share` of it, from the left, in `tint` (a CSS colour, or the accent). */
  whole(levels, share, tint = "") {
    Object.assign(this, { mode: "whole", levels, share, tint });
    this.surface.draw();
  }

  paint(context, width, height) {
    const count = this.surface.bars;
    const left = (width - (count - 1) * STEP) / 2;
    const quiet = colour("--muted"), strong = this.tint || colour("--accent");
    if (this.mode === "whole") {
      resample(this.levels, count).forEach((level, i) => {
        const reached = (i + 0.5) / count <= this.share;
        context.globalAlpha = reached ? 1 : 0.3;
        context.fillStyle = reached ? strong : quiet;
        bar(context, left + i * STEP, height, level);
      });
      return;
    }
    // The newest bar stands in the middle; what was said moves to the left, what will be said is a row of dots.
    const middle = Math.floor(count / 2);
    const live = this.mode === "live";
    const shift = live && !this.calm.matches ? Math.min(1, (performance.now() - this.arrived) / this.every) : 0;
    for (let i = 0; i < count + 1; i += 1) {
      const level = live && i <= middle ? this.levels[this.levels.length - 1 - (middle - i)] : undefined;
      const edge = Math.min(1, (i + 0.5) / (count * 0.12), (count - i) / (count * 0.12));
      context.globalAlpha = Math.max(0, edge) * (level === undefined ? 0.35 : 1);
      context.fillStyle = level === undefined ? quiet : strong;
      bar(context, left + (i - shift) * STEP, height, level ?? 0);
    }
    context.globalAlpha = 1;
  }
}
