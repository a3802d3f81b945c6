// The Attention tab: a text's tokens, a small picture of every head, and one map looked at closely.
// Sends 'look' and 'closer'; pictures come as bytes (their square roots), a map as 16-bit numbers.
lab.attention = (element, trigger, props, watch) => {
  lab.needsWeights(element);
  const find = (selector) => element.querySelector(selector);
  const box = find("textarea"), strip = find(".lab-look-tokens"), mosaic = find(".lab-look-mosaic"), canvas = find(".lab-look-map canvas");
  const ROLES = ["previous_token", "first_token", "same_token", "induction", "current_word"];
  let shown = null;    // the overview: tokens, heads, pictures, roles
  let map = null;      // the map looked at: {view, layer, head, size, weights, before}
  let chosen = 0;      // the token looked from (or at), counted from the window's first
  let way = "from", view = "head", layer = 0, head = 0;
  let requests = 0, asked = null, askedMap = null, playing = null;

  // --- Numbers and colours ----------------------------------------------------------------------------------------

  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  // One hue from paper to ink: told apart by lightness alone, so whoever sees colours otherwise sees the same.
  const mix = (share) => {
    const [low, high] = lab.isDark() ? [[28, 34, 41], [140, 235, 214]] : [[255, 255, 255], [6, 63, 92]];
    return low.map((from, part) => Math.round(from + (high[part] - from) * share));
  };
  const { percent, visible } = lab;
  const makePalette = () => Uint32Array.from({ length: 256 }, (_, number) => {
    const [r, g, b] = mix(number / 255);
    return (255 << 24 | b << 16 | g << 8 | r) >>> 0;  // the bytes of one pixel, red first in memory
  });
  const image = (side, level, palette = makePalette()) => {  // level(place): 0 to 255
    const data = new ImageData(side, side);
    const pixels = new Uint32Array(data.data.buffer);
    for (let place = 0; place < pixels.length; place++) pixels[place] = palette[level(place)];
    return data;
  };
  const paint = (target, data) => {
    target.width = target.height = data.width;
    target.getContext("2d").putImageData(data, 0, 0);
  };
  const weight = (row, column) => map.weights[row * map.size + column] / 65535;

  // --- Asking -----------------------------------------------------------------------------------------------------

  const look = (sent) => {
    complain(null);
    stopPlaying();
    asked = `${++requests}`;
    find(".lab-look-waiting").hidden = false;
    find(".lab-send").disabled = true;
    trigger("look", { request: asked, ...sent });
  };
  const askForMap = () => {
    askedMap = `${++requests}`;
    trigger("closer", { request: askedMap, view, layer, head });
    markHead();
  };
  const complain = (key, values) => lab.say(find(".lab-problem"), key, values);

  watch("value", () => {
    const update = props.value;
    if (!update || update.request !== asked) return;
    find(".lab-look-waiting").hidden = true;
    find(".lab-send").disabled = false;
    if (update.problem) return complain(update.problem.key, update.problem.values);
    const again = shown && shown.request === update.request && shown.tokens.length === update.tokens.length;  // now with roles
    shown = update;
    if (again) return showRoles();
    layer = Math.min(layer, update.layers - 1);
    head = Math.min(head, update.heads - 1);
    chosen = Math.max(0, Math.min(update.answer_start - 1, update.end - 1) - update.start);
    map = null;
    find(".lab-look-result").hidden = false;
    lab.sayGoesOn(element, update.goes_on);
    buildTokens();
    buildMosaic();
    buildControls();
    showRoles();
    askForMap();
  });

  lab.showAttentionHead = (update) => {
    if (!update || update.request !== askedMap || !shown) return;
    if (update.problem) return complain(update.problem.key, update.problem.values);
    complain(null);
    map = { ...update, weights: new Uint16Array(bytes(update.weights).buffer) };
    showMap();
  };

  // --- The text ---------------------------------------------------------------------------------------------------

  const buildTokens = () => {
    const special = new Set(shown.special);
    strip.replaceChildren(...shown.tokens.slice(shown.start, shown.end).map((text, index) => {
      const place = shown.start + index;
      const token = lab.make("span", { class: "lab-look-token", role: "button", tabindex: index === chosen ? 0 : -1, "data-index": index }, visible(text));
      token.classList.toggle("lab-look-special", special.has(place));
      token.classList.toggle("lab-look-answer", place >= shown.answer_start);
      return token;
    }));
    const windows = find(".lab-look-windows");
    windows.replaceChildren();
    const total = shown.tokens.length;
    if (total > shown.window) {
      for (const [key, start, usable] of [["attention.earlier", Math.max(0, shown.start - shown.window), shown.start > 0], ["attention.later", shown.end, shown.end < total]]) {
        const button = lab.make("button", { type: "button", class: "lab-plain", "data-word": key });
        button.disabled = !usable;
        button.addEventListener("click", () => look({ start }));
        windows.append(button);
      }
      const line = lab.make("span");
      lab.say(line, "attention.window", { first: shown.start + 1, last: shown.end, total });
      windows.append(line);
    }
    lab.translate(find(".lab-look-strip"));
  };

  const shares = () => Array.from({ length: map.size }, (_, index) => (way === "from" ? weight(chosen, index) : weight(index, chosen)));

  const shade = () => {
    if (!map) return;
    const all = shares();
    const [r, g, b] = mix(1);
    [...strip.children].forEach((token, index) => {
      const share = all[index];
      token.style.background = share > 0.004 ? `rgb(${r} ${g} ${b} / ${(Math.sqrt(share) * 0.85).toFixed(3)})` : "";
      token.classList.toggle("lab-look-strong", share > 0.3);
      token.classList.toggle("lab-look-chosen", index === chosen);
      token.title = percent(share);
      token.tabIndex = index === chosen ? 0 : -1;
    });
    const best = all.map((share, index) => [share, index]).sort((one, other) => other[0] - one[0]).slice(0, 3).filter(([share]) => share > 0.01);
    const list = best.map(([share, index]) => `“${visible(tokenAt(index)).trim()}” ${percent(share)}`).join(", ");
    lab.say(find(".lab-look-said"), way === "from" ? "attention.said_from" : "attention.said_at", { token: `“${visible(tokenAt(chosen)).trim()}”`, list: list || "–" });
    const before = way === "from" && map.before.length ? map.before[chosen] : 0, line = find(".lab-look-under");
    if (before) lab.say(line, "attention.before", { share: percent(before) }); else { delete line.dataset.word; line.textContent = ""; }
    showTable(all);
    drawMap();
  };
  const tokenAt = (index) => shown.tokens[shown.start + index];

  const choose = (index, focus = false) => {
    if (!map || index < 0 || index >= map.size) return;
    chosen = index;
    shade();
    if (focus) strip.children[index].focus();
  };
  strip.addEventListener("pointerover", (event) => {
    const token = event.target.closest("[data-index]");
    if (token && event.pointerType === "mouse" && !playing) choose(Number(token.dataset.index));
  });
  strip.addEventListener("click", (event) => {
    const token = event.target.closest("[data-index]");
    if (token) { stopPlaying(); choose(Number(token.dataset.index), true); }
  });
  strip.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) { event.preventDefault(); stopPlaying(); choose(chosen + step, true); }
  });

  // Playing shows, answer token by answer token, where the model looked when it chose it.
  const play = () => {
    if (playing) return stopPlaying();
    way = "from";
    checkRadios();
    const first = Math.max(0, shown.answer_start - 1 - shown.start), last = map.size - 2;
    let at = first;
    const step = () => {
      if (at > last) return stopPlaying();
      [...strip.children].forEach((token, index) => token.classList.toggle("lab-look-next", index === at + 1));
      choose(at++);
    };
    if (first > last) return;
    playing = setInterval(step, 900);
    lab.say(find(".lab-look-play"), "attention.pause");
    step();
  };
  const stopPlaying = () => {
    if (!playing) return;
    clearInterval(playing);
    playing = null;
    strip.querySelectorAll(".lab-look-next").forEach((token) => token.classList.remove("lab-look-next"));
    lab.say(find(".lab-look-play"), "attention.play");
  };
  find(".lab-look-play").addEventListener("click", play);

  // --- All heads --------------------------------------------------------------------------------------------------

  const buildMosaic = () => {
    const { layers, heads, groups, side } = shown;
    mosaic.style.setProperty("--heads", heads);
    find(".lab-look-panes").classList.toggle("lab-look-wide", heads > MOST_ACROSS);
    const numbers = bytes(shown.pictures), palette = makePalette();
    const rows = [];
    const top = lab.make("div", { class: "lab-look-row lab-look-groups", "aria-hidden": "true" }, lab.make("span"));
    for (let group = 0; group < groups; group++) {
      const label = lab.make("span", { class: "lab-look-group" });
      label.style.gridColumn = `span ${heads / groups}`;
      lab.say(label, "attention.group", { group: group + 1 });
      top.append(label);
    }
    rows.push(top);
    for (let l = 0; l < layers; l++) {
      const row = lab.make("div", { class: "lab-look-row" }, lab.make("span", { class: "lab-look-layer" }, `${l + 1}`));
      for (let h = 0; h < heads; h++) {
        const cell = lab.make("button", { type: "button", class: "lab-look-cell", "data-layer": l, "data-head": h, tabindex: -1 }, lab.make("canvas"), lab.make("b"));
        const start = (l * heads + h) * side * side;
        paint(cell.firstChild, image(side, (place) => numbers[start + place], palette));
        row.append(cell);
      }
      rows.push(row);
    }
    mosaic.replaceChildren(...rows);
    fit();
  };
  // Pictures as large as the pane's width takes; of many layers smaller ones, so that more of them are seen at once.
  const zoom = find(".lab-look-zoom"), size = zoom.querySelector("input");
  const MOST_ACROSS = 16, SMALLEST = 28, LARGEST = 80, GAP = 3;
  const fit = () => {
    const { layers, heads } = shown;
    const across = (mosaic.clientWidth - 40) / heads - GAP, down = (innerHeight * 0.85 - 30) / layers - GAP;
    zoom.hidden = layers * heads <= 64;
    if (!size.dataset.chosen) size.value = Math.min(LARGEST, Math.max(SMALLEST, Math.floor(Math.min(across, down))));
    if (zoom.hidden) size.value = Math.min(LARGEST, Math.max(SMALLEST, Math.floor(across)));
    mosaic.style.setProperty("--cell", `${size.value}px`);
  };
  const cellOf = (l, h) => mosaic.querySelector(`[data-layer="${l}"][data-head="${h}"]`);
  const bringIntoView = (cell) => {  // within the box; the page stays where it is
    const top = mosaic.querySelector(".lab-look-groups").offsetHeight, box = mosaic.getBoundingClientRect(), at = cell.getBoundingClientRect();
    if (at.top < box.top + top) mosaic.scrollTop -= box.top + top - at.top + GAP;
    if (at.bottom > box.bottom) mosaic.scrollTop += at.bottom - box.bottom + GAP;
    if (at.left < box.left + 26) mosaic.scrollLeft -= box.left + 26 - at.left;
    if (at.right > box.right) mosaic.scrollLeft += at.right - box.right + GAP;
  };
  size.addEventListener("input", () => {
    size.dataset.chosen = true;
    mosaic.style.setProperty("--cell", `${size.value}px`);
    bringIntoView(cellOf(layer, head));
  });
  const showRoles = () => {
    for (const cell of mosaic.querySelectorAll(".lab-look-cell")) {
      const l = Number(cell.dataset.layer), h = Number(cell.dataset.head);
      const { role, score } = shown.roles?.[l][h] ?? {};
      cell.lastChild.textContent = role ? lab.word(`attention.role_${role}_short`) : "";
      const what = role ? `: ${lab.word(`attention.role_${role}`)} ${percent(score)}` : "";
      cell.title = lab.word("attention.name", { layer: l + 1, head: h + 1 }) + what;
      cell.setAttribute("aria-label", cell.title);
    }
    const legend = find(".lab-look-roles");
    legend.replaceChildren();
    for (const role of ROLES) {
      const count = (shown.roles ?? []).flat().filter((one) => one.role === role).length;
      const term = lab.make("dt");
      term.append(lab.make("b", {}, lab.word(`attention.role_${role}_short`)), ` ${lab.word(`attention.role_${role}`)} (${count})`);
      legend.append(term, lab.make("dd", {}, lab.word(`attention.role_${role}_why`)));
    }
    legend.append(lab.make("dd", { class: "lab-look-probe" }, lab.word(shown.roles ? "attention.roles_why" : "attention.roles_wait")));
    markHead();
  };
  const scoreList = (scores) => Object.entries(scores).map(([name, value]) => `${lab.word(`attention.role_${name}`)} ${percent(value)}`).join(", ");
  const markHead = () => {
    for (const cell of mosaic.querySelectorAll(".lab-look-cell")) {
      const same = Number(cell.dataset.layer) === layer && (view === "layer" || Number(cell.dataset.head) === head);
      cell.setAttribute("aria-pressed", same && view !== "rollout");
      cell.tabIndex = -1;
    }
    const marked = cellOf(layer, head);
    marked.tabIndex = 0;
    bringIntoView(marked);
    const name = find(".lab-look-name");
    if (view === "rollout") lab.say(name, "attention.name_rollout");
    else lab.say(name, view === "head" ? "attention.name" : "attention.name_layer", { layer: layer + 1, head: head + 1 });
    const line = find(".lab-look-role");
    if (view !== "head") return lab.say(line, `attention.view_${view}_why`);
    const { role, score, scores } = shown.roles?.[layer][head] ?? {};
    const groups = shown.groups, each = shown.heads / groups, group = Math.floor(head / each);
    const mates = Array.from({ length: each }, (_, number) => group * each + number + 1).filter((number) => number !== head + 1);
    const parts = [mates.length ? lab.word("attention.shares", { group: group + 1, heads: mates.join(", ") }) : lab.word("attention.shares_none", { group: group + 1 })];
    if (scores) {
      parts.unshift(role ? lab.word("attention.has_role", { role: lab.word(`attention.role_${role}`), score: percent(score) }) : lab.word("attention.no_role"));
      parts.push(lab.word("attention.scores", { list: scoreList(scores) }));
      if (shown.here) parts.push(lab.word("attention.scores_here", { list: scoreList(shown.here[layer][head].scores) }));
    }
    delete line.dataset.word;
    line.textContent = parts.join(" ");
  };
  mosaic.addEventListener("click", (event) => {
    const cell = event.target.closest("[data-layer]");
    if (!cell) return;
    layer = Number(cell.dataset.layer);
    head = Number(cell.dataset.head);
    if (view === "rollout") view = "head";
    checkRadios();
    askForMap();
  });
  lab.gridKeys(mosaic, -1);

  // --- One map ----------------------------------------------------------------------------------------------------

  const radios = (place, name, options, pick) => {
    find(place).replaceChildren(...options.map(([value, key]) => {
      const input = lab.make("input", { type: "radio", name: `look-${name}`, value });
      input.addEventListener("change", () => pick(value));
      return lab.make("label", {}, input, lab.make("span", { "data-word": key }));
    }));
  };
  const checkRadios = () => {
    for (const [name, value] of [["way", way], ["view", view]]) {
      const input = element.querySelector(`input[name="look-${name}"][value="${value}"]`);
      if (input) input.checked = true;
    }
    for (const [name, value] of [["layer", layer], ["head", head]]) {
      const slider = element.querySelector(`#look-${name}`);
      if (slider) { slider.value = value + 1; slider.previousElementSibling.lastChild.textContent = ` ${value + 1}`; slider.disabled = view === "rollout" || (view === "layer" && name === "head"); }
    }
  };
  const buildControls = () => {
    const sliders = [["layer", shown.layers], ["head", shown.heads]].map(([name, most]) => {
      const input = lab.make("input", { type: "range", id: `look-${name}`, min: 1, max: most, step: 1 });
      input.addEventListener("input", () => {
        if (name === "layer") layer = Number(input.value) - 1; else head = Number(input.value) - 1;
        checkRadios();
        askForMap();
      });
      return lab.make("div", {}, lab.make("label", { for: `look-${name}` }, lab.make("span", { "data-word": `attention.${name}` }), lab.make("span")), input);
    });
    find(".lab-look-sliders").replaceChildren(...sliders);
    lab.translate(element);
    checkRadios();
  };
  radios(".lab-look-ways", "way", [["from", "attention.way_from"], ["at", "attention.way_at"]], (value) => { way = value; stopPlaying(); shade(); });
  radios(".lab-look-views", "view", [["head", "attention.view_head"], ["layer", "attention.view_layer"], ["rollout", "attention.view_rollout"]], (value) => { view = value; checkRadios(); askForMap(); });

  const showMap = () => {
    chosen = Math.min(chosen, map.size - 1);
    shade();
  };
  const drawMap = () => {
    map.image ??= image(map.size, (place) => Math.round(Math.sqrt(map.weights[place] / 65535) * 255));
    paint(canvas, map.image);
    const pen = canvas.getContext("2d");
    pen.fillStyle = "rgb(232 150 58 / .45)";
    if (way === "from") pen.fillRect(0, chosen, map.size, 1); else pen.fillRect(chosen, 0, 1, map.size);
    for (let place = 0; place < map.size; place++) {  // the marked line stays readable: its own weights over the mark
      const [row, column] = way === "from" ? [chosen, place] : [place, chosen];
      const share = weight(row, column);
      if (share > 0.05) { pen.fillStyle = `rgb(${mix(Math.sqrt(share)).join(" ")})`; pen.fillRect(column, row, 1, 1); }
    }
  };
  canvas.addEventListener("pointermove", (event) => {
    if (!map) return;
    const { left, top, width } = canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - left) / width * map.size), row = Math.floor((event.clientY - top) / width * map.size);
    if (row < 0 || column < 0 || row >= map.size || column >= map.size) return;
    const share = column <= row ? percent(weight(row, column)) : "–";
    canvas.title = `“${visible(tokenAt(row)).trim()}” → “${visible(tokenAt(column)).trim()}”: ${share}`;
    lab.say(find(".lab-look-under"), "attention.point", { row: `“${visible(tokenAt(row)).trim()}”`, column: `“${visible(tokenAt(column)).trim()}”`, share });
  });
  canvas.addEventListener("click", (event) => {
    const { left, top, width } = canvas.getBoundingClientRect();
    const at = way === "from" ? (event.clientY - top) / width : (event.clientX - left) / width;
    choose(Math.floor(at * map.size));
  });

  const strongest = (all) => all.map((share, index) => [share, index]).filter(([share]) => share >= 0.001).sort((one, other) => other[0] - one[0]).slice(0, 30);
  const showTable = (all) => {
    const table = find(".lab-look-table");
    if (!table.open) return;
    table.querySelector("thead").replaceChildren(lab.make("tr", {}, lab.make("th", { scope: "col" }, lab.word("attention.column_place")), lab.make("th", { scope: "col" }, lab.word("attention.column_token")), lab.make("th", { scope: "col" }, lab.word("attention.column_share"))));
    table.querySelector("tbody").replaceChildren(...strongest(all).map(([share, index]) => lab.make("tr", {}, lab.make("td", {}, `${shown.start + index + 1}`), lab.make("td", {}, visible(tokenAt(index))), lab.make("td", {}, percent(share)))));
  };
  find(".lab-look-table").addEventListener("toggle", () => map && showTable(shares()));

  // --- Taking it away ---------------------------------------------------------------------------------------------

  const fileName = () => `attention-${view === "rollout" ? "rollout" : view === "layer" ? `layer${layer + 1}` : `layer${layer + 1}-head${head + 1}`}`;
  const tokens = () => shown.tokens.slice(shown.start, shown.end);
  const rowsOf = () => Array.from({ length: map.size }, (_, row) => Array.from({ length: row + 1 }, (_, column) => Number(weight(row, column).toFixed(5))));
  const escapeXml = (text) => text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`).replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, "\ufffd");
  const LABEL = 90;
  const picture = () => {  // the map with its tokens along both sides, as large as a page takes
    const unit = Math.max(2, Math.min(18, Math.floor(1400 / map.size))), side = unit * map.size, margin = unit >= 9 ? LABEL : 0;
    const page = lab.make("canvas", { width: side + margin, height: side + margin });
    const pen = page.getContext("2d");
    pen.fillStyle = lab.isDark() ? "#1c2229" : "#ffffff";
    pen.fillRect(0, 0, page.width, page.height);
    pen.font = `${unit - 4}px ui-monospace, monospace`;
    pen.textBaseline = "middle";
    for (let row = 0; row < map.size; row++) {
      for (let column = 0; column <= row; column++) {
        pen.fillStyle = `rgb(${mix(Math.sqrt(weight(row, column))).join(" ")})`;
        pen.fillRect(margin + column * unit, margin + row * unit, unit, unit);
      }
      if (!margin) continue;
      pen.fillStyle = lab.isDark() ? "#e7eaee" : "#1f2937";
      pen.textAlign = "right";
      pen.fillText(visible(tokenAt(row)).trim().slice(0, 12), margin - 5, margin + (row + 0.5) * unit);
      pen.save();
      pen.translate(margin + (row + 0.5) * unit, margin - 5);
      pen.rotate(-Math.PI / 2);
      pen.textAlign = "left";
      pen.fillText(visible(tokenAt(row)).trim().slice(0, 12), 0, 0);
      pen.restore();
    }
    return page;
  };
  const svg = () => {
    const unit = 12, size = LABEL + unit * map.size, parts = [];
    for (let row = 0; row < map.size; row++) {
      const text = escapeXml(visible(tokenAt(row)).trim().slice(0, 12)), middle = LABEL + (row + 0.7) * unit;
      parts.push(`<text x="${LABEL - 4}" y="${middle}" text-anchor="end">${text}</text><text transform="translate(${middle} ${LABEL - 4}) rotate(-90)">${text}</text>`);
      for (let column = 0; column <= row; column++) {
        const share = weight(row, column);
        if (share >= 0.002) parts.push(`<rect x="${LABEL + column * unit}" y="${LABEL + row * unit}" width="${unit}" height="${unit}" fill="rgb(${mix(Math.sqrt(share)).join(",")})"><title>${percent(share)}</title></rect>`);
      }
    }
    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size} ${size}" font-family="monospace" font-size="9">${parts.join("")}</svg>`;
  };
  lab.takeAway(find(".lab-look-out"), {
    name: fileName,
    report: () => ({
      title: find(".lab-look-name").textContent, facts: [tokens().map(visible).join(""), find(".lab-look-said").textContent],
      head: [lab.word("attention.column_place"), lab.word("attention.column_token"), lab.word("attention.column_share")],
      rows: strongest(shares()).map(([share, index]) => [`${shown.start + index + 1}`, { text: visible(tokenAt(index)), share }, percent(share)]),
    }),
    csv: () => [["from", "to", "from_token", "to_token", "attention"], ...rowsOf().flatMap((row, from) => row.map((share, to) => [shown.start + from + 1, shown.start + to + 1, tokens()[from], tokens()[to], share]))],
    json: () => ({ view, layer: layer + 1, head: head + 1, first_token: shown.start + 1, tokens: tokens(), attention: rowsOf() }),
    svg, png: () => new Promise((done) => picture().toBlob(done, "image/png")),
  });

  // --- The box ----------------------------------------------------------------------------------------------------

  lab.startText(box, props.example);
  find(".lab-look-form").addEventListener("submit", (event) => { event.preventDefault(); lab.shareText(box.value); look({ text: box.value }); });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); find(".lab-look-form").requestSubmit(); }
  });
  const redraw = () => { if (shown) { if (map) map.image = null; buildMosaic(); showRoles(); checkRadios(); shade(); } };
  new MutationObserver(redraw).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  new MutationObserver(redraw).observe(document.documentElement, { attributes: true, attributeFilter: ["lang"] });
  lab.translate(element);
};

// The second component only carries one head's numbers to the first.
lab.attentionHead = (element, props, watch) => watch("value", () => lab.showAttentionHead?.(props.value));
