// The card that opens at a clicked token: the ten likeliest tokens of that place as a list of bars.
lab.alternatives = (element, props, watch) => {
  const card = element.querySelector(".lab-card");
  const find = (selector) => card.querySelector(selector);
  const percent = (share) => (share * 100).toLocaleString(lab.language, { maximumFractionDigits: share < 0.01 ? 2 : 1 }) + " %";
  const visible = (text) => text.replaceAll(" ", "␣").replaceAll("\n", "↵").replaceAll("\t", "⇥") || "∅";
  let token = null;
  let answer = null;

  const row = ({ text, ends, chosen, probability }) => {
    const name = lab.make("span", { class: "lab-row-name" });
    if (ends) lab.say(name, "alternatives.end"); else name.textContent = visible(text);
    const bar = lab.make("span", { class: "lab-bar", "aria-hidden": "true" }, lab.make("i"));
    bar.firstChild.style.width = `${Math.max(probability * 100, 0.5)}%`;
    const item = lab.make("li", { class: chosen ? "lab-row lab-row-chosen" : "lab-row", "data-probability": probability },
      name, bar, lab.make("span", { class: "lab-row-share" }, percent(probability)));
    if (chosen) name.append(lab.make("small", { class: "lab-only-heard", "data-word": "alternatives.also" }));
    return item;
  };

  const described = ({ text, probability }) => (probability === null
    ? lab.word("alternatives.unknown", { token: `“${visible(text)}”` })
    : lab.word("alternatives.chosen", { token: `“${visible(text)}”`, probability: percent(probability) }));

  const fill = () => {
    const { chosen, rows, problem } = answer;
    find(".lab-rows").replaceChildren(...(rows || []).map(row));
    find(".lab-chosen").textContent = problem ? lab.word(problem.key, problem.values) : described(chosen);
    const rest = problem ? 0 : Math.max(0, 1 - rows.reduce((sum, { probability }) => sum + probability, 0));
    find(".lab-rest").textContent = problem || !rows.length ? "" : `${lab.word("alternatives.rest")}: ${percent(rest)}`;
    const why = answer.engine ? "alternatives.why_engine" : "alternatives.why";
    lab.say(find(".lab-why"), rows?.length ? why : null, { where: answer.engine });
    lab.translate(card);
  };

  const place = () => {
    const box = token.getBoundingClientRect();
    const below = box.bottom + 8 + card.offsetHeight <= innerHeight || box.top < card.offsetHeight + 8;
    const top = below ? Math.min(box.bottom + 8, innerHeight - card.offsetHeight - 8) : box.top - card.offsetHeight - 8;
    card.style.setProperty("--top", `${Math.max(8, top)}px`);
    card.style.setProperty("--left", `${Math.max(8, Math.min(box.left, innerWidth - card.offsetWidth - 8))}px`);
  };

  const close = (back) => {
    if (card.hidden) return;
    card.hidden = true;
    token?.classList.remove("lab-picked");
    if (back) token?.focus();
  };

  watch("value", () => {
    answer = props.value;
    const picked = answer && document.querySelector(`[data-asked="${Number(answer.nonce)}"]`);
    if (!picked) return;
    token?.classList.remove("lab-picked");
    token = picked;
    token.classList.add("lab-picked");
    fill();
    card.hidden = false;
    place();
    card.focus();
  });
  lab.closeCard = () => close(false);
  find(".lab-close").addEventListener("click", () => close(true));
  card.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { event.stopPropagation(); close(true); }
    const next = { ArrowRight: token.nextElementSibling, ArrowLeft: token.previousElementSibling }[event.key];
    if (next) { event.preventDefault(); next.click(); }
  });
  document.addEventListener("pointerdown", (event) => {
    if (!card.contains(event.target) && !event.target.closest?.("[data-token]")) close(false);
  });
  addEventListener("resize", lab.closeCard);
  new MutationObserver(() => { if (answer && !card.hidden) fill(); })
    .observe(document.documentElement, { attributes: true, attributeFilter: ["lang"] });
  lab.translate(element);
};
