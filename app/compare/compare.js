// The Compare tab: sizes, what replies and trainings cost, what models can do, and every published figure behind it.
// Every number says what it is. Sends 'compare_models' with what is chosen; `compare-costs.js` and `compare-scores.js` draw the
// later parts.
lab.compare = (element, trigger, props, watch) => {
  const find = (selector) => element.querySelector(selector);
  const chosen = { ...props.choices.first };
  let shown = props.value, requests = 0, asked = null;

  const number = (value, digits = 3) => value.toLocaleString(lab.language, { maximumSignificantDigits: digits });
  const scaled = (units) => (value) => {
    const [unit, size] = units.find(([, one]) => Math.abs(value) >= one) ?? units.at(-1);
    return `${number(value / size)} ${unit}`;
  };
  const bytes = scaled([["GB", 1e9], ["MB", 1e6], ["kB", 1e3], ["B", 1]]);
  const wattHours = (joules) => {
    const [size, unit] = lab.energyUnit(joules);
    return `${number(joules / size)} ${unit}`;
  };
  const grams = scaled([["t", 1e6], ["kg", 1e3], ["g", 1], ["mg", 1e-3]]);
  const label = (key) => shown.models.find((model) => model.key === key).label;

  const complain = (key, values) => lab.say(find(".lab-problem"), key, values);
  watch("value", () => {
    const update = props.value;
    if (!update || update.request !== asked) return;
    if (update.problem) return complain(update.problem.key, update.problem.values);
    shown = update;
    show();
  });
  const compareModels = () => {
    complain(null);
    asked = `${++requests}`;
    trigger("compare_models", { ...chosen, request: asked });
  };

  // --- Figures: what each is and where it comes from is said below its table -----------------------------------------

  const explain = (button, { kind, how, values, sources = [], methods = [], checked = null, low, high }, shape) => {
    const line = button.closest("section").querySelector(".lab-compare-how");
    line.replaceChildren(lab.make("b", { class: `lab-kind lab-kind-${kind}` }, lab.word(`compare.kind_${kind}`)), " ");
    if (low < high) line.append(lab.word("compare.between", { low: shape(low), high: shape(high) }), " ");
    line.append(lab.word(how, values));
    line.append(...methods.flatMap((name) => [" ", lab.word(name)]));
    if (checked !== null) line.append(" ", lab.word("compare.checked", { error: lab.percent(checked) }));
    for (const { title, url, locator, note } of sources) {
      line.append(" ", lab.make("a", { href: url, target: "_blank", rel: "noreferrer" }, title), `, ${[locator, note].filter(Boolean).join(". ")}`, ";");
    }
  };
  const cell = (shape, found) => {
    if (!found) return "–";
    const button = lab.make("button", { type: "button", class: `lab-plain lab-figure lab-kind-${found.kind}`, title: lab.word(`compare.kind_${found.kind}`) }, shape(found.value));
    button.addEventListener("click", () => explain(button, found, shape));
    return button;
  };
  const plain = (shape, found) => (found ? shape(found.value) : "–");
  // A table of figures: `columns` are [name, shape], `rows` are [heading, {name: figure}, class].
  const tabulate = (section, columns, rows) => {
    const head = ["model", ...columns.map(([name]) => name)].map((name) => lab.make("th", { scope: "col" }, lab.word(`compare.column_${name}`)));
    section.querySelector("thead").replaceChildren(lab.make("tr", {}, ...head));
    section.querySelector("tbody").replaceChildren(...rows.map(([heading, found, kind = ""]) => lab.make("tr", { class: kind },
      lab.make("th", { scope: "row" }, ...[heading].flat()), ...columns.map(([name, shape]) => lab.make("td", {}, cell(shape, found[name]))))));
    section.querySelector(".lab-compare-how").textContent = lab.word("compare.ask");
  };
  const take = (section, name, title, facts, columns, rows, shownPicture = null) => lab.takeAway(section.querySelector(".lab-look-out"), {
    name: () => name,
    report: () => ({
      title: lab.word(title), facts: facts(),
      head: ["model", ...columns.map(([column]) => column)].map((column) => lab.word(`compare.column_${column}`)),
      rows: rows().map(([heading, found]) => [[heading].flat()[0], ...columns.map(([column, shape]) => plain(shape, found[column]))]),
    }),
    csv: () => [
      ["model", ...columns.flatMap(([column]) => [column, `${column} kind`])],
      ...rows().map(([heading, found]) => [[heading].flat()[0], ...columns.flatMap(([column]) => [Number.isFinite(found[column]?.value) ? found[column].value : String(found[column]?.value ?? ""), found[column]?.kind ?? ""])]),
    ],
    json: () => ({ ...chosen, ...shown }),
    ...(shownPicture && { picture: () => lab.pictureOf(shownPicture()) }),
  });
  const tools = { number, wattHours, grams, label, cell, tabulate, take, chosen, choices: props.choices, shown: () => shown, find, explain };

  // --- Sizes: areas are bytes ---------------------------------------------------------------------------------------

  const SIZES = [
    ["parameters", (value) => value.toLocaleString(lab.language)], ["weights", bytes], ["cache", bytes], ["total", bytes],
    ["fits", (value) => lab.word(value ? "compare.yes" : "compare.no")], ["speed", (value) => (value === null ? "–" : number(value))],
  ];
  const sizes = () => shown.models.map((model) => {
    const small = model.whole_context ? [] : [lab.make("small", {}, ` ${lab.word("compare.shorter", { count: model.context })}`)];
    return [[model.label, ...small], model, model.fits.value ? "" : "lab-compare-large"];
  });
  const LABELS = 62, GAP = 14, WIDE = 1000;
  const drawing = () => {
    const memory = shown.device.memory.value * (shown.device.memory.unit?.startsWith("GB") ? 1e9 : 1);
    const things = [...shown.models.map(({ label, weights, total, fits }) => ({ label, total: total.value, weights: weights.value, fits: fits.value })), { label: chosen.device, total: memory, device: true }];
    const sides = things.map(({ total }) => Math.sqrt(total));
    const scale = (WIDE - GAP * (things.length + 1) - 150) / sides.reduce((sum, side) => sum + side, 0);
    const high = Math.max(...sides) * scale;
    const picture = lab.svg("svg", { viewBox: `0 0 ${WIDE} ${Math.ceil(high + LABELS)}`, role: "img", "aria-label": things.map(({ label, total }) => `${label}: ${bytes(total)}`).join("; ") });
    let left = GAP;
    things.forEach(({ label, total, weights, device, fits }, at) => {
      const side = sides[at] * scale, wide = Math.max(side, 108), middle = left + wide / 2;
      const group = lab.svg("g", { class: device ? "lab-compare-machine" : fits ? "lab-compare-fits" : "lab-compare-large" }, lab.svg("title", {}, `${label}: ${bytes(total)}`));
      group.append(lab.svg("rect", { x: middle - side / 2, y: high - side, width: Math.max(side, 1), height: Math.max(side, 1) }));
      if (!device) {  // the weights' share stands at the bottom, dark; the cache above it, light
        const tall = side * (weights / total);
        group.append(lab.svg("rect", { class: "lab-compare-weights", x: middle - side / 2, y: high - tall, width: Math.max(side, 1), height: Math.max(tall, 1) }));
      }
      const words = device ? label.split(", ").filter((word) => !/^\d+ GB$/.test(word)) : [label];  // its size stands below
      words.forEach((word, line) => group.append(lab.svg("text", { x: middle, y: high + 18 + line * 15, "text-anchor": "middle" }, word)));
      group.append(lab.svg("text", { x: middle, y: high + 18 + words.length * 15, "text-anchor": "middle", class: "lab-compare-size" }, bytes(total)));
      picture.append(group);
      left += wide + GAP;
    });
    picture.setAttribute("viewBox", `0 0 ${Math.ceil(left)} ${Math.ceil(high + LABELS)}`);
    return picture;
  };
  const sizeSection = find(".lab-compare-part-size");
  take(sizeSection, "sizes", "compare.heading", () => [
    `${lab.word(`compare.precision_${chosen.precision}`)}, ${chosen.device}`, lab.word("compare.count_context", { count: chosen.context }), lab.word("compare.count_batch", { count: chosen.batch }), lab.word("compare.all_computed"),
  ], SIZES, sizes, () => find(".lab-compare-drawing svg"));
  const showSizes = () => {
    find(".lab-compare-drawing").replaceChildren(drawing());
    tabulate(sizeSection, SIZES, sizes());
    find(".lab-compare-device").textContent = chosen.device;
    find(".lab-compare-facts").replaceChildren(...["memory", "bandwidth", "flops", "watts"].flatMap((part) => {
      const found = shown.device[part];
      const value = found ? cell((one) => (found.unit ? `${number(one, 5)} ${found.unit}` : bytes(one)), found) : lab.word("compare.unknown");
      return [lab.make("dt", {}, lab.word(`compare.part_${part}`)), lab.make("dd", {}, value)];
    }));
  };

  const showCosts = lab.compareCosts(tools), showScores = lab.compareScores(tools);
  const show = () => {
    for (const line of element.querySelectorAll("[data-counted]")) lab.say(line, `compare.count_${line.dataset.counted}`, { count: chosen[line.dataset.counted] });
    showSizes();
    showCosts();
    showScores();
  };

  // --- The choices --------------------------------------------------------------------------------------------------

  const REPLIES = [1000, 10_000, 100_000, 1_000_000, 10_000_000];
  const options = {  // [value, text]
    precision: () => props.choices.precisions.map((name) => [name, lab.word(`compare.precision_${name}`)]),
    device: () => props.choices.devices.map((name) => [name, name]),
    basis: () => [
      ...Object.entries(props.choices.bases).map(([key, { machine, date }]) => [key, lab.word("compare.basis_record", { machine, date })]),
      ["device", lab.word("compare.basis_device", { device: chosen.device })],
    ],
    country: () => props.choices.countries.map((name) => [name, name]),
    pue: () => [["none", lab.word("compare.pue_none")], ...Object.entries(props.choices.pues).map(([name, value]) => [name, `${name}: ${number(value)}`])],
    replies: () => REPLIES.map((count) => [count, count.toLocaleString(lab.language)]),
  };
  const fill = () => {
    for (const field of element.querySelectorAll("[data-choice]")) {
      const { choice } = field.dataset;
      if (field.type === "range") field.max = props.choices.limits[choice];
      else field.replaceChildren(...options[choice]().map(([value, text]) => lab.make("option", { value }, text)));
      field.value = chosen[choice];
    }
  };
  for (const field of element.querySelectorAll("[data-choice]")) {
    field.addEventListener("input", () => {
      const isCount = field.dataset.choice in props.choices.limits;
      chosen[field.dataset.choice] = isCount ? Number(field.value) : field.value;
      if (field.dataset.choice === "device") fill();
      compareModels();
    });
  }

  // --- Every published figure ---------------------------------------------------------------------------------------

  const factsPart = find(".lab-compare-part-facts"), search = factsPart.querySelector("input");
  const MOST_ROWS = 200;
  let facts = null;
  const showFacts = () => {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = facts.filter((one) => wanted.every((word) => one.text.includes(word)));
    lab.say(factsPart.querySelector(".lab-compare-found"), "compare.facts_found", { count: found.length, shown: Math.min(found.length, MOST_ROWS) });
    factsPart.querySelector("thead").replaceChildren(lab.make("tr", {}, ...["fact_subject", "fact_quantity", "fact_value", "fact_kind", "fact_source"].map((name) => lab.make("th", { scope: "col" }, lab.word(`compare.column_${name}`)))));
    let topic = null;
    factsPart.querySelector("tbody").replaceChildren(...found.slice(0, MOST_ROWS).flatMap((one) => {
      const value = one.value === null ? lab.word("compare.unknown") : typeof one.value === "number" ? number(one.value, 12) : String(one.value);
      const row = lab.make("tr", {}, lab.make("th", { scope: "row" }, one.subject), lab.make("td", {}, one.quantity), lab.make("td", {}, `${value} ${one.unit}`.trim()),
        lab.make("td", {}, lab.make("span", { class: `lab-kind lab-kind-${one.kind}` }, lab.word(`compare.kind_${one.kind}`))),
        lab.make("td", {}, lab.make("a", { href: one.source.url, target: "_blank", rel: "noreferrer" }, one.source.title), ` ${[one.source.locator, one.source.note].filter(Boolean).join(". ")}`));
      if (one.topic === topic) return [row];
      topic = one.topic;
      return [lab.make("tr", { class: "lab-compare-topic" }, lab.make("th", { colspan: 5, scope: "colgroup" }, topic)), row];
    }));
  };
  factsPart.querySelector("details").addEventListener("toggle", async ({ target }) => {
    if (!target.open || facts) return;
    try {
      facts = await (await fetch(new URL("facts.json", document.baseURI))).json();
      for (const one of facts) one.text = [one.topic, one.subject, one.quantity, one.value, one.source.title, one.source.note].join(" ").toLowerCase();
      showFacts();
    } catch { lab.say(factsPart.querySelector(".lab-compare-found"), "compare.facts_lost"); }
  });
  search.addEventListener("input", () => { if (facts) showFacts(); });

  fill();
  lab.translate(element);
  show();
  lab.withModel(({ first }) => { if (!first) compareModels(); });  // what came with the page is of the first model
  new MutationObserver(() => { fill(); show(); if (facts) showFacts(); }).observe(document.documentElement, { attributes: true, attributeFilter: ["lang"] });
  let wide = 0;  // pictures are drawn as wide as there is room
  new ResizeObserver(([{ contentRect }]) => {
    if (Math.abs(contentRect.width - wide) < 20) return;
    wide = contentRect.width;
    showCosts();
    showScores();
  }).observe(element);
};
