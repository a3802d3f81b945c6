// What the page works around in Gradio's client; loaded before every other script. The server's part of this is
// gradio_compat.py.
window.lab = window.lab || {};

(() => {
  // What a component has of Gradio, with what Gradio lacks. Every request names the page's model. A request sent in the
  // very moment in which an earlier one ends can be left without an answer: Gradio's server has closed the stream of
  // answers, and its client takes it for open. The next request opens another, which brings that answer as well; so each
  // is followed by one that asks for nothing. And what is refused (below) is answered with a problem like any other.
  const SECOND_REQUEST_AFTER = 2000;  // ms
  let requests = 0;
  lab.line = (trigger, props, watch) => {
    const own = new Set(), callbacks = [];
    let refusal = null;
    document.addEventListener("lab-refused", ({ detail: { problem, sent } }) => {
      if (!own.has(sent?.serial)) return;
      refusal = { ...sent, state: sent.vote ? "voted" : "problem", problem };
      for (const callback of callbacks) callback();  // guard: refusal-shown
      refusal = null;
    });
    const send = (name, data) => {
      const request = { ...data, model: lab.modelName, serial: ++requests };
      own.add(requests);
      unsent.set(requests, request);
      trigger(name, request);
      setTimeout(refuseUnsent);
      setTimeout(() => lab.nudge?.(), SECOND_REQUEST_AFTER);
    };
    const seen = new Proxy(props, { get: (target, name) => (name === "value" && refusal ? refusal : target[name]) });
    return [send, seen, (name, callback) => { callbacks.push(callback); watch(name, callback); }];
  };

  const refuse = (problem, sent) => document.dispatchEvent(new CustomEvent("lab-refused", { detail: { problem, sent } }));

  // When any request or stream breaks, Gradio's client asks every two seconds whether the server answers again, by
  // `app_id`, and then loads the page anew. Until then it drops every request without a word.
  const unsent = new Map();  // number -> request that was handed to Gradio's client and that it did not send yet
  let serverIsLost = false;
  const refuseUnsent = () => {
    if (!serverIsLost) return;
    const requests = [...unsent.values()];
    unsent.clear();
    for (const request of requests) refuse({ key: "problem.lost" }, request);
  };

  // A request that the server refuses before it is in the queue, or that never reaches the server, brings a component no
  // answer: Gradio's client shows a message of its own, in English only, and tells the component nothing. So `fetch` is
  // wrapped; it sends the event "lab-refused". It also learns the name by which Gradio's server knows this page, which
  // Gradio tells no component.
  const fetched = window.fetch;
  window.fetch = async (target, options) => {
    const address = String(target?.url ?? target), isRequest = address.includes("/queue/join");
    const { session_hash: page, event_data: sent } = isRequest ? JSON.parse(options.body) : {};
    if (isRequest) lab.page ??= page;
    unsent.delete(sent?.serial);
    if (address.endsWith("/app_id")) {
      serverIsLost = true;
      refuseUnsent();
    }
    try {
      const answer = await fetched(target, options);
      if (isRequest && !answer.ok) {
        const told = await answer.clone().json().catch(() => ({}));
        refuse(told.problem ?? { key: answer.status === 503 ? "problem.line_full" : "problem.lost" }, sent);
      }
      return answer;
    } catch (error) {
      if (isRequest) refuse({ key: "problem.lost" }, sent);
      throw error;
    }
  };
})();
