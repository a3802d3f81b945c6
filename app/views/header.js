// Which model answers, the language and the colours.
lab.header = (element, trigger, props) => {
  const find = (selector) => element.querySelector(selector);
  const { name, parameters, verified } = props.value;
  lab.model = { name, parameters };  // what leaves the page says which model it speaks of

  find(".lab-name").textContent = name;
  lab.say(find(".lab-size"), "header.parameters", { count: parameters });
  const badge = find(".lab-badge");
  badge.classList.toggle("lab-verified", verified);
  lab.say(badge, verified ? "header.verified" : "header.unverified");
  badge.dataset.title = verified ? "header.verified_why" : "header.unverified_why";

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
