// The microphone, in the best way that the browser has.
import { Refusal } from "./service.js";
import { keep, recall } from "./storage.js";

const RATE_HZ = 16000; // what the model hears; where the browser can resample, less has to travel
const WISHES = { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true };
const REASONS = { NotAllowedError: "denied", SecurityError: "denied", NotFoundError: "no_microphone" };

const NAME = "s2i.microphone";

/** The microphones, as `{deviceId, label}`; known once one was allowed. */
export const microphones = async () => {
  const found = await navigator.mediaDevices?.enumerateDevices?.().catch(() => []) ?? [];
  return found.filter(({ kind, deviceId, label }) => kind === "audioinput" && deviceId && label);
};

/** Which one is used, and from now on. */
export const preferred = () => recall(NAME) ?? "";
export const prefer = (deviceId) => keep(NAME, deviceId);

const ask = async () => {
  if (!navigator.mediaDevices?.getUserMedia) throw new Refusal(isSecureContext ? "no_microphone" : "insecure");
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: { ...WISHES, ...(preferred() ? { deviceId: preferred() } : {}) } });
  } catch (error) {
    throw new Refusal(REASONS[error.name] ?? "microphone_taken");
  }
};

/**
 * Open the microphone. `onChunk(samples: Int16Array)` is told of all that it hears, `onGone()` when it is taken away;
 * `rate_hz` is the sampling rate.
 * Call it in the handler of a press: some browsers start no sound otherwise. Throws a Refusal.
 */
export const openMicrophone = async (onChunk, onGone) => {
  let context = new AudioContext({ sampleRate: RATE_HZ });
  const stream = await ask().catch((error) => { context.close(); throw error; });
  for (const track of stream.getTracks()) track.addEventListener("ended", onGone);
  let source;
  try {
    source = context.createMediaStreamSource(stream);
  } catch {
    // Some browsers do not resample between a microphone and a context.
    context.close();
    context = new AudioContext();
    source = context.createMediaStreamSource(stream);
  }
  const close = () => {
    for (const track of stream.getTracks()) track.stop();
    if (context.state !== "closed") context.close();
  };
  try {
    await context.audioWorklet.addModule(new URL("./capture.js", import.meta.url));
    const capture = new AudioWorkletNode(context, "capture", { numberOfInputs: 1, numberOfOutputs: 1, channelCount: 1, channelCountMode: "explicit" });
    capture.port.onmessage = ({ data }) => onChunk(data);
    source.connect(capture).connect(context.destination); // it gives silence; but what leads nowhere may not run
    await context.resume();
  } catch (error) {
    close();
    throw error;
  }
  return { rate_hz: context.sampleRate, close };
};

/** Whether sound can go to the service while it is spoken. */
export const canStream = () => typeof AudioWorkletNode === "function" && typeof WebSocket === "function";

/** The fallback: a recorder that gives one file at the end. `stop()` resolves to it. Throws a Refusal. */
export const openRecorder = async () => {
  if (typeof MediaRecorder !== "function") throw new Refusal("no_microphone");
  const stream = await ask();
  const recorder = new MediaRecorder(stream);
  const pieces = [];
  recorder.ondataavailable = ({ data }) => pieces.push(data);
  const close = () => { for (const track of stream.getTracks()) track.stop(); };
  recorder.start();
  return {
    close,
    stop: () => new Promise((done) => {
      recorder.onstop = () => { close(); done(new Blob(pieces, { type: recorder.mimeType })); };
      recorder.stop();
    }),
  };
};

/** PCM chunks as a WAV file: 16 bits, mono. */
export const wav = (chunks, rate_hz) => {
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  const head = new DataView(new ArrayBuffer(44));
  const text = (at, letters) => [...letters].forEach((letter, i) => head.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  head.setUint32(4, 36 + bytes, true);
  text(8, "WAVEfmt ");
  head.setUint32(16, 16, true);
  head.setUint16(20, 1, true);
  head.setUint16(22, 1, true);
  head.setUint32(24, rate_hz, true);
  head.setUint32(28, rate_hz * 2, true);
  head.setUint16(32, 2, true);
  head.setUint16(34, 16, true);
  text(36, "data");
  head.setUint32(40, bytes, true);
  return new Blob([head, ...chunks], { type: "audio/wav" });
};
