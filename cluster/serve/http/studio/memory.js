// What was meant by which sound, on this device and nowhere else. The service is told with each press, and keeps nothing.
const NAME = "s2i.meant";
const MOST = 32; // that the service takes

let held = []; // where the browser keeps nothing, until the page is closed

export const chosen = () => {
  try {
    held = JSON.parse(localStorage.getItem(NAME)) ?? held;
  } catch { /* storage is refused, or what is there is not ours */ }
  return held;
};

/** `vector`: of the sound, as the service gave it; `thing`: the title of what was chosen. */
export const remember = (vector, thing) => {
  held = [...chosen().filter((one) => one.vector !== vector), { vector, thing }].slice(-MOST);
  try {
    localStorage.setItem(NAME, JSON.stringify(held));
  } catch { /* refused or full: held until the page is closed */ }
};

export const forgetAll = () => {
  held = [];
  try {
    localStorage.removeItem(NAME);
  } catch { /* then there was nothing */ }
};
