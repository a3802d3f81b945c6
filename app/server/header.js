// Which model answers and which others could, the language and the colours.
lab.header = (element, trigger, props) => {
  // Browsers keep six connections to a server, and each page holds one; with all six held, none gets an answer.
  const MANY_PAGES = 5;  // guard: many-pages
  const find = (selector) => element.querySelector(selector);

  // --- The model --------------------------------------------------------------------------------------------------

  const badge = find(".lab-badge"), choice = find(".lab-models");
  const list = () => {
    lab.fillModels(choice, lab.modelName ?? lab.models[0].name);
    choice.hidden = choice.length < 2;
    find(".lab-name").hidden = !choice.hidden;
    document.dispatchEvent(new Event("lab-models"));
  };
  lab.refreshModels = async () => {  // such as after one was trained
    try {
      lab.models = await (await fetch(new URL("models.json", document.baseURI))).json();
      list();
      const problems = await (await fetch(new URL("engines.json", document.baseURI))).json();
      lab.withModel(({ problem }) => {  // what is said of this page's own model already needn't be said again
        const news = problems.filter(({ english }) => english !== problem?.english);
        tell(find(".lab-engines"), ...news.map(({ key, values }) => [key, values]));
      });
    } catch { /* the list stays as it was */ }
  };
  const complain = (...sentences) => tell(find(".lab-other-model"), ...sentences);
  const tell = (line, ...sentences) => {
    line.replaceChildren(...sentences.flatMap(([key, values]) => {
      const sentence = lab.make("span");
      lab.say(sentence, key, values);
      return [sentence, " "];
    }));
    line.hidden = !sentences.length;
  };
  lab.say(badge, "header.opening");
  lab.withModel(({ title, parameters, verified, engine, problem, corrected, device, refused_device }) => {
    find(".lab-name").textContent = title;
    if (parameters !== null) lab.say(find(".lab-size"), "header.parameters", { count: parameters });
    if (device) lab.say(find(".lab-device"), "header.device", { device });
    find(".lab-device").hidden = !device;  // of a model that runs elsewhere, it is not known
    badge.classList.toggle("lab-verified", verified);
    badge.classList.toggle("lab-elsewhere", Boolean(engine));
    lab.say(badge, engine ? "header.engine" : verified ? "header.verified" : "header.unverified", { where: engine });
    badge.dataset.title = engine ? "header.engine_why" : verified ? "header.verified_why" : "header.unverified_why";
    if (problem) complain([problem.key, problem.values], ...(problem.values.name === title ? [] : [["header.instead", { name: title }]]));
    const line = find(".lab-corrected");
    if (corrected) lab.say(line, corrected.instead ? "header.corrected" : "header.corrected_none", corrected);
    line.hidden = !corrected;
    const refused = find(".lab-refused-device");
    if (refused_device) lab.say(refused, "header.refused_device", { device: refused_device });
    refused.hidden = !refused_device;
    if (lab.models.length) list();
    lab.translate(element);
  }, () => { lab.say(badge, null); complain(["problem.lost"]); });
  lab.countPages((count) => tell(find(".lab-pages"), ...(count < MANY_PAGES ? [] : [["header.many_pages", { count }]])));
  lab.refreshModels();
  choice.addEventListener("change", () => lab.chooseModel(choice.value));

  if (props.classroom) lab.classroom(element, props.offers);
  else lab.download(element, props.offers, true);

  // --- The language and the colours ---------------------------------------------------------------------------------

  const languages = find(".lab-language");
  for (const [language, own] of lab.languages) languages.append(lab.make("option", { value: language, lang: language }, own));
  languages.value = lab.language;
  lab.nudge = () => trigger("nudge", {});
  const relabel = () => trigger("language", { language: lab.language });  // Gradio's own labels, the tabs, are the server's
  languages.addEventListener("change", () => {
    lab.speak(languages.value);
    relabel();
  });

  const theme = find(".lab-theme");
  const paint = () => {
    theme.textContent = lab.isDark() ? "☀" : "☾";
    theme.dataset.label = theme.dataset.title = lab.isDark() ? "header.light" : "header.dark";
    lab.translate(element);
  };
  theme.addEventListener("click", () => { lab.colour(!lab.isDark(), true); paint(); });
  new MutationObserver(paint).observe(document.body, { attributes: true, attributeFilter: ["class"] });

  lab.colour(lab.wishedDark());
  paint();
  lab.translate(document);
  relabel();  // in English too: the first request of a page opens the way that all answers come by
};
