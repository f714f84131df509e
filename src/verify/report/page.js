
// The page is whole without this: it only hides probes that were not asked for.
(() => {
  const form = document.getElementById("filter");
  const find = document.getElementById("find");
  const probes = [...document.querySelectorAll("article.probe")];
  const texts = new Map(probes.map((probe) => [probe, probe.textContent.toLowerCase()]));
  const sift = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = new Set([...form.querySelectorAll("[type=checkbox]:checked")].map((box) => box.value));
    let count = 0;
    for (const probe of probes) {
      const fits = wanted.has(probe.dataset.verdict) && words.every((word) => texts.get(probe).includes(word));
      probe.hidden = !fits;
      count += fits;
    }
    for (const family of document.querySelectorAll("section.family")) {
      family.hidden = !family.querySelector("article:not([hidden])");
    }
    document.getElementById("shown").textContent = `${count} of ${probes.length} shown`;
  };
  form.hidden = false;
  form.addEventListener("input", sift);
  form.addEventListener("submit", (event) => event.preventDefault());
  // Who follows a link to a probe that is hidden wants to see it.
  addEventListener("hashchange", () => {
    const probe = document.getElementById(location.hash.slice(1));
    if (probe && probe.hidden) {
      form.reset();
      sift();
      probe.scrollIntoView();
    }
  });
  sift();
})();
