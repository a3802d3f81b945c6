// Two models side by side in the chat: which second model and how, two columns for each message, and the vote.
// `changed` is called when the user wants another comparison than the one on the page, `again` for another round.
lab.sideBySide = ({ element, trigger, temperature, penaltyIsTurned, replies, switched, changed, again }) => {
  const find = (selector) => element.querySelector(selector);
  const ballot = find(".lab-ballot"), votes = find(".lab-votes"), verdict = find(".lab-verdict"), tally = find(".lab-tally");
  const LETTERS = ["side_by_side.side_a", "side_by_side.side_b"];
  let round = null;
  let secret = false;  // whether a blind round is open: from its first message to the vote

  // --- Which pair -------------------------------------------------------------------------------------------------

  const check = (name, more) => lab.make("input", { type: "checkbox", id: `side-by-side-${name}`, "aria-describedby": `side-by-side-why-${name}`, ...more });
  const on = check("switch", { role: "switch", "aria-expanded": "false" });
  const model = lab.make("select", { id: "side-by-side-model", "aria-describedby": "side-by-side-why-model" });
  const { low, high, step, default: start } = temperature;
  const heat = lab.make("input", { type: "range", id: "side-by-side-temperature", min: low, max: high, step, "aria-describedby": "side-by-side-why-temperature" });
  const shown = lab.make("output", { for: "side-by-side-temperature" });
  const blind = check("blind"), inTurn = check("in_turn");
  const knob = (name, input, ...more) => lab.make("div", { class: `lab-knob lab-knob-${name}` },
    lab.make("label", { for: `side-by-side-${name}`, "data-word": `side_by_side.${name}` }), ...more, input,
    lab.make("small", { id: `side-by-side-why-${name}`, "data-word": `side_by_side.${name}_why` }));
  const more = lab.make("div", { class: "lab-side-by-side-more", hidden: "" },
    knob("model", model), knob("temperature", heat, shown), knob("blind", blind), knob("in_turn", inTurn));
  const controls = lab.make("fieldset", { class: "lab-side-by-side", "data-label": "side_by_side.switch" }, knob("switch", on), more);

  const showHeat = () => { shown.textContent = Number(heat.value).toLocaleString(lab.language); };
  let usual = start, penalty = null, isTurned = false;  // the second model's own temperature and penalty, once known
  const reset = () => { isTurned = false; heat.value = usual; showHeat(); };
  const suit = async () => {
    const name = model.value;
    if (!on.checked || !name) return;
    const address = new URL("model.json", document.baseURI);
    address.searchParams.set("name", name);
    try {
      const { knobs, problem } = await (await fetch(address, { method: "POST" })).json();
      if (problem || model.value !== name) return;
      usual = knobs?.temperature ?? start;
      penalty = knobs?.repetition_penalty ?? null;
      if (!isTurned && !heat.disabled) reset();
    } catch { /* as it was */ }
  };
  heat.addEventListener("input", () => { isTurned = true; showHeat(); });
  on.addEventListener("change", () => {
    more.hidden = !on.checked;
    on.setAttribute("aria-expanded", String(on.checked));
    switched();
    suit();
  });
  for (const choice of [model, blind]) choice.addEventListener("change", () => changed());
  model.addEventListener("change", suit);
  const listModels = () => {
    if (!lab.models.length) return;
    const others = lab.models.filter(({ name }) => name !== (lab.modelName ?? lab.models[0].name));
    lab.fillModels(model, model.value || (others[0] ?? lab.models[0]).name);
  };
  document.addEventListener("lab-models", listModels);
  listModels();
  reset();
  const pairRequest = () => ({
    model: model.value || lab.modelName, temperature: Number(heat.value), repetition_penalty: penaltyIsTurned() ? null : penalty,
    blind: blind.checked, in_turn: inTurn.checked,
  });

  // --- Two columns ----------------------------------------------------------------------------------------------

  const columns = () => {
    const make = (side) => {
      const reply = replies.make(lab.make("h3", { class: "lab-side-name" }), lab.make("p", { class: "lab-failed" }));
      reply.dataset.side = side;
      return reply;
    };
    return [lab.make("div", { class: "lab-pair" }, make(0), make(1)), lab.make("p", { class: "lab-side-by-side-note" })];
  };

  const call = (heading, { title, temperature }) => lab.say(heading, ...(temperature === null
    ? ["side_by_side.titled", { title }] : ["side_by_side.with_temperature", { title, temperature }]));

  // What the server told of a round, into the last of its articles; gives what is to be said aloud of it.
  const write = (turns, update) => {
    round = update.round;
    for (const article of [...turns.children]) {
      article.dataset.round ??= round;
      if (Number(article.dataset.round) !== round) article.remove();
    }
    const aloud = [];
    const articles = [...turns.children].slice(-update.turns.length);
    update.turns.forEach(({ names, note, sides }, index) => {
      const article = articles[index];
      article?.querySelectorAll(".lab-reply").forEach((reply, side) => {
        const heading = reply.querySelector(".lab-side-name");
        if (names) call(heading, names[side]); else lab.say(heading, LETTERS[side]);
        if (sides[side] && writeSide(reply, sides[side])) aloud.push(`${heading.textContent}: ${spoken(reply)}`);
      });
      if (update.over || index < update.turns.length - 1) article?.classList.add("lab-done");
      if (names && article?.classList.contains("lab-done")) lab.say(article.querySelector(".lab-side-by-side-note"), note);
    });
    secret = update.hidden;
    return aloud;
  };
  const spoken = (reply) => reply.querySelector(".lab-tokens").textContent || reply.querySelector(".lab-failed, .lab-stats").textContent;

  // Whether this was the end of it.
  const writeSide = (reply, side) => {
    if (reply.dataset.plain) {  // the vote is over: the same text once more, in tokens
      reply.querySelector(".lab-tokens").replaceChildren();
      reply.querySelector(".lab-stats").replaceChildren();
      reply.classList.remove("lab-done");
      delete reply.dataset.plain;
    }
    if (reply.classList.contains("lab-done")) return false;
    if (side.problem) {
      lab.say(reply.querySelector(".lab-failed"), side.problem.key, side.problem.values);
    } else if (side.text !== undefined) {
      reply.dataset.plain = "yes";
      reply.querySelector(".lab-tokens").textContent = side.text;
      const notes = [...(side.text ? [] : [["chat.nothing"]]), ...(side.cut ? [["side_by_side.cut"]] : [])];
      reply.querySelector(".lab-stats").append(...replies.said(notes));
    } else {
      replies.write(reply, side);
      if (side.state === "running") return false;
      replies.finish(reply, side, ["side_by_side.seconds", { seconds: side.seconds }]);
    }
    reply.classList.add("lab-done");
    return true;
  };

  // --- The vote -------------------------------------------------------------------------------------------------

  for (const vote of ["a", "b", "tie", "bad"]) {
    const button = lab.make("button", { type: "button", class: "lab-vote", "data-word": `side_by_side.vote_${vote}` });
    button.addEventListener("click", () => {
      votes.disabled = true;
      setTimeout(() => { votes.disabled = false; }, 5000);  // whatever became of it
      trigger("vote", { round, vote });
    });
    votes.append(button);
  }
  find(".lab-again").addEventListener("click", () => again());

  const ended = ({ hidden, vote, turns }) => {  // of a message, or of a vote
    votes.hidden = !hidden;
    verdict.replaceChildren();
    if (!hidden && blind.checked && vote === undefined && turns.at(-1).sides.some((side) => side.problem)) verdict.append(...replies.said([["side_by_side.no_vote"]]));
    find(".lab-again").hidden = hidden;
    ballot.hidden = !blind.checked;
  };

  const voted = (turns, update) => {
    const [first, second] = update.turns.at(-1).names.map(named);
    write(turns, { ...update, over: true });
    ended(update);
    const found = { a: ["side_by_side.voted_better", { name: first }], b: ["side_by_side.voted_better", { name: second }] };
    verdict.append(...replies.said([["side_by_side.were", { first, second }], found[update.vote] ?? [`side_by_side.voted_${update.vote}`]]));
    const { wins, tie, bad } = update.tally;
    tally.replaceChildren(...replies.said([
      ["side_by_side.tally"], ...wins.map((one) => ["side_by_side.tally_wins", { name: named(one), count: one.count }]),
      ["side_by_side.tally_tie", { count: tie }], ["side_by_side.tally_bad", { count: bad }],
    ]));
    find(".lab-again").focus();
    return verdict.textContent;
  };
  const named = ({ title, temperature }) => (temperature === null ? title : lab.word("side_by_side.with_temperature", { title, temperature }));

  const refused = () => {  // all is as it was before
    if (round === null) secret = false; else ballot.hidden = !blind.checked;
  };
  const begun = () => { ballot.hidden = true; secret = blind.checked && (secret || round === null); };
  const cleared = () => { ballot.hidden = true; round = null; secret = false; };
  const show = (running) => {
    controls.disabled = Boolean(running);
    const kept = secret && on.checked;
    heat.disabled = kept;
    find("#knob-temperature").disabled = kept;
  };

  return { controls, reset, pairRequest, columns, write, ended, voted, begun, refused, cleared, show, get on() { return on.checked; } };
};
