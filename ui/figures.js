// Figures are pictures with a name to those who hear the page: what they show stands below them in
// words. Plotly gives their parts no names, and reads out the numbers along their edges.
let isAsked = false;

function nameFigures() {
  isAsked = false;
  for (const figure of document.querySelectorAll(".js-plotly-plot")) {
    const title = figure.querySelector(".gtitle")?.textContent ?? "";
    if (!title || figure.getAttribute("aria-label") === title) continue;
    figure.setAttribute("role", "img");
    figure.setAttribute("aria-label", title);
  }
}

new MutationObserver(() => {
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(nameFigures);
}).observe(document.body, { childList: true, subtree: true });
