// A short tour for newcomers, and a sentence on every control: words come as JSON in `props.value`.
// Whether the tour was seen is remembered in the browser alone.
const SEEN = "rwkv-playground-tour";
let at = -1;
let card = null;
let hints = [];
// Whether the tour was asked for before its words had come.
let isAsked = false;

function told() {
  return JSON.parse(props.value || "{}");
}

function button(text, action, isMain) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.className = isMain ? "is-main" : "";
  made.addEventListener("click", action);
  return made;
}

function seen() {
  try {
    return localStorage.getItem(SEEN) !== null;
  } catch {
    return true;
  }
}

function mark() {
  try {
    localStorage.setItem(SEEN, "1");
  } catch {
    // Without storage the tour is offered again, which does no harm.
  }
}

function unmark() {
  document.querySelectorAll(".tour-target").forEach((one) => one.classList.remove("tour-target"));
}

function end() {
  mark();
  unmark();
  const hadFocus = element.contains(document.activeElement);
  card?.remove();
  card = null;
  at = -1;
  element.replaceChildren();
  if (hadFocus) document.getElementById("tour-open")?.focus({ preventScroll: true });
}

function show(step) {
  const { steps, say } = told();
  isAsked = !steps;
  if (isAsked) return;
  if (step >= steps.length) {
    end();
    return;
  }
  at = step;
  unmark();
  const target = document.querySelector(steps[at].target);
  // What a step points at stands on a tab, which may not be the open one.
  const tab = target?.closest('[role="tabpanel"]');
  if (tab && !target.checkVisibility()) document.getElementById(`${tab.id}-button`)?.click();
  target?.classList.add("tour-target");
  requestAnimationFrame(() => target?.scrollIntoView({ block: "nearest" }));
  card?.remove();
  card = document.createElement("div");
  card.className = "tour-card";
  card.setAttribute("role", "dialog");
  card.setAttribute("aria-label", say.title);
  const place = document.createElement("p");
  place.className = "tour-place";
  place.textContent = `${at + 1} / ${steps.length}`;
  const text = document.createElement("p");
  text.textContent = steps[at].text;
  const isLast = at + 1 === steps.length;
  const next = button(isLast ? say.done : say.next, () => show(at + 1), true);
  const row = document.createElement("div");
  row.append(next);
  if (!isLast) row.append(button(say.leave, end, false));
  card.append(place, text, row);
  element.replaceChildren(card);
  next.focus();
}

function invite() {
  const { say } = told();
  const line = document.createElement("p");
  line.className = "tour-line";
  const text = document.createElement("span");
  text.textContent = say.invitation;
  line.append(text, button(say.start, () => show(0), true), button(say.skip, end, false));
  element.replaceChildren(line);
}

function begin() {
  hints = told().hints ?? [];
  if (isAsked) show(0);
  else if (at < 0 && told().steps && !seen()) invite();
}

watch("value", begin);
begin();
document.addEventListener("click", (event) => {
  if (event.target.closest("#tour-open")) show(0);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && at >= 0) end();
});
for (const kind of ["pointerover", "focusin"]) {
  document.addEventListener(kind, (event) => {
    for (const [selector, hint] of hints) {
      const control = event.target.closest?.(selector);
      if (!control) continue;
      control.title = hint;
      return;
    }
  });
}
