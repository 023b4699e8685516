// The page where there is no network: what was loaded last. Nothing of the API is kept, and no picture.
const CACHE = "studio";
const home = new URL(registration.scope);
const files = new URL("studio/", home);

const isOurs = ({ method, mode, url }) => {
  const { origin, pathname } = new URL(url);
  if (method !== "GET" || origin !== home.origin) return false;
  return mode === "navigate" ? pathname === home.pathname : pathname.startsWith(files.pathname);
};

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  const { request } = event;
  if (!isOurs(request)) return;
  event.respondWith((async () => {
    try {
      const answer = await fetch(request);
      if (answer.ok) {
        const copy = answer.clone();
        event.waitUntil(caches.open(CACHE).then((cache) => cache.put(request, copy)).catch(() => {})); // a full disk
      }
      return answer;
    } catch (error) {
      const kept = await caches.match(request, { ignoreVary: true });
      if (kept) return kept;
      throw error;
    }
  })());
});
