// What the page's components share: words in every language, light and dark, and making elements from text.
// Users' and models' text enters the page here only, as text (textContent), never as HTML.
window.lab = window.lab || {};

(() => {
  const words = window.labWords;
  const remembered = (name) => {
    try { return localStorage.getItem(name); } catch { return null; }  // storage may be forbidden
  };
  const remember = (name, value) => {
    try { localStorage.setItem(name, value); } catch { /* then it lasts until the page is closed */ }
  };

  const wished = [remembered("lab-language"), ...(navigator.languages || []).map((tag) => tag.slice(0, 2)), "en"];
  lab.language = wished.find((language) => language in words);
  lab.languages = Object.keys(words).map((language) => [language, words[language]["language.name"]]);

  // The text behind a key, {names} filled in; a value "@key" is itself a key, numbers are written as the language does.
  lab.word = (key, values = {}) => {
    const text = words[lab.language][key] ?? words.en[key] ?? key;
    return text.replace(/\{(\w+)\}/g, (whole, name) => {
      const value = values[name];
      if (typeof value === "number" && name !== "seed") return value.toLocaleString(lab.language);
      return typeof value === "string" && value.startsWith("@") ? lab.word(value.slice(1)) : String(value ?? whole);
    });
  };

  // 0.123 as "12 %", and a token's text so that it shows, whatever it is.
  lab.percent = (share) => (share * 100).toLocaleString(lab.language, { maximumFractionDigits: share < 0.1 ? 1 : 0 }) + " %";
  lab.visible = (text) => text.replaceAll("\n", "↵").replaceAll("\t", "⇥").replace(/^ +$/, (blank) => "␣".repeat(blank.length)) || "·";

  // Elements say which word they show: data-word for their text, data-label, -placeholder and -title for attributes.
  const ATTRIBUTES = { label: "aria-label", placeholder: "placeholder", title: "title" };
  lab.translate = (root) => {
    for (const node of root.querySelectorAll("[data-word]")) {
      node.textContent = lab.word(node.dataset.word, JSON.parse(node.dataset.values || "{}"));
    }
    for (const [name, attribute] of Object.entries(ATTRIBUTES)) {
      for (const node of root.querySelectorAll(`[data-${name}]`)) node.setAttribute(attribute, lab.word(node.dataset[name]));
    }
  };
  lab.say = (node, key, values) => {  // without a key, nothing
    if (!key) {
      delete node.dataset.word;
      node.textContent = "";
      return;
    }
    node.dataset.word = key;
    node.dataset.values = JSON.stringify(values || {});
    node.textContent = lab.word(key, values);
  };
  lab.speak = (language) => {
    lab.language = language;
    remember("lab-language", language);
    document.documentElement.lang = language;
    lab.translate(document);
  };
  document.documentElement.lang = lab.language;

  // make("p", {class: "x", "data-word": "chat.send"}, "text", child)
  lab.make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);  // guard: never-html
    return node;
  };

  // The page's address names its model, /?model=NAME; without that, it is the server's first one. To load the page is
  // what forgets all that another model said.
  lab.modelName = new URLSearchParams(location.search).get("model");  // goes with every request; null for the first one
  lab.model = null;  // until it is open; then what `Models.describe` says
  const opening = (async () => {
    const address = new URL("model.json", document.baseURI);
    if (lab.modelName !== null) address.searchParams.set("name", lab.modelName);
    lab.model = await (await fetch(address, { method: "POST" })).json();
    lab.modelName = lab.model.name;
    return lab.model;
  })();
  opening.catch(() => {});  // the header says so
  lab.withModel = (use, lost = () => {}) => { opening.then(use, lost); };
  // What can be chosen, kept by the header, which tells of each change by the event "lab-models".
  lab.models = [];
  lab.fillModels = (choice, name) => {
    const titles = lab.models.map((model) => model.title);
    const known = lab.models.some((model) => model.name === name) ? [] : [{ name, title: lab.model?.title ?? name, has_manifest: true }];  // its folder was deleted
    choice.replaceChildren(...[...lab.models, ...known].map((model) => {
      const namesake = titles.indexOf(model.title) !== titles.lastIndexOf(model.title);
      const shown = namesake ? `${model.title} (${model.name})` : model.title;
      const option = lab.make("option", { value: model.name }, shown);
      if (!model.has_manifest && !model.engine) lab.say(option, "header.option_unverified", { name: shown });
      return option;
    }));
    choice.value = name;
  };
  lab.chooseModel = (name) => {
    const address = new URL(location.href);
    address.hash = "";
    address.searchParams.set("model", name);
    location.assign(address);
  };

  // What looks inside a model says so instead, where the page's model runs elsewhere.
  lab.needsWeights = (element) => lab.withModel(({ engine, title, here }) => {
    if (!engine) return;
    const why = lab.make("p"), use = lab.make("button", { type: "button", class: "lab-plain" });
    lab.say(why, "problem.engine_weights", { name: title });
    lab.say(use, "header.use", { name: here.title });
    use.addEventListener("click", () => lab.chooseModel(here.name));
    for (const child of element.children) child.hidden = true;
    element.prepend(lab.make("div", { class: "lab-needs-weights" }, why, use));
  });

  // Under the box, that an answer was read no further.
  lab.sayGoesOn = (element, goesOn) => {
    const line = element.querySelector(".lab-goes-on") ?? lab.make("p", { class: "lab-look-why lab-goes-on" });
    if (!line.isConnected) element.querySelector(".lab-problem").after(line);
    line.hidden = !goesOn;
    lab.say(line, goesOn ? "attention.goes_on" : null);
  };

  // The text that was read last stands in every tab that looks inside the model, also in those not built yet.
  let sharedText = null;
  lab.shareText = (text) => {
    sharedText = text;
    for (const box of document.querySelectorAll("textarea[data-shared]")) box.value = text;
  };
  lab.startText = (box, example) => {
    if (!box.value) box.value = sharedText ?? example;  // who was quicker than the script keeps what was typed
  };

  // In a grid of buttons with data-layer and data-head, the arrow keys go to the neighbour; `up` is where layer 2 stands.
  // The Tab key stops at one of them only: there can be a thousand.
  lab.gridKeys = (grid, up) => grid.addEventListener("keydown", (event) => {
    const move = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [up, 0], ArrowDown: [-up, 0] }[event.key];
    const cell = event.target.closest("[data-layer]");
    if (!move || !cell) return;
    event.preventDefault();
    const next = grid.querySelector(`[data-layer="${Number(cell.dataset.layer) + move[0]}"][data-head="${Number(cell.dataset.head) + move[1]}"]`);
    if (!next) return;
    for (const one of grid.querySelectorAll('[data-layer][tabindex="0"]')) one.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });

  // Hand the user a file of text, or of a Blob's bytes.
  lab.save = (name, content, type) => {
    const link = lab.make("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };

  // Colours follow the system until the switch is used. Gradio marks dark pages with a class on the body.
  const system = matchMedia("(prefers-color-scheme: dark)");
  lab.isDark = () => document.body.classList.contains("dark");
  lab.colour = (dark, keep = false) => {
    document.body.classList.toggle("dark", dark);
    if (keep) remember("lab-colours", dark ? "dark" : "light");
  };
  lab.wishedDark = () => {
    const kept = remembered("lab-colours");
    return kept ? kept === "dark" : system.matches;
  };
  lab.colour(lab.wishedDark());
})();
