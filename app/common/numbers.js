// Vectors of numbers as pictures: strips of cells, bars, and pairs as arrows on a dial.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const ACROSS = 64;   // cells in a row of a strip
  const CELL = 9;      // px on a common screen

  // Told apart by people who see few colours: teal below zero, orange above, as everywhere in the lab.
  lab.twoColours = () => (lab.isDark() ? ["108 197 179", "232 150 58"] : ["15 107 96", "214 111 8"]);
  lab.fourDigits = (value) => value.toLocaleString(lab.language, { maximumSignificantDigits: 4 });

  lab.svg = (tag, attributes = {}, ...children) => {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };

  // One vector: a cell for each number, the stronger the larger. `tell` gets a sentence on the number under the pointer;
  // the arrow keys walk over the numbers. Strips drawn with the same `most` can be compared by eye.
  lab.strip = (name, values, tell, most = Math.max(...values.map(Math.abs), 1e-12)) => {
    const across = Math.min(ACROSS, values.length), rows = Math.ceil(values.length / across);
    const canvas = lab.make("canvas", { width: across * CELL, height: rows * CELL, tabindex: 0, role: "img" });
    const size = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
    const facts = lab.word("step.strip", { count: values.length, size: lab.fourDigits(size), low: lab.fourDigits(Math.min(...values)), high: lab.fourDigits(Math.max(...values)) });
    canvas.setAttribute("aria-label", `${name}: ${facts}`);
    canvas.style.aspectRatio = `${across} / ${rows}`;
    canvas.style.maxWidth = `${across * CELL}px`;
    const pen = canvas.getContext("2d"), colours = lab.twoColours();
    values.forEach((value, index) => {
      pen.fillStyle = `rgb(${colours[value < 0 ? 0 : 1]} / ${Math.sqrt(Math.min(1, Math.abs(value) / most)).toFixed(3)})`;
      pen.fillRect((index % across) * CELL, Math.floor(index / across) * CELL, CELL - 1, CELL - 1);
    });
    let at = 0;
    const say = () => tell(lab.word("step.number", { name, index: at + 1, count: values.length, value: lab.fourDigits(values[at]) }));
    canvas.addEventListener("pointermove", ({ offsetX, offsetY }) => {
      const scale = canvas.clientWidth / across;
      at = Math.min(values.length - 1, Math.max(0, Math.floor(offsetY / scale) * across + Math.min(across - 1, Math.floor(offsetX / scale))));
      say();
    });
    canvas.addEventListener("focus", say);
    canvas.addEventListener("keydown", (event) => {
      const move = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[event.key];
      if (!move || at + move < 0 || at + move >= values.length) return;
      event.preventDefault();
      at += move;
      say();
    });
    return lab.make("figure", { class: "lab-strip" }, lab.make("figcaption", {}, lab.make("b", {}, name), ` ${facts}`), canvas);
  };

  // Rows of [label, value, text next to the bar, marked?]; bars to the left are below zero.
  lab.bars = (caption, rows, onPick = null) => {
    const most = Math.max(...rows.map(([, value]) => Math.abs(value)), 1e-12), below = rows.some(([, value]) => value < 0);
    const colours = lab.twoColours();
    const body = rows.map(([label, value, text, marked], number) => {
      const bar = lab.make("i");
      const share = (Math.abs(value) / most) * (below ? 50 : 100);
      bar.style.width = `${share}%`;
      bar.style.marginLeft = below ? `${value < 0 ? 50 - share : 50}%` : "0";
      bar.style.background = `rgb(${colours[value < 0 ? 0 : 1]})`;
      const name = onPick ? lab.make("button", { type: "button", class: "lab-plain", "aria-pressed": Boolean(marked) }, label) : label;
      if (onPick) name.addEventListener("click", () => onPick(number));
      const row = lab.make("tr", {}, lab.make("th", { scope: "row" }, name), lab.make("td", { class: "lab-bars-track", "aria-hidden": "true" }, bar), lab.make("td", {}, text));
      row.classList.toggle("lab-bars-marked", Boolean(marked));
      return row;
    });
    return lab.make("table", { class: "lab-bars" }, lab.make("caption", {}, caption), lab.make("tbody", {}, ...body));
  };

  // A pair (a, b) of each vector as an arrow: [[x, y, class], ...], drawn on a circle of `reach`.
  lab.dial = (label, arrows, reach) => {
    const drawing = lab.svg("svg", { viewBox: "-30 -30 60 60", role: "img", "aria-label": label, class: "lab-dial" }, lab.svg("circle", { r: 28 }));
    for (const [x, y, kind] of arrows) {
      const [toX, toY] = [(x / reach) * 27, (-y / reach) * 27];
      drawing.append(lab.svg("line", { x2: toX.toFixed(2), y2: toY.toFixed(2), class: kind }), lab.svg("circle", { cx: toX.toFixed(2), cy: toY.toFixed(2), r: 2.4, class: kind }));
    }
    drawing.prepend(lab.svg("title", {}, label));
    return drawing;
  };
})();
