// The Intervene tab: a button for each head, and the answer with some of them switched off.
// Sends 'begin', 'change_heads', 'worth', 'patch', 'few' and 'halt'.
lab.intervene = (element, trigger, props, watch) => {
  lab.needsWeights(element);
  const find = (selector) => element.querySelector(selector);
  const box = find("#act-text"), other = find("#act-other"), grid = find(".lab-act-grid");
  let shape = null;      // layers, heads, groups and the first answer
  let off = new Set();   // "layer,head" of the heads that are switched off
  let effects = null;
  let now = [];          // the answer as the heads stand, of (text, probability)
  let requests = 0;
  const asked = {};      // the number of the last request of each kind

  const { percent, visible } = lab;
  const number = (value) => value.toLocaleString(lab.language, { maximumFractionDigits: 1, minimumFractionDigits: 1, signDisplay: "exceptZero" });
  const [question, patch] = element.querySelectorAll("form");
  const complain = (key, values) => lab.say(find(".lab-problem"), key, values);
  const ask = (event, sent = {}) => {
    complain(null);
    asked[event] = `${++requests}`;
    trigger(event, { ...sent, request: asked[event] });
  };
  const pairs = () => [...off].map((name) => name.split(",").map(Number));
  const busy = (on) => {
    find(".lab-act-cancel").hidden = !on;
    for (const name of ["worth", "few"]) find(`.lab-act-${name}`).disabled = on;
    patch.querySelector("button").disabled = on;
  };

  watch("value", () => {
    const answer = props.value, to = Object.keys(asked).find((event) => asked[event] === answer?.request);
    if (!to) return;
    if (to === "begin") find(".lab-send").disabled = false;
    if (answer.problem) { busy(false); return complain(answer.problem.key, answer.problem.values); }
    if (to === "begin") {
      shape = answer;
      off.clear();
      effects = null;
      lab.say(find(".lab-act-why"), null);
      find(".lab-act-result").hidden = false;
      lab.sayGoesOn(element, answer.goes_on);
      build();
      showAnswer(answer);
    }
    if (to === "change_heads") showAnswer(answer);
    if (to === "worth" || to === "patch") {
      if (answer.state === "running") return lab.say(find(".lab-act-why"), "intervene.measuring", { done: answer.done, total: answer.total, seconds: Math.ceil(answer.seconds_left) });
      busy(false);
      if (answer.state === "stopped") return lab.say(find(".lab-act-why"), "intervene.stopped");
      effects = answer.effects;
      lab.say(find(".lab-act-why"), to === "worth" ? "intervene.worth_why" : "intervene.patched_why");
      mark();
    }
    if (to === "few") {
      off = new Set(answer.off.map(String));
      loud.value = 0;  // the search switches heads off
      nameStrength();
      mark();
      const count = shape.layers * shape.heads - off.size;
      const said = { running: "intervene.searching", stopped: "intervene.search_stopped", done: "intervene.found" };
      lab.say(find(".lab-act-why"), said[answer.state], { count, tried: answer.tried, to_try: answer.to_try });
      if (answer.state !== "running") { busy(false); send(); }
    }
  });

  const line = (selector, tokens) => {
    find(selector).replaceChildren(...tokens.map(([text, share]) => {
      const token = lab.make("span", { class: "lab-act-token", title: percent(share) }, visible(text), lab.make("small", {}, percent(share)));
      token.style.setProperty("--share", share);
      return token;
    }));
  };
  const showAnswer = ({ now: tokens, before }) => {
    now = tokens;
    line(".lab-act-first", shape.now);
    line(".lab-act-now", now);
    line(".lab-act-before", before);
    lab.say(find(".lab-act-count"), strength() ? "intervene.now_at" : "intervene.now", { count: off.size, all: shape.layers * shape.heads, share: percent(strength()) });
    const same = now.map(([text]) => text).join("") === shape.now.map(([text]) => text).join("");
    lab.say(find(".lab-act-verdict"), same ? "intervene.same" : "intervene.other");
  };

  // --- The heads --------------------------------------------------------------------------------------------------

  const build = () => {
    const { layers, heads, groups } = shape;
    grid.style.setProperty("--heads", heads);
    const top = lab.make("div", { class: "lab-look-row lab-look-groups", "aria-hidden": "true" }, lab.make("span"));
    for (let group = 0; group < groups; group++) {
      const label = lab.make("span", { class: "lab-look-group" });
      label.style.gridColumn = `span ${heads / groups}`;
      lab.say(label, "attention.group", { group: group + 1 });
      top.append(label);
    }
    const rows = Array.from({ length: layers }, (_, layer) => lab.make("div", { class: "lab-look-row" }, lab.make("span", { class: "lab-look-layer" }, `${layer + 1}`),
      ...Array.from({ length: heads }, (_, head) => {
        const cell = lab.make("button", { type: "button", class: "lab-act-head", "data-layer": layer, "data-head": head, tabindex: layer === layers - 1 && head === 0 ? 0 : -1 });
        cell.classList.toggle("lab-look-last", (head + 1) % (heads / groups) === 0 && head + 1 < heads);
        return cell;
      })));
    grid.replaceChildren(top, ...rows.reverse());
    mark();
  };
  const mark = () => {
    const most = effects ? Math.max(...effects.flat().map(Math.abs), 1e-9) : 1;
    const colours = lab.twoColours();
    for (const cell of grid.querySelectorAll(".lab-act-head")) {
      const layer = Number(cell.dataset.layer), head = Number(cell.dataset.head), on = !off.has(`${layer},${head}`);
      const effect = effects?.[layer][head];
      cell.setAttribute("aria-pressed", on);
      cell.textContent = effect === undefined ? `${head + 1}` : number(effect);
      cell.setAttribute("aria-label", lab.word(on ? "intervene.on" : "intervene.off", { layer: layer + 1, head: head + 1 }) + (effect === undefined ? "" : `: ${number(effect)}`));
      cell.title = cell.getAttribute("aria-label");
      cell.style.backgroundColor = effect === undefined || !on ? "" : `rgb(${colours[effect < 0 ? 0 : 1]} / ${(Math.sqrt(Math.abs(effect) / most) * 0.7).toFixed(3)})`;
    }
  };
  const loud = find(".lab-act-strength input"), strength = () => Number(loud.value);
  const nameStrength = () => lab.say(find(".lab-act-strength span"), strength() ? "intervene.strength" : "intervene.strength_off", { share: percent(strength()) });
  const send = () => ask("change_heads", { off: pairs(), strength: strength() });
  const change = () => { mark(); send(); };
  loud.addEventListener("input", nameStrength);
  loud.addEventListener("change", send);
  grid.addEventListener("click", (event) => {
    const cell = event.target.closest("[data-layer]");
    if (!cell) return;
    const name = `${cell.dataset.layer},${cell.dataset.head}`;
    if (!off.delete(name)) off.add(name);
    change();
  });
  lab.gridKeys(grid, 1);
  find(".lab-act-worth").addEventListener("click", () => { busy(true); ask("worth"); });
  find(".lab-act-few").addEventListener("click", () => { busy(true); ask("few"); });
  find(".lab-act-cancel").addEventListener("click", () => trigger("halt"));
  find(".lab-act-on").addEventListener("click", () => { off.clear(); change(); });
  find(".lab-act-off").addEventListener("click", () => {
    off = new Set([...grid.querySelectorAll(".lab-act-head")].map((cell) => `${cell.dataset.layer},${cell.dataset.head}`));
    change();
  });

  const answerOf = (tokens) => tokens.map(([text]) => visible(text)).join("").trim();
  lab.takeAway(find(".lab-act-out"), {
    name: () => "heads",
    report: () => {
      const most = effects ? Math.max(...effects.flat().map(Math.abs), 1e-9) : 1;
      const cell = (layer, head) => {
        const effect = effects?.[layer][head] ?? 0, text = effects ? number(effect) : "";
        return off.has(`${layer},${head}`) ? `✕ ${text}` : { text: text || "●", share: effect / most };
      };
      return {
        title: lab.word("intervene.title"),
        facts: [box.value, `${lab.word("intervene.first")}: ${answerOf(shape.now)}`, `${find(".lab-act-count").textContent} (✕): ${answerOf(now)}`, find(".lab-act-why").textContent].filter(Boolean),
        head: ["", ...Array.from({ length: shape.heads }, (_, head) => lab.word("intervene.head", { head: head + 1 }))],
        rows: Array.from({ length: shape.layers }, (_, layer) => [lab.word("intervene.layer", { layer: layer + 1 }), ...Array.from({ length: shape.heads }, (_, head) => cell(layer, head))]).reverse(),
      };
    },
    csv: () => [["layer", "head", "strength", "effect"], ...Array.from({ length: shape.layers * shape.heads }, (_, at) => [Math.floor(at / shape.heads), at % shape.heads]).map(([layer, head]) => [layer + 1, head + 1, off.has(`${layer},${head}`) ? strength() : 1, effects?.[layer][head] ?? ""])],
    json: () => ({ prompt: box.value, first_answer: shape.now, answer: now, chosen: pairs(), strength: strength(), effects }),
  });

  // --- The boxes --------------------------------------------------------------------------------------------------

  nameStrength();
  lab.startText(box, props.example);
  if (!other.value) other.value = props.other;
  question.addEventListener("submit", (event) => { event.preventDefault(); lab.shareText(box.value); find(".lab-send").disabled = true; ask("begin", { text: box.value }); });
  patch.addEventListener("submit", (event) => { event.preventDefault(); busy(true); ask("patch", { other: other.value }); });
  for (const [field, form] of [[box, question], [other, patch]]) {
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); form.requestSubmit(); }
    });
  }
  const redraw = () => { if (shape) mark(); };
  new MutationObserver(redraw).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  new MutationObserver(redraw).observe(document.documentElement, { attributes: true, attributeFilter: ["lang"] });
  lab.translate(element);
};
