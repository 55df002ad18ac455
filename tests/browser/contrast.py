"""Text that is too faint to read."""

FIND_POOR = """() => {
    const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgb = (colour) => { probe.clearRect(0, 0, 1, 1); probe.fillStyle = colour; probe.fillRect(0, 0, 1, 1);
                              return [...probe.getImageData(0, 0, 1, 1).data]; };
    const linear = (v) => v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const fill = (node) => rgb(getComputedStyle(node).backgroundColor);
    const behind = (node) => { while (fill(node)[3] < 255) node = node.parentElement; return fill(node); };
    const poor = [];
    for (const node of document.querySelectorAll(".etviz *")) {
        const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
        if (!own || !node.checkVisibility()) continue;
        const style = getComputedStyle(node);
        const [a, b] = [light(rgb(node.tagName === "text" ? style.fill : style.color)), light(behind(node))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) poor.push(`${node.textContent.trim()}: ${ratio.toFixed(2)}`);
    }
    return poor;
}"""


def poor_contrast(page) -> list[str]:
    """The visible texts below WCAG AA, 4.5 to 1 on their own background, with their ratios."""
    return page.evaluate(FIND_POOR)
