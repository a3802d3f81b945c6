// A reply of the chat: its tokens as they come, its figures, and the sentences behind these. `record` says where
// LLaMA 2 7B was measured.
lab.replies = (record) => {
  const make = (name, ...more) => lab.make("div", { class: "lab-reply" },
    name,
    lab.make("p", { class: "lab-tokens", role: "group", "data-label": "chat.reply" }),
    lab.make("p", { class: "lab-waiting" }, lab.make("span", { "data-word": "chat.waiting" }), lab.make("i"), lab.make("i"), lab.make("i")),
    lab.make("p", { class: "lab-progress", hidden: "" }, lab.make("span"), lab.make("progress", { "aria-hidden": "true" })),
    lab.make("p", { class: "lab-stats" }),
    lab.make("div", { class: "lab-bill" }),
    ...more);

  const write = (reply, { turn, tokens, progress }) => {
    reply.dataset.turn = turn;
    writeProgress(reply.querySelector(".lab-progress"), progress);
    const line = reply.querySelector(".lab-tokens");
    tokens.forEach(([text, probability], index) => {
      const token = line.children[index] || line.appendChild(newToken(index, probability));
      const seen = text || "·";  // part of a character: its other bytes come with the next tokens
      if (token.textContent !== seen) token.textContent = seen;
      token.toggleAttribute("data-blank", /^[\n\r\f\v]+$/.test(text));  // else there would be nothing to click
      if (text) token.removeAttribute("aria-label"); else token.setAttribute("aria-label", lab.word("chat.invisible"));
    });
  };

  // How far a reply is that has no token yet: it waits for its turn, or its prompt is being read.
  const writeProgress = (line, progress) => {
    line.hidden = !progress;
    if (!progress) return;
    const { read, total, waiting } = progress, bar = line.querySelector("progress");
    lab.say(line.querySelector("span"), waiting ? "chat.waiting_turn" : "chat.reading", { read, total });
    bar.hidden = waiting;
    bar.max = total;
    bar.value = read;
  };

  const newToken = (index, probability) => {
    const token = lab.make("span", { class: "lab-token", role: "button", "data-token": index, "aria-haspopup": "dialog", tabindex: index ? -1 : 0 });
    if (probability !== null) token.style.setProperty("--doubt", (1 - probability).toFixed(3));
    return token;
  };

  const finish = (reply, update, ...more) => {  // more: sentences that stand with its figures
    reply.classList.add("lab-done");
    addStats(reply, update, more);
    addBill(reply, update.bill);
  };

  const addStats = (reply, { state, count, per_second, seed, dropped, stats, remarks }, more) => {
    const parts = [...remarks, [stats, { count, per_second, seed }], ...more];
    if (!count) parts.unshift(["chat.nothing"]);
    if (["stopped", "length", "time", "late", "broken"].includes(state)) parts.unshift([`chat.state_${state}`]);
    if (dropped) parts.push(["chat.dropped", { count: dropped }]);
    reply.querySelector(".lab-stats").append(...said(parts));
  };
  const said = (parts) => parts.flatMap(([key, values]) => {
    const span = lab.make("span");
    lab.say(span, key, values);
    return [span, " "];
  });

  const addBill = (reply, { energy, large, times, reason, read, written }) => {
    const below = reply.querySelector(".lab-bill");
    const methods = (of) => of.methods.map((key) => [key]);
    const [figure, how] = energy
      ? explained("chat.energy", lab.wattHours(energy), [["chat.energy_how"], ...methods(energy)])
      : explained("chat.energy_unknown", {}, [["chat.energy_reason", { reason }]]);
    reply.querySelector(".lab-stats").append(figure);
    below.append(how);
    if (large) {
      const [figure, how] = explained(...largeFigure(large, times), [["chat.large_how", { ...record, read, written }], ...methods(large)]);
      below.append(lab.make("p", {}, figure), how);
    }
    lab.translate(reply);
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

  return { make, write, finish, said, largeFigure };
};
