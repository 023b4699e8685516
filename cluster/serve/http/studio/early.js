// Before the rest of the page is there: a press of the big button is not lost, it counts as soon as somebody can hear.
addEventListener("click", (event) => {
  const { documentElement, body } = document;
  if (documentElement.dataset.ready || !event.target.closest?.("#speak")) return;
  documentElement.dataset.pressed = "yes";
  body.dataset.state = "opening";
}, true);
