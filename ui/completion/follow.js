// While the model goes on with a text, its box shows the end, where the new words come; whoever
// scrolls up is left in peace.
const column = element.closest(".main-column");
let timer = 0;
let end = 0;

function follow() {
  const box = column.querySelector("#completion-box textarea");
  if (box.scrollTop < end - 4) return;
  box.scrollTop = box.scrollHeight;
  end = box.scrollTop;
}

new MutationObserver(() => {
  const isWriting = Boolean(column.querySelector("#completion-stop"));
  if (isWriting === Boolean(timer)) return;
  clearInterval(timer);
  timer = isWriting ? setInterval(follow, 100) : 0;
  if (isWriting) end = 0;
  else setTimeout(follow, 200);
}).observe(column.querySelector(".actions"), { childList: true, subtree: true });
