// In a class: who one is, the place in the line, and what the teacher says to all. Asked for every few seconds.
lab.classroom = (element, offers) => {
  const find = (selector) => element.querySelector(selector);
  const EVERY = 2500, PATIENCE = 10_000;  // ms; a network that went away may leave a request open for minutes
  let known = null;
  const show = (state) => {
    find(".lab-class").hidden = false;
    if (state.name) lab.say(find(".lab-class-name"), "class.you_are", { name: state.name });
    else lab.say(find(".lab-class-name"), "class.you_teach");
    if (!state.name && known === null) lab.download(element, offers);  // models come by the teacher alone
    lab.say(find(".lab-class-place"), state.place > 0 ? "class.place" : null, { place: state.place });
    if (state.place > 0) lab.stillWaiting?.();
    lab.say(find(".lab-class-paused"), state.paused ? "class.paused" : null);
    find(".lab-class-message").textContent = state.message;
    find(".lab-class-prompt").hidden = !state.prompt;
    find(".lab-class-prompt q").textContent = state.prompt;
    // The teacher's choice of a model is followed when it is made, and by who comes later and has chosen none.
    const told = known === null ? !new URLSearchParams(location.search).has("model") : state.number !== known;
    const other = told && state.model !== null && state.model !== lab.modelName;
    known = state.number;
    if (other) lab.chooseModel(state.model);
  };
  find(".lab-class-prompt button").addEventListener("click", () => {
    const box = document.querySelector("#lab-chat .lab-composer textarea");
    box.value = find(".lab-class-prompt q").textContent;
    box.dispatchEvent(new Event("input", { bubbles: true }));
    lab.shareText?.(box.value);
    box.focus();
  });
  const ask = async () => {
    try {
      const answer = await fetch(new URL("room.json", document.baseURI), { signal: AbortSignal.timeout(PATIENCE) });
      if (answer.status === 401) {  // the class is over, and the password is asked for again
        lab.classIsOver = true;
        return location.reload();
      }
      show(await answer.json());
    } catch { /* the next try may reach it */ }
    setTimeout(ask, EVERY);
  };
  ask();
};
