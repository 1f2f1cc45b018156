// A step's link opens the sub-tab it names and goes to the figure there, or says how to get it.
element.addEventListener('click', event => {
  const link = event.target.closest('[data-tab]');
  if (!link) return;
  event.preventDefault();
  const tab = document.querySelector(`#inspector-tab-${link.dataset.tab}-button`);
  if (!tab) return;
  tab.click();
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  setTimeout(() => {
    document.querySelectorAll('.how-ask').forEach(old => old.remove());
    const figure = document.querySelector(`#inspector-${link.dataset.view}`);
    const isShown = figure?.offsetParent && getComputedStyle(figure).visibility !== 'hidden';
    let target = isShown ? figure : tab;
    const panel = document.querySelector(`#inspector-tab-${link.dataset.tab}`);
    if (!isShown && panel) {
      target = document.createElement('p');
      target.className = 'status how-ask';
      target.setAttribute('role', 'status');
      panel.prepend(target);
      target.textContent = link.dataset.ask;
      // What it asks for is under way.
      panel.addEventListener('click', () => target.remove(), {once: true});
    }
    target.scrollIntoView({behavior: calm ? 'auto' : 'smooth', block: 'center'});
  }, 300);
});
