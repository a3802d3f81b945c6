// The Compare tab's quality: published scores with chance drawn in, and what each joule buys.
(() => {
  const AXIS = 30, TOP = 10, TALL = 46, NARROW = 560;
  const MARKS = ["●", "◆", "▲", "■", "★"];  // told apart without colour

  lab.compareScores = ({ number, wattHours, label, cell, tabulate, take, shown, find }) => {
    const section = find(".lab-compare-part-scores");
    const percent = (value) => `${number(value)} %`;
    const points = (value) => lab.word("compare.points", { value: number(value) });
    const tasks = () => Object.keys(shown().scores[0].tasks);
    const columns = () => [...tasks().map((task) => [task, percent]), ["above", points]];
    const rows = () => [
      ...shown().scores.map(({ key, tasks: found, above }) => [label(key), { ...found, above }]),
      [lab.word("compare.chance"), shown().chance],
    ];

    const taskPlot = (box) => {
      const wide = Math.max(300, box.clientWidth || 0), small = wide < NARROW, left = small ? 10 : 150;
      const names = tasks(), height = TOP + names.length * TALL + AXIS;
      const at = (value) => left + (value / 100) * (wide - left - 20);
      const picture = lab.svg("svg", { viewBox: `0 0 ${wide} ${height}`, width: wide, height, role: "img", "aria-label": lab.word("compare.scores") });
      for (let value = 0; value <= 100; value += 25) {
        picture.append(lab.svg("line", { x1: at(value), x2: at(value), y1: TOP, y2: height - AXIS, class: "lab-plot-line" }), lab.svg("text", { x: at(value), y: height - 10, "text-anchor": { 0: "start", 100: "end" }[value] ?? "middle", class: "lab-plot-soft" }, `${value} %`));
      }
      names.forEach((task, row) => {
        const y = TOP + row * TALL + TALL * 0.65, guess = shown().chance[task];
        picture.append(lab.svg("text", small ? { x: left, y: y - 16 } : { x: left - 12, y: y + 5, "text-anchor": "end" }, lab.word(`compare.column_${task}`)));
        if (guess) picture.append(lab.svg("line", { x1: at(guess.value), x2: at(guess.value), y1: y - 14, y2: y + 12, class: "lab-plot-chance" }, lab.svg("title", {}, `${lab.word("compare.chance")}: ${percent(guess.value)}`)));
        shown().scores.forEach(({ key, tasks: found }, model) => {
          picture.append(lab.svg("text", { x: at(found[task].value), y: y + 6, "text-anchor": "middle", class: `lab-plot-mark lab-plot-mark-${model}` }, MARKS[model], lab.svg("title", {}, `${label(key)}: ${percent(found[task].value)}`)));
        });
      });
      const legend = lab.make("p", { class: "lab-plot-legend" }, ...shown().scores.map(({ key }, model) => lab.make("span", { class: `lab-plot-mark-${model}` }, `${MARKS[model]} ${label(key)}`)), lab.make("span", { class: "lab-plot-chance-word" }, `| ${lab.word("compare.chance")}`));
      box.replaceChildren(picture, legend);
    };

    const buysPlot = (box) => {
      const costs = Object.fromEntries(shown().costs.models.map((model) => [model.key, model]));
      const known = shown().scores.map((one, model) => ({ ...one, model, reply: costs[one.key].reply })).filter(({ reply }) => reply);
      if (!known.length) return box.replaceChildren(lab.word("compare.headline_none"));
      const wide = Math.max(300, box.clientWidth || 0), height = 280, left = 54, right = 30;
      const values = known.flatMap(({ reply }) => [reply.low, reply.high]);
      const { at: across, ticks } = lab.energyScale(values, left, wide - right);
      const up = (value) => height - 36 - (value / 60) * (height - 56);
      const picture = lab.svg("svg", { viewBox: `0 0 ${wide} ${height}`, width: wide, height, role: "img", "aria-label": known.map(({ key, reply, above }) => `${label(key)}: ${wattHours(reply.value)}, ${points(above.value)}`).join("; ") });
      for (const tick of ticks) {
        const x = across(tick);
        picture.append(lab.svg("line", { x1: x, x2: x, y1: 10, y2: height - 36, class: "lab-plot-line" }), lab.svg("text", { x, y: height - 14, "text-anchor": "middle", class: "lab-plot-soft" }, wattHours(tick)));
      }
      for (let value = 0; value <= 60; value += 20) {
        picture.append(lab.svg("line", { x1: left, x2: wide - right, y1: up(value), y2: up(value), class: value ? "lab-plot-line" : "lab-plot-chance" }), lab.svg("text", { x: left - 8, y: up(value) + 5, "text-anchor": "end", class: "lab-plot-soft" }, value ? `+${value}` : "0"));
      }
      picture.append(lab.svg("text", { x: wide - right, y: up(0) - 6, "text-anchor": "end", class: "lab-plot-soft" }, lab.word("compare.chance")));
      known.forEach(({ key, model, reply, above }, number) => {
        const y = up(above.value), nearEdge = across(reply.value) > wide * 0.6;
        const tight = known[number + 1] && y - up(known[number + 1].above.value) < 30;  // then the name stands below
        picture.append(lab.svg("g", { class: `lab-plot-${reply.kind}` },
          lab.svg("line", { x1: across(reply.low), x2: across(reply.high), y1: y, y2: y, class: "lab-plot-range" }),
          lab.svg("text", { x: across(reply.value), y: y + 6, "text-anchor": "middle", class: `lab-plot-mark lab-plot-mark-${model}` }, MARKS[model]),
          lab.svg("text", { x: across(reply.value) + (nearEdge ? 12 : -12), y: tight ? y + 24 : y - 12, "text-anchor": nearEdge ? "end" : "start" }, label(key))));
      });
      box.replaceChildren(picture);
    };

    take(section, "scores", "compare.scores", () => [lab.word("compare.scores_why")], [["ARC-challenge", percent], ["HellaSwag", percent], ["MMLU", percent], ["TruthfulQA", percent], ["above", points]], rows,
      () => section.querySelector(".lab-compare-buys svg") ?? section.querySelector(".lab-compare-tasks svg"));
    return () => {
      taskPlot(section.querySelector(".lab-compare-tasks"));
      tabulate(section, columns(), rows());
      buysPlot(section.querySelector(".lab-compare-buys"));
    };
  };
})();
