// What the Responsibility tab draws: two groups' shares and their difference, and certainty against being right.
(() => {
  const ROW = 62, TOP = 26, NARROW = 620;
  const clean = (value) => Math.min(1, Math.max(0, value));

  // For each continuation a row: each word as a faint mark, each group's mean with its interval, and to the right (on a
  // narrow page below) the difference with its interval next to the line of none. `tell` gets a sentence on the mark
  // under the pointer. Of `found` as the server sends it.
  lab.drawPairs = (box, { groups, continuations, means, differences, words }, { percent, points, tell }) => {
    const wide = Math.max(280, box.clientWidth || 0), small = wide < NARROW;
    const left = small ? 6 : Math.min(190, wide * 0.24), gap = 34, half = small ? wide - left - 12 : (wide - left - gap - 16) * 0.58;
    const row = small ? 2 * ROW + 38 : ROW, high = TOP + continuations.length * row + 30;
    const from = small ? left + 6 : left + half + gap, room = small ? wide - left - 24 : wide - from - 14;
    const most = Math.max(0.05, ...differences.flatMap(({ value, low, high: top }) => [value, low ?? value, top ?? value].map(Math.abs)));
    const span = [0.05, 0.1, 0.2, 0.5, 1].find((step) => step >= most) ?? 1;
    const x = (share) => left + 6 + clean(share) * (half - 12), apart = (value) => from + (value / span + 1) / 2 * room;
    const picture = lab.svg("svg", { viewBox: `0 0 ${wide} ${high}`, width: wide, height: high, role: "img", "aria-label": lab.word("responsibility.picture", { one: groups[0], other: groups[1] }) });
    const text = (attributes, content, soft = true) => picture.append(lab.svg("text", { ...attributes, ...(soft ? { class: "lab-fair-soft" } : {}) }, content));
    const line = (attributes, kind) => picture.append(lab.svg("line", { ...attributes, class: `lab-fair-${kind}` }));
    const mark = (node, sentence) => {
      node.append(lab.svg("title", {}, sentence));
      for (const event of ["pointerover", "click"]) node.addEventListener(event, () => tell(sentence));
      picture.append(node);
    };
    const dot = (group, cx, cy, size, kind) => group
      ? lab.svg("rect", { x: cx - size, y: cy - size, width: 2 * size, height: 2 * size, transform: `rotate(45 ${cx} ${cy})`, class: kind })
      : lab.svg("circle", { cx, cy, r: size * 1.15, class: kind });
    if (!small) {
      text({ x: x(0), y: 12 }, lab.word("responsibility.axis_share"));
      text({ x: apart(0), y: 12, "text-anchor": "middle" }, lab.word("responsibility.axis_difference"));
    }
    if (small) for (const share of [0, 0.5, 1]) text({ x: x(share), y: 12, "text-anchor": ["start", "middle", "end"][share * 2] }, percent(share));
    continuations.forEach((end, number) => {
      const top = TOP + number * row, base = small ? top + 20 : top, lower = small ? top + ROW + 18 : top;
      const name = end.length > 26 && !small ? `${end.slice(0, 25)}…` : end;
      text(small ? { x: left, y: top + 8 } : { x: left - 8, y: top + 32, "text-anchor": "end" }, name, false);
      for (const share of [0, 0.5, 1]) line({ x1: x(share), x2: x(share), y1: base + 4, y2: base + ROW - 12 }, "grid");
      groups.forEach((group, side) => {
        const y = base + 15 + side * 22, [value, low, upper] = means[side][number];
        for (const [word, shares] of words[side]) mark(dot(side, x(shares[number]), y, 3.2, `lab-fair-word lab-fair-${side}`), lab.word("responsibility.word_value", { word, end, share: percent(shares[number]) }));
        if (low !== null) line({ x1: x(low), x2: x(upper), y1: y, y2: y }, `range lab-fair-${side}`);
        const sure = low === null ? "" : ` (${percent(low)} – ${percent(upper)})`;
        mark(dot(side, x(value), y, 6, `lab-fair-mean lab-fair-${side}`), lab.word("responsibility.group_value", { group, end, share: percent(value) + sure }));
      });
      const { value, low, high: upper, clear } = differences[number], y = lower + 26;
      line({ x1: apart(0), x2: apart(0), y1: lower + 4, y2: lower + ROW - 12 }, "none");
      if (low !== null) line({ x1: apart(low), x2: apart(upper), y1: y, y2: y }, "range lab-fair-between");
      const said = `${end}: ${points(value)}` + (low === null ? "" : ` (${points(low)} – ${points(upper)})`);
      mark(lab.svg("circle", { cx: apart(value), cy: y, r: 6, class: `lab-fair-between ${clear ? "lab-fair-clear" : "lab-fair-open"}` }), said);
      if (small) text({ x: left, y: lower + ROW - 2, "font-size": 11 }, `${lab.word("responsibility.axis_difference")}: ${points(value)}`);
    });
    const bottom = high - 8;
    if (!small) for (const share of [0, 0.5, 1]) text({ x: x(share), y: bottom, "text-anchor": ["start", "middle", "end"][share * 2] }, percent(share));
    if (!small) for (const value of [-span, 0, span]) text({ x: apart(value), y: bottom, "text-anchor": value < 0 ? "start" : value ? "end" : "middle" }, value ? points(value) : "0");
    box.replaceChildren(picture, lab.make("p", { class: "lab-fair-key" }, ...groups.map((group, side) => lab.make("span", { class: `lab-fair-key-${side}` }, `${"●◆"[side]} ${group}`))));
  };

  // Each bin as a dot, as large as it holds answers, with its interval; on the dashed line it would be calibrated.
  lab.drawReliability = (box, bins, { percent, tell }) => {
    const wide = Math.min(460, Math.max(280, box.clientWidth || 0)), high = wide * 0.86, left = 50, bottom = 40, top = 26;
    const x = (share) => left + share * (wide - left - 26), y = (share) => top + (1 - share) * (high - bottom - top);
    const held = bins.filter(({ count }) => count), most = Math.max(...held.map(({ count }) => count));
    const picture = lab.svg("svg", { viewBox: `0 0 ${wide} ${high}`, width: wide, height: high, role: "img", "aria-label": lab.word("responsibility.diagram") });
    for (const share of [0, 0.25, 0.5, 0.75, 1]) {
      picture.append(lab.svg("line", { x1: x(share), x2: x(share), y1: y(0), y2: y(1), class: "lab-fair-grid" }), lab.svg("line", { x1: x(0), x2: x(1), y1: y(share), y2: y(share), class: "lab-fair-grid" }),
        lab.svg("text", { x: x(share), y: high - 22, "text-anchor": "middle", class: "lab-fair-soft" }, percent(share)), lab.svg("text", { x: left - 6, y: y(share) + 4, "text-anchor": "end", class: "lab-fair-soft" }, percent(share)));
    }
    picture.append(lab.svg("line", { x1: x(0), x2: x(1), y1: y(0), y2: y(1), class: "lab-fair-none" }),
      lab.svg("text", { x: (x(0) + x(1)) / 2, y: high - 4, "text-anchor": "middle", class: "lab-fair-soft" }, lab.word("responsibility.axis_sure")),
      lab.svg("text", { x: 4, y: 12, class: "lab-fair-soft" }, lab.word("responsibility.axis_right")));
    for (const { count, confidence, right: { value, low, high: upper } } of held) {
      const sentence = lab.word("responsibility.bin", { count, sure: percent(confidence), right: percent(value), low: percent(low), high: percent(upper) });
      const dot = lab.svg("circle", { cx: x(confidence), cy: y(value), r: 3.5 + 7 * Math.sqrt(count / most), class: "lab-fair-mean lab-fair-0" }, lab.svg("title", {}, sentence));
      for (const event of ["pointerover", "click"]) dot.addEventListener(event, () => tell(sentence));
      picture.append(lab.svg("line", { x1: x(confidence), x2: x(confidence), y1: y(low), y2: y(upper), class: "lab-fair-range lab-fair-0" }), dot);
      const edge = upper > 0.97;  // no room above the bar
      picture.append(lab.svg("text", { x: x(confidence) + (edge ? 9 : 0), y: edge ? y(low) + 24 : y(upper) - 5, "text-anchor": edge ? "end" : "middle" }, count.toLocaleString(lab.language)));
    }
    box.replaceChildren(picture);
  };
})();
