// The Layers tab: a table with a column for each token of the answer and a row for each layer.
lab.layers = (element, trigger, props, watch) => {
  lab.needsWeights(element);
  const find = (selector) => element.querySelector(selector);
  const box = find("textarea"), table = find("table");
  let shown = null, requests = 0, asked = null;

  const { percent, visible } = lab;
  const name = (row) => (row ? lab.word("layers.after", { layer: row }) : lab.word("layers.embedding"));
  const complain = (key, values) => lab.say(find(".lab-problem"), key, values);
  const guess = () => {
    complain(null);
    asked = `${++requests}`;
    find(".lab-send").disabled = true;
    trigger("guess", { request: asked, text: box.value });
  };

  watch("value", () => {
    const update = props.value;
    if (!update || update.request !== asked) return;
    find(".lab-send").disabled = false;
    if (update.problem) return complain(update.problem.key, update.problem.values);
    shown = update;
    find(".lab-layers-result").hidden = false;
    lab.sayGoesOn(element, update.goes_on);
    find(".lab-layers-cell").textContent = "";
    show();
  });

  const show = () => {
    const head = lab.make("tr", {}, lab.make("td"), ...shown.answer.map((token) => lab.make("th", { scope: "col" }, visible(token))));
    table.querySelector("thead").replaceChildren(head);
    // The last layer stands on top, as in most drawings of the model: information rises.
    table.querySelector("tbody").replaceChildren(...shown.rows.map((cells, row) => lab.make("tr", {}, lab.make("th", { scope: "row" }, name(row)),
      ...cells.map((guesses, column) => {
        const [text, share] = guesses[0];
        const cell = lab.make("td", { tabindex: -1, "data-row": row, "data-column": column, title: guesses.map(([other, p]) => `${visible(other)} ${percent(p)}`).join("\n") }, visible(text));
        cell.style.setProperty("--share", share.toFixed(3));
        cell.classList.toggle("lab-layers-settled", row >= shown.settled[column]);
        cell.classList.toggle("lab-layers-sure", share > 0.5);
        return cell;
      }))).reverse());
    table.querySelector("tbody td")?.setAttribute("tabindex", 0);
  };
  const tell = (cell) => {
    const row = Number(cell.dataset.row), column = Number(cell.dataset.column);
    const list = shown.rows[row][column].map(([text, share]) => `“${visible(text).trim()}” ${percent(share)}`).join(", ");
    find(".lab-layers-cell").textContent = lab.word("layers.cell", { where: name(row), token: `“${visible(shown.answer[column]).trim()}”`, list });
  };
  for (const event of ["pointerover", "focusin"]) table.addEventListener(event, ({ target }) => { const cell = target.closest("td[data-row]"); if (cell) tell(cell); });
  table.addEventListener("keydown", (event) => {
    const cell = event.target.closest("td[data-row]"), move = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [1, 0], ArrowDown: [-1, 0] }[event.key];
    if (!cell || !move) return;
    event.preventDefault();
    const next = table.querySelector(`[data-row="${Number(cell.dataset.row) + move[0]}"][data-column="${Number(cell.dataset.column) + move[1]}"]`);
    if (next) { cell.tabIndex = -1; next.tabIndex = 0; next.focus(); }
  });

  lab.takeAway(find(".lab-look-out"), {
    name: () => "guesses",
    report: () => ({
      title: lab.word("layers.heading"), facts: [box.value], head: ["", ...shown.answer.map(visible)],
      rows: shown.rows.map((cells, row) => [name(row), ...cells.map(([[text, share]]) => ({ text: visible(text), share }))]).reverse(),
    }),
    csv: () => [["layer", "answer_token", "place", "guess", "probability"], ...shown.rows.flatMap((cells, row) => cells.flatMap((guesses, column) => guesses.map(([text, share]) => [row, shown.answer[column], column + 1, text, share])))],
    json: () => ({ answer: shown.answer, settled: shown.settled, layers: shown.rows }),
  });

  lab.startText(box, props.example);
  find(".lab-look-form").addEventListener("submit", (event) => { event.preventDefault(); lab.shareText(box.value); guess(); });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); find(".lab-look-form").requestSubmit(); }
  });
  new MutationObserver(() => shown && show()).observe(document.documentElement, { attributes: true, attributeFilter: ["lang"] });
  lab.translate(element);
};
