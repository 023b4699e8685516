// What was meant by which sound, on this device and nowhere else. The service is told with each press, and keeps nothing.
import { drop, keep, recall } from "./storage.js";

const NAME = "s2i.meant";
const MOST = 32; // that the service takes

const whole = (one) => typeof one?.vector === "string" && one.vector.length <= 4096 && typeof one?.thing === "string" && one.thing.length <= 64;

export const chosen = () => {
  try {
    const found = JSON.parse(recall(NAME));
    // One that is broken would have the service refuse every press.
    return Array.isArray(found) ? found.filter(whole).slice(-MOST) : [];
  } catch {
    return []; // what is there is not ours
  }
};

/** `vector`: of the sound, as the service gave it; `thing`: the title of what was chosen. */
export const remember = (vector, thing) => keep(NAME, JSON.stringify([...chosen().filter((one) => one.vector !== vector), { vector, thing }].slice(-MOST)));

export const forgetAll = () => drop(NAME);
