// What the Train tab draws: a model's blocks to one scale for all sizes, and the loss as it falls.
(() => {
  const WIDE = 460, LAYER = 15, GAP = 4, LABEL = 118;

  // One bar for the embedding, one for each layer (its query heads, the keys and values they share, the feed-forward),
  // one for the head; widths are the square roots of the weights, so that the smallest can still be seen.
  lab.drawBlocks = (size, most) => {
    const room = WIDE - LABEL, scale = (count) => Math.sqrt(count / most) * room;
    const high = (size.layers + 2) * (LAYER + GAP) + GAP;
    const label = lab.word("train.blocks", { layers: size.layers, heads: size.heads, groups: size.groups, hidden: size.hidden, vocabulary: size.vocabulary });
    const picture = lab.svg("svg", { viewBox: `0 0 ${WIDE} ${high}`, role: "img", "aria-label": label });
    const row = (number) => high - GAP - LAYER - number * (LAYER + GAP);  // read from below, as data flows
    const name = (number, key, values) => picture.append(lab.svg("text", { x: 0, y: row(number) + LAYER - 4 }, lab.word(key, values)));
    const bar = (number, from, width, kind) => picture.append(lab.svg("rect", { x: LABEL + from, y: row(number), width: Math.max(1, width), height: LAYER, rx: 2, class: `lab-train-${kind}` }));
    const { embedding, attention, feed_forward: forward, head } = size.parts;
    name(0, "train.embedding", { count: embedding });
    bar(0, 0, scale(embedding), "table");
    for (let layer = 0; layer < size.layers; layer++) {
      name(layer + 1, "train.layer", { layer: layer + 1 });
      const looks = scale(attention / size.layers), each = looks / (size.heads + 2 * size.groups);
      for (let one = 0; one < size.heads + 2 * size.groups; one++) bar(layer + 1, one * each, each - 1, one < size.heads ? "attention" : "shared");
      bar(layer + 1, looks + 3, scale(forward / size.layers), "forward");
    }
    name(size.layers + 1, head ? "train.head" : "train.tied", { count: head });
    bar(size.layers + 1, 0, head ? scale(head) : 1, "table");
    return picture;
  };

  // Points of (step, loss) against the steps that are planned; the dashed line is what guessing evenly would give.
  lab.drawLoss = (points, steps, even) => {
    const wide = 520, high = 200, left = 34, below = 20;
    const top = Math.max(even, ...points.map(([, loss]) => loss));
    const x = (step) => left + (wide - left - 6) * step / Math.max(1, steps), y = (loss) => 6 + (high - below - 6) * (1 - loss / top);
    const last = points.at(-1);
    const label = lab.word("train.curve_why", { step: last[0], loss: lab.fourDigits(last[1]), first: lab.fourDigits(points[0][1]) });
    const picture = lab.svg("svg", { viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": label });
    for (let loss = 0; loss <= top; loss += top > 4 ? 2 : 1) {
      picture.append(lab.svg("line", { x1: left, x2: wide - 6, y1: y(loss), y2: y(loss) }), lab.svg("text", { x: left - 6, y: y(loss) + 4, "text-anchor": "end" }, `${loss}`));
    }
    picture.append(
      lab.svg("text", { x: wide - 6, y: high - 4, "text-anchor": "end" }, lab.word("train.steps", { count: steps })),
      lab.svg("polyline", { points: points.map(([step, loss]) => `${x(step).toFixed(1)},${y(loss).toFixed(1)}`).join(" ") }));
    return picture;
  };
})();
