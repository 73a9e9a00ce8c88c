"""What it means that the pictures of a page are drawn."""

from browser import Tab

# How much of the canvas of each figure is not empty, with its height, by its name.
INK = """
(() => {
  const canvases = (root) => [...root.querySelectorAll("*")].flatMap((each) =>
    [...(each.matches("canvas") ? [each] : []), ...(each.shadowRoot ? canvases(each.shadowRoot) : [])]);
  const inked = (canvas) => {
    if (!canvas.width || !canvas.height) return 0;
    const small = Object.assign(document.createElement("canvas"), { width: 96, height: 96 });
    const context = small.getContext("2d", { willReadFrequently: true });
    context.drawImage(canvas, 0, 0, 96, 96);
    const opacity = context.getImageData(0, 0, 96, 96).data.filter((_, index) => index % 4 === 3);
    return opacity.reduce((sum, each) => sum + each, 0) / (255 * opacity.length);
  };
  return Object.fromEntries([...document.querySelectorAll(".figure")].map((figure) =>
    [figure.id, [Math.max(0, ...canvases(figure).map(inked)), figure.offsetHeight]]));
})()
"""
DRAWN = f"""[...document.querySelectorAll(".part")].every((part) => part.dataset.drawn !== undefined)
  && Object.values({INK}).every(([ink]) => ink > 0.001)"""


def figures(tab: Tab) -> dict[str, tuple[float, int]]:
    """Ink and height of all figures, once each has some."""
    tab.wait_for(DRAWN)
    return tab.evaluate(INK)
