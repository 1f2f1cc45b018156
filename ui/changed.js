// Tells a page that the server has changed its model meanwhile, or that the open chat went on in
// another window, and offers to load it again. Gradio gives every page a number; a server that runs
// another page gives another one.
const EVERY_MS = 5000;
let bar = null;

function words() {
  return JSON.parse(props.value || "{}");
}

function makeButton(said, action) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = said;
  made.addEventListener("click", action);
  return made;
}

function show(said, ignore) {
  if (bar || !said) return;
  bar = document.createElement("div");
  bar.className = "changed-bar";
  bar.setAttribute("role", "alert");
  const text = document.createElement("span");
  text.textContent = said;
  bar.append(text, makeButton(words().reload, () => location.reload()));
  if (ignore) {
    bar.append(makeButton(words().close, () => {
      bar.remove();
      bar = null;
      ignore();
    }));
    bar.lastChild.className = "plain";
  }
  document.body.append(bar);
}

async function ask() {
  if (bar || document.hidden || !words().text) return;
  try {
    const answer = await fetch(new URL("gradio_api/app_id", location.href.split("?")[0]));
    if (!answer.ok) return;
    const { app_id } = await answer.json();
    if (app_id !== window.gradio_config.app_id) show(words().text);
  } catch {
    // The server is away; Gradio says so itself.
  }
}

// Chats that other windows have written or deleted: what is written here would take their place.
const CHAT = "rwkv-playground-chat:";
const elsewhere = new Set();
function lookElsewhere() {
  let open = "";
  try {
    open = sessionStorage.getItem("rwkv-playground-open");
  } catch {
    // Then nothing is kept that another window could change.
  }
  if (elsewhere.has(open)) show(words().elsewhere, () => elsewhere.delete(open));
}
window.addEventListener("storage", ({ key }) => {
  if (!key?.startsWith(CHAT)) return;
  elsewhere.add(key.slice(CHAT.length));
  lookElsewhere();
});

const timer = setInterval(() => {
  if (!element.isConnected) return clearInterval(timer);
  lookElsewhere();
  ask();
}, EVERY_MS);
document.addEventListener("visibilitychange", ask);
