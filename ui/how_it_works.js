// A step's link opens the sub-tab it names and goes to the figure there.
element.addEventListener('click', event => {
  const link = event.target.closest('[data-tab]');
  if (!link) return;
  event.preventDefault();
  const tab = document.querySelector(`#inspector-tab-${link.dataset.tab}-button`);
  if (!tab) return;
  tab.click();
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  setTimeout(() => {
    const figure = document.querySelector(`#inspector-${link.dataset.view}`);
    const target = figure && figure.offsetParent ? figure : tab;
    target.scrollIntoView({behavior: calm ? 'auto' : 'smooth', block: 'center'});
  }, 300);
});
