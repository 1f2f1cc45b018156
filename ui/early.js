// What is pressed before the page knows the visitor's language and has the kept chats back waits for
// them: what came back would be written over an answer that began before. Runs before the page asks.
const page = document.documentElement;
const isBack = () => "isBack" in page.dataset;
const BUTTONS = "button:not([role=tab]):not(.label-wrap):not(#tour button)";
let pressed = null;

// A pressed button, or the one that Enter in a box stands for.
function buttonOf(event) {
  if (event.type === "click") return event.target.closest?.(BUTTONS);
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return null;
  return event.target.closest?.(".block")?.querySelector("textarea ~ .submit-button");
}

function wait(event) {
  const button = buttonOf(event);
  if (!event.isTrusted || !button) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  pressed = button;
}

function letGo() {
  back.disconnect();
  clearTimeout(patience);
  for (const kind of ["click", "keydown"]) document.removeEventListener(kind, wait, true);
  pressed?.click();
}

for (const kind of ["click", "keydown"]) document.addEventListener(kind, wait, true);
const back = new MutationObserver(() => isBack() && letGo());
back.observe(page, { attributes: true, attributeFilter: ["data-is-back"] });
// A server that does not answer must not leave buttons dead.
const patience = setTimeout(letGo, 10_000);
if (isBack()) letGo();
