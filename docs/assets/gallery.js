// Draws the pictures of the gallery in the colours of the scheme that is on, and again when that changes.
(() => {
  let drawn = null;
  let last = Promise.resolve();

  function coloured(drawing) {
    const scheme = getComputedStyle(document.body);
    let text = JSON.stringify(drawing);
    for (const [standIn, name] of Object.entries(STAND_INS)) {
      text = text.replaceAll(`"${standIn}"`, JSON.stringify(scheme.getPropertyValue(name).trim()));
    }
    return JSON.parse(text);
  }

  async function draw() {
    if (drawn === document.body.dataset.mdColorScheme) return;
    drawn = document.body.dataset.mdColorScheme;
    for (const [key, drawing] of Object.entries(DRAWINGS)) {
      const shown = coloured(drawing);
      const places = Object.entries(shown.places).filter(([, place]) => document.getElementById(place));
      for (const [, place] of places) document.getElementById(place).replaceChildren();
      const item = { docid: key, roots: Object.fromEntries(places), root_ids: places.map(([root]) => root) };
      await Bokeh.embed.embed_items({ [key]: shown.document }, [item]);
    }
  }

  const later = () => (last = last.then(draw));
  later();
  new MutationObserver(later).observe(document.body, { attributeFilter: ["data-md-color-scheme"] });
})();
