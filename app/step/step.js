// The "Inside one step" tab: a text, one of its tokens, and the stations between it and the guess of the next token.
// Sends 'trace', with a text or with a place, layer and head of the text read last.
lab.step = (element, trigger, props, watch) => {
  lab.needsWeights(element);
  const find = (selector) => element.querySelector(selector);
  const box = find("textarea"), rail = find(".lab-step-rail"), picture = find(".lab-step-picture"), cell = find(".lab-step-cell");
  let shown = null, station = 0, requests = 0, asked = null;
  let facing = null;  // place of the key that the rotary station turns next to the query
  let moved = 0;      // by how many positions that station has moved both

  const { percent, visible } = lab;
  const quoted = (text) => `“${visible(text).trim() || "␣"}”`;
  const token = (place) => quoted(shown.tokens[place]);
  const tell = (text) => { cell.textContent = text; };
  const complain = (key, values) => lab.say(find(".lab-problem"), key, values);
  const trace = (sent) => {
    complain(null);
    asked = `${++requests}`;
    trigger("trace", { ...sent, request: asked });
  };
  const go = (changes) => trace({ place: shown.place, layer: shown.layer, head: shown.head, ...changes });

  watch("value", () => {
    const update = props.value;
    if (!update || update.request !== asked) return;
    find(".lab-send").disabled = false;
    if (update.problem) return complain(update.problem.key, update.problem.values);
    shown = update;
    // The key most looked at, not the token's own: two arrows of one token would turn as one.
    const others = update.numbers.weights.map((weight, place) => [weight, place]).filter(([, place]) => place !== update.place);
    facing = others.length ? others.sort((a, b) => b[0] - a[0])[0][1] : update.place;
    moved = 0;
    find(".lab-step-result").hidden = false;
    show();
  });

  // --- Which step -------------------------------------------------------------------------------------------------

  const show = () => {
    const tokens = find(".lab-step-tokens"), special = new Set(shown.special), had = tokens.contains(document.activeElement);
    tokens.replaceChildren(...shown.tokens.map((text, place) => {
      const chip = lab.make("span", { class: "lab-step-token", role: "option", "aria-selected": place === shown.place, tabindex: place === shown.place ? 0 : -1, "data-place": place }, visible(text));
      chip.classList.toggle("lab-look-special", special.has(place));
      chip.classList.toggle("lab-look-answer", place >= shown.answer_start);
      return chip;
    }));
    if (had) tokens.querySelector("[tabindex='0']").focus();
    const best = shown.guesses[0];
    lab.say(find(".lab-step-said"), "step.said", { token: token(shown.place), guess: quoted(best.text), share: percent(best.shares[shown.temperatures.indexOf(1)]) });
    for (const [name, number, count] of [["layer", shown.layer, shown.layers], ["head", shown.head, shown.heads]]) {
      const slider = find(`.lab-step-${name}`);
      slider.max = count;
      slider.value = number + 1;
      if (name === "layer") lab.say(find(".lab-step-layer-name"), "step.layer", { number: number + 1, count });
      else lab.say(find(".lab-step-head-name"), "step.head", { number: number + 1, count, group: shown.group + 1 });
    }
    rail.replaceChildren(...shown.stations.map(({ name }, number) => {
      const button = lab.make("button", { type: "button", class: "lab-plain", "data-station": number }, lab.word(`step.${name}`));
      if (number === station) button.setAttribute("aria-current", "step");
      return lab.make("li", {}, button);
    }));
    open();
  };
  const open = () => {
    const { name, formula, file, line, code } = shown.stations[station];
    for (const button of rail.querySelectorAll("button")) {
      if (Number(button.dataset.station) === station) button.setAttribute("aria-current", "step"); else button.removeAttribute("aria-current");
    }
    const { numbers } = shown;
    lab.say(find(".lab-step-title"), `step.${name}`);
    lab.say(find(".lab-step-why"), `step.${name}_why`, {
      token: token(shown.place), id: shown.id, row: shown.id + 1, size: numbers.embedding.length, vocabulary: shown.vocabulary, layer: shown.layer + 1, head: shown.head + 1,
      width: numbers.query.length, pairs: numbers.angles.length, theta: shown.theta, seen: numbers.scores.length, shared: shown.heads / shown.groups, inner: numbers.gate.length,
    });
    find(".lab-step-formula").textContent = formula;
    lab.say(find(".lab-step-file"), "step.line", { file, line: String(line) });
    find(".lab-step-code").textContent = code;
    tell("");
    picture.replaceChildren(...pictures[name]());
    find(".lab-step-back").disabled = station === 0;
    find(".lab-step-next").disabled = station === shown.stations.length - 1;
  };

  // --- The pictures, one function for each station ------------------------------------------------------------------

  const strip = (key, values, most) => lab.strip(lab.word(`step.${key}`), values, tell, most);
  const strongest = (...vectors) => Math.max(...vectors.flat().map(Math.abs), 1e-12);
  const say = (key, values) => lab.make("p", { class: "lab-step-note" }, lab.word(key, values));

  const MOST_BARS = 40;
  // A bar for each token the head sees, in the text's order; of a long text the largest.
  const perToken = (caption, values, text) => {
    let places = values.map((_, place) => place);
    if (places.length > MOST_BARS) places = places.sort((a, b) => Math.abs(values[b]) - Math.abs(values[a])).slice(0, MOST_BARS).sort((a, b) => a - b);
    const rows = places.map((place) => [`${place + 1} ${visible(shown.tokens[place])}`, values[place], text(values[place]), place === shown.place]);
    const found = [lab.bars(caption, rows)];
    if (values.length > MOST_BARS) found.push(say("step.largest", { shown: MOST_BARS, count: values.length }));
    return found;
  };

  const turned = (vector, position) => {
    const half = vector.length / 2;
    return vector.slice(0, half).map((a, pair) => {
      const b = vector[pair + half], angle = position * shown.numbers.angles[pair], [cos, sin] = [Math.cos(angle), Math.sin(angle)];
      return [a * cos - b * sin, b * cos + a * sin];
    });
  };
  const rotary = () => {
    const { query, keys, angles } = shown.numbers, key = keys[facing], half = angles.length;
    const reach = Math.max(...[query, key].flatMap((vector) => vector.slice(0, half).map((a, pair) => Math.hypot(a, vector[pair + half]))), 1e-12);
    const dials = lab.make("div", { class: "lab-dials" }), score = lab.make("p", { class: "lab-step-score" });
    const draw = () => {
      const [q, k] = [turned(query, shown.place + moved), turned(key, facing + moved)];
      dials.replaceChildren(...q.map(([x, y], pair) => {
        const label = lab.word("step.pair", { pair: pair + 1, angle: lab.fourDigits(angles[pair]), product: lab.fourDigits(x * k[pair][0] + y * k[pair][1]) });
        const dial = lab.make("figure", { tabindex: 0 }, lab.dial(label, [[query[pair], query[pair + half], "lab-dial-before"], [...k[pair], "lab-dial-key"], [x, y, "lab-dial-query"]], reach), lab.make("figcaption", {}, `${pair + 1}`));
        for (const event of ["pointerenter", "focus"]) dial.addEventListener(event, () => tell(label));
        return dial;
      }));
      const sum = q.reduce((total, [x, y], pair) => total + x * k[pair][0] + y * k[pair][1], 0) / Math.sqrt(2 * half);
      score.textContent = lab.word("step.turned", { query: token(shown.place), key: token(facing), at: shown.place + moved, other: facing + moved, distance: shown.place - facing, score: lab.fourDigits(sum) });
    };
    const slider = lab.make("input", { type: "range", min: 0, max: 100, value: moved, id: "step-moved" });
    slider.addEventListener("input", () => { moved = Number(slider.value); draw(); });
    const choice = lab.make("select", { id: "step-facing" }, ...shown.numbers.weights.map((_, place) => lab.make("option", { value: place }, `${place + 1} ${visible(shown.tokens[place])}`)));
    choice.value = facing;
    choice.addEventListener("change", () => { facing = Number(choice.value); open(); find("#step-facing").focus(); });
    draw();
    return [
      lab.make("div", { class: "lab-step-choice" }, lab.make("label", { for: "step-facing" }, lab.word("step.facing"), choice), lab.make("label", { for: "step-moved" }, lab.word("step.move_both"), slider)),
      score, lab.make("p", { class: "lab-step-note" }, lab.make("i", { class: "lab-dial-sign lab-dial-query" }), lab.word("step.arrow_query"), lab.make("i", { class: "lab-dial-sign lab-dial-key" }), lab.word("step.arrow_key"), lab.make("i", { class: "lab-dial-sign lab-dial-before" }), lab.word("step.arrow_before")),
      dials,
    ];
  };

  const guessBars = (value, text) => lab.bars(lab.word("step.guesses"), shown.guesses.map((guess) => [quoted(guess.text), value(guess), text(guess), guess.came]));
  const layerSizes = () => {
    const { stream_size, attention_size, feed_forward_size } = shown.numbers;
    const head = lab.make("tr", {}, ...["step.layer_column", "step.attention_adds", "step.feed_forward_adds", "step.stream_column"].map((key) => lab.make("th", { scope: "col" }, lab.word(key))));
    const most = strongest(stream_size);
    const size = (value) => {
      const bar = lab.make("i");
      bar.style.width = `${(value / most) * 90}px`;
      return lab.make("td", {}, bar, lab.fourDigits(value));
    };
    const rows = attention_size.map((_, layer) => {
      const row = lab.make("tr", {}, lab.make("th", { scope: "row" }, `${layer + 1}`), size(attention_size[layer]), size(feed_forward_size[layer]), size(stream_size[layer + 1]));
      row.classList.toggle("lab-bars-marked", layer === shown.layer);
      return row;
    });
    return lab.make("table", { class: "lab-bars lab-sizes" }, lab.make("caption", {}, lab.word("step.sizes")), lab.make("thead", {}, head), lab.make("tbody", {}, ...rows));
  };
  const temperatures = () => {
    const head = lab.make("tr", {}, lab.make("td"), ...shown.temperatures.map((temperature) => lab.make("th", { scope: "col" }, lab.word("step.temperature", { temperature }))));
    const rows = shown.guesses.map((guess) => {
      const row = lab.make("tr", {}, lab.make("th", { scope: "row" }, quoted(guess.text)), ...guess.shares.map((share) => {
        const bar = lab.make("i");
        bar.style.width = `${share * 90}px`;
        return lab.make("td", {}, bar, percent(share));
      }));
      row.classList.toggle("lab-bars-marked", guess.came);
      return row;
    });
    return lab.make("table", { class: "lab-bars lab-sizes" }, lab.make("caption", {}, lab.word("step.guesses")), lab.make("thead", {}, head), lab.make("tbody", {}, ...rows));
  };

  const pictures = {
    embedding: () => [strip("vector_embedding", shown.numbers.embedding)],
    norm: () => {
      const { entering, normed } = shown.numbers, mean = entering.reduce((sum, value) => sum + value * value, 0) / entering.length;
      return [strip("vector_entering", entering), say("step.root", { root: lab.fourDigits(Math.sqrt(mean + shown.epsilon)), epsilon: String(shown.epsilon) }), strip("vector_normed", normed)];
    },
    projections: () => {
      const { query, keys } = shown.numbers, key = keys[shown.place], most = strongest(query, key);
      return [strip("vector_query", query, most), strip("vector_key", key, most), strip("vector_value", shown.own_value)];
    },
    rotary,
    scores: () => perToken(lab.word("step.scores_caption"), shown.numbers.scores, lab.fourDigits),
    softmax: () => perToken(lab.word("step.weights_caption"), shown.numbers.weights, percent),
    values: () => {
      const most = strongest(...shown.values.map(({ values }) => values)), { weights, mixed } = shown.numbers;
      return [...shown.values.map(({ place, values }) => lab.strip(lab.word("step.value_of", { share: percent(weights[place]), token: token(place) }), values.map((value) => value * weights[place]), tell, most)),
        ...(weights.length > shown.values.length ? [say("step.largest", { shown: shown.values.length, count: weights.length })] : []), strip("vector_mixed", mixed, most)];
    },
    output: () => {
      const { head_written, attended, entering, between } = shown.numbers, most = strongest(entering, between);
      return [strip("vector_head_written", head_written, most), strip("vector_attended", attended, most), strip("vector_entering", entering, most), strip("vector_between", between, most)];
    },
    feed_forward: () => {
      const { normed_between, gate, opened, up, hidden, written } = shown.numbers;
      const open = gate.filter((value) => value > 0).length;
      return [strip("vector_normed_between", normed_between), strip("vector_gate", gate), strip("vector_opened", opened), say("step.gates", { open, count: gate.length }), strip("vector_up", up), strip("vector_hidden", hidden), strip("vector_written", written)];
    },
    residual: () => {
      const { between, written, leaving } = shown.numbers, most = strongest(between, written, leaving);
      return [strip("vector_between", between, most), strip("vector_written", written, most), strip("vector_leaving", leaving, most), layerSizes()];
    },
    logits: () => [strip("vector_final", shown.numbers.final), guessBars((guess) => guess.logit, (guess) => lab.fourDigits(guess.logit))],
    sampling: () => [temperatures()],
  };

  // --- Taking it along ----------------------------------------------------------------------------------------------

  lab.takeAway(find(".lab-look-out"), {
    name: () => "one-step",
    report: () => ({
      title: lab.word("step.title"), facts: [shown.tokens.map(visible).join(""), find(".lab-step-said").textContent],
      head: [lab.word("step.guesses"), "logit", ...shown.temperatures.map((temperature) => lab.word("step.temperature", { temperature }))],
      rows: shown.guesses.map((guess) => [quoted(guess.text), lab.fourDigits(guess.logit), ...guess.shares.map((share) => ({ text: percent(share), share }))]),
    }),
    csv: () => [["name", "row", "index", "value"], ...Object.entries(shown.numbers).flatMap(([name, values]) => (Array.isArray(values[0]) ? values : [values]).flatMap((row, number) => row.map((value, index) => [name, number, index, value]))),
      ...shown.guesses.map((guess) => ["logit", guess.text, guess.id, guess.logit])],
    json: () => shown,
  });

  // --- Hands --------------------------------------------------------------------------------------------------------

  const visit = (number, focus = false) => {
    station = Math.max(0, Math.min(shown.stations.length - 1, number));
    open();
    if (focus) find(".lab-step-title").focus();
  };
  rail.addEventListener("click", ({ target }) => { const button = target.closest("[data-station]"); if (button) visit(Number(button.dataset.station)); });
  rail.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!move) return;
    event.preventDefault();
    visit(station + move);
    rail.querySelector("[aria-current]").focus();
  });
  find(".lab-step-back").addEventListener("click", () => visit(station - 1, true));
  find(".lab-step-next").addEventListener("click", () => visit(station + 1, true));
  const tokens = find(".lab-step-tokens");
  tokens.addEventListener("click", ({ target }) => { const chip = target.closest("[data-place]"); if (chip) { chip.focus(); go({ place: Number(chip.dataset.place) }); } });
  tokens.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key], place = shown.place + move;
    if (!move || place < 0 || place >= shown.tokens.length) return;
    event.preventDefault();
    go({ place });
  });
  for (const name of ["layer", "head"]) find(`.lab-step-${name}`).addEventListener("change", ({ target }) => go({ [name]: Number(target.value) - 1 }));

  lab.startText(box, props.example);
  find(".lab-look-form").addEventListener("submit", (event) => { event.preventDefault(); lab.shareText(box.value); find(".lab-send").disabled = true; trace({ text: box.value }); });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); find(".lab-look-form").requestSubmit(); }
  });
  const redraw = () => shown && show();
  new MutationObserver(redraw).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  new MutationObserver(redraw).observe(document.documentElement, { attributes: true, attributeFilter: ["lang"] });
  lab.translate(element);
};
