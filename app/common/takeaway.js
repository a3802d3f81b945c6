// Everything leaves the screen: what a tab shows as text for a report, as a picture and as numbers.
//
// A report is { title, facts: [sentence], head: [column], rows: [[cell]] }; a cell is a text, or { text, share } whose
// share, from -1 to 1, is its colour. It holds no links and no markup of the page.
(() => {
  const SIZE = 14, ROW = 26, GAP = 12, EDGE = 18, ACROSS = 96;  // px, and letters in a line of facts
  const FONT = `${SIZE}px system-ui, sans-serif`;

  const quote = (cell) => (typeof cell === "number" ? String(cell) : `"${String(cell).replaceAll('"', '""')}"`);
  const textOf = (cell) => (typeof cell === "object" ? cell.text : String(cell));
  const source = () => lab.word("take.source", { name: lab.model?.title ?? "", count: lab.model?.parameters ?? 0, date: new Date().toLocaleDateString(lab.language) });

  const asText = ({ title, facts, head, rows }) =>
    [title, ...facts, "", ...[head, ...rows].map((row) => row.map((cell) => textOf(cell).trim()).join("\t")), "", source()].join("\n");
  const asMarkup = ({ title, facts, head, rows }) => {  // built of text nodes, so nothing in it can be markup
    const line = (tag, cells) => lab.make("tr", {}, ...cells.map((cell) => lab.make(tag, {}, textOf(cell).trim())));
    const page = lab.make("div", {}, lab.make("h3", {}, title), ...facts.map((fact) => lab.make("p", {}, fact)),
      lab.make("table", { border: 1, cellpadding: 4 }, lab.make("thead", {}, line("th", head)), lab.make("tbody", {}, ...rows.map((row) => line("td", row)))), lab.make("p", {}, source()));
    return page.outerHTML;
  };
  const copy = async (report) => {
    const text = asText(report);
    if (navigator.clipboard?.write && window.ClipboardItem) {
      const kinds = { "text/plain": text, "text/html": asMarkup(report) };
      return navigator.clipboard.write([new ClipboardItem(Object.fromEntries(Object.entries(kinds).map(([kind, words]) => [kind, new Blob([words], { type: kind })])))]);
    }
    // Browsers give the clipboard to pages on this machine and to https only; in a classroom's network this way is left.
    const box = lab.make("textarea", { "aria-hidden": "true" });
    box.value = text;
    document.body.append(box);
    box.select();
    const done = document.execCommand("copy");
    box.remove();
    if (!done) throw new Error("the browser keeps its clipboard closed");
  };

  const wrapped = (text) => text.split(" ").reduce((lines, word) => {
    const last = lines.at(-1);
    if (last.length + word.length < ACROSS) lines[lines.length - 1] = last ? `${last} ${word}` : word; else lines.push(word);
    return lines;
  }, [""]);

  // The report as a drawing; sizes are known because the browser measures its own letters.
  const drawing = ({ title, facts, head, rows }) => {
    const pen = document.createElement("canvas").getContext("2d");
    const wide = (text, weight = 400) => { pen.font = `${weight} ${FONT}`; return pen.measureText(text).width; };
    const cells = [head, ...rows].map((row) => row.map(textOf));
    const widths = head.map((_, column) => Math.max(...cells.map((row, at) => wide(row[column] ?? "", at ? 400 : 700))) + GAP);
    const lines = facts.flatMap(wrapped), note = source();
    const width = 2 * EDGE + Math.max(widths.reduce((sum, one) => sum + one, 0), wide(title, 700) * 1.2, ...lines.map((text) => wide(text)), wide(note));
    const top = EDGE + ROW + lines.length * 20 + 10, height = top + cells.length * ROW + ROW + EDGE;
    const [paper, ink, soft] = lab.isDark() ? ["#1c2229", "#e7eaee", "#a3adb9"] : ["#ffffff", "#1f2937", "#5b6472"];
    const colours = lab.twoColours();
    const picture = lab.svg("svg", { xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${Math.ceil(width)} ${height}`, width: Math.ceil(width), height, "font-family": "system-ui, sans-serif", "font-size": SIZE, fill: ink },
      lab.svg("rect", { width: "100%", height: "100%", fill: paper }), lab.svg("text", { x: EDGE, y: EDGE + SIZE, "font-weight": 700, "font-size": 17 }, title),
      ...lines.map((text, at) => lab.svg("text", { x: EDGE, y: EDGE + ROW + SIZE + at * 20, fill: soft }, text)));
    [head, ...rows].forEach((row, at) => {
      let left = EDGE;
      row.forEach((cell, column) => {
        const y = top + at * ROW;
        if (cell?.share) picture.append(lab.svg("rect", { x: left - 4, y: y + 2, width: widths[column] - 3, height: ROW - 4, rx: 4, fill: `rgb(${colours[cell.share < 0 ? 0 : 1].replaceAll(" ", ",")})`, "fill-opacity": (Math.min(1, Math.abs(cell.share)) * 0.7).toFixed(3) }));
        picture.append(lab.svg("text", { x: left, y: y + 18, ...(at ? {} : { "font-weight": 700 }) }, textOf(cell)));
        left += widths[column];
      });
    });
    picture.append(lab.svg("text", { x: EDGE, y: height - EDGE + 4, fill: soft, "font-size": 12 }, note));
    return picture;
  };
  const asSvg = (picture) => new XMLSerializer().serializeToString(picture).replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, "\ufffd");
  const asPng = async (picture) => {
    const image = new Image(), page = document.createElement("canvas");
    image.src = URL.createObjectURL(new Blob([asSvg(picture)], { type: "image/svg+xml" }));
    await image.decode();
    URL.revokeObjectURL(image.src);
    page.width = 2 * image.width;
    page.height = 2 * image.height;
    page.getContext("2d").drawImage(image, 0, 0, page.width, page.height);
    return new Promise((done) => page.toBlob(done, "image/png"));
  };

  // A drawing of the page as one of its own: what the page's styles say of each part is written into it.
  const LOOK = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "opacity", "font-size", "font-weight"];
  lab.pictureOf = (shown) => {
    const picture = shown.cloneNode(true);
    const copies = [picture, ...picture.querySelectorAll("*")];
    [shown, ...shown.querySelectorAll("*")].forEach((node, at) => {
      const look = getComputedStyle(node);
      for (const name of LOOK) copies[at].setAttribute(name, look.getPropertyValue(name));
      copies[at].removeAttribute("class");
    });
    const { width, height } = shown.viewBox.baseVal;
    for (const [name, value] of Object.entries({ xmlns: "http://www.w3.org/2000/svg", width, height, "font-family": "system-ui, sans-serif" })) picture.setAttribute(name, value);
    picture.prepend(lab.svg("rect", { width: "100%", height: "100%", fill: lab.isDark() ? "#1c2229" : "#ffffff" }));
    return picture;
  };

  // Buttons in `box`: `report()`, `csv()` (rows, the first of them names) and `json()` give what is shown now; a tab with
  // a picture of its own hands in `picture()` (an SVG element), or `svg()` (text) and `png()` (Blob, or a promise of one).
  // `name()` begins the files' names.
  lab.takeAway = (box, { name, report, csv, json, picture = () => drawing(report()), svg = () => asSvg(picture()), png = () => asPng(picture()) }) => {
    const makers = {
      PNG: async () => lab.save(`${name()}.png`, await png(), "image/png"),
      SVG: () => lab.save(`${name()}.svg`, svg(), "image/svg+xml"),
      CSV: () => lab.save(`${name()}.csv`, csv().map((row) => row.map(quote).join(",")).join("\n") + "\n", "text/csv"),
      JSON: () => lab.save(`${name()}.json`, JSON.stringify(json()), "application/json"),
    };
    const said = lab.make("span", { class: "lab-look-why", role: "status" });
    const copying = lab.make("button", { type: "button", class: "lab-plain", "data-word": "take.copy", "data-title": "take.copy_why" });
    copying.addEventListener("click", async () => {
      try { await copy(report()); lab.say(said, "take.copied"); } catch { lab.say(said, "take.not_copied"); }
      setTimeout(() => lab.say(said, null), 4000);
    });
    box.append(copying, ...Object.entries(makers).map(([kind, make]) => {
      const button = lab.make("button", { type: "button", class: "lab-plain", "data-title": "take.save" }, kind);
      button.addEventListener("click", make);
      return button;
    }), said);
  };
})();
