// The chat: settings, the conversation with its clickable tokens, and the box to write in.
// Sends 'ask', 'redo', 'stop', 'clear', 'pick'; is told about one reply at a time through `props.value`. While two models
// are compared (`side_by_side.js`), 'ask_both', 'redo_both' and 'vote', and is told about both replies at once. A page that was
// loaded again sends 'resume'.
lab.chat = (element, trigger, props, watch) => {
  const find = (selector) => element.querySelector(selector);
  const log = find(".lab-log"), welcome = find(".lab-welcome"), box = find("textarea");
  const alone = find(".lab-turns"), both = find(".lab-turns-both");
  let turns = alone;     // the conversation that is seen
  const LONGEST_SILENCE = 45_000;  // ms without an update, after which the server is taken for lost
  const STOPPED_UNHEARD = 2000;  // ms after Stop in which a reply that was begun says that it ended
  let running = null;  // {request, article, text, redone, watchdog, begun}: the reply being written
  let editing = false;
  let requests = 0;
  let clearing = null;   // the number of the 'clear' under way; a message sent meanwhile waits for it
  let waiting = null;
  let total = null;
  const replies = lab.replies(props.record);

  // --- Settings -------------------------------------------------------------------------------------------------

  const controls = {};
  const buildSettings = () => {
    const form = find(".lab-knobs");
    form.append(sideBySide.controls);
    for (const [name, { low, high, step, default: usual }] of Object.entries(props.knobs)) {
      const output = lab.make("output", { for: `knob-${name}` });
      const range = lab.make("input", { type: "range", id: `knob-${name}`, min: low, max: high, step, "aria-describedby": `why-${name}` });
      let start = usual;  // the model's own, as soon as it is known
      const set = (value) => { range.value = value; output.textContent = Number(range.value).toLocaleString(lab.language); };
      range.addEventListener("input", () => { set(range.value); turned(name, range.value); });
      controls[name] = {
        read: () => Number(range.value),
        reset: () => { turned(name, null); set(start); },
        suit: (value) => { start = value ?? usual; set(turnedKnobs()[name] ?? start); },
        limit: (most) => { range.max = Math.min(high, most); set(range.value); },
      };
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
    const toDefaults = () => [...Object.values(controls), sideBySide].forEach((control) => control.reset());
    reset.addEventListener("click", toDefaults);
    form.append(reset);
    form.addEventListener("submit", (event) => event.preventDefault());
    controls.seed.reset();
    sideBySide.reset();
    for (const control of Object.values(controls)) control.suit?.();
    lab.withModel(({ knobs }) => { for (const name of Object.keys(knobs ?? {})) controls[name]?.suit(knobs[name]); });
  };
  // What the user turned stays so when another model is chosen, for which the page is loaded anew; the rest are the model's.
  const TURNED = "lab-knobs";
  const turnedKnobs = () => { try { return JSON.parse(sessionStorage.getItem(TURNED)) ?? {}; } catch { return {}; } };
  const turned = (name, value) => {
    const { [name]: before, ...others } = turnedKnobs();
    try { sessionStorage.setItem(TURNED, JSON.stringify(value === null ? others : { ...others, [name]: value })); } catch { /* storage may be forbidden */ }
  };
  const knob = (name, input, ...more) => lab.make("div", { class: `lab-knob lab-knob-${name}` },
    lab.make("label", { for: `knob-${name}`, "data-word": `chat.${name}` }), ...more, input,
    lab.make("small", { id: `why-${name}`, "data-word": `chat.${name}_why` }));
  const settings = () => Object.fromEntries(Object.entries(controls).map(([name, control]) => [name, control.read()]));

  // --- Asking ---------------------------------------------------------------------------------------------------

  const send = (action, text, shown) => {
    if (running) return complain("problem.busy");
    complain(null);
    lab.closeCard?.();
    const redone = action === "redo" ? turns.lastElementChild : null;
    redone?.remove();
    const article = newTurn(shown);
    turns.append(article);
    running = { request: `${++requests}`, article, text: shown, redone };
    waitForUpdate();
    if (sideBySide.on) sideBySide.begun();
    announce(lab.word(sideBySide.on ? "side_by_side.writing" : "chat.writing"));
    show();
    const { request } = running, both = sideBySide.on;
    const ask = () => trigger(both ? `${action}_both` : action, { request, text, settings: settings(), ...(both ? { side_by_side: sideBySide.pairRequest() } : {}) });
    const begin = () => lab.withModel(ask, ask);  // whose own settings are not known in a page's first moment
    // Gradio's client shuts its stream when the last answer is in, and loses one that was asked for at that moment.
    if (clearing) waiting = begin; else begin();
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

  // A message that still waits in the server's line, or for its model to be opened, comes back at once; the server knows
  // its number and will not begin it.
  const stop = () => {
    if (!running) return;
    const { request, begun } = running;
    trigger("stop", { request });
    if (!begun) setTimeout(() => { if (running?.request === request && !running.begun) refuse({}); }, STOPPED_UNHEARD);
  };

  const clear = () => {
    clearing = `${++requests}`;
    waiting = null;
    trigger("clear", { request: clearing, both: sideBySide.on });
    setTimeout((asked) => { if (asked === clearing) cleared(); }, 3000, clearing);  // whatever happened to it
    lab.closeCard?.();
    finish();
    edit(false);
    turns.replaceChildren();
    if (sideBySide.on) sideBySide.cleared(); else total = null;
    complain(null);
    announce(lab.word("chat.cleared"));
    show();
    box.focus();
  };

  const cleared = () => {
    clearing = null;
    setTimeout(() => { waiting?.(); waiting = null; }, 50);
  };

  const waitForUpdate = () => {
    clearTimeout(running?.watchdog);
    if (running) running.watchdog = setTimeout(() => refuse({ key: "problem.lost" }), LONGEST_SILENCE);
  };

  lab.stillWaiting = waitForUpdate;  // in a class, for as long as there is a place in the line
  // A page may be loaded again, as Gradio does when the network was lost and the server answers again. It goes on where
  // it was: this tab keeps the message under way, and by which number the server knew what was said.
  const DRAFT = "lab-draft", FORMER = "lab-former";
  const keep = (name, text) => { try { sessionStorage.setItem(name, text); } catch { /* storage may be forbidden */ } };
  const take = (name) => {
    try {
      const text = sessionStorage.getItem(name);
      sessionStorage.removeItem(name);
      return text;
    } catch { return null; }
  };
  addEventListener("pagehide", () => {
    if (lab.classIsOver) return;
    if (running) keep(DRAFT, running.text);
    const number = alone.children.length ? lab.page : former;
    if (number) keep(FORMER, number);
  });
  const draft = take(DRAFT);
  let former = take(FORMER);  // until the server has answered: that request may be lost as well
  box.value ||= draft ?? "";
  if (former) lab.withModel(() => trigger("resume", { page: former }));

  const finish = () => { clearTimeout(running?.watchdog); running = null; };

  const refuse = (problem) => {  // the message goes back where it came from
    const { article, text, redone } = running;
    finish();
    if (redone) article.replaceWith(redone); else article.remove();
    if (redone && text !== redone.dataset.question) edit(true);
    if (editing || (!redone && !box.value)) { box.value = text; grow(); }
    complain(problem.key, problem.values);
    if (sideBySide.on) sideBySide.refused();
    show();
  };

  const complain = (key, values) => lab.say(find(".lab-problem"), key, values);

  // --- The conversation -----------------------------------------------------------------------------------------

  const newTurn = (question) => {
    const article = lab.make("article", { class: sideBySide.on ? "lab-turn lab-both" : "lab-turn" },
      lab.make("div", { class: "lab-user" }, lab.make("span", { class: "lab-only-heard", "data-word": "chat.you" }), lab.make("p", {}, question)),
      ...(sideBySide.on
        ? [...sideBySide.columns(), actions()]
        : [replies.make(lab.make("span", { class: "lab-only-heard", "data-word": "chat.model" }), actions())]));
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

  const announce = (text) => { find(".lab-spoken").textContent = text; };

  const sayNewSentences = (article, text, all) => {
    const end = all ? text.length : text.search(/[.!?][^.!?]*$/) + 1;
    if (end > article.spoken) { announce(text.slice(article.spoken, end)); article.spoken = end; }
  };

  const write = (article, update) => {
    const reply = article.querySelector(".lab-reply"), ended = update.state !== "running";
    replies.write(reply, update);
    sayNewSentences(article, update.tokens.map(([text]) => text).join(""), ended);
    if (!ended) return;
    article.classList.add("lab-done");
    replies.finish(reply, update);
    total = update.total;
    finish();
    show();
  };

  const writeBoth = (update) => {
    const aloud = sideBySide.write(turns, update);
    if (aloud.length) announce(aloud.join(" "));
    if (!update.over) return;
    sideBySide.ended(update);
    finish();
    show();
  };

  const voted = (update) => {
    if (!sideBySide.on || !turns.children.length) return;
    if (update.problem) return complain(update.problem.key, update.problem.values);
    announce(sideBySide.voted(turns, update));
    show();
  };

  const resumed = (before) => {
    former = null;
    if (!before.length || sideBySide.on) return;
    const articles = before.map(({ question, ...update }) => {
      const article = newTurn(question), reply = article.querySelector(".lab-reply");
      replies.write(reply, update);
      replies.finish(reply, update);
      article.classList.add("lab-done");
      return article;
    });
    alone.prepend(...articles);  // a message may have been sent meanwhile
    const { question, total: sum } = before.at(-1);
    total ??= sum;
    if (box.value === question) box.value = "";  // its reply was broken off and stands there as far as it came
    announce(lab.word("chat.resumed"));
    show();
  };

  const showTotal = () => {
    const line = find(".lab-total");
    line.hidden = !total || sideBySide.on;
    line.replaceChildren();
    if (line.hidden) return;
    const { written, energy, large, times, unknown } = total;
    const parts = [["chat.total", { replies: total.replies, written }]];
    if (energy) parts.push(["chat.energy", lab.wattHours(energy)]);
    if (unknown) parts.push(["chat.total_unknown", { count: unknown }]);
    if (large) parts.push(replies.largeFigure(large, times));
    line.append(...replies.said(parts));
  };

  const show = () => {
    welcome.hidden = turns.children.length > 0;
    find(".lab-clear").hidden = !turns.children.length;
    find(".lab-send").hidden = Boolean(running);
    find(".lab-stop").hidden = !running;
    showTotal();
    sideBySide.show(running);
    for (const article of turns.children) article.classList.toggle("lab-last", article === turns.lastElementChild && !running);
    if (turns.children.length) log.scrollTop = log.scrollHeight;
  };

  watch("value", () => {
    const update = props.value;
    if (update?.state === "cleared") { if (update.request === clearing) cleared(); return; }
    if (update?.state === "voted") return voted(update);
    if (update?.state === "resumed") return resumed(update.turns ?? []);  // a problem: there is none
    if (!running || !update || update.request !== running.request) return;  // of something given up
    if (update.problem?.key === "problem.lost") keep(DRAFT, running.text);
    if (update.problem) return refuse(update.problem);
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    waitForUpdate();
    running.begun = true;
    if (sideBySide.on) writeBoth(update); else write(running.article, update);
    if (atEnd) log.scrollTop = log.scrollHeight;
  });

  // --- Tokens: one tab stop per reply, arrow keys inside ---------------------------------------------------------

  const pick = (token) => {
    moveTabStop(token);
    const { turn, side } = token.closest("[data-turn]").dataset, { round } = token.closest("article").dataset;
    token.dataset.asked = ++requests;
    const which = side === undefined ? {} : { side: Number(side), round: Number(round) };
    trigger("pick", { turn: Number(turn), token: Number(token.dataset.token), nonce: requests, ...which });
  };
  const moveTabStop = (token) => {
    for (const other of token.parentElement.children) other.tabIndex = other === token ? 0 : -1;
  };
  log.addEventListener("click", (event) => {
    const token = event.target.closest("[data-token]");
    if (token && getSelection().isCollapsed) pick(token);  // selecting text to copy is no click
  });
  log.addEventListener("keydown", (event) => {
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
  lab.withModel(({ tinytown, form, small, litellama, trouble, engine, parameters, context }) => {
    if (context) controls.max_tokens.limit(Math.max(1, Math.floor(context / 2)));  // the other half is for reading
    const { examples, why, title } = props.welcomes[engine ? "elsewhere" : tinytown ? "tinytown" : small ? "small" : form];
    if (title) lab.say(find(".lab-welcome h2"), title);
    if (engine) box.dataset.placeholder = "chat.message";  // it may speak other languages than English
    lab.say(find(".lab-welcome-why"), trouble ? "chat.template_unread" : why, { trouble, where: engine, count: parameters });
    const known = find(".lab-welcome-known");
    if (litellama) known.append(lab.make("p", {}, ...replies.said([["chat.litellama"]])), lab.make("ul", {}, ...props.litellama.map(sourced)));
    for (const [caption, text] of examples) {
      const example = lab.make("button", { type: "button", class: "lab-example" },
        lab.make("span", { class: "lab-caption", "data-word": caption }), lab.make("span", { lang: "en" }, text));
      example.addEventListener("click", () => { send("ask", text, text); box.focus(); });
      find(".lab-examples").append(example);
    }
    lab.translate(element);
  });

  const sourced = ({ key, values, source }) => {
    const address = lab.make("a", { href: source.url, target: "_blank", rel: "noreferrer" }, source.title);
    return lab.make("li", {}, ...replies.said([[key, values]]), lab.make("small", {}, "(", lab.make("span", { "data-word": "compare.kind_published" }), ": ", address, ")"));
  };

  const sideBySide = lab.sideBySide({
    element, trigger, replies, temperature: props.knobs.temperature,
    penaltyIsTurned: () => "repetition_penalty" in turnedKnobs(),
    switched: () => {
      edit(false);
      lab.closeCard?.();
      complain(null);
      turns = sideBySide.on ? both : alone;
      alone.hidden = sideBySide.on;
      find(".lab-side-by-side-room").hidden = !sideBySide.on;
      show();
    },
    changed: () => { if (both.children.length) clear(); },
    again: () => clear(),
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
