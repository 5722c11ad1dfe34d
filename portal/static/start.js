/* The first that a page runs: what it says is painted before its other scripts are fetched. */

const { scripts } = JSON.parse(document.getElementById("frame").textContent);

requestAnimationFrame(() =>
  setTimeout(async () => {
    await Promise.allSettled(scripts.map((address) => import(address)));
    document.documentElement.dataset.started = "";
  }),
);
