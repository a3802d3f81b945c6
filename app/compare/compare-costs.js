// The Compare tab's energy: dots with ranges on a scale of powers of ten, and the tables below them.
(() => {
  const ROW = 34, TOP = 8, AXIS = 34, NARROW = 560;
  const WH = 3600;  // joules

  // A scale of powers of ten, in watt-hours, over joules: { from, to, at(joules) -> px, ticks: [joules] }.
  lab.energyScale = (values, start, end) => {
    const powers = values.filter((value) => value > 0).map((value) => Math.log10(value / WH));
    const from = Math.floor(Math.min(...powers)), to = Math.max(from + 1, Math.ceil(Math.max(...powers)));
    const step = Math.ceil(((to - from) * 75) / (end - start));  // a label takes some 75 px
    const ticks = Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, number) => 10 ** (from + number * step) * WH);
    return { at: (value) => start + ((Math.log10(value / WH) - from) / (to - from)) * (end - start), ticks };
  };

  // Rows of { name, found: { value, low, high, kind }, published } on such a scale.
  lab.rangePlot = (box, rows, format, words) => {
    const known = rows.filter(({ found }) => found);
    const values = known.flatMap(({ found, published }) => [found.low, found.high, found.value, ...(published ? [published.value] : [])]);
    const wide = Math.max(300, box.clientWidth || 0), small = wide < NARROW, left = small ? 8 : 150, right = small ? 20 : 120;
    const tall = small ? ROW + 18 : ROW;
    const { at, ticks } = lab.energyScale(values.length ? values : [WH], left, wide - right);
    const height = TOP + rows.length * tall + AXIS;
    const picture = lab.svg("svg", { viewBox: `0 0 ${wide} ${height}`, width: wide, height, role: "img", "aria-label": rows.map(({ name, found }) => `${name}: ${found ? format(found.value) : words.none}`).join("; ") });
    for (const tick of ticks) {
      const x = at(tick);
      picture.append(lab.svg("line", { x1: x, x2: x, y1: TOP, y2: height - AXIS, class: "lab-plot-line" }), lab.svg("text", { x: Math.max(x, 34), y: height - 12, "text-anchor": "middle", class: "lab-plot-soft" }, format(tick)));
    }
    rows.forEach(({ name, found, published }, row) => {
      const y = TOP + row * tall + (small ? tall - 14 : tall / 2);
      picture.append(lab.svg("text", small ? { x: left, y: y - 15 } : { x: left - 12, y: y + 5, "text-anchor": "end" }, name));
      if (!found) {
        picture.append(lab.svg("text", { x: small ? wide - 8 : left + 8, y: small ? y - 15 : y + 5, "text-anchor": small ? "end" : "start", class: "lab-plot-soft" }, words.none));
        return;
      }
      const group = lab.svg("g", { class: `lab-plot-${found.kind}` }, lab.svg("title", {}, `${name}: ${format(found.value)} (${format(found.low)} – ${format(found.high)}), ${words[found.kind]}`));
      group.append(lab.svg("line", { x1: at(found.low), x2: at(found.high), y1: y, y2: y, class: "lab-plot-range" }), lab.svg("circle", { cx: at(found.value), cy: y, r: 6 }));
      if (published) {
        const x = at(published.value);
        group.append(lab.svg("path", { d: `M${x} ${y - 8}l7 8l-7 8l-7 -8z`, class: "lab-plot-published-mark" }, lab.svg("title", {}, `${words.published}: ${format(published.value)}`)));
      }
      const text = `${format(found.value)} ${words[found.kind]}`;
      group.append(lab.svg("text", small ? { x: wide - 8, y: y - 15, "text-anchor": "end", class: "lab-plot-soft" } : { x: at(found.high) + 10, y: y + 5, class: "lab-plot-soft" }, text));
      picture.append(group);
    });
    box.replaceChildren(picture);
  };

  lab.compareCosts = ({ number, wattHours, grams, label, cell, tabulate, take, chosen, shown, find, explain }) => {
    const times = (value) => `${number(value)} ×`;
    const count = (value) => Math.round(Number(value.toPrecision(3))).toLocaleString(lab.language);
    const USE = [["reply", wattHours], ["thousand", wattHours], ["times", times], ["published", wattHours]];
    const YEAR = [["year", wattHours], ["co2", grams], ["training", wattHours], ["training_co2", grams], ["training_stated", grams], ["break_even", count]];
    const use = find(".lab-compare-part-costs"), year = find(".lab-compare-part-year");
    const rows = () => shown().costs.models.map((model) => [label(model.key), model]);
    const basis = () => {
      const record = shown().costs.models.find(({ reply }) => reply)?.reply;
      return record ? lab.word(record.how, record.values) : "";
    };

    const headline = () => {
      const by = Object.fromEntries(shown().costs.models.map((model) => [model.key, model]));
      const [small, large] = [by["litellama-460m"], by["llama2-7b"]];
      if (!small.reply || !large.times) return lab.word("compare.headline_none");
      return lab.word("compare.headline", {
        count: chosen.answer, used: wattHours(small.reply.value), times: number(large.times.value, 2), kind: `@compare.kind_${large.times.kind}`, batch: chosen.basis === "device" ? chosen.batch : 1,
      });
    };
    const same = () => {
      const by = Object.fromEntries(shown().costs.models.map((model) => [model.key, model]));
      return shown().costs.equivalents.map(({ key, unit, low, high, figure }) => {
        const item = lab.make("li", {}, lab.word(key), ": ");
        const parts = ["litellama-460m", "llama2-7b", "llama2-70b"].filter((name) => by[name].year).map((name) => {
          const amount = unit === "J" ? by[name].year : by[name].co2;
          const [least, most] = [amount.low / high, amount.high / low];
          const shape = (value) => number(value, 2);
          const button = cell(() => lab.word("compare.range", { low: shape(least), high: shape(most) }), { ...figure, kind: "estimated", value: least, low: least, high: least });  // its text is the range
          return lab.make("span", {}, `${label(name)} `, button);
        });
        parts.forEach((part, at) => item.append(...(at ? ["; "] : []), part));
        return item;
      });
    };

    take(use, "energy", "compare.costs", () => [basis()], USE, rows, () => use.querySelector(".lab-compare-plot svg"));
    take(year, "year", "compare.year", () => [
      basis(), `${lab.word("compare.replies")}: ${chosen.replies.toLocaleString(lab.language)}`, `${chosen.country}: ${number(shown().costs.grid.value)} ${shown().costs.grid.unit}`, `${lab.word("compare.factor")}: ${number(shown().costs.pue.value)}`,
    ], YEAR, rows);

    return () => {
      use.querySelector(".lab-compare-headline").textContent = headline();
      lab.rangePlot(use.querySelector(".lab-compare-plot"), shown().costs.models.map(({ key, reply, published }) => ({ name: label(key), found: reply, published })), wattHours, {
        none: lab.word("compare.none"), ...Object.fromEntries(["measured", "estimated", "published"].map((kind) => [kind, lab.word(`compare.kind_${kind}`)])),
      });
      tabulate(use, USE, rows());
      tabulate(year, YEAR, rows());
      const { grid, pue } = shown().costs;
      year.querySelector(".lab-compare-grid").replaceChildren(
        `${chosen.country}: `, cell((value) => `${number(value)} ${grid.unit}`, grid), ` · ${lab.word("compare.factor")}: `, cell((value) => number(value), pue));
      year.querySelector(".lab-compare-same").replaceChildren(...same());
    };
  };
})();
