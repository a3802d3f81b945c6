// The chat: settings, the conversation with its clickable tokens, and the box to write in.
// Sends 'ask', 'redo', 'stop', 'clear', 'pick'; is told about one reply at a time through `props.value`.
lab.chat = (element, trigger, props, watch) => {
  const find = (selector) => element.querySelector(selector);
  const log = find(".lab-log"), turns = find(".lab-turns"), welcome = find(".lab-welcome"), box = find("textarea");
  const LONGEST_SILENCE = 45_000;  // ms without an update, after which the server is taken for lost
  let running = null;  // {request, article, text, redone, watchdog}: the reply being written
  let editing = false;
  let requests = 0;
  let clearing = null;   // the number of the 'clear' under way; a message sent meanwhile waits for it
  let waiting = null;

  // --- Settings -------------------------------------------------------------------------------------------------

  const controls = {};
  const buildSettings = () => {
    const form = find(".lab-knobs");
    for (const [name, { low, high, step, default: start }] of Object.entries(props.knobs)) {
      const output = lab.make("output", { for: `knob-${name}` });
      const range = lab.make("input", { type: "range", id: `knob-${name}`, min: low, max: high, step, "aria-describedby": `why-${name}` });
      const show = () => { output.textContent = Number(range.value).toLocaleString(lab.language); };
      range.addEventListener("input", show);
      controls[name] = { read: () => Number(range.value), reset: () => { range.value = start; show(); } };
      form.append(knob(name, range, output));
    }
    const seed = lab.make("input", {
      type: "number", id: "knob-seed", min: 0, max: props.largest_seed, step: 1, "data-placeholder": "chat.seed_random", "aria-describedby": "why-seed",
    });
    controls.seed = { read: () => (seed.value === "" ? null : Number(seed.value)), reset: () => { seed.value = ""; } };
    form.append(knob("seed", seed));
    const tint = lab.make("input", { type: "checkbox", id: "knob-tint", "aria-describedby": "why-tint" });
    tint.addEventListener("change", () => log.classList.toggle("lab-tinted", tint.checked));
    form.append(knob("tint", tint));
    const reset = lab.make("button", { type: "button", class: "lab-plain", "data-word": "chat.defaults" });
    const toDefaults = () => Object.values(controls).forEach((control) => control.reset());
    reset.addEventListener("click", toDefaults);
    form.append(reset);
    form.addEventListener("submit", (event) => event.preventDefault());
    toDefaults();
  };
  const knob = (name, input, ...more) => lab.make("div", { class: `lab-knob lab-knob-${name}` },
    lab.make("label", { for: `knob-${name}`, "data-word": `chat.${name}` }), ...more, input,
    lab.make("small", { id: `why-${name}`, "data-word": `chat.${name}_why` }));
  const settings = () => Object.fromEntries(Object.entries(controls).map(([name, control]) => [name, control.read()]));

  // --- Asking ---------------------------------------------------------------------------------------------------

  const send = (action, text, shown) => {
    if (running) return complain("problem.busy");
    complain(null);
    lab.closeCard();
    const redone = action === "redo" ? turns.lastElementChild : null;
    redone?.remove();
    const article = newTurn(shown);
    turns.append(article);
    running = { request: `${++requests}`, article, text: shown, redone };
    waitForNews();
    announce(lab.word("chat.writing"));
    show();
    const message = { request: running.request, text, settings: settings() };
    // Gradio's client shuts its stream when the last answer is in, and loses one that was asked for at that moment.
    if (clearing) waiting = () => trigger(action, message); else trigger(action, message);
  };

  const submit = () => {
    const text = box.value;
    if (!text.trim()) return;
    if (!running) { box.value = ""; grow(); }
    const action = editing ? "redo" : "ask";
    edit(false);
    send(action, text, text.trim());
  };

  const edit = (on) => {
    if (on === editing) return;
    editing = on;
    find(".lab-editing").hidden = !on;
    box.value = on ? turns.lastElementChild.dataset.question : "";
    grow();
    box.focus();
  };

  const stop = () => { if (running) trigger("stop"); };

  const clear = () => {
    clearing = `${++requests}`;
    waiting = null;
    trigger("clear", { request: clearing });
    setTimeout((asked) => { if (asked === clearing) cleared(); }, 3000, clearing);  // whatever happened to it
    lab.closeCard();
    finish();
    edit(false);
    turns.replaceChildren();
    showTotal(null);
    complain(null);
    announce(lab.word("chat.cleared"));
    show();
    box.focus();
  };

  const cleared = () => {
    clearing = null;
    setTimeout(() => { waiting?.(); waiting = null; }, 50);
  };

  const waitForNews = () => {
    clearTimeout(running?.watchdog);
    if (running) running.watchdog = setTimeout(() => refuse({ key: "problem.lost" }), LONGEST_SILENCE);
  };

  const finish = () => { clearTimeout(running?.watchdog); running = null; };

  const refuse = (problem) => {  // the message goes back where it came from
    const { article, text, redone } = running;
    finish();
    if (redone) article.replaceWith(redone); else article.remove();
    if (redone && text !== redone.dataset.question) edit(true);
    if (editing || (!redone && !box.value)) { box.value = text; grow(); }
    complain(problem.key, problem.values);
    show();
  };

  const complain = (key, values) => lab.say(find(".lab-problem"), key, values);

  // --- The conversation -----------------------------------------------------------------------------------------

  const newTurn = (question) => {
    const article = lab.make("article", { class: "lab-turn" },
      lab.make("div", { class: "lab-user" }, lab.make("span", { class: "lab-only-heard", "data-word": "chat.you" }), lab.make("p", {}, question)),
      lab.make("div", { class: "lab-reply" },
        lab.make("span", { class: "lab-only-heard", "data-word": "chat.model" }),
        lab.make("p", { class: "lab-tokens", role: "group", "data-label": "chat.reply" }),
        lab.make("p", { class: "lab-waiting" }, lab.make("span", { "data-word": "chat.waiting" }), lab.make("i"), lab.make("i"), lab.make("i")),
        lab.make("p", { class: "lab-stats" }),
        lab.make("div", { class: "lab-bill" }),
        actions()));
    article.dataset.question = question;
    article.spoken = 0;
    lab.translate(article);
    return article;
  };

  const actions = () => {
    const retry = lab.make("button", { type: "button", class: "lab-plain lab-retry", "data-word": "chat.retry" });
    const change = lab.make("button", { type: "button", class: "lab-plain lab-edit", "data-word": "chat.edit" });
    retry.addEventListener("click", () => { edit(false); send("redo", null, turns.lastElementChild.dataset.question); box.focus(); });
    change.addEventListener("click", () => edit(true));
    return lab.make("div", { class: "lab-actions" }, retry, change);
  };

  const write = (article, { turn, tokens, state }) => {
    article.dataset.turn = turn;
    const line = article.querySelector(".lab-tokens");
    tokens.forEach(([text, probability], index) => {
      const token = line.children[index] || line.appendChild(newToken(index, probability));
      const seen = text || "·";  // part of a character: its other bytes come with the next tokens
      if (token.textContent !== seen) token.textContent = seen;
      token.toggleAttribute("data-blank", /^[\n\r\f\v]+$/.test(text));  // else there would be nothing to click
      if (text) token.removeAttribute("aria-label"); else token.setAttribute("aria-label", lab.word("chat.invisible"));
    });
    if (state !== "running") article.classList.add("lab-done");
    sayNewSentences(article, tokens.map(([text]) => text).join(""), state !== "running");
  };

  const newToken = (index, probability) => {
    const token = lab.make("span", { class: "lab-token", role: "button", "data-token": index, "aria-haspopup": "dialog", tabindex: index ? -1 : 0 });
    if (probability !== null) token.style.setProperty("--doubt", (1 - probability).toFixed(3));
    return token;
  };

  const sayNewSentences = (article, text, all) => {
    const end = all ? text.length : text.search(/[.!?][^.!?]*$/) + 1;
    if (end > article.spoken) { announce(text.slice(article.spoken, end)); article.spoken = end; }
  };
  const announce = (text) => { find(".lab-spoken").textContent = text; };

  const addStats = (article, { state, count, per_second, seed, dropped, stats, remarks }) => {
    const parts = [...remarks, [stats, { count, per_second, seed }]];
    if (!count) parts.unshift(["chat.nothing"]);
    if (["stopped", "length", "time", "late", "broken"].includes(state)) parts.unshift([`chat.state_${state}`]);
    if (dropped) parts.push(["chat.dropped", { count: dropped }]);
    article.querySelector(".lab-stats").append(...said(parts));
  };
  const said = (parts) => parts.flatMap(([key, values]) => {
    const span = lab.make("span");
    lab.say(span, key, values);
    return [span, " "];
  });

  // --- Energy: of a reply, and of all so far ---------------------------------------------------------------------

  const addBill = (article, { energy, large, times, reason, read, written }) => {
    const below = article.querySelector(".lab-bill");
    const methods = (of) => of.methods.map((key) => [key]);
    const [figure, how] = energy
      ? explained("chat.energy", lab.wattHours(energy), [["chat.energy_how"], ...methods(energy)])
      : explained("chat.energy_unknown", {}, [["chat.energy_reason", { reason }]]);
    article.querySelector(".lab-stats").append(figure);
    below.append(how);
    if (large) {
      const [figure, how] = explained(...largeFigure(large, times), [["chat.large_how", { ...props.record, read, written }], ...methods(large)]);
      below.append(lab.make("p", {}, figure), how);
    }
    lab.translate(article);
  };
  const largeFigure = (large, times) => (times === null
    ? ["chat.large", lab.wattHours(large)]
    : ["chat.large_times", { ...lab.wattHours(large), times: lab.twoDigits(times) }]);

  // A figure, and the sentences that a click on it shows.
  const explained = (key, values, sentences) => {
    const how = lab.make("p", { class: "lab-how", hidden: "" }, ...said(sentences));
    const figure = lab.make("button", { type: "button", class: "lab-figure", "aria-expanded": "false", "data-title": "chat.energy_title" });
    lab.say(figure, key, values);
    figure.addEventListener("click", () => {
      how.hidden = !how.hidden;
      figure.setAttribute("aria-expanded", String(!how.hidden));
    });
    return [figure, how];
  };

  const showTotal = (total) => {
    const line = find(".lab-total");
    line.hidden = !total;
    line.replaceChildren();
    if (!total) return;
    const { replies, written, energy, large, times, unknown } = total;
    const parts = [["chat.total", { replies, written }]];
    if (energy) parts.push(["chat.energy", lab.wattHours(energy)]);
    if (unknown) parts.push(["chat.total_unknown", { count: unknown }]);
    if (large) parts.push(largeFigure(large, times));
    line.append(...said(parts));
  };

  const show = () => {
    welcome.hidden = turns.children.length > 0;
    find(".lab-clear").hidden = !turns.children.length;
    find(".lab-send").hidden = Boolean(running);
    find(".lab-stop").hidden = !running;
    for (const article of turns.children) article.classList.toggle("lab-last", article === turns.lastElementChild && !running);
    if (turns.children.length) log.scrollTop = log.scrollHeight;
  };

  watch("value", () => {
    const update = props.value;
    if (update?.state === "cleared") { if (update.request === clearing) cleared(); return; }
    if (!running || !update || update.request !== running.request) return;  // news of something given up
    if (update.problem) return refuse(update.problem);
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    const { article } = running;
    waitForNews();
    write(article, update);
    if (update.state !== "running") {
      addStats(article, update);
      addBill(article, update.bill);
      showTotal(update.total);
      finish();
      show();
    }
    if (atEnd) log.scrollTop = log.scrollHeight;
  });

  // --- Tokens: one tab stop per reply, arrow keys inside ---------------------------------------------------------

  const pick = (token) => {
    moveTabStop(token);
    trigger("pick", { turn: Number(token.closest("[data-turn]").dataset.turn), token: Number(token.dataset.token), nonce: ++requests });
  };
  const moveTabStop = (token) => {
    for (const other of token.parentElement.children) other.tabIndex = other === token ? 0 : -1;
  };
  turns.addEventListener("click", (event) => {
    const token = event.target.closest("[data-token]");
    if (token && getSelection().isCollapsed) pick(token);  // selecting text to copy is no click
  });
  turns.addEventListener("keydown", (event) => {
    const token = event.target.closest("[data-token]");
    if (!token) return;
    const line = token.parentElement;
    const to = { ArrowRight: token.nextElementSibling, ArrowLeft: token.previousElementSibling, Home: line.firstElementChild, End: line.lastElementChild }[event.key];
    if (to) { moveTabStop(to); to.focus(); }
    if (event.key === "Enter" || event.key === " ") pick(token);
    if (to || event.key === "Enter" || event.key === " ") event.preventDefault();
  });

  // --- The box --------------------------------------------------------------------------------------------------

  const grow = () => { box.style.height = "auto"; box.style.height = `${Math.min(box.scrollHeight, 180)}px`; };
  box.addEventListener("input", grow);
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); submit(); }
  });
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    if (running) stop(); else edit(false);
  });
  find(".lab-composer").addEventListener("submit", (event) => { event.preventDefault(); submit(); });
  find(".lab-stop").addEventListener("click", () => { stop(); box.focus(); });
  find(".lab-clear").addEventListener("click", clear);
  find(".lab-cancel").addEventListener("click", () => edit(false));
  lab.withModel(({ tinytown, engine }) => {
    const { examples, why, title } = engine ? props.elsewhere : tinytown ? props.tinytown : props.other;
    if (title) lab.say(find(".lab-welcome h2"), title);
    if (engine) box.dataset.placeholder = "chat.message";  // it may speak other languages than English
    lab.say(find(".lab-welcome-why"), why, { where: engine });
    for (const [caption, text] of examples) {
      const example = lab.make("button", { type: "button", class: "lab-example" },
        lab.make("span", { class: "lab-caption", "data-word": caption }), lab.make("span", { lang: "en" }, text));
      example.addEventListener("click", () => { send("ask", text, text); box.focus(); });
      find(".lab-examples").append(example);
    }
    lab.translate(element);
  });

  // The chat fills the window below the header, whose height depends on the width and the language.
  const fit = () => {
    const chat = find(".lab-chat");
    if (chat.offsetParent) chat.style.setProperty("--above", `${chat.getBoundingClientRect().top + scrollY}px`);
  };
  new ResizeObserver(fit).observe(document.querySelector("#lab-header"));
  addEventListener("resize", fit);

  buildSettings();
  fit();
  find(".lab-settings").open = matchMedia("(min-width: 900px)").matches;
  lab.translate(element);
  show();
};
