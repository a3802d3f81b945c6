// The Attribution tab: an answer, what each word of the prompt adds to it, and the test of that.
// Sends 'read', 'explain', 'compare', 'cancel' and 'test'; all answers come back through `props.value`.
lab.attribution = (element, trigger, props, watch) => {
  lab.needsWeights(element);
  const find = (selector) => element.querySelector(selector);
  const box = find("textarea"), answer = find(".lab-why-answer"), words = find(".lab-why-words");
  const method = find(".lab-why-method"), unit = find(".lab-why-unit"), instead = find(".lab-why-instead");
  let text = null;    // what was read: tokens, answer_start, others
  let found = null;   // the explanation: units, scores, score, blank, gap, seconds
  let curves = null;
  let target = null;  // [start, end) of the answer's tokens that are explained
  let requests = 0, asked = {};

  const { percent, visible } = lab;
  const number = (value) => value.toLocaleString(lab.language, { maximumFractionDigits: 2, minimumFractionDigits: 2, signDisplay: "exceptZero" });
  const key = (name) => name.replaceAll(" ", "_");
  const complain = (key, values) => lab.say(find(".lab-problem"), key, values);
  const send = (event, sent = {}) => {
    complain(null);
    asked[event] = `${++requests}`;
    trigger(event, { ...sent, request: asked[event] });
  };

  // --- Reading and asking -----------------------------------------------------------------------------------------

  const read = () => {
    find(".lab-send").disabled = true;
    stopWaiting();
    send("read", { text: box.value });
  };
  const explain = () => {
    if (!text) return;
    found = curves = null;
    for (const part of ["found", "test", "compare"]) find(`.lab-why-${part}`).hidden = true;
    find(".lab-why-agreed").hidden = true;
    const whole = target[1] - target[0] > 1;
    const other = !whole && instead.value !== "" ? Number(instead.value) : null;
    lab.say(find(".lab-why-method-why"), `attribution.method_${key(method.value)}_why`);
    if (!find(".lab-why-progress").hidden) trigger("cancel");  // what was asked for before is no longer wanted
    find(".lab-why-progress").hidden = false;
    find("progress").removeAttribute("value");
    find(".lab-why-progress span").textContent = "";
    send("explain", { method: method.value, unit: unit.value, start: target[0], end: target[1], instead: other });
    showTrust();
  };
  const stopWaiting = () => { find(".lab-why-progress").hidden = true; };

  watch("value", () => {
    const update = props.value, to = Object.keys(asked).find((event) => asked[event] === update?.request);
    if (!to) return;
    if (to === "read") find(".lab-send").disabled = false;
    if (update.problem) { stopWaiting(); return complain(update.problem.key, update.problem.values); }
    if (to === "read") {
      text = update;
      target = [text.answer_start, text.tokens.length];
      find(".lab-why-result").hidden = false;
      lab.sayGoesOn(element, update.goes_on);
      showAnswer();
      return explain();
    }
    if (to === "test") { curves = update; return showCurves(); }
    if (to === "compare") return showComparison(update);
    if (update.state === "running") {
      find("progress").value = update.total ? update.done / update.total : 0;
      return lab.say(find(".lab-why-progress span"), "attribution.progress", { done: update.done, total: update.total, seconds: Math.ceil(update.seconds_left) });
    }
    stopWaiting();
    if (update.state === "done") { found = update; showFound(); send("test"); }
  });

  // --- The answer: which of its tokens is explained ---------------------------------------------------------------

  const showAnswer = () => {
    const whole = target[1] - target[0] > 1 || text.tokens.length - text.answer_start === 1;
    answer.replaceChildren(...text.tokens.slice(text.answer_start).map((piece, index) => {
      const place = text.answer_start + index;
      const token = lab.make("span", { class: "lab-look-token", role: "button", "data-place": place, tabindex: 0, "aria-pressed": place >= target[0] && place < target[1] }, visible(piece));
      token.classList.toggle("lab-why-target", place >= target[0] && place < target[1]);
      return token;
    }));
    const all = lab.make("button", { type: "button", class: "lab-plain lab-why-all", "data-word": "attribution.whole" });
    all.addEventListener("click", () => aim(text.answer_start, text.tokens.length));
    answer.append(" ", all);
    find(".lab-why-rather").hidden = whole;
    if (!whole) {
      const others = text.others[target[0] - text.answer_start];
      instead.replaceChildren(lab.make("option", { value: "", "data-word": "attribution.nothing" }),
        ...others.map(([id, piece, probability]) => lab.make("option", { value: id }, `“${visible(piece).trim()}” (${percent(probability)})`)));
    }
    lab.translate(answer);
    lab.translate(find(".lab-why-rather"));
  };
  const aim = (start, end) => { target = [start, end]; showAnswer(); explain(); };
  const pick = (event) => {
    const token = event.target.closest("[data-place]");
    if (token) aim(Number(token.dataset.place), Number(token.dataset.place) + 1);
    return token;
  };
  answer.addEventListener("click", pick);
  answer.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    const place = event.target.dataset?.place;
    if (pick(event)) { event.preventDefault(); answer.querySelector(`[data-place="${place}"]`)?.focus(); }
  });

  // --- What was found ---------------------------------------------------------------------------------------------

  const unitText = (places) => places.map((place) => visible(text.tokens[place])).join("");
  const showFound = () => {
    const most = Math.max(...found.scores.map(Math.abs), 1e-9);
    const pushes = lab.twoColours();  // for and against: teal and orange
    words.replaceChildren(...found.units.map((places, index) => {
      const share = found.scores[index] / most;
      const word = lab.make("span", { class: "lab-why-word", tabindex: 0, title: number(found.scores[index]), "aria-label": `${unitText(places)}: ${number(found.scores[index])}` }, unitText(places));
      word.style.background = `rgb(${pushes[share < 0 ? 1 : 0]} / ${(Math.abs(share) * 0.75).toFixed(3)})`;
      word.style.borderBottom = share < -0.1 ? `2px dashed rgb(${pushes[1]})` : share > 0.1 ? `2px solid rgb(${pushes[0]})` : "2px solid transparent";
      return word;
    }));
    const piece = text.tokens.slice(target[0], target[1]).join("").trim();
    lab.say(find(".lab-why-heading"), "attribution.found", { answer: `“${visible(piece)}”` });
    const facts = [lab.word("attribution.scores", { score: number(found.score), blank: number(found.blank) })];
    if (found.gap !== null) facts.push(lab.word("attribution.gap", { gap: `${(found.gap * 100).toLocaleString(lab.language, { maximumFractionDigits: 2 })} %` }));
    facts.push(lab.word("attribution.seconds", { seconds: found.seconds }));
    const line = find(".lab-why-facts");
    line.textContent = facts.join(" ");
    find(".lab-why-found").hidden = false;
    showTable();
  };
  const showTable = () => {
    const table = find(".lab-look-table");
    table.querySelector("thead").replaceChildren(lab.make("tr", {}, lab.make("th", { scope: "col" }, lab.word("attribution.column_word")), lab.make("th", { scope: "col" }, lab.word("attribution.column_score"))));
    const rows = found.units.map((places, index) => [found.scores[index], unitText(places)]).sort((one, other) => other[0] - one[0]);
    table.querySelector("tbody").replaceChildren(...rows.map(([score, word]) => lab.make("tr", {}, lab.make("td", {}, word), lab.make("td", {}, number(score)))));
  };

  // --- The test: blank out the top words, or as many at random -----------------------------------------------------

  const draw = (tag, attributes, content = "") => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.textContent = content;
    return node;
  };
  const showCurves = () => {
    for (const place of element.querySelectorAll(".lab-why-curves")) showCurve(place, curves[place.dataset.curve], place.dataset.curve);
    find(".lab-why-test").hidden = find(".lab-why-compare").hidden = false;
  };
  const showCurve = (place, { top, random }, kind) => {
    const wide = 420, high = 170, left = 44, bottom = 26, right = wide - 8;
    const x = (share) => left + share * (right - left), y = (share) => 8 + (1 - Math.min(1, share)) * (high - bottom - 8);
    const line = (values) => values.map((share, index) => `${x(index / (values.length - 1)).toFixed(1)},${y(share).toFixed(1)}`).join(" ");
    const shares = { top: percent(mean(top)), random: percent(mean(random)) };
    const picture = draw("svg", { viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": lab.word(`attribution.curves_${kind}`, shares) });
    for (const share of [0, 0.5, 1]) {
      picture.append(draw("line", { x1: left, x2: right, y1: y(share), y2: y(share), class: "lab-why-grid" }), draw("text", { x: left - 6, y: y(share) + 4, "text-anchor": "end" }, percent(share)));
      picture.append(draw("text", { x: x(share), y: high - 6, "text-anchor": ["start", "middle", "end"][share * 2] }, percent(share)));
    }
    picture.append(draw("polyline", { points: line(random), class: "lab-why-curve lab-why-chance" }), draw("polyline", { points: line(top), class: "lab-why-curve" }));
    place.replaceChildren(picture, lab.make("p", { class: "lab-why-legend" },
      lab.make("span", { class: "lab-why-key" }), lab.word("attribution.curve_top", { share: shares.top }), lab.make("br"),
      lab.make("span", { class: "lab-why-key lab-why-chance" }), lab.word("attribution.curve_random", { share: shares.random })));
  };
  const mean = (values) => values.reduce((sum, value) => sum + Math.min(1, value), 0) / values.length;

  const showTrust = () => lab.withModel(({ trust }) => {
    find(".lab-why-trust").hidden = !trust;
    if (!trust) return;
    lab.say(find(".lab-why-trust-why"), "attribution.trust_why", { questions: trust.questions, chance: percent(trust.chance), machine: trust.machine });
    const table = find(".lab-why-trusted");
    table.querySelector("thead").replaceChildren(lab.make("tr", {}, ...["method", "pointing", "deletion", "time"].map((name) => lab.make("th", { scope: "col" }, lab.word(`attribution.column_${name}`)))));
    table.querySelector("tbody").replaceChildren(...Object.entries(trust.methods).map(([name, { pointing, deletion_auc, seconds }]) => {
      const row = lab.make("tr", {}, lab.make("th", { scope: "row" }, lab.word(`attribution.method_${key(name)}`)), lab.make("td", {}, percent(pointing)), lab.make("td", {}, percent(deletion_auc)), lab.make("td", {}, seconds.toLocaleString(lab.language, { maximumFractionDigits: 2 })));
      row.classList.toggle("lab-why-current", name === method.value);
      return row;
    }));
  });

  const showComparison = (update) => {
    const button = find(".lab-why-all-methods");
    button.disabled = update.state === "running";
    if (update.state === "running") return lab.say(button, "attribution.comparing", { done: update.done, total: update.total });
    lab.say(button, "attribution.compare");
    if (update.state !== "done") return;
    const table = find(".lab-why-agreed");
    table.hidden = false;
    table.querySelector("thead").replaceChildren(lab.make("tr", {}, ...["method", "top", "alike", "time"].map((name) => lab.make("th", { scope: "col" }, lab.word(`attribution.column_${name}`)))));
    table.querySelector("tbody").replaceChildren(...update.rows.map(({ method: name, top, alike, seconds }) => {
      const row = lab.make("tr", {}, lab.make("th", { scope: "row" }, lab.word(`attribution.method_${key(name)}`)), lab.make("td", {}, top.map((index) => unitText(found.units[index]).trim()).join(", ")), lab.make("td", {}, number(alike)), lab.make("td", {}, seconds.toLocaleString(lab.language, { maximumFractionDigits: 2 })));
      row.classList.toggle("lab-why-current", name === update.method);
      return row;
    }));
  };
  find(".lab-why-all-methods").addEventListener("click", () => send("compare"));

  // --- Taking it away ---------------------------------------------------------------------------------------------

  const rows = () => found.units.map((places, index) => [unitText(places), found.scores[index]]);
  lab.takeAway(find(".lab-why-found .lab-look-out"), {
    name: () => "explanation",
    report: () => {
      const most = Math.max(...found.scores.map(Math.abs), 1e-9);
      return {
        title: find(".lab-why-heading").textContent, facts: [box.value, lab.word(`attribution.method_${key(found.method)}`), find(".lab-why-facts").textContent],
        head: [lab.word("attribution.column_word"), lab.word("attribution.column_score")],
        // Turned round: what speaks for the answer is teal in this tab, and below zero elsewhere.
        rows: rows().map(([word, score]) => [{ text: word, share: -score / most }, number(score)]),
      };
    },
    csv: () => [["word", "score"], ...rows()],
    json: () => ({ prompt: box.value, explained: text.tokens.slice(target[0], target[1]).join(""), method: found.method, score: found.score, blank_score: found.blank, gap: found.gap, units: rows() }),
  });

  // --- The controls -----------------------------------------------------------------------------------------------

  method.append(...props.methods.map((name) => lab.make("option", { value: name, "data-word": `attribution.method_${key(name)}` })));
  unit.append(...["word", "token", "sentence"].map((name) => lab.make("option", { value: name, "data-word": `attribution.unit_${name}` })));
  method.value = "ablation";
  for (const control of [method, unit, instead]) control.addEventListener("change", explain);
  find(".lab-why-cancel").addEventListener("click", () => trigger("cancel"));
  lab.startText(box, props.example);
  find(".lab-look-form").addEventListener("submit", (event) => { event.preventDefault(); lab.shareText(box.value); read(); });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); find(".lab-look-form").requestSubmit(); }
  });
  const redraw = () => { if (text) { showAnswer(); showTrust(); } if (found) showFound(); if (curves) showCurves(); };
  new MutationObserver(redraw).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  new MutationObserver(redraw).observe(document.documentElement, { attributes: true, attributeFilter: ["lang"] });
  lab.translate(element);
};
