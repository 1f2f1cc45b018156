// Adds to each exchange of the conversation which version of it is shown, with arrows to the
// others, and "fork here". The marks come as JSON in `props.value`; clicks go back by `trigger`.
// `props.chat` is the id of the conversation, `props.forks` whether it can be forked.
// Also the keyboard: Escape stops, arrow up in an empty box edits the last message; and a visitor's
// own words are shown as they were written: Gradio reads both sides of a conversation as Markdown.
const chat = () => document.getElementById(props.chat);
const box = () => document.querySelector(`#${props.chat}-box textarea`);

const FORK_ICON = `<svg viewBox="0 0 16 16" width="15" height="15" fill="none" stroke="currentColor"
  stroke-width="1.2" aria-hidden="true"><circle cx="4" cy="3" r="1.6"/><circle cx="12" cy="3" r="1.6"/>
  <circle cx="8" cy="13" r="1.6"/><path d="M4 4.6c0 3 4 3 4 6.8 0-3.8 4-3.8 4-6.8"/></svg>`;

function button(label, text, action, isOff) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "version-step";
  made.title = label;
  made.setAttribute("aria-label", label);
  made.textContent = text;
  made.disabled = isOff;
  made.addEventListener("click", action);
  return made;
}

function tools(what, turn, [place, count], words) {
  const made = document.createElement("span");
  made.className = "turn-tools";
  if (count > 1) {
    const go = (by) => () => trigger("click", { what, turn, by });
    const text = document.createElement("span");
    text.textContent = `${place}/${count}`;
    text.title = words.version;
    made.append(
      button(words.earlier_version, "\u25C0", go(-1), place === 1),
      text,
      button(words.later_version, "\u25B6", go(1), place === count),
    );
  }
  if (what === "answer" && props.forks) {
    const fork = button(words.fork_here, "", () => trigger("submit", { turn }), false);
    fork.innerHTML = FORK_ICON;
    made.append(fork);
  }
  return made;
}

function showAsWritten(said) {
  const shown = said.querySelector(".message-content .md");
  if (!shown) return;  // it is being edited
  const label = said.getAttribute("aria-label") ?? "";
  const words = label.slice(label.indexOf(": ") + 2);
  if (shown.childElementCount || shown.textContent !== words) shown.textContent = words;
  shown.dir = "auto";
}

function draw() {
  const marks = JSON.parse(props.value || '{"turns": []}');
  if (!chat()) return;
  // Gradio calls its buttons a list, without items.
  chat().querySelector('.examples[role="list"]')?.setAttribute("role", "group");
  // The head of folded thoughts is a button around a nameless button: the inner one stays, named.
  for (const head of chat().querySelectorAll('.title[role="button"]')) {
    head.removeAttribute("role");
    head.removeAttribute("tabindex");
    head.querySelector("button")?.setAttribute("aria-label", head.textContent.trim());
  }
  chat().querySelectorAll('[data-testid="user"]').forEach(showAsWritten);
  // Words come as they are written; ears get the short line when an answer is finished.
  chat().querySelector('[role="log"]')?.setAttribute("aria-live", "off");
  for (const [what, side] of [["message", "right"], ["answer", "left"]]) {
    chat().querySelectorAll(`.message-buttons-${side} .icon-button-wrapper`).forEach((bar, turn) => {
      const mark = marks.turns[turn]?.[what];
      const wanted = mark ? JSON.stringify([turn, mark]) : "";
      const old = bar.querySelector(".turn-tools");
      if ((old?.dataset.mark ?? "") === wanted) return;
      old?.remove();
      if (!mark) return;
      const made = tools(what, turn, mark, marks.words);
      made.dataset.mark = wanted;
      bar.append(made);
    });
  }
}

let isAsked = false;
function drawSoon() {
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(() => {
    isAsked = false;
    draw();
  });
}

const column = element.closest(".main-column");
new MutationObserver(drawSoon).observe(column, { childList: true, subtree: true });
watch("value", drawSoon);
drawSoon();

document.addEventListener("keydown", (event) => {
  if (event.isComposing || !chat()?.offsetParent) return;
  const edited = event.target.closest?.(`#${props.chat} .user.message`);
  if (event.key === "Escape" && edited) {
    chat().querySelector('.message-buttons-right button[aria-label="Cancel"]')?.click();
  } else if (event.key === "Escape") {
    document.querySelector(`#${props.chat}-box .stop-button`)?.click();
  } else if (event.key === "ArrowUp" && event.target === box() && box().value === "") {
    const edits = chat().querySelectorAll('.message-buttons-right button[aria-label="Edit"]');
    const last = edits[edits.length - 1];
    if (!last) return;
    event.preventDefault();
    last.click();
    requestAnimationFrame(() => chat().querySelector(".message textarea")?.focus());
  }
});
