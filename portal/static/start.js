/* The first that a page runs: what it says is painted before its other scripts are fetched. */

const { scripts } = JSON.parse(document.getElementById("frame").textContent);

requestAnimationFrame(() => setTimeout(() => scripts.forEach((address) => import(address))));
