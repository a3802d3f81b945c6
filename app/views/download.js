// Models from the Hugging Face hub: what can be had, what the hub says of it, the download as it goes.
// Speaks with /download.json, which answers with the whole state; no page here asks any other host.
lab.download = (element, offers) => {
  const find = (selector) => element.querySelector(selector);
  const opener = find(".lab-fetch-open"), panel = find(".lab-fetch-panel"), A_SECOND = 1000;
  const BUSY = ["asking", "fetching", "converting"];
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
    const lines = [line(`fetch.state_${seen.state === "fetching" ? moment : seen.state}`, values)];
    if (seen.state === "asked") {
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
    find(".lab-fetch-offers").hidden = find(".lab-fetch-why").hidden = busy || state === "asked";
    find(".lab-fetch-state").replaceChildren(...(state === "none" ? [] : sentences()));
    const bar = find(".lab-fetch-panel progress");
    bar.hidden = !busy;
    if (percent !== null && !seen.verifying) bar.value = seen.done / seen.bytes; else bar.removeAttribute("value");
    const shown = {
      start: ["asked", "stopped"].includes(state) && seen.bytes, cancel: (busy && state !== "converting") || state === "asked",
      discard: ["stopped", "failed"].includes(state) && seen.kept, use: ["ended", "there"].includes(state),
    };
    for (const [name, there] of Object.entries(shown)) find(`[data-fetch=${name}]`).hidden = !there;
    lab.say(find("[data-fetch=start]"), state === "stopped" ? "fetch.go_on" : "fetch.start");
    lab.say(find("[data-fetch=cancel]"), state === "asked" ? "fetch.not_now" : "fetch.cancel");
    lab.translate(panel);
    if (!panel.hidden && document.activeElement === document.body) panel.focus();  // the button that had it is gone
  };
  const showOffers = () => find(".lab-fetch-offers").replaceChildren(...offers.map((offer) => {
    const button = lab.make("button", { type: "button", class: "lab-example" });
    const name = lab.make("strong"), about = lab.make("span");
    lab.say(name, "fetch.offer", { title: offer.title });
    lab.say(about, offer.gated ? "fetch.about_gated" : "fetch.about", { size: gigabytes(offer.bytes), licence: offer.licence });
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
