"use strict";
// Everything shown is made with textContent and attributes: no text of a record is ever parsed as HTML.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  for (const board of data.boards) {
    board.runs = board.runs.map(([entry, seed, status, top1, macs, record]) => ({ entry: board.entries[entry], seed, status, top1, macs, record }));
  }
  // Okabe and Ito's colours without yellow; dashes and markers differ too.
  const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"];
  const DASHES = ["", "7 3", "2 3", "8 3 2 3", "12 4"];
  const MARKERS = ["circle", "square", "triangle", "diamond", "cross"];
  const FILLS = ["#9CCBEA", "#F6B48F", "#8FD6BD", "#E7BFD5", "#F7DC8B", "#C9C3EA", "#D7E8A8", "#BFD9D9"];
  const AXES = { cost: "search cost (reference trainings)", wall: "search time (wall seconds)", step: "steps of the strategy" };

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child !== null));
    return made;
  }

  function shape(name, attributes = {}, text = null) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== null) made.textContent = text;
    return made;
  }

  const counted = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
  const percent = (value, digits = 1) => (typeof value === "number" ? (100 * value).toFixed(digits) + " %" : "–");

  function count(value) {
    if (typeof value !== "number") return "–";
    for (const [scale, letter] of [[1e12, " T"], [1e9, " G"], [1e6, " M"], [1e3, " k"]]) {
      if (value >= scale) return Number((value / scale).toPrecision(3)) + letter;
    }
    return String(Number(value.toPrecision(3)));
  }

  function looks(rows) {
    // A look for each entry, controls in grey; it depends on the set of entries, not on their order.
    const styles = new Map();
    const entries = rows.map((row) => [row.entry, row.role]).sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
    let searches = 0, controls = 0;
    for (const [entry, role] of entries) {
      if (role === "search") {
        styles.set(entry, { colour: COLOURS[searches % 6], dash: DASHES[Math.floor(searches / 6) % 5], marker: MARKERS[searches % 5], hollow: false });
        searches += 1;
      } else {
        styles.set(entry, { colour: "#808086", dash: role === "random_control" ? "2 3" : "8 3 2 3", marker: MARKERS[controls % 5], hollow: true });
        controls += 1;
      }
    }
    return styles;
  }

  function marker(look, x, y, size) {
    const paint = { fill: look.hollow ? "none" : look.colour, stroke: look.colour, "stroke-width": 1.6 };
    const s = size;
    if (look.marker === "circle") return shape("circle", { cx: x, cy: y, r: s, ...paint });
    if (look.marker === "square") return shape("rect", { x: x - s, y: y - s, width: 2 * s, height: 2 * s, ...paint });
    const points = {
      triangle: [[0, -s], [s, s], [-s, s]],
      diamond: [[0, -1.3 * s], [1.3 * s, 0], [0, 1.3 * s], [-1.3 * s, 0]],
      cross: [[-s, -s / 3], [-s / 3, -s / 3], [-s / 3, -s], [s / 3, -s], [s / 3, -s / 3], [s, -s / 3], [s, s / 3], [s / 3, s / 3], [s / 3, s], [-s / 3, s], [-s / 3, s / 3], [-s, s / 3]],
    }[look.marker];
    return shape("polygon", { points: points.map(([dx, dy]) => `${x + dx},${y + dy}`).join(" "), ...paint });
  }

  function swatch(look) {
    const svg = shape("svg", { width: 34, height: 12, viewBox: "0 0 34 12", class: "swatch", "aria-hidden": "true" });
    svg.append(shape("line", { x1: 0, x2: 34, y1: 6, y2: 6, stroke: look.colour, "stroke-width": 2, "stroke-dasharray": look.dash }));
    svg.append(marker(look, 17, 6, 4));
    return svg;
  }

  function ticks(low, high, most) {
    const span = high - low || 1;
    const raw = span / most, power = 10 ** Math.floor(Math.log10(raw));
    const step = power * ([1, 2, 5, 10].find((m) => m * power >= raw) || 10);
    const found = [];
    for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(Number(value.toPrecision(10)));
    return found;
  }

  const SIZE = { width: 620, height: 360, left: 52, right: 14, top: 12, bottom: 44 };

  function frame(xs, ys, xLabel, yLabel) {
    // An empty chart with axes that hold all the values, and its scales.
    const pad = (values) => {
      const low = Math.min(...values), high = Math.max(...values), room = (high - low || Math.abs(high) || 1) * 0.06;
      return [low - room, high + room];
    };
    const [x0, x1] = pad(xs), [y0, y1] = pad(ys);
    const x = (v) => SIZE.left + ((v - x0) / (x1 - x0)) * (SIZE.width - SIZE.left - SIZE.right);
    const y = (v) => SIZE.height - SIZE.bottom - ((v - y0) / (y1 - y0)) * (SIZE.height - SIZE.top - SIZE.bottom);
    const back = (px) => x0 + ((px - SIZE.left) / (SIZE.width - SIZE.left - SIZE.right)) * (x1 - x0);
    const svg = shape("svg", { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, role: "img", "aria-label": `${yLabel} against ${xLabel}` });
    for (const tick of ticks(x0, x1, 7)) {
      svg.append(shape("line", { class: "grid", x1: x(tick), x2: x(tick), y1: SIZE.top, y2: SIZE.height - SIZE.bottom }));
      svg.append(shape("text", { x: x(tick), y: SIZE.height - SIZE.bottom + 15, "text-anchor": "middle" }, String(tick)));
    }
    for (const tick of ticks(y0, y1, 6)) {
      svg.append(shape("line", { class: "grid", x1: SIZE.left, x2: SIZE.width - SIZE.right, y1: y(tick), y2: y(tick) }));
      svg.append(shape("text", { x: SIZE.left - 6, y: y(tick) + 4, "text-anchor": "end" }, String(tick)));
    }
    svg.append(shape("text", { x: (SIZE.left + SIZE.width) / 2, y: SIZE.height - 8, "text-anchor": "middle" }, xLabel));
    const label = shape("text", { "text-anchor": "middle", transform: `translate(13 ${SIZE.height / 2}) rotate(-90)` }, yLabel);
    svg.append(label);
    return { svg, x, y, back, x1 };
  }

  function chart(title, svg, note) {
    const tip = element("div", { class: "tip", hidden: true });
    return { box: element("div", { class: "chart" }, element("h3", {}, title), svg, tip, note ? element("small", {}, note) : null), tip };
  }

  function showTip(tip, event, children) {
    tip.replaceChildren(...children);
    tip.hidden = false;
    const area = tip.parentElement.getBoundingClientRect();
    const left = Math.min(event.clientX - area.left + 14, area.width - tip.offsetWidth);
    tip.style.left = `${Math.max(left, 0)}px`;
    tip.style.top = `${event.clientY - area.top + 14}px`;
  }

  function stepPath(at, values, x, y, until) {
    // A step function: the value stands until the next report, and to the edge after the last.
    let path = "", last = null;
    at.forEach((cost, index) => {
      const value = values[index];
      if (value === null) return;
      path += last === null ? `M${x(cost)} ${y(100 * value)}` : `H${x(cost)}V${y(100 * value)}`;
      last = value;
    });
    return last === null ? "" : `${path}H${x(until)}`;
  }

  function bandPath(curve, x, y, until) {
    const known = curve.at.map((cost, i) => [cost, curve.low[i], curve.high[i]]).filter((p) => p[1] !== null);
    if (!known.length) return "";
    let path = `M${x(known[0][0])} ${y(100 * known[0][2])}`;
    for (const [cost, , high] of known.slice(1)) path += `H${x(cost)}V${y(100 * high)}`;
    path += `H${x(until)}V${y(100 * known[known.length - 1][1])}`;
    for (let i = known.length - 1; i > 0; i--) path += `H${x(known[i][0])}V${y(100 * known[i - 1][1])}`;
    return `${path}H${x(known[0][0])}Z`;
  }

  function anytime(board, styles, axis) {
    const rows = board.rows.filter((row) => row.curves[axis]);
    if (!rows.length) return element("div", { class: "chart" }, element("h3", {}, "Anytime curves"), element("p", { class: "soft" }, "No run measured the accuracy of its incumbent during the search."));
    const values = rows.flatMap((row) => ["mean", "low", "high"].flatMap((name) => row.curves[axis][name])).filter((v) => v !== null);
    const { svg, x, y, back, x1 } = frame([0, ...rows.flatMap((row) => row.curves[axis].at)], values.map((v) => 100 * v), AXES[axis], "incumbent's top-1 on search-val (%)");
    svg.classList.add("anytime");
    for (const row of rows) {
      const look = styles.get(row.entry), curve = row.curves[axis];
      svg.append(shape("path", { d: bandPath(curve, x, y, x1), fill: look.colour, "fill-opacity": 0.1, stroke: "none" }));
    }
    for (const row of rows) {
      const look = styles.get(row.entry), curve = row.curves[axis];
      svg.append(shape("path", { d: stepPath(curve.at, curve.mean, x, y, x1), fill: "none", stroke: look.colour, "stroke-width": 2, "stroke-dasharray": look.dash, class: "curve" }));
      curve.at.forEach((cost, i) => {
        const every = Math.max(1, Math.floor(curve.at.length / 6));
        if (curve.mean[i] !== null && i % every === 0) svg.append(marker(look, x(cost), y(100 * curve.mean[i]), 3.5));
      });
    }
    const cursor = shape("line", { class: "cursor", y1: SIZE.top, y2: SIZE.height - SIZE.bottom, visibility: "hidden" });
    svg.append(cursor);
    const { box, tip } = chart("Anytime curves", svg, "Each strategy's own measurement, mean over seeds with 95 % bootstrap band.");
    svg.addEventListener("mousemove", (event) => {
      const area = svg.getBoundingClientRect();
      const px = ((event.clientX - area.left) / area.width) * SIZE.width, at = back(px);
      cursor.setAttribute("x1", px);
      cursor.setAttribute("x2", px);
      cursor.setAttribute("visibility", "visible");
      const lines = rows.map((row) => {
        const curve = row.curves[axis];
        let index = -1;
        while (index + 1 < curve.at.length && curve.at[index + 1] <= at) index += 1;
        return { row, value: index < 0 ? null : curve.mean[index] };
      }).filter((line) => line.value !== null).sort((a, b) => b.value - a.value);
      if (!lines.length) { tip.hidden = true; return; }
      showTip(tip, event, [element("div", {}, `at ${Number(at.toPrecision(3))}`), ...lines.map(({ row, value }) => element("div", {}, swatch(styles.get(row.entry)), `${percent(value)} ${row.entry}`))]);
    });
    svg.addEventListener("mouseleave", () => { tip.hidden = true; cursor.setAttribute("visibility", "hidden"); });
    return box;
  }

  // Runs of one entry that ended at the same place, as many on a table do, share a dot.
  function different(runs) {
    const places = new Map();
    for (const run of runs) {
      const key = `${run.top1} ${run.macs} ${run.entry}`;
      if (places.has(key)) places.get(key).alike += 1;
      else places.set(key, { ...run, alike: 1 });
    }
    return [...places.values()];
  }

  function tradeoff(board, styles) {
    const runs = different(board.runs.filter((run) => run.top1 !== null));
    if (!runs.length) return element("div");
    const unit = board.cap_macs >= 1e9 ? [1e9, "G"] : [1e6, "M"];
    const { svg, x, y } = frame([...runs.map((run) => run.macs / unit[0]), board.cap_macs / unit[0]], runs.map((run) => 100 * run.top1), `MACs of the architecture (${unit[1]})`, "test top-1 (%)");
    const cap = x(board.cap_macs / unit[0]);
    svg.append(shape("line", { class: "cursor", x1: cap, x2: cap, y1: SIZE.top, y2: SIZE.height - SIZE.bottom }));
    svg.append(shape("text", { x: cap - 4, y: SIZE.top + 10, "text-anchor": "end" }, `cap ${board.cap}`));
    const { box, tip } = chart("Accuracy against MACs", svg, "Every run; click one to see its record. Hollow: controls and hand-designed networks.");
    for (const run of runs) {
      const look = styles.get(run.entry);
      const dot = marker(look, x(run.macs / unit[0]), y(100 * run.top1), 4.5);
      dot.setAttribute("class", "dot");
      dot.style.cursor = "pointer";
      dot.addEventListener("mousemove", (event) => showTip(tip, event, [element("div", {}, swatch(look), `${run.entry}, seed ${run.seed}${run.alike > 1 ? ` and ${counted(run.alike - 1, "other")} alike` : ""}`), element("div", {}, `${percent(run.top1)}, ${count(run.macs)} MACs`)]));
      dot.addEventListener("mouseleave", () => { tip.hidden = true; });
      dot.addEventListener("click", () => open(board, run));
      svg.append(dot);
    }
    return box;
  }

  const fits = []; // of each leaderboard that is shown, what makes it as wide as its place
  window.addEventListener("resize", () => fits.forEach((fit) => fit()));

  // Columns whose first click puts the highest value on top.
  const HIGH_FIRST = new Set(["top1_mean", "top1_iqm", "improvement", "top5", "mean_class", "seeds", "failures"]);

  function leaderboard(board, styles) {
    const body = element("tbody"), header = element("tr");
    const state = { key: "rank", descending: false };
    function fill() {
      const sign = state.descending ? -1 : 1;
      const rows = board.rows.map((row, index) => ({ row, index })).sort((a, b) => {
        const u = a.row[state.key], v = b.row[state.key];
        if (u === v) return a.index - b.index;
        if (u === null) return 1;
        if (v === null) return -1;
        return sign * (u < v ? -1 : 1);
      });
      body.replaceChildren(...rows.map(({ row }) => line(row)));
      [...header.children].forEach((cell, index) => {
        if (board.columns[index].key === state.key) cell.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
        else cell.removeAttribute("aria-sort");
      });
    }
    function line(row) {
      const made = element("tr");
      row.cells.forEach((text, index) => {
        const cell = element("td", { "data-column": board.columns[index].key });
        if (board.columns[index].key === "entry") {
          const list = element("div", { hidden: true, class: "runs" });
          cell.append(swatch(styles.get(row.entry)), element("button", { class: "entry", "aria-expanded": "false", onclick: (event) => {
            if (!list.children.length) list.append(...board.runs.filter((run) => run.entry === row.entry).map((run) => runButton(board, run)));
            list.hidden = !list.hidden;
            event.target.setAttribute("aria-expanded", String(!list.hidden));
          } }, text), list);
        } else cell.textContent = text;
        made.append(cell);
      });
      return made;
    }
    board.columns.forEach((column) => {
      const key = column.key;
      header.append(element("th", { scope: "col", title: column.help, "data-column": key }, element("button", { onclick: () => {
        if (state.key === key) state.descending = !state.descending;
        else Object.assign(state, { key, descending: HIGH_FIRST.has(key) });
        fill();
      } }, column.header)));
    });
    fill();
    const table = element("table", { class: "leaderboard" }, element("thead", {}, header), body);
    const scroll = element("div", { class: "scroll" }, table);
    const more = element("button", { class: "more", onclick: () => { whole = !whole; fit(); } });
    let whole = false;
    function hide(columns) {
      const keys = new Set(columns.map((column) => column.key));
      table.querySelectorAll("[data-column]").forEach((cell) => { cell.hidden = keys.has(cell.dataset.column); });
    }
    // As in a terminal: the columns that matter least are left out until the table is as wide as its place.
    function fit() {
      const hidden = [], droppable = board.columns.filter((column) => !["rank", "entry", "top1_mean"].includes(column.key)).sort((a, b) => a.keep - b.keep);
      hide(hidden);
      while (!whole && droppable.length && table.scrollWidth > scroll.clientWidth) {
        hidden.push(droppable.pop());
        hide(hidden);
      }
      more.hidden = !hidden.length && !whole;
      more.textContent = whole ? "fewer columns" : `${counted(hidden.length, "column")} more: ${hidden.map((column) => column.header).reverse().join(", ")}`;
    }
    fits.push(fit);
    return element("div", {}, scroll, more);
  }

  function pictures(clips) {
    return element("div", { class: "clips" }, ...clips.map((clip) => element("figure", {}, element("img", { src: data.images[clip.image], alt: clip.caption, loading: "lazy" }), element("figcaption", {}, clip.caption))));
  }

  function testClips(board) {
    return board.clips.length ? [element("h3", {}, `Test clips of ${board.data}`), pictures(board.clips)] : [];
  }

  const result = (run) => (run.top1 !== null ? percent(run.top1) : run.status === "ok" ? "no valid score" : run.status);

  function runButton(board, run) {
    return element("button", { class: run.top1 === null ? "run failed" : "run", onclick: () => open(board, run) }, `seed ${run.seed}: ${result(run)}`);
  }

  function drawing(layers) {
    const operator = (layer) => String(layer.operator ?? "?").split(" ")[0];
    const inner = [...new Set(layers.slice(1, -1).map(operator))].sort();
    const fill = (layer, index) => (index === 0 || index === layers.length - 1 ? "#EDEDED" : FILLS[inner.indexOf(operator(layer)) % FILLS.length]);
    const sizes = (value) => (Array.isArray(value) ? value.join("×") : "?");
    const pitch = 34, height = pitch * layers.length + 48, most = Math.max(1, ...layers.map((layer) => Number(layer.macs) || 0));
    const svg = shape("svg", { viewBox: `0 0 720 ${height}`, role: "img", "aria-label": "the architecture, layer by layer" });
    svg.append(shape("text", { x: 250, y: 16, "text-anchor": "middle", class: "out" }, `clip ${sizes(layers[0].shape_in)}`));
    [["T×H×W×C", 375], ["MACs", 505], ["parameters", 640]].forEach(([text, x]) => svg.append(shape("text", { x, y: 16, class: "out" }, text)));
    layers.forEach((layer, index) => {
      const top = 32 + pitch * index, middle = top + 16;
      svg.append(shape("line", { x1: 250, x2: 250, y1: top - 10, y2: top, stroke: "#808086", "stroke-width": 1.5 }));
      svg.append(shape("rect", { x: 140, y: top, width: 220, height: 24, rx: 5, fill: fill(layer, index), stroke: "#55555c" }));
      svg.append(shape("text", { x: 250, y: middle, "text-anchor": "middle" }, String(layer.operator ?? "?")));
      svg.append(shape("text", { x: 130, y: middle, "text-anchor": "end", class: "out" }, String(layer.name ?? "?")));
      svg.append(shape("text", { x: 375, y: middle, class: "out" }, sizes(layer.shape_out)));
      svg.append(shape("rect", { x: 505, y: top + 7, width: (60 * (Number(layer.macs) || 0)) / most, height: 10, fill: "#0072B2" }));
      svg.append(shape("text", { x: 572, y: middle, class: "out" }, count(layer.macs)));
      svg.append(shape("text", { x: 640, y: middle, class: "out" }, count(layer.parameters)));
    });
    return element("div", { class: "drawing" }, svg);
  }

  function confusion(record) {
    const names = record.data.classes, trained = record.outcome.trained;
    const total = names.map((_, i) => names.map((__, j) => trained.reduce((sum, one) => sum + (one.confusion[i]?.[j] ?? 0), 0)));
    const table = element("table", { class: "confusion" }, element("thead", {}, element("tr", {}, element("th", {}, "true \\ predicted"), ...names.map((name) => element("th", { scope: "col" }, name)))));
    const body = element("tbody");
    total.forEach((row, i) => {
      const sum = row.reduce((a, b) => a + b, 0);
      body.append(element("tr", {}, element("th", { scope: "row" }, names[i]), ...row.map((value) => {
        const share = sum ? value / sum : 0, cell = element("td", {}, String(value));
        cell.style.background = `rgb(0 114 178 / ${(100 * share).toFixed(0)}%)`;
        if (share > 0.55) cell.style.color = "#fff";
        return cell;
      })));
    });
    table.append(body);
    return element("div", { class: "scroll" }, table);
  }

  function facts(pairs) {
    return element("dl", {}, ...pairs.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, String(value))]));
  }

  const dialog = element("dialog", { "aria-labelledby": "run-title" });

  function open(board, run) {
    dialog.replaceChildren(
      element("button", { class: "close", onclick: () => dialog.close() }, "close"),
      element("h2", { id: "run-title" }, `${run.entry}, seed ${run.seed}`),
      ...(run.record ? details(board, run) : summary(board, run)));
    dialog.showModal();
    dialog.scrollTop = 0;
  }

  function summary(board, run) {
    const whole = board.runs.filter((one) => one.record).length;
    return [
      facts([["test top-1", result(run)], ["MACs", count(run.macs)]]),
      element("p", { class: "soft" }, `This page holds the records of ${whole} of the ${counted(board.runs.length, "run")} of this board. The record of this one is in the results folder.`)];
  }

  function details(board, run) {
    const record = run.record, outcome = record.outcome;
    const parts = [
      element("p", { class: "soft" }, `${record.strategy.title} · ${record.space.name} (cap ${record.space.cap}) · ${record.data.name} · ${record.protocol.name} · ${record.status}`),
    ];
    if (record.error) parts.push(element("p", { class: "failed" }, record.error));
    const pairs = [["search", `${record.search.reference_trainings.toFixed(2)} reference trainings, ${record.search.wall_seconds.toFixed(0)} s wall, ${record.search.cpu_seconds.toFixed(0)} s CPU, ${(record.search.peak_memory_bytes / 2 ** 20).toFixed(0)} MiB`]];
    if (outcome) {
      pairs.unshift(["architecture", outcome.architecture], ["MACs, parameters, latency", `${count(outcome.macs)}, ${count(outcome.parameters)}, ${outcome.latency_ms === null ? "–" : outcome.latency_ms.toFixed(2) + " ms"}`]);
      outcome.trained.forEach((one) => pairs.unshift([`retraining ${one.seed}`, `top-1 ${percent(one.test_top1)}, top-5 ${percent(one.test_top5)}, mean class ${percent(one.test_mean_class)}`]));
    }
    pairs.push(["code", `${record.provenance.pvnas_bench}, commit ${record.provenance.commit ?? "unknown"}, Python ${record.provenance.python}`], ["created", record.provenance.created]);
    parts.push(facts(pairs));
    if (board.clips.length && run.top1 !== null) parts.push(element("h3", {}, "Clips"), pictures(board.clips));
    if (outcome && outcome.network.length) parts.push(element("h3", {}, "Architecture"), drawing(outcome.network));
    if (outcome && outcome.trained.length) parts.push(element("h3", {}, `Confusion matrix, ${outcome.trained.length > 1 ? "sum of " + outcome.trained.length + " retrainings" : "test clips"}`), confusion(record));
    parts.push(element("h3", {}, "Record"), element("pre", {}, JSON.stringify(record, null, 1)));
    return parts;
  }

  function section(board, axis) {
    const styles = looks(board.rows);
    return element("section", { class: "board", "data-board": board.title },
      element("h2", {}, board.title),
      element("p", { class: "soft" }, board.description),
      ...(board.notes.length ? [element("ul", { class: "soft" }, ...board.notes.map((note) => element("li", {}, note)))] : []),
      leaderboard(board, styles),
      element("div", { class: "charts" }, anytime(board, styles, axis), tradeoff(board, styles)),
      ...testClips(board));
  }

  const filters = { data: "", constraint: "", protocol: "" };
  let axis = "cost";
  const parts = {
    data: (board) => board.data,
    constraint: (board) => `${board.space}, cap ${board.cap}`,
    protocol: (board) => `${board.protocol}, ${board.budget} rt`,
  };
  const place = element("main");

  function draw() {
    fits.length = 0;
    const shown = data.boards.filter((board) => Object.entries(filters).every(([key, value]) => !value || parts[key](board) === value));
    place.replaceChildren(...(shown.length ? shown.map((board) => section(board, axis)) : [element("p", {}, "No board fits these filters.")]));
    fits.forEach((fit) => fit());
  }

  function choice(label, id, options, chosen) {
    return element("label", {}, label, element("select", { id, onchange: (event) => chosen(event.target.value) }, ...options.map(([value, text]) => element("option", { value }, text))));
  }

  const bar = element("div", { class: "filters" });
  for (const [key, label] of [["data", "data set"], ["constraint", "constraint"], ["protocol", "protocol"]]) {
    const values = [...new Set(data.boards.map(parts[key]))];
    bar.append(choice(label, `filter-${key}`, [["", "all"], ...values.map((value) => [value, value])], (value) => { filters[key] = value; draw(); }));
  }
  bar.append(choice("cost axis", "axis", Object.entries(AXES), (value) => { axis = value; draw(); }));

  const runs = data.boards.reduce((sum, board) => sum + board.runs.length, 0);
  document.body.append(
    element("h1", {}, data.title),
    element("p", { class: "soft" }, `${counted(runs, "run")} on ${counted(data.boards.length, "board")}. Click a column to sort, an entry to list its runs, a run to see its record.`),
    bar, place);
  if (data.unreadable.length) {
    document.body.append(element("h3", {}, "Files left out"), element("ul", { class: "unreadable" }, ...data.unreadable.map((file) => element("li", {}, `${file.path}: ${file.reason}`))));
  }
  document.body.append(dialog);
  draw();
})();
