// The page works without a network as far as it can: it is kept here, and says that nothing can be drawn.
const CACHE = "studio";

/** Keep the page's files, and have a worker answer with them where the network does not. Without it, nothing is missing. */
export const keepPage = async () => {
  if (!navigator.serviceWorker || !window.caches) return;
  try {
    const home = new URL(".", document.baseURI);
    const loaded = performance.getEntriesByType("resource").map(({ name }) => name).filter((name) => name.startsWith(new URL("studio/", home)));
    const cache = await caches.open(CACHE);
    await cache.addAll([...new Set([home.href, new URL("studio/capture.js", home).href, ...loaded])]);
    await navigator.serviceWorker.register(new URL("studio/worker.js", home), { scope: home.pathname });
  } catch { /* storage is refused or full, or the page is no secure one */ }
};

/** `tell(offline)` whenever the network goes or comes back. */
export const watchNetwork = (tell) => {
  addEventListener("offline", () => tell(true));
  addEventListener("online", () => tell(false));
};
