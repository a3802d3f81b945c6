// The Compare tab: models drawn to scale, their memory and highest speed on a device; every figure says what it is.
// Sends 'weigh' with what is chosen.
lab.compare = (element, trigger, props, watch) => {
  const find = (selector) => element.querySelector(selector);
  const chosen = { ...props.choices.first };
  let shown = props.value, requests = 0, asked = null;

  const number = (value, digits = 3) => value.toLocaleString(lab.language, { maximumSignificantDigits: digits });
  const bytes = (value) => {
    const [unit, size] = [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]].find(([, one]) => value >= one) ?? ["B", 1];
    return `${number(value / size)} ${unit}`;
  };
  const complain = (key, values) => {
    const line = find(".lab-problem");
    if (key) lab.say(line, key, values); else { delete line.dataset.word; line.textContent = ""; }
  };
  const COLUMNS = {
    parameters: (value) => value.toLocaleString(lab.language), weights: bytes, cache: bytes, total: bytes,
    fits: (value) => lab.word(value ? "compare.yes" : "compare.no"), speed: (value) => (value === null ? "–" : number(value)),
  };

  watch("value", () => {
    const news = props.value;
    if (!news || news.request !== asked) return;
    if (news.problem) return complain(news.problem.key, news.problem.values);
    shown = news;
    show();
  });
  const weigh = () => {
    complain(null);
    asked = `${++requests}`;
    trigger("weigh", { ...chosen, request: asked });
  };

  // --- The drawing: areas are bytes ---------------------------------------------------------------------------------

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

  // --- The figures --------------------------------------------------------------------------------------------------

  // Values are filled in as the language writes numbers; what a figure is stands in front, as a word.
  const explain = ({ kind, how, values, source }) => {
    const line = find(".lab-compare-how");
    line.replaceChildren(lab.make("b", { class: `lab-kind lab-kind-${kind}` }, lab.word(`compare.kind_${kind}`)), " ", lab.word(how, values));
    if (!source) return;
    line.append(" ", lab.make("a", { href: source.url, target: "_blank", rel: "noreferrer" }, source.title), `, ${source.locator}. ${source.note}`);
  };
  const cell = (shape, found) => {
    const button = lab.make("button", { type: "button", class: `lab-plain lab-figure lab-kind-${found.kind}`, title: lab.word(`compare.kind_${found.kind}`) }, shape(found.value));
    button.addEventListener("click", () => explain(found));
    return button;
  };
  const show = () => {
    find(".lab-compare-drawing").replaceChildren(drawing());
    lab.say(find(".lab-compare-context"), "compare.context", { count: chosen.context });
    lab.say(find(".lab-compare-batch"), "compare.batch", { count: chosen.batch });
    const head = ["model", ...Object.keys(COLUMNS)].map((name) => lab.make("th", { scope: "col" }, lab.word(`compare.column_${name}`)));
    find("thead").replaceChildren(lab.make("tr", {}, ...head));
    find("tbody").replaceChildren(...shown.models.map((model) => {
      const name = lab.make("th", { scope: "row" }, model.label);
      if (!model.whole_context) name.append(lab.make("small", {}, ` ${lab.word("compare.shorter", { count: model.context })}`));
      const row = lab.make("tr", {}, name, ...Object.entries(COLUMNS).map(([key, shape]) => lab.make("td", {}, cell(shape, model[key]))));
      row.classList.toggle("lab-compare-large", !model.fits.value);
      return row;
    }));
    find(".lab-compare-how").textContent = lab.word("compare.ask");
    find(".lab-compare-device").textContent = chosen.device;
    find(".lab-compare-facts").replaceChildren(...["memory", "bandwidth", "flops", "watts"].flatMap((part) => {
      const found = shown.device[part];
      const value = found ? cell((one) => (found.unit ? `${number(one, 5)} ${found.unit}` : bytes(one)), found) : lab.word("compare.unknown");
      return [lab.make("dt", {}, lab.word(`compare.part_${part}`)), lab.make("dd", {}, value)];
    }));
  };

  lab.takeAway(find(".lab-look-out"), {
    name: () => "sizes",
    report: () => ({
      title: lab.word("compare.heading"), facts: [`${lab.word(`compare.precision_${chosen.precision}`)}, ${chosen.device}`, lab.word("compare.context", { count: chosen.context }), lab.word("compare.batch", { count: chosen.batch }), lab.word("compare.all_computed")],
      head: ["model", ...Object.keys(COLUMNS)].map((name) => lab.word(`compare.column_${name}`)),
      rows: shown.models.map((model) => [model.label, ...Object.entries(COLUMNS).map(([key, shape]) => shape(model[key].value))]),
    }),
    csv: () => [["model", ...Object.keys(COLUMNS)], ...shown.models.map((model) => [model.label, ...Object.keys(COLUMNS).map((key) => (typeof model[key].value === "boolean" ? Number(model[key].value) : model[key].value ?? ""))])],
    json: () => ({ ...chosen, ...shown }),
    svg: () => {
      const picture = drawing(), look = getComputedStyle(document.body);
      for (const [selector, fill] of [[".lab-compare-fits rect", "--wash"], [".lab-compare-large rect", "--mine"], [".lab-compare-fits .lab-compare-weights", "--accent"], [".lab-compare-large .lab-compare-weights", "--doubt-colour"]]) {
        for (const node of picture.querySelectorAll(selector)) node.setAttribute("fill", look.getPropertyValue(fill));
      }
      for (const node of picture.querySelectorAll(".lab-compare-machine rect")) { node.setAttribute("fill", "none"); node.setAttribute("stroke", look.getPropertyValue("--ink")); }
      picture.setAttribute("xmlns", "http://www.w3.org/2000/svg");
      picture.setAttribute("font-family", "system-ui, sans-serif");
      picture.setAttribute("font-size", 13);
      return new XMLSerializer().serializeToString(picture);
    },
  });

  // --- The choices --------------------------------------------------------------------------------------------------

  const fill = () => {
    for (const field of element.querySelectorAll("[data-choice]")) {
      const { choice } = field.dataset;
      if (choice === "precision") field.replaceChildren(...props.choices.precisions.map((name) => lab.make("option", { value: name }, lab.word(`compare.precision_${name}`))));
      if (choice === "device") field.replaceChildren(...props.choices.devices.map((name) => lab.make("option", { value: name }, name)));
      if (choice === "context") field.max = props.choices.longest;
      if (choice === "batch") field.max = props.choices.most;
      field.value = chosen[choice];
    }
  };
  for (const field of element.querySelectorAll("[data-choice]")) {
    field.addEventListener("input", () => {
      chosen[field.dataset.choice] = field.type === "range" ? Number(field.value) : field.value;
      weigh();
    });
  }
  fill();
  lab.translate(element);
  show();
  new MutationObserver(() => { fill(); show(); }).observe(document.documentElement, { attributes: true, attributeFilter: ["lang"] });
};
