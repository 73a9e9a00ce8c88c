// Draws each part of the page when it is looked at, in the colours of the scheme that is on.
(() => {
  const documents = new Map();

  function coloured(text) {
    const scheme = getComputedStyle(document.documentElement);
    for (const [standIn, name] of Object.entries(STAND_INS)) {
      text = text.replaceAll(`"${standIn}"`, JSON.stringify(scheme.getPropertyValue(name).trim()));
    }
    return text;
  }

  async function draw(part) {
    if (documents.has(part.id)) return;
    documents.set(part.id, []);
    const drawing = JSON.parse(coloured(part.querySelector("script.drawing").textContent));
    const roots = Object.keys(drawing.places);
    if (roots.length) {
      const item = { docid: part.id, roots: drawing.places, root_ids: roots };
      const [views] = await Bokeh.embed.embed_items({ [part.id]: drawing.document }, [item]);
      documents.set(part.id, [...views].map((view) => view.model));
    }
    part.dataset.drawn = roots.length;
  }

  function show(part, row, isShown) {
    for (const root of documents.get(part.id) ?? []) {
      for (const model of root.references()) {
        if (model.name === `row-${row}`) model.visible = isShown;
      }
    }
  }

  for (const part of document.querySelectorAll(".part")) {
    if (part.matches("details")) {
      part.addEventListener("toggle", () => part.open && draw(part));
    } else {
      draw(part);
    }
    for (const chip of part.querySelectorAll(".chips button")) {
      chip.addEventListener("click", () => {
        const isShown = chip.getAttribute("aria-pressed") !== "true";
        chip.setAttribute("aria-pressed", String(isShown));
        show(part, chip.dataset.row, isShown);
      });
    }
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => location.reload());
})();
