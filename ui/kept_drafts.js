// What is written in a box and not sent yet outlives a reload, which Gradio also does by itself when
// the server was out of reach. Kept for this window alone; a browser may forbid all storage.
const KEPT = ["chat-box", "inspector-text"];
const name = (id) => `rwkv-playground-draft:${id}`;
const area = (id) => document.querySelector(`#${id} textarea`);
// Boxes that were not there yet to be filled again.
let waiting = [...KEPT];

function keep(id) {
  if (waiting.includes(id) || !area(id)) return;
  try {
    sessionStorage.setItem(name(id), area(id).value);
  } catch {
    // Then a reload loses it.
  }
}

function fill(id) {
  const box = area(id);
  if (!box) return false;
  let text = "";
  try {
    text = sessionStorage.getItem(name(id)) ?? "";
  } catch {
    // Nothing was kept.
  }
  if (text && !box.value) {
    box.value = text;
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }
  return true;
}

function fillWaiting() {
  waiting = waiting.filter((id) => !fill(id));
  if (waiting.length === 0) boxes.disconnect();
}

const boxes = new MutationObserver(fillWaiting);
boxes.observe(document.body, { childList: true, subtree: true });
fillWaiting();
document.addEventListener("input", (event) => {
  KEPT.filter((id) => event.target === area(id)).forEach(keep);
});
// A box that was emptied by an answer tells nobody.
window.addEventListener("pagehide", () => KEPT.forEach(keep));
