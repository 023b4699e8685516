// What the browser keeps by name; where it refuses, it is held until the page is closed.
const held = new Map();

const reach = (work) => {
  try {
    return work();
  } catch {
    return null; // storage is switched off, or full
  }
};

export const recall = (name, where = "localStorage") => reach(() => window[where].getItem(name)) ?? held.get(name) ?? null;

export const keep = (name, value, where = "localStorage") => {
  held.set(name, value);
  reach(() => window[where].setItem(name, value));
};

export const drop = (name, where = "localStorage") => {
  held.delete(name);
  reach(() => window[where].removeItem(name));
};
