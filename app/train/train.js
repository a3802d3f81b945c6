// The Train tab: what is to be trained, on what, for how long; then the training as it goes, and what becomes of it.
// Speaks with /training.json, which answers with the whole state, so a page that is opened later sees the same.
lab.train = (element, props) => {
  const find = (selector) => element.querySelector(selector);
  const slider = find(".lab-train-size input"), minutes = find(".lab-train-minutes input"), text = find("#train-text");
  const A_SECOND = 1000, BUSY = ["preparing", "running", "paused", "finishing"];
  const most = Math.max(...props.sizes.flatMap((size) => [size.parts.embedding, size.parts.attention / size.layers + size.parts.feed_forward / size.layers]));
  let token = null;
  try { token = sessionStorage.getItem("lab-training"); } catch { /* then a reload makes it somebody else's */ }
  let seen = { state: "none" }, upload = null, timer = null, shownKept = null;

  const complain = (key, values) => lab.say(find(".lab-problem"), key, values);
  const size = () => props.sizes[slider.value];
  const corpus = () => find("input[name=lab-train-corpus]:checked").value;
  const digits = (value, places) => value.toLocaleString(lab.language, { maximumFractionDigits: places });
  const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

  const post = async (address, body, headers) => {
    const answer = await fetch(new URL(address, document.baseURI), { method: "POST", body, headers });
    const told = await answer.json().catch(() => ({ problem: { key: "problem.lost", values: {} } }));
    if (told.problem) throw told.problem;
    return told;
  };
  const failed = (problem) => complain(problem.key ?? "problem.lost", problem.values);
  const act = async (action, more = {}) => {
    complain(null);
    try {
      const told = await post("training.json", JSON.stringify({ action, token, ...more }), { "content-type": "application/json" });
      if (told.token) {
        token = told.token;
        try { sessionStorage.setItem("lab-training", token); } catch { /* see above */ }
      }
      seen = told;
      show();
    } catch (problem) { failed(problem); }
  };
  const sendFile = (name, content) => post("upload-text", content, { "content-type": "application/octet-stream", "x-file-name": encodeURIComponent(name), "x-page": token ?? "" });

  // --- The order ----------------------------------------------------------------------------------------------------

  const showOrder = () => {
    lab.say(find(".lab-train-size span"), "train.size", { count: size().parameters });
    lab.say(find(".lab-train-minutes span"), "train.minutes", { minutes: digits(Number(minutes.value), 2) });
    find(".lab-train-blocks").replaceChildren(lab.drawBlocks(size(), most));
    find(".lab-train-own").hidden = corpus() !== "own";
  };
  const start = async (event) => {
    event.preventDefault();
    complain(null);
    const button = find(".lab-train-form .lab-send");
    button.disabled = true;
    try {
      let name = null;
      if (corpus() === "own") name = (text.dataset.upload ? upload : await sendFile("text.txt", text.value)).id;
      await act("start", { size: size().name, corpus: corpus(), minutes: Number(minutes.value), upload: name });
    } catch (problem) { failed(problem); }
    show();
  };
  find(".lab-train-file input").addEventListener("change", async ({ target }) => {
    const [file] = target.files;
    if (!file) return;
    complain(null);
    lab.say(find(".lab-train-read"), "train.reading");
    try {
      upload = await sendFile(file.name, file);
      text.value = upload.text;
      text.dataset.upload = "yes";
      lab.say(find(".lab-train-read"), upload.characters > upload.text.length ? "train.read_long" : "train.read", { characters: upload.characters, name: file.name });
    } catch (problem) {
      lab.say(find(".lab-train-read"), null);
      failed(problem);
    }
    target.value = "";  // so that the same file can be chosen again
  });
  text.addEventListener("input", () => { delete text.dataset.upload; lab.say(find(".lab-train-read"), null); });

  // --- The training -------------------------------------------------------------------------------------------------

  const figure = (key, value) => lab.make("span", {}, `${lab.word(key)} `, lab.make("b", {}, value));
  const show = () => {
    const { state, mine } = seen, busy = BUSY.includes(state), may = mine || !busy;
    find(".lab-train-form .lab-send").disabled = busy;
    find(".lab-train-live").hidden = state === "none";
    lab.say(find(".lab-train-state"), `train.state_${state}`, { minutes: digits(seen.minutes ?? 0, 2), trouble: seen.trouble, left: seen.seconds_left == null ? "…" : clock(seen.seconds_left) });
    if (state === "none") return;
    const bar = find(".lab-train-live progress");
    if (state === "preparing" || state === "finishing") bar.removeAttribute("value"); else bar.value = seen.steps ? seen.step / seen.steps : 0;
    find("[data-act=pause]").hidden = !(may && state === "running");
    find("[data-act=go]").hidden = !(may && state === "paused");
    find("[data-act=stop]").hidden = !(may && (state === "running" || state === "paused"));
    find("[data-act=more]").hidden = busy || seen.step === 0;
    find(".lab-train-keep").hidden = state !== "ended" || seen.kept !== null;
    find(".lab-train-kept").hidden = seen.kept === null;
    if (seen.kept !== shownKept) {
      shownKept = seen.kept;
      if (seen.kept !== null) {
        lab.say(find(".lab-train-kept span"), "train.kept", { name: seen.kept });
        find(".lab-train-zip").setAttribute("href", new URL(`models/${encodeURIComponent(seen.kept)}.zip`, document.baseURI));
        lab.refreshModels?.();
      }
    }
    showFigures();
    const curve = find(".lab-train-curve");
    curve.replaceChildren(...(seen.curve.length > 1 ? [lab.drawLoss(seen.curve, seen.steps, 0)] : []));
    showSamples();
  };
  const showFigures = () => {
    const parts = [];
    if (seen.parameters) parts.push(figure("train.weights", digits(seen.parameters, 0)));
    if (seen.step) parts.push(figure("train.step", lab.word("train.of", { done: seen.step, all: seen.steps })));
    if (seen.curve.length) parts.push(figure("train.loss", digits(seen.curve.at(-1)[1], 3)));
    if (seen.tokens) parts.push(figure("train.tokens", digits(seen.tokens, 0)));
    if (seen.tokens && seen.epoch_tokens) parts.push(figure("train.epochs", digits(seen.tokens / seen.epoch_tokens, 1)));
    if (seen.speed) parts.push(figure("train.speed", digits(seen.speed, 0)));
    if (seen.mfu != null) parts.push(figure("train.mfu", lab.percent(seen.mfu)));
    if (seen.joules) parts.push(figure("train.energy", lab.word("train.wh", { middle: lab.fourDigits(Number((seen.joules[0] / 3600).toPrecision(2))), low: lab.fourDigits(Number((seen.joules[1] / 3600).toPrecision(2))), high: lab.fourDigits(Number((seen.joules[2] / 3600).toPrecision(2))) })));
    if (seen.memory) parts.push(figure("train.memory", `${digits(seen.memory / 2 ** 30, 1)} GiB`));
    for (const [name, value] of Object.entries(seen.figures)) parts.push(figure(`train.figure_${name}`, ["loss", "perplexity"].includes(name) ? digits(value, 3) : lab.percent(value)));
    find(".lab-train-figures").replaceChildren(...parts);
    lab.say(find(".lab-train-how"), seen.machine ? "train.how" : null, { machine: seen.machine, energy: seen.joules_how });
  };
  const showSamples = () => {
    const list = find(".lab-train-samples"), { samples } = seen;
    lab.say(find(".lab-train-prompt"), samples.length ? "train.prompt" : "train.no_sample", { prompt: samples[0]?.prompt });
    const key = `${samples.length}/${samples.at(-1)?.step}/${lab.language}`;
    if (list.dataset.key === key) return;  // so that what is being read, or marked, stays
    list.dataset.key = key;
    list.replaceChildren(...samples.toReversed().map(({ step, text }) => {
      const item = lab.make("li", {}, lab.make("small", {}, lab.word("train.sample_step", { step })));
      item.append(text.trim() || "…");
      return item;
    }));
  };
  const report = () => ({
    title: lab.word("train.title"),
    facts: [find(".lab-train-state").textContent, find(".lab-train-figures").innerText, lab.word("train.prompt", { prompt: seen.samples[0]?.prompt ?? "" })],
    head: [lab.word("train.step"), lab.word("train.samples")],
    rows: seen.samples.map(({ step, text }) => [step, text.trim()]),
  });

  // --- Looking on ---------------------------------------------------------------------------------------------------

  const watch = async () => {  // once a second while the tab is seen; nobody asks for a page in the background
    clearTimeout(timer);
    const visible = element.offsetParent !== null && document.visibilityState === "visible";
    if (visible && BUSY.includes(seen.state)) await look();
    timer = setTimeout(watch, A_SECOND);
  };
  const look = async () => {
    try {
      seen = await post("training.json", JSON.stringify({ action: "see", token }), { "content-type": "application/json" });
      show();
    } catch (problem) { failed(problem); }
  };
  new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting)) look(); }).observe(element);

  slider.max = props.sizes.length - 1;
  slider.value = props.sizes.findIndex(({ name }) => name === props.first.size);
  [minutes.min, minutes.max, minutes.step] = props.minutes;
  minutes.value = props.first.minutes;
  find(".lab-train-form").addEventListener("input", showOrder);
  find(".lab-train-form").addEventListener("submit", start);
  for (const button of element.querySelectorAll("[data-act]")) {
    button.addEventListener("click", () => act(button.dataset.act, { minutes: Number(minutes.value) }));
  }
  find(".lab-train-keep").addEventListener("submit", (event) => {
    event.preventDefault();
    act("keep", { name: find("#train-name").value });
  });
  find(".lab-train-try").addEventListener("click", () => lab.chooseModel(seen.kept));
  find(".lab-train-open input").addEventListener("change", async ({ target }) => {
    const [file] = target.files;
    if (!file) return;
    complain(null);
    lab.say(find(".lab-train-opened"), "train.opening");
    try {
      const { name } = await post("open-model", file, { "content-type": "application/octet-stream", "x-page": token ?? "", "x-file-name": encodeURIComponent(file.name) });
      lab.say(find(".lab-train-opened"), "train.opened", { name });
      lab.refreshModels?.();
    } catch (problem) {
      lab.say(find(".lab-train-opened"), null);
      failed(problem);
    }
    target.value = "";
  });
  lab.takeAway(find(".lab-train-out"), {
    name: () => "training", report,
    csv: () => [["step", "loss"], ...seen.curve],
    json: () => seen,
    picture: () => find(".lab-train-curve svg"),
  });
  new MutationObserver(() => { showOrder(); show(); }).observe(document.documentElement, { attributes: true, attributeFilter: ["lang"] });
  lab.translate(element);
  showOrder();
  show();
  watch();
};
