// The teacher's page: who is there and what they do, a few times a minute, and what is decided for all.
(() => {
  const EVERY = 2000;  // ms
  const find = (selector) => document.querySelector(selector);
  const figure = (number) => (number === null ? "–" : number.toLocaleString(lab.language, { maximumFractionDigits: number < 10 ? 1 : 0 }));
  const energy = (hours) => (hours === null ? "–" : hours.toLocaleString(lab.language, { maximumSignificantDigits: 2 }));
  let paused = false, sure = null;

  const show = (state) => {
    lab.say(find(".class-lost"), null);
    const figures = [["here", figure(state.here)], ["writing", figure(state.writing)], ["waiting", figure(state.waiting)], ["per_second", figure(state.tokens_per_second)],
      ["replies", figure(state.replies)], ["tokens", figure(state.tokens)], [state.estimated ? "energy_estimated" : "energy", energy(state.watt_hours)]];
    find(".class-figures").replaceChildren(...figures.map(([name, value]) =>
      lab.make("div", {}, lab.make("dt", { "data-word": `class.${name}` }, lab.word(`class.${name}`)), lab.make("dd", {}, value))));
    find("tbody").replaceChildren(...state.pupils.map((pupil) => {
      const doing = pupil.writing ? lab.word("class.gets_reply") : pupil.place ? lab.word("class.waits", { place: pupil.place }) : pupil.here ? "" : lab.word("class.away");
      return lab.make("tr", pupil.here ? {} : { "data-away": "" },
        ...[pupil.name, doing, figure(pupil.replies), figure(pupil.tokens), pupil.watt_hours === null ? "–" : energy(pupil.watt_hours * 1000)].map((text) => lab.make("td", {}, text)));
    }));
    find("table").hidden = !state.pupils.length;
    find(".class-nobody").hidden = state.pupils.length > 0;
    paused = state.orders.paused;
    find(".class-pause").setAttribute("aria-pressed", paused);
    lab.say(find(".class-pause"), paused ? "class.resume" : "class.pause");
    find(".class-more").hidden = !state.more_models;
    const choice = find("#class-model");
    if (choice.options.length !== state.models.length + 1) {
      choice.replaceChildren(lab.make("option", { value: "" }, lab.word("class.any_model")), ...state.models.map((name) => lab.make("option", { value: name }, name)));
      choice.value = state.orders.model ?? "";
    }
  };
  const order = async (changes) => {
    const headers = { "content-type": "application/json" };
    const answer = await fetch("/teacher.json", { method: "POST", headers, body: JSON.stringify(changes) });
    const state = await answer.json();
    lab.say(find(".class-problem"), state.problem?.key, state.problem?.values);
    if (answer.ok) show(state);
    return answer.ok;
  };
  const ask = async () => {
    try {
      const answer = await fetch("/teacher.json", { signal: AbortSignal.timeout(5 * EVERY) });
      if (answer.status === 401) return location.reload();
      show(await answer.json());
    } catch { lab.say(find(".class-lost"), "class.lost"); }
    setTimeout(ask, EVERY);
  };

  find(".class-pause").addEventListener("click", () => order({ paused: !paused }));
  for (const form of document.querySelectorAll("form[data-order]")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const name = form.dataset.order, value = form.querySelector("input, select").value;
      order({ [name]: name === "model" ? value || null : value });
    });
  }
  find("#class-file").addEventListener("change", async ({ target }) => {
    const [file] = target.files, told = find(".class-added");
    if (!file) return;
    lab.say(find(".class-problem"), null);
    lab.say(told, "train.opening");
    let answer = {};
    try {
      answer = await (await fetch("/open-model", { method: "POST", body: file, headers: { "content-type": "application/octet-stream", "x-file-name": encodeURIComponent(file.name) } })).json();
    } catch { answer.problem = { key: "problem.lost" }; }
    lab.say(find(".class-problem"), answer.problem?.key, answer.problem?.values);
    lab.say(told, answer.problem ? "class.add_model_why" : "train.opened", answer);
    target.value = "";
  });
  find(".class-end").addEventListener("click", ({ target }) => {  // twice, since it cannot be taken back
    clearTimeout(sure);
    if (target.dataset.word === "class.end_sure") { lab.say(target, "class.end"); order({ end: true }); return; }
    lab.say(target, "class.end_sure");
    sure = setTimeout(() => lab.say(target, "class.end"), 5000);
  });
  lab.translate(document);
  ask();
})();
