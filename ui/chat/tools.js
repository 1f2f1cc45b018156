// Adds to each exchange of the conversation which version of it is shown, with arrows to the
// others, and "fork here". The marks come as JSON in `props.value`; clicks go back by `trigger`.
// Also the keyboard: Escape stops, arrow up in an empty box edits the last message, Enter sends the
// edit; and a visitor's own words are shown as they were written: Gradio reads both sides of a
// conversation as Markdown. And what is asked and answered is kept while it is written, by
// `keepAsked` and `keepChat` from browser.py.
// Told by its place: Gradio forgets a component's other props while its column is hidden.
const name = element.closest(".fork") ? "fork" : "chat";
const chat = () => document.getElementById(name);
const box = () => document.querySelector(`#${name}-box textarea`);

// Gradio names its buttons in the visitor's language: the last one edits, or ends an edit.
const buttons = (turn) => [...chat().querySelectorAll(".message-buttons-right")[turn]
  ?.querySelectorAll(".icon-button") ?? []];
const lastButton = (turn) => buttons(turn).pop();
const editedTurn = () => [...chat().querySelectorAll(".user-row")]
  .findIndex((row) => row.querySelector("textarea"));

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

// The arrow that was pressed last: what is drawn anew for it takes over the keyboard.
let stepped = null;
const nothingHasFocus = () => document.activeElement === document.body;

function focusStep(made) {
  const steps = [...made.querySelectorAll(".version-step")].slice(0, 2);
  const next = steps[stepped.by < 0 ? 0 : 1];
  (next?.disabled ? steps.find((one) => !one.disabled) : next)?.focus({ preventScroll: true });
}

function tools(what, turn, [place, count], words) {
  const made = document.createElement("span");
  made.className = "turn-tools";
  if (count > 1) {
    const go = (by) => () => {
      stepped = { what, turn, by };
      trigger("click", stepped);
    };
    const text = document.createElement("span");
    text.textContent = `${place}/${count}`;
    text.title = words.version;
    made.append(
      button(words.earlier_version, "\u25C0", go(-1), place === 1),
      text,
      button(words.later_version, "\u25B6", go(1), place === count),
    );
  }
  if (what === "answer" && name === "chat") {
    const fork = button(words.fork_here, "", () => trigger("submit", { turn }), false);
    fork.innerHTML = FORK_ICON;
    made.append(fork);
  }
  return made;
}

// Gradio names the conversation and whose each message is in English alone.
const WHOSE = /^(user|bot)'s message: /;

function nameForEars(words) {
  chat().querySelector('[role="log"]')?.setAttribute("aria-label", words.conversation);
  for (const said of chat().querySelectorAll(`[aria-label*="'s message: "]`)) {
    const label = said.getAttribute("aria-label");
    said.setAttribute("aria-label", label.replace(WHOSE, (_, who) => `${words[`by_${who}`]}: `));
  }
}

function showAsWritten(said) {
  const shown = said.querySelector(".message-content .md");
  if (!shown) return;  // it is being edited
  const label = said.getAttribute("aria-label") ?? "";
  const words = label.slice(label.indexOf(": ") + 2);
  if (shown.childElementCount || shown.textContent !== words) shown.textContent = words;
  shown.dir = "auto";
}

// Gradio goes on editing the message in the same place when another conversation takes the place
// of the edited one: such an edit is ended as soon as it shows.
let editedIn = null;

function endStaleEdit(marks) {
  const turn = editedTurn();
  if (turn < 0) return;
  editedIn ??= marks;
  if (marks.chat === editedIn.chat && marks.turns.length >= editedIn.turns.length) return;
  // While an answer is written its buttons do nothing; then a later look ends it.
  const cancel = lastButton(turn);
  if (!cancel || cancel.disabled) return;
  editedIn = null;
  cancel.click();
}

