/* Parts of a page as tabs; without scripts they stand one below the other. */

/**
 * Make tabs of links to parts of the page.
 * @param {HTMLElement} nav
 * @param {function(string): void} chosen is told the id of the part that is shown
 * @returns {function(string): void} shows a part
 */
export function makeTabs(nav, chosen) {
  const links = [...nav.querySelectorAll('a[href^="#"]')].filter((link) => document.getElementById(link.hash.slice(1)));
  const ids = links.map((link) => link.hash.slice(1));
  const list = nav.querySelector("ul");
  list.setAttribute("role", "tablist");
  for (const item of list.children) item.setAttribute("role", "presentation");
  links.forEach((link, place) => {
    link.setAttribute("role", "tab");
    link.id = `tab-${ids[place]}`;
    link.setAttribute("aria-controls", ids[place]);
    const part = document.getElementById(ids[place]);
    part.setAttribute("role", "tabpanel");
    part.setAttribute("aria-labelledby", link.id);
    link.addEventListener("click", (event) => {
      event.preventDefault();
      show(ids[place], true);
    });
    link.addEventListener("keydown", (event) => {
      const to = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: links.length - 1 }[event.key];
      if (event.key === " ") show(ids[place], true);
      else if (to === undefined) return;
      else show(ids[(to + links.length) % links.length], true).focus();
      event.preventDefault();
    });
  });
  document.documentElement.classList.add("with-tabs");

  function show(id, isWritten = false) {
    const wanted = ids.includes(id) ? id : ids[0];
    links.forEach((link, place) => {
      const isShown = ids[place] === wanted;
      link.setAttribute("aria-selected", String(isShown));
      link.tabIndex = isShown ? 0 : -1;
      document.getElementById(ids[place]).hidden = !isShown;
    });
    if (isWritten) history.replaceState(null, "", `${location.pathname}${location.search}#${wanted}`);
    chosen(wanted);
    return links[ids.indexOf(wanted)];
  }

  addEventListener("hashchange", () => show(location.hash.slice(1)));
  show(location.hash.slice(1));
  return (id) => show(id, true);
}
