// How many of the lab's pages are open in this browser; they tell one another, and no server.
lab.countPages = (tell) => {
  const channel = new BroadcastChannel("litellama-lab"), own = Math.random(), others = new Set();
  const say = (kind) => channel.postMessage({ kind, from: own });
  const show = () => tell(others.size + 1);
  channel.addEventListener("message", ({ data: { kind, from } }) => {
    if (kind === "bye") others.delete(from); else others.add(from);
    if (kind === "hello") say("here");
    show();
  });
  addEventListener("pagehide", () => say("bye"));
  addEventListener("pageshow", ({ persisted }) => { if (persisted) say("hello"); });  // back from the browser's memory
  say("hello");
};
