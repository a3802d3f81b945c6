// Models fetched from the Hugging Face hub or the Python package index, or added from this computer: what can be had, what
// it would take, the download as it goes.
// Speaks with /download.json, which answers with the whole state; no page here asks any other host.
lab.download = (element, offers, local = false) => {
  const find = (selector) => element.querySelector(selector);
  const opener = find(".lab-fetch-open"), panel = find(".lab-fetch-panel"), A_SECOND = 1000;
  const BUSY = ["asking", "fetching", "converting"];
  const OTHERWISE = {  // states for which models from elsewhere than the hub have sentences of their own
    package: { asking: "asking_other", asked: "asked_package", ended: "ended_package", there: "there_package" },
    local: { asking: "asking_other", asked: "asked_linked", fetching: "fetching_local", ended: "ended_local", failed: "failed_local" },
  };
  let seen = { state: "none" }, timer = null;
  if (!offers.length) return;  // this server fetches nothing

  const gigabytes = (bytes) => Number((bytes / 1e9).toPrecision(bytes < 1e7 ? 2 : 3));
  const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
  const complain = (problem) => lab.say(find(".lab-fetch-panel .lab-problem"), problem && (problem.key ?? "problem.lost"), problem?.values);
  const act = async (action, more = {}) => {
    const before = seen.state;
    try {
      const answer = await fetch(new URL("download.json", document.baseURI), {
        method: "POST", body: JSON.stringify({ action, ...more }), headers: { "content-type": "application/json" },
      });
      const told = await answer.json();
      if (told.problem && !told.state) throw told.problem;
      seen = told;
      complain(seen.problem ?? null);
    } catch (problem) { complain(problem.key ? problem : {}); }
    if (seen.state === "ended" && before !== "ended") lab.refreshModels?.();
    show();
    watch();
  };

  // --- What is shown ------------------------------------------------------------------------------------------------

  const line = (key, values) => {
    const sentence = lab.make("span");
    lab.say(sentence, key, values);
    return lab.make("p", {}, sentence);
  };
  const sentences = () => {
    const values = {
      title: seen.title, files: seen.files, size: gigabytes(seen.bytes ?? 0), free: gigabytes(seen.free ?? 0), done: gigabytes(seen.done ?? 0),
      kept: gigabytes(seen.kept ?? 0), licence: seen.licence, seconds: seen.waiting, file: seen.file,
      speed: seen.speed ? Number((seen.speed / 1e6).toPrecision(2)) : "…", left: seen.seconds_left == null ? "…" : clock(seen.seconds_left),
    };
    const moment = seen.ending && BUSY.includes(seen.state) ? "ending" : seen.waiting !== null ? "waiting" : seen.verifying ? "verifying" : "fetching";
    const now = seen.state === "fetching" ? moment : seen.state;
    const sentence = seen.copied && now === "asked" ? "asked_copied" : OTHERWISE[seen.kind]?.[now] ?? now;
    const lines = [line(`fetch.state_${sentence}`, values)];
    if (seen.state === "asked" && seen.licence) {
      if (seen.replaces) lines.push(line("fetch.replaces"));
      if (seen.conversion) lines.push(line("fetch.conversion"));
      const licence = line("fetch.licence", values);
      licence.append(" ", lab.make("a", { href: seen.licence_link, target: "_blank", rel: "noreferrer", "data-word": "fetch.licence_text" }));
      lines.push(licence);
    }
    if (["asked", "stopped", "failed"].includes(seen.state) && seen.kept) lines.push(line("fetch.kept", values));
    return lines;
  };
  const show = () => {
    const { state } = seen, busy = BUSY.includes(state);
    const percent = state === "fetching" && seen.bytes ? lab.percent(seen.done / seen.bytes) : null;
    lab.say(opener, busy ? "fetch.open_busy" : "fetch.open", { percent: percent ?? "…" });
    find(".lab-fetch-offers").hidden = find(".lab-fetch-by-name").hidden = find(".lab-fetch-why").hidden = busy || state === "asked";
    find(".lab-fetch-state").replaceChildren(...(state === "none" ? [] : sentences()));
    const bar = find(".lab-fetch-panel progress");
    bar.hidden = !busy;
    if (percent !== null && !seen.verifying) bar.value = seen.done / seen.bytes; else bar.removeAttribute("value");
    const shown = {
      start: ["asked", "stopped"].includes(state) && seen.bytes, cancel: (busy && state !== "converting") || state === "asked",
      discard: ["stopped", "failed"].includes(state) && seen.kept, use: ["ended", "there"].includes(state),
    };
    for (const [name, there] of Object.entries(shown)) find(`[data-fetch=${name}]`).hidden = !there;
    lab.say(find("[data-fetch=start]"), state === "stopped" ? "fetch.go_on" : seen.kind === "local" ? "fetch.add" : "fetch.start");
    lab.say(find("[data-fetch=cancel]"), state === "asked" ? "fetch.not_now" : "fetch.cancel");
    lab.translate(panel);
    if (!panel.hidden && document.activeElement === document.body) panel.focus();  // the button that had it is gone
  };
  const wanted = () => offers.filter(({ kind, name }) => kind !== "package" || !lab.models.some((model) => model.name === name));
  const showOffers = () => find(".lab-fetch-offers").replaceChildren(...wanted().map((offer) => {
    const button = lab.make("button", { type: "button", class: "lab-example" });
    const name = lab.make("strong"), about = lab.make("span");
    lab.say(name, "fetch.offer", { title: offer.title });
    lab.say(about, offer.kind === "package" ? "fetch.about_package" : offer.gated ? "fetch.about_gated" : "fetch.about", { size: gigabytes(offer.bytes), licence: offer.licence });
    button.append(name, about);
    button.addEventListener("click", () => act("ask", { repo: offer.repo }));
    return lab.make("li", {}, button);
  }));

  // --- Opening, closing, looking on ---------------------------------------------------------------------------------

  const open = (wanted) => {
    panel.hidden = !wanted;
    opener.setAttribute("aria-expanded", String(wanted));
    if (wanted) act("see");
    else opener.focus();
  };
  const watch = () => {  // once a second while there is something to see
    clearTimeout(timer);
    if (!BUSY.includes(seen.state)) return;
    timer = setTimeout(() => (document.visibilityState === "visible" ? act("see") : watch()), A_SECOND);
  };
  const box = find("#lab-fetch-name");
  find(".lab-fetch-by-name label").dataset.word = local ? "fetch.by_name_local" : "fetch.by_name";
  find(".lab-fetch-by-name").addEventListener("submit", (event) => {
    event.preventDefault();
    if (box.value.trim()) act("ask", { repo: box.value });
  });
  document.addEventListener("lab-models", () => { showOffers(); lab.translate(panel); });
  opener.hidden = false;
  opener.addEventListener("click", () => open(panel.hidden));
  find(".lab-fetch-close").addEventListener("click", () => open(false));
  panel.addEventListener("keydown", (event) => { if (event.key === "Escape") open(false); });
  for (const name of ["start", "cancel", "discard"]) find(`[data-fetch=${name}]`).addEventListener("click", () => act(name));
  find("[data-fetch=use]").addEventListener("click", () => lab.chooseModel(seen.name));
  new MutationObserver(() => { showOffers(); show(); }).observe(document.documentElement, { attributes: true, attributeFilter: ["lang"] });
  showOffers();
  show();
  act("see");  // another page may have begun one
};
