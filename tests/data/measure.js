// Writes down how the page in each frame is laid out.
const measure = (frame) => {
  const page = frame.contentDocument;
  const all = (selector) => [...page.querySelectorAll(selector)];
  const box = (element) => element.getBoundingClientRect();
  const width = frame.clientWidth;
  // What scrolls by itself may be wider than the page.
  const fits = (element) => box(element).right <= width + 0.5 || element.closest(".wide > *");
  const name = (element) => `${element.tagName}.${element.getAttribute("class")}`;
  const cells = all("svg.matrix .cell");
  const visible = cells.filter((cell) => box(cell).width > 1 && box(cell).height > 1);
  const left = Math.min(...cells.map((cell) => box(cell).left));
  const right = Math.max(...cells.map((cell) => box(cell).right));
  const picture = (element) => box(element.closest("svg"));
  // Names that reach into the cells or out of the picture.
  const covered = [
    ...all("svg .probe").filter((text) => box(text).right > left),
    ...all("svg .verdict").filter((text) => box(text).left < right || box(text).right > picture(text).right + 0.5),
    ...all("svg .layer, svg .family").filter((text) => box(text).top < picture(text).top),
  ];
  const scale = (text) => picture(text).width / text.closest("svg").viewBox.baseVal.width;
  const letters = all("svg.matrix text").map((text) => parseFloat(getComputedStyle(text).fontSize) * scale(text));
  const texts = all("body *").filter((element) => element.innerText && !element.closest("svg"));
  letters.push(...texts.map((element) => parseFloat(getComputedStyle(element).fontSize)));
  const measured = {
    width,
    scrollWidth: page.documentElement.scrollWidth,
    beyond: all("body *").filter((element) => box(element).width > 0 && !fits(element)).map(name).slice(0, 9),
    cells: cells.length,
    visibleCells: visible.length,
    covered: covered.map((element) => element.textContent).slice(0, 9),
    smallestLetter: Math.min(...letters),
    scrolling: all(".wide").filter((part) => part.scrollWidth > part.clientWidth).length,
    resources: frame.contentWindow.performance.getEntriesByType("resource").length,
    probes: all("article.probe").filter((probe) => box(probe).height > 20)
      .map((probe) => ({ id: probe.id, text: probe.innerText.replace(/\s+/g, " ") })),
  };
  // The filter: only what escaped.
  for (const box of all("#filter [type=checkbox]")) {
    box.checked = box.value === "escaped";
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }
  measured.escaped = all("article.escaped").length;
  measured.afterFilter = all("article.probe").filter((probe) => box(probe).height > 0).length;
  return measured;
};
addEventListener("load", () => {
  const told = document.createElement("pre");
  told.id = "measured";
  told.textContent = JSON.stringify([...document.querySelectorAll("iframe")].map(measure));
  document.body.append(told);
});
