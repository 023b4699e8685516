// The service's API: what the page asks, and how it is refused.
import { keep, recall } from "./storage.js";

const base = new URL(".", document.baseURI);
const at = (path) => new URL(path.replace(/^\//, ""), base);
const KEY = "s2i.key";
const RETRIES_S = [1, 2, 4, 8];

/** Why something could not be had: a code of the service, or one of the page's own (`lost`, `denied`, …). */
export class Refusal extends Error {
  constructor(code, { message = "", remedy = "", retryAfterS = 0 } = {}) {
    super(message || code);
    Object.assign(this, { code, remedy, retryAfterS });
  }
}

const read = (status, body, retryAfter) => {
  let problem = {};
  try { problem = JSON.parse(body).error ?? {}; } catch { /* a proxy's own page */ }
  const code = problem.code ?? ({ 401: "unauthorized", 413: "too_large", 503: "busy" }[status] ?? "internal");
  return new Refusal(code, { ...problem, retryAfterS: Number(retryAfter) || 0 });
};

export const keepKey = (key) => keep(KEY, key, "sessionStorage");
const authorization = () => {
  const key = recall(KEY, "sessionStorage");
  return key ? { Authorization: `Bearer ${key}` } : {};
};

const call = async (path, { headers, ...options } = {}) => {
  let answer;
  try {
    answer = await fetch(at(path), { ...options, headers: { ...authorization(), ...headers } });
  } catch (error) {
    throw error.name === "AbortError" ? error : new Refusal("lost");
  }
  if (!answer.ok) throw read(answer.status, await answer.text(), answer.headers.get("Retry-After"));
  return answer;
};

/** A picture of an answer or an event, as a Blob. */
export const pictureOf = ({ image, content_type }) =>
  new Blob([Uint8Array.from(atob(image), (letter) => letter.charCodeAt(0))], { type: content_type });

/** The styles: `{styles: [{name, label, image_url}], default}`. */
export const getStyles = async () => (await call("v1/styles")).json();

/** Address of a path that the service named. */
export const address = (path) => at(path).href;

/** What comes of a clip: POST /v1/images. */
export const drawClip = async (clip, options, signal) => {
  const pairs = Object.entries(options).flatMap(([name, value]) => (Array.isArray(value) ? value.map((one) => [name, one]) : [[name, value]]));
  const query = new URLSearchParams(pairs.filter(([, value]) => value !== undefined));
  const headers = { "Content-Type": clip.type || "application/octet-stream", Accept: "application/json" };
  return (await call(`v1/images?${query}`, { method: "POST", body: clip, headers, signal })).json();
};

/**
 * A clip as it is spoken: WS /v1/live. `onEvent` is told of every message, and last of
 * `{type: "closed"}` if the connection ends by itself.
 */
export const openLive = (start, onEvent) => {
  const url = at("v1/live");
  url.protocol = url.protocol.replace("http", "ws");
  const key = recall(KEY, "sessionStorage");
  const socket = new WebSocket(url, ["s2i", ...(key ? [`s2i.key.${key}`] : [])]);
  const waiting = [JSON.stringify({ type: "start", audio: "pcm_s16le", previews: true, ...start })];
  const send = (message) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(message); else waiting.push(message);
  };
  socket.onopen = () => { for (const message of waiting.splice(0)) socket.send(message); };
  socket.onmessage = ({ data }) => onEvent(JSON.parse(data));
  socket.onclose = () => onEvent({ type: "closed" });
  return {
    send,
    end: () => send(JSON.stringify({ type: "end" })),
    close: () => { socket.onclose = socket.onmessage = null; socket.close(); },
  };
};

/** Hand in a recording: POST /v1/recordings. `onProgress(share)` while it travels. Resolves to its RecordingView. */
export const handIn = (file, options, onProgress, signal) => new Promise((resolve, reject) => {
  const query = new URLSearchParams(options);
  const request = new XMLHttpRequest(); // fetch cannot say how much has gone
  request.open("POST", at(`v1/recordings?${query}`));
  for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
  request.setRequestHeader("Content-Type", file.type || "application/octet-stream");
  request.upload.onprogress = ({ loaded, total }) => onProgress(total ? loaded / total : 0);
  request.onload = () => {
    if (request.status === 202) resolve(JSON.parse(request.responseText));
    else reject(read(request.status, request.responseText, request.getResponseHeader("Retry-After")));
  };
  request.onerror = () => reject(new Refusal("lost"));
  request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
  signal.addEventListener("abort", () => request.abort());
  request.send(file);
});

/** Forget a recording, and stop drawing it. One that is gone already is no error. */
export const forget = (url) => call(url, { method: "DELETE", keepalive: true }).catch(() => {});

/**
 * The events of a recording, each once: `{type, data}`. Comes back by itself after a lost connection.
 * Throws a Refusal when that has failed for good.
 */
export async function* follow(url, signal) {
  let last = "";
  let lost = 0;
  while (true) {
    try {
      const answer = await call(url, { headers: last ? { "Last-Event-ID": last } : {}, signal });
      for await (const event of parse(answer.body.getReader())) {
        lost = 0;
        last = event.id;
        yield event;
        if (event.type === "done" || event.type === "failed") return;
      }
    } catch (error) {
      if (error.name === "AbortError" || (error instanceof Refusal && error.code !== "lost")) throw error;
    }
    if (lost === RETRIES_S.length) throw new Refusal("lost");
    await new Promise((done) => setTimeout(done, 1000 * RETRIES_S[lost]));
    lost += 1;
  }
}

// Server-sent events (HTML Living Standard, section 9.2), as far as the service uses them.
async function* parse(reader) {
  const decoder = new TextDecoder();
  let text = "";
  while (true) {
    const { value, done } = await reader.read();
    if (done) return;
    text += decoder.decode(value, { stream: true });
    const blocks = text.split(/\r?\n\r?\n/);
    text = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split(/\r?\n/).filter((line) => !line.startsWith(":"))
        .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]));
      if (fields.data) yield { id: fields.id ?? "", type: fields.event, data: JSON.parse(fields.data) };
    }
  }
}