function draw() {
  const marks = JSON.parse(props.value || '{"turns": []}');
  if (!chat()) return;
  endStaleEdit(marks);
  // Gradio calls its buttons a list, without items.
  chat().querySelector('.examples[role="list"]')?.setAttribute("role", "group");
  // The head of folded thoughts is a button around a nameless button: the inner one stays, named.
  for (const head of chat().querySelectorAll('.title[role="button"]')) {
    head.removeAttribute("role");
    head.removeAttribute("tabindex");
    head.querySelector("button")?.setAttribute("aria-label", head.textContent.trim());
  }
  chat().querySelectorAll('[data-testid="user"]').forEach(showAsWritten);
  if (marks.words) nameForEars(marks.words);
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
      if (stepped?.what === what && stepped.turn === turn && nothingHasFocus()) focusStep(made);
    });
  }
}

// What would change the chat while it is answered waits for Stop, for the keyboard too: Gradio shows
// late frames of an older event over those of a newer one.
const CHANGERS = ".chat-bar, #chat-manage, #chat-go-on, #chat-earlier";
function holdChangers() {
  if (name !== "chat") return;
  const isBusy = document.querySelector("#chat-box .stop-button, .first-talk .talk[data-sending]") !== null;
  document.querySelectorAll(CHANGERS).forEach((one) => { one.inert = isBusy; });
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
new MutationObserver(() => {
  holdChangers();
  drawSoon();
}).observe(column, { childList: true, subtree: true, attributeFilter: ["data-sending"] });
function putBack(text) {
  const area = box();
  area.value = area.value ? `${text}\n${area.value}` : text;
  area.dispatchEvent(new Event("input", { bubbles: true }));
}

watch("value", () => {
  const { asked, chat: soFar, back } = JSON.parse(props.value || "{}").keeps ?? {};
  // The second column is no chat of its own before it is kept.
  if (asked && name === "chat") keepAsked(asked);
  if (soFar && name === "chat") keepChat(soFar);
  if (back) putBack(back[0]);
  delete chat()?.closest(".talk").dataset.sending;
  drawSoon();
});
drawSoon();

const lastTurn = () => chat().querySelectorAll(".user-row").length - 1;

// Just after an answer Gradio's buttons do nothing for a moment yet, and may be drawn anew.
function editLast(tries = 20) {
  if (editedTurn() >= 0) {
    chat().querySelector(".message textarea")?.focus();
    return;
  }
  editedIn = null;
  const last = lastButton(lastTurn());
  if (last && !last.disabled) last.click();
  if (tries) setTimeout(() => document.activeElement === box() && editLast(tries - 1), 100);
}

document.addEventListener("keydown", (event) => {
  if (event.isComposing || !chat()?.offsetParent) return;
  const edited = event.target.closest?.(`#${name} .user-row`) ? editedTurn() : -1;
  if (event.key === "Escape" && edited >= 0) {
    lastButton(edited)?.click();
    // The message is drawn anew a little later; on a busy machine, later still.
    [0, 100, 500, 1500].forEach((wait) =>
      setTimeout(() => nothingHasFocus() && lastButton(edited)?.focus(), wait));
  } else if (event.key === "Enter" && !event.shiftKey && edited >= 0) {
    if (event.target.tagName !== "TEXTAREA") return;
    event.preventDefault();
    buttons(edited).at(-2)?.click();
  } else if (event.key === "Escape") {
    document.querySelector(`#${name}-box .stop-button`)?.click();
  } else if (event.key === "ArrowUp" && event.target === box() && box().value === "") {
    if (!lastButton(lastTurn())) return;
    event.preventDefault();
    editLast();
  }
});
// A second message would overtake one that is on its way.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.target !== box()) return;
  if (!("sending" in box().closest(".talk").dataset)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
}, true);
document.addEventListener("click", (event) => {
  // Whoever presses Edit wants to edit.
  if (event.isTrusted && event.target.closest?.(`#${name} .icon-button`)) editedIn = null;
}, true);
document.addEventListener("focusin", (event) => {
  if (!event.target.closest?.(".turn-tools")) stepped = null;
});
