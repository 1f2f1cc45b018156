// One card for the word under the pointer, the finger or the arrow keys: its probability and what
// it could have been. A click on one of those goes back by `trigger`.
const card = document.createElement("div");
card.className = "word-card";
card.setAttribute("role", "dialog");
card.hidden = true;
let shown = null;
let isPinned = false;
// Where the arrow keys go on from.
let last = -1;
// Says the word of an open card to those who do not see it.
const ears = document.createElement("p");
ears.className = "for-ears";
ears.setAttribute("aria-live", "polite");

function words() {
  return [...element.querySelectorAll(".token")];
}

function hide() {
  shown?.classList.remove("is-shown");
  shown = null;
  isPinned = false;
  card.hidden = true;
}

function place() {
  const word = shown.getBoundingClientRect();
  const frame = element.getBoundingClientRect();
  const left = Math.min(word.left - frame.left, frame.width - card.offsetWidth);
  card.style.left = `${Math.max(0, left)}px`;
  card.style.top = `${word.bottom - frame.top + 4}px`;
}

function row([text, percent, isChosen, canRestart], at, choice, say) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = isChosen ? "choice is-chosen" : "choice";
  made.disabled = isChosen || !canRestart;
  made.title = made.disabled ? "" : say.restart;
  const word = document.createElement("span");
  word.textContent = text || "\u2205";
  const share = document.createElement("b");
  share.textContent = percent;
  made.append(word, share);
  made.addEventListener("click", () => {
    hide();
    trigger("click", { at, choice });
  });
  return made;
}

function show(word, pin) {
  if (shown !== word) {
    hide();
    shown = word;
    word.classList.add("is-shown");
    const say = JSON.parse(element.querySelector("[data-say]").dataset.say);
    const title = document.createElement("p");
    title.className = "card-title";
    title.textContent = word.dataset.title;
    card.setAttribute("aria-label", word.dataset.title);
    const at = Number(word.dataset.at);
    const rows = JSON.parse(word.dataset.choices).map((one, n) => row(one, at, n, say));
    const note = document.createElement("p");
    note.className = "card-note";
    note.textContent = say.could_be;
    card.replaceChildren(title, note, ...rows);
    element.append(card, ears);
    card.hidden = false;
    place();
  }
  isPinned = pin;
  // A card that only hovers lets the pointer through to the words under it.
  card.classList.toggle("is-pinned", pin);
}

element.addEventListener("pointerover", (event) => {
  const word = event.target.closest(".token");
  if (event.pointerType !== "mouse" || isPinned) return;
  if (word) show(word, false);
  else hide();
});
element.addEventListener("pointerleave", () => {
  if (!isPinned) hide();
});
document.addEventListener("click", (event) => {
  if (card.contains(event.target)) return;
  const word = element.contains(event.target) && event.target.closest(".token");
  if (!word || (isPinned && shown === word)) hide();
  else show(word, true);
});
element.addEventListener("keydown", (event) => {
  const all = words();
  if (event.key === "Escape" && shown) {
    event.stopPropagation();
    hide();
    element.querySelector(".tokens").focus();
    return;
  }
  if (!event.target.matches(".tokens") || all.length === 0) return;
  const now = shown ? all.indexOf(shown) : last;
  const steps = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: all.length - 1 };
  if (event.key in steps) {
    last = Math.max(0, Math.min(all.length - 1, steps[event.key]));
    show(all[last], true);
    ears.textContent = all[last].dataset.title;
    event.preventDefault();
  } else if (event.key === "Enter" && shown) {
    card.querySelector("button:not(:disabled)")?.focus();
    event.preventDefault();
  }
});
watch("value", () => {
  hide();
  last = -1;
});
