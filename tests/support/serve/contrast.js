// Returns the elements whose text is too pale for its background (WCAG 2: 4.5 to 1).
(selectors) => {
  const channels = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((each) => {
      const part = each / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const background = (element) => {
    for (let each = element; each !== null; each = each.parentElement) {
      const found = channels(getComputedStyle(each).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const hasText = (element) =>
    [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  const pale = [];
  for (const element of selectors.flatMap((each) => [...document.querySelectorAll(each)])) {
    if (!hasText(element) || element.offsetParent === null) continue;
    const light = luminance(channels(getComputedStyle(element).color));
    const dark = luminance(background(element));
    const ratio = (Math.max(light, dark) + 0.05) / (Math.min(light, dark) + 0.05);
    if (ratio < 4.5) pale.push(`${element.className}: ${element.textContent} ${ratio.toFixed(2)}`);
  }
  return pale;
}
