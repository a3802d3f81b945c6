// The Responsibility tab: prompts that differ in one word, side by side, and whether the model is as right as it is sure.
// Sends 'compare_groups', 'calibrate' and 'enough'.
lab.responsibility = (element, trigger, props, watch) => {
  lab.needsWeights(element);
  const find = (selector) => element.querySelector(selector);
  const [fair, sure] = element.querySelectorAll("form");
  const parts = { compare_groups: fair, calibrate: sure };
  const PROGRESS = { compare_groups: "responsibility.progress_compare", calibrate: "responsibility.progress_calibrate" };
  const choice = find(".lab-fair-probe"), names = [...element.querySelectorAll(".lab-fair-name")], groups = [...element.querySelectorAll(".lab-fair-words")];
  const sentences = find(".lab-fair-sentences"), ends = find(".lab-fair-ends"), way = find(".lab-sure-way"), read = find(".lab-sure-text");
  let found = null, judged = null, asked = {}, requests = 0;

  const { visible } = lab;
  const percent = (share) => `${(share * 100).toLocaleString(lab.language, { maximumFractionDigits: share < 0.1 && share > 0 ? 1 : 0 })}\u00a0%`;
  const hundredths = (value, signDisplay = "exceptZero") => {
    const digits = Math.abs(value) < 0.0995 ? 1 : 0;
    return (value * 100).toLocaleString(lab.language, { minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay });
  };
  const points = (value) => lab.word("responsibility.points", { value: hundredths(value) });
  const decimals = (value) => value.toLocaleString(lab.language, { minimumFractionDigits: 3, maximumFractionDigits: 3 });
  const complain = (event, key, values) => lab.say(parts[event].parentElement.querySelector(".lab-problem"), key, values);
  const busy = (event, on) => {
    parts[event].querySelector(".lab-send").disabled = on;
    parts[event].querySelector(".lab-why-progress").hidden = !on;
  };
  const measure = (event, sent) => {
    complain(event, null);
    busy(event, true);
    parts[event].querySelector("progress").removeAttribute("value");
    lab.say(parts[event].querySelector(".lab-why-progress span"), "responsibility.waiting");
    asked[event] = `${++requests}`;
    trigger(event, { ...sent, request: asked[event] });
  };
  const items = (text) => text.split(/[,\n]/).map((item) => item.trim()).filter(Boolean);

  watch("value", () => {
    const answer = props.value, to = Object.keys(asked).find((event) => asked[event] === answer?.request);
    if (!to) return;
    const form = parts[to];
    if (answer.state === "running") {
      form.querySelector("progress").value = answer.done / answer.total;
      return lab.say(form.querySelector(".lab-why-progress span"), PROGRESS[to], { done: answer.done, total: answer.total });
    }
    busy(to, false);
    if (answer.problem) return complain(to, answer.problem.key, answer.problem.values);
    if (answer.state !== "done") return;
    if (to === "compare_groups") { found = answer; showFound(); } else { judged = answer; showJudged(); }
  });

  // --- Pairs --------------------------------------------------------------------------------------------------------

  const wordMeans = () => found.groups.map((_, side) => {  // each word's shares, averaged over the sentences
    const sums = new Map();
    for (const [, group, word, , shares] of found.values) {
      if (group === side) sums.set(word, shares.map((share, at) => share + (sums.get(word)?.[at] ?? 0)));
    }
    return [...sums].map(([word, total]) => [word, total.map((share) => share / found.sentences.length)]);
  });
  const sentence = ({ value, low, high, clear, chance }, number) => {
    const end = found.continuations[number], turned = value < 0;  // told of the group for which it is likelier
    const [group, rest] = turned ? found.groups.toReversed() : found.groups, [from, to] = turned ? [-high, -low] : [low, high];
    const range = low === null ? lab.word("responsibility.no_range") : lab.word("responsibility.range", { low: hundredths(from), high: hundredths(to) });
    const luck = chance === null ? "" : ` ${lab.word("responsibility.chance", { chance: decimals(chance) })}`;
    const size = lab.word("responsibility.points", { value: hundredths(Math.abs(value), "never") });
    return lab.word(clear ? "responsibility.difference" : "responsibility.no_difference", { end, group, rest, value: size, range }) + luck;
  };
  const cautious = () => found.covered < 0.05;
  const caution = () => lab.word("responsibility.caution", { share: (found.covered * 100).toLocaleString(lab.language, { maximumSignificantDigits: 2 }) });
  const showFound = () => {
    find(".lab-fair-found").hidden = false;
    find(".lab-fair-value").textContent = "";
    const words = wordMeans();
    lab.drawPairs(find(".lab-fair-picture"), { ...found, words }, { percent, points, tell: (text) => { find(".lab-fair-value").textContent = text; } });
    find(".lab-fair-caution").hidden = !cautious();
    find(".lab-fair-caution").textContent = cautious() ? caution() : "";
    find(".lab-fair-said").replaceChildren(...found.differences.map((one, number) => lab.make("li", {}, sentence(one, number))));
    const table = find(".lab-fair-found table");
    table.querySelector("thead").replaceChildren(lab.make("tr", {}, ...["", "", ...found.continuations].map((text) => lab.make("th", { scope: "col" }, text))));
    table.querySelector("tbody").replaceChildren(...words.flatMap((group, side) => group.map(([word, shares]) => lab.make("tr", {}, lab.make("td", {}, found.groups[side]), lab.make("th", { scope: "row" }, word), ...shares.map((share) => lab.make("td", {}, percent(share)))))));
  };
  lab.takeAway(find(".lab-fair-found .lab-look-out"), {
    name: () => "pairs",
    report: () => ({
      title: lab.word("responsibility.found"),
      facts: [...found.sentences.map(([question, opening]) => [question, opening].filter(Boolean).join(" | ")), ...(cautious() ? [caution()] : []), ...found.differences.map(sentence), lab.word("responsibility.legend")],
      head: ["", ...found.groups, lab.word("responsibility.axis_difference")],
      rows: found.continuations.map((end, number) => [end, ...found.groups.map((_, side) => percent(found.means[side][number][0])), { text: points(found.differences[number].value), share: found.differences[number].value }]),
    }),
    csv: () => [["question", "beginning", "group", "word", "continuation", "probability", "share"], ...found.values.flatMap(([at, side, word, raw, shares]) => found.continuations.map((end, number) => [...found.sentences[at], found.groups[side], word, end, raw[number], shares[number]]))],
    json: () => { const { request, state, ...rest } = found; return rest; },
    picture: () => lab.pictureOf(find(".lab-fair-picture svg")),
  });

  // --- Calibration --------------------------------------------------------------------------------------------------

  const share = ({ value, low, high }) => lab.word("responsibility.share", { value: percent(value), low: percent(low), high: percent(high) });
  const judgedFacts = () => {
    const { count, confidence, right, error, brier } = judged.reliability;
    const facts = [
      lab.word("responsibility.sure_right", { count, sure: percent(confidence), right: share(right) }),
      lab.word("responsibility.error", { error: decimals(error), brier: decimals(brier) }),
    ];
    if (judged.invented) facts.push(lab.word("responsibility.invented", { share: share(judged.invented) }), lab.word("responsibility.withheld", { share: share(judged.withheld) }));
    return facts;
  };
  const showJudged = () => {
    find(".lab-sure-found").hidden = false;
    lab.say(find(".lab-sure-legend"), judged.invented ? "responsibility.legend_questions" : "responsibility.legend_text");
    lab.drawReliability(find(".lab-sure-picture"), judged.reliability.bins, { percent, tell: (text) => { find(".lab-sure-said").lastChild.textContent = text; } });
    find(".lab-sure-said").replaceChildren(...judgedFacts().map((fact) => lab.make("li", {}, fact)), lab.make("li", { class: "lab-sure-bin" }));
    const mistakes = judged.surest_mistakes ?? [];
    find(".lab-sure-mistakes").hidden = !mistakes.length;
    const table = find(".lab-sure-mistakes table");
    table.querySelector("thead").replaceChildren(lab.make("tr", {}, ...["said", "right_answer", "sure"].map((name) => lab.make("th", { scope: "col" }, lab.word(`responsibility.column_${name}`)))));
    table.querySelector("tbody").replaceChildren(...mistakes.map(([said, expected, confidence]) => lab.make("tr", {}, ...[visible(said), expected, percent(confidence)].map((text) => lab.make("td", {}, text)))));
  };
  const bins = () => judged.reliability.bins.filter(({ count }) => count);
  lab.takeAway(find(".lab-sure-found .lab-look-out"), {
    name: () => "calibration",
    report: () => ({
      title: lab.word("responsibility.calibration"), facts: [...judgedFacts(), find(".lab-sure-legend").textContent],
      head: [lab.word("responsibility.axis_sure"), lab.word("responsibility.axis_right"), lab.word("responsibility.column_count")],
      rows: bins().map(({ count, confidence, right }) => [percent(confidence), share(right), count.toLocaleString(lab.language)]),
    }),
    csv: () => [["from", "to", "answers", "confidence", "right", "right_low", "right_high"], ...bins().map(({ low, high, count, confidence, right }) => [low, high, count, confidence, right.value, right.low, right.high])],
    json: () => { const { request, state, ...rest } = judged; return rest; },
    picture: () => lab.pictureOf(find(".lab-sure-picture svg")),
  });

  // --- The forms ----------------------------------------------------------------------------------------------------

  const fill = () => {
    const probe = props.probes.find(({ key }) => key === choice.value);
    if (!probe) return;
    sentences.value = probe.sentences.join("\n");
    ends.value = probe.continuations.join(", ");
    probe.groups.forEach(([name, words], side) => { names[side].value = lab.word(`responsibility.group_${name}`); groups[side].value = words.join(", "); });
  };
  const kinds = [...new Set(props.probes.map(({ kind }) => kind))];
  choice.append(...kinds.map((kind) => {
    const group = lab.make("optgroup", { "data-label": `responsibility.kind_${kind}` }, ...props.probes.filter((probe) => probe.kind === kind).map(({ key }) => lab.make("option", { value: key, "data-word": `responsibility.probe_${key}` })));
    return group;
  }), lab.make("option", { value: "", "data-word": "responsibility.probe_own" }));
  const label = () => { for (const group of choice.querySelectorAll("optgroup")) group.label = lab.word(group.dataset.label); };
  choice.addEventListener("change", fill);
  for (const field of [sentences, ends, ...names, ...groups]) field.addEventListener("input", () => { choice.value = ""; });
  fair.addEventListener("submit", (event) => {
    event.preventDefault();
    measure("compare_groups", { sentences: sentences.value.split("\n"), continuations: items(ends.value), groups: names.map((name, side) => [name.value, items(groups[side].value)]) });
  });
  sure.addEventListener("submit", (event) => { event.preventDefault(); measure("calibrate", { text: way.value === "text" ? read.value : null }); });
  way.addEventListener("change", () => { read.hidden = way.value !== "text"; });
  for (const button of element.querySelectorAll(".lab-fair-cancel")) button.addEventListener("click", () => trigger("enough"));
  const redraw = () => { if (found) showFound(); if (judged) showJudged(); };
  new MutationObserver(redraw).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  new MutationObserver(() => { label(); if (choice.value) fill(); redraw(); }).observe(document.documentElement, { attributes: true, attributeFilter: ["lang"] });
  let width = element.clientWidth;
  new ResizeObserver(() => { if (element.clientWidth !== width) { width = element.clientWidth; redraw(); } }).observe(element);
  lab.translate(element);
  label();
  lab.withModel(({ tinytown }) => {
    const kind = tinytown ? "tinytown" : "english";
    way.value = tinytown ? "questions" : "text";
    read.hidden = Boolean(tinytown);
    choice.value = props.probes.find((probe) => probe.kind === kind).key;
    fill();
  });
};
