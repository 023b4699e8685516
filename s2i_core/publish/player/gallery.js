"use strict";
(() => {
  const root = document.documentElement;
  const wanted = document.getElementById("wanted");
  const found = document.getElementById("found");
  const words = [...document.querySelectorAll(".word")];
  // Letters without their marks, in lower case: who looks for "cafe" finds "Café".
  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const episodes = [...document.querySelectorAll(".episode")].map((section) => ({
    section,
    title: plain(section.dataset.title),
    pictures: [...section.querySelectorAll("[data-text]")].map((item) => ({ item, text: plain(item.dataset.text) })),
  }));

  const search = () => {
    const terms = plain(wanted.value).split(/\s+/).filter(Boolean);
    let count = 0, recordings = 0;
    for (const { section, title, pictures } of episodes) {
      let shown = 0;
      for (const { item, text } of pictures) {
        const fits = terms.every((term) => text.includes(term) || title.includes(term));
        item.hidden = !fits;
        shown += fits;
      }
      section.hidden = terms.length > 0 && !shown;
      count += shown;
      recordings += shown > 0;
    }
    for (const word of words) word.setAttribute("aria-pressed", String(plain(word.textContent) === plain(wanted.value.trim())));
    const pictures = count === 1 ? "1 picture" : `${count} pictures`;
    found.textContent = !terms.length ? "" : count ? `${pictures} in ${recordings === 1 ? "1 recording" : `${recordings} recordings`}`
      : "No picture shows that.";
    history.replaceState(null, "", terms.length ? `#q=${encodeURIComponent(wanted.value.trim())}` : location.pathname + location.search);
  };

  wanted.addEventListener("input", search);
  for (const word of words) {
    word.addEventListener("click", () => {
      wanted.value = word.getAttribute("aria-pressed") === "true" ? "" : word.textContent;
      search();
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && event.target !== wanted) { event.preventDefault(); wanted.focus(); }
    if (event.key === "Escape" && event.target === wanted) { wanted.value = ""; search(); }
  });

  const ask = () => {
    const asked = /^#q=(.*)$/.exec(location.hash);
    if (!asked) return;
    try { wanted.value = decodeURIComponent(asked[1]); } catch { wanted.value = asked[1]; }
    search();
  };
  addEventListener("hashchange", ask);
  root.classList.add("script");
  ask();
})();
