// Tells a page that the server has changed its model meanwhile, and offers to load it again.
// Gradio gives every page a number; a server that runs another page gives another one.
const EVERY_MS = 5000;
let bar = null;

function words() {
  return JSON.parse(props.value || "{}");
}

function show() {
  if (bar) return;
  bar = document.createElement("div");
  bar.className = "changed-bar";
  bar.setAttribute("role", "alert");
  const text = document.createElement("span");
  text.textContent = words().text || "";
  const reload = document.createElement("button");
  reload.type = "button";
  reload.textContent = words().reload || "";
  reload.addEventListener("click", () => location.reload());
  bar.append(text, reload);
  document.body.append(bar);
}

async function ask() {
  if (bar || document.hidden || !words().text) return;
  try {
    const answer = await fetch(new URL("gradio_api/app_id", location.href.split("?")[0]));
    if (!answer.ok) return;
    const { app_id } = await answer.json();
    if (app_id !== window.gradio_config.app_id) show();
  } catch {
    // The server is away; Gradio says so itself.
  }
}

const timer = setInterval(() => (element.isConnected ? ask() : clearInterval(timer)), EVERY_MS);
document.addEventListener("visibilitychange", ask);
