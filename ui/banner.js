// Escape, or a click elsewhere, closes the card behind "why?". Whoever closes it so did not mean to
// stop an answer, so nothing else hears of that key.
const opened = () => element.querySelector("details[open]");

document.addEventListener(
  "keydown",
  (event) => {
    const card = event.key === "Escape" && opened();
    if (!card) return;
    event.stopImmediatePropagation();
    card.open = false;
    card.querySelector("summary").focus();
  },
  true,
);
document.addEventListener("click", (event) => {
  const card = opened();
  if (card && !card.contains(event.target)) card.open = false;
});
