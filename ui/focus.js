// Where the keyboard goes on when the control it was on is gone: what was pressed, and what follows
// it, the first that is there. Without this it would begin again at the top of the page.
const HEIRS = [
  // The second column may be what has gone.
  [".fork", "#fork-box textarea, #fork-box button, #chat-box textarea"],
  ["#chat-bring-back", "#chat-delete"],
  ["#chat, #chat-new, #chat-box, #chat-go-on, #chat-picker", "#chat-box textarea, #chat-box button"],
  [
    "#completion-run, #completion-more, #completion-stop, #completion-words, #completion-versions, " +
      "#completion-chips",
    "#completion-stop, #completion-run",
  ],
];
let heirs = "";
let isLooking = false;

function isThere(one) {
  return !one.disabled && one.checkVisibility({ visibilityProperty: true });
}

function goOn() {
  isLooking = false;
  if (!heirs || document.activeElement !== document.body) return;
  heirs.split(", ").flatMap((heir) => [...document.querySelectorAll(heir)])
    .find(isThere)?.focus({ preventScroll: true });
}

document.addEventListener("click", (event) => {
  // A mouse has a place of its own; 0 is a key.
  const isKey = event.isTrusted && event.detail === 0;
  const heir = isKey && HEIRS.find(([pressed]) => event.target.closest?.(pressed));
  heirs = heir ? heir[1] : "";
}, true);
document.addEventListener("keydown", (event) => {
  const heir = event.key === "Enter" && HEIRS.find(([pressed]) => event.target.closest?.(pressed));
  if (heir) heirs = heir[1];
}, true);
document.addEventListener("focusin", (event) => {
  if (heirs && !event.target.matches(heirs)) heirs = "";
});
new MutationObserver(() => {
  if (heirs && !isLooking) {
    isLooking = true;
    // What has just been hidden loses the focus a little later; on a busy machine, later still.
    [100, 500].forEach((wait) => setTimeout(goOn, wait));
  }
}).observe(document.body, { childList: true, subtree: true, attributeFilter: ["class", "style"] });

// The message box is ready to be typed into. Gradio's own autofocus scrolls to it, past the head of
// the page, where the window is low.
let frames = 0;
(function begin() {
  const box = document.querySelector("#chat-box textarea");
  frames += 1;
  if (document.activeElement !== document.body) return;
  if (box?.checkVisibility()) box.focus({ preventScroll: true });
  else if (frames < 600) requestAnimationFrame(begin);
})();
