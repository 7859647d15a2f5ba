"use strict";
// What can be chosen, opened, sorted and saved. Without scripts overview, scores and texts still stand.
(() => {
  const { el, readable, valueText, clockLabel, plural, filled, last, LED, BANDED, Q10, Q90, MEDIAN } = neuneu;
  const PAGE = 24, ROWS = 50, SMALL = { width: 360, height: 226 }, WIDE = { width: 540, height: 330 }, LARGE = { width: 960, height: 500 };
  const PRINTED = { width: 360, height: 132 }; // five rows of charts fill a page of A4, or of Letter
  const CROWD = 0.02, CROWDED = 4; // so many checkpoints within this share of the clock are told
  const MARGIN = 80; // between window and picture in the large view
  const PNG_SCALE = 2, SETTLE = 150; // pixels a unit; milliseconds of quiet before what is typed is searched
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  let data, curves, names, found = [], shown = PAGE, listed = ROWS, order = { column: -1, down: false };

  // ---- what is chosen
  const form = $(".filters"), field = (name) => form.elements[name];
  const ticked = (name) => Boolean(field(name) && field(name).checked);
  function matching() {
    const words = field("words").value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = ["run", "task", "metric", "setting"].filter((name) => field(name).value);
    const fits = (curve) => chosen.every((name) => curve[name] === field(name).value);
    return curves.filter((curve) => fits(curve) && words.every((word) => curve.words.includes(word)));
  }
  const grouped = (list, key) => {
    const groups = new Map();
    for (const one of list) groups.set(key(one), [...(groups.get(key(one)) || []), one]);
    return [...groups.values()];
  };
  const where = (curve) => JSON.stringify([curve.task, curve.metric, curve.setting, curve.unit]);
  const told = (curve) => curve.metric + (curve.setting ? `, ${curve.setting}` : "");
  /** The charts of what is chosen; `series` are filled in when one is drawn. */
  function charts() {
    const overlay = ticked("overlay"), sets = overlay ? grouped(matching(), where) : matching().map((curve) => [curve]);
    return sets.map((set) => ({ set, overlay, title: set[0].task, setting: told(set[0]) }));
  }
  const ready = (chart) => {
    chart.series ||= chart.set.map(filled);
    return chart;
  };

  // ---- one chart on the page
  const restOf = (chart) => (chart.series.length > LED ? `${chart.series.length - LED} more` : "");
  function lineKey(chart) {
    const of = chart.series.length > BANDED ? ` (1 to ${BANDED})` : "";
    return `solid: measured; dashed: forecast; band: 80 %${of}`;
  }
  function legend(chart) {
    const runs = chart.series.slice(0, LED).map((c, i) => el("li", {}, el("i", { class: `key r${i}` }), el("span", { title: c.run }, `${i + 1}: ${c.run}`)));
    const rest = restOf(chart);
    if (rest) runs.push(el("li", {}, el("i", { class: "key rest" }), `${rest} in grey: choose or search to see them by name`));
    return el("ol", { class: "runs" }, ...runs, el("li", { class: "key-lines" }, lineKey(chart)));
  }
  /** Let a chart be read by pointer and arrow keys: the line under it says what is there. */
  function readBy(holder, drawn, chart, line) {
    const readings = neuneu.readings(chart).filter(([x]) => drawn.frame.inside(x));
    const rest = () => {
      line.textContent = neuneu.lastReading(chart, names);
      drawn.cursor.setAttribute("visibility", "hidden");
    };
    rest();
    if (!readings.length) return;
    let place = readings.length - 1;
    const show = (next) => {
      place = Math.max(0, Math.min(readings.length - 1, next));
      for (const end of ["x1", "x2"]) drawn.cursor.setAttribute(end, drawn.frame.x(readings[place][0]));
      drawn.cursor.setAttribute("visibility", "visible");
      line.textContent = readings[place][1];
    };
    drawn.picture.addEventListener("pointermove", (event) => {
      const box = drawn.picture.getBoundingClientRect(), x = ((event.clientX - box.left) / box.width) * drawn.frame.width;
      const far = ([clock]) => Math.abs(drawn.frame.x(clock) - x);
      show(readings.reduce((best, one, i) => (far(one) < far(readings[best]) ? i : best), 0));
    });
    drawn.picture.addEventListener("pointerleave", rest);
    holder.onblur = rest;
    holder.onkeydown = (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1, Home: -readings.length, End: readings.length }[event.key];
      if (move === undefined || event.target !== holder) return;
      event.preventDefault();
      show(place + move);
    };
  }
  function figure(chart, place) {
    ready(chart);
    const drawn = neuneu.draw(chart, chart.overlay ? WIDE : SMALL, { log: ticked("log"), smooth: ticked("smooth") }, names);
    const line = el("p", { class: "reading", "aria-live": "polite" }), run = neuneu.owner(chart);
    const button = (text, act, label) => el("button", { type: "button", class: "small", "aria-label": `${label}: ${chart.title}, ${run}`, onclick: act }, text);
    const caption = el("figcaption", {}, el("b", {}, chart.title), " ", el("span", { class: "setting" }, chart.setting), el("span", { class: "run", title: run }, run));
    const made = el("figure", { tabindex: 0 }, caption, drawn.picture, line, chart.overlay ? legend(chart) : null);
    made.append(el("p", { class: "acts" },
      button("Large", () => enlarge(place), "Large view"), button("CSV", () => saveNumbers([chart]), "Numbers as CSV"), button("PNG", () => savePicture(chart, viewed()), "Picture as PNG")));
    readBy(made, drawn, chart, line);
    return made;
  }
  const viewed = () => ({ log: ticked("log"), smooth: ticked("smooth") });

  // ---- all that is chosen
  function show() {
    found = charts();
    $(".charts").replaceChildren(...found.slice(0, shown).map(figure));
    $(".charts").classList.toggle("wide", ticked("overlay"));
    count();
    list();
  }
  /** Whether several of a chart's early checkpoints lie on each other at the left edge. */
  const crowded = (chart) => !ticked("log") && ready(chart).series.some((c) => {
    const end = Math.max(last(c.clock), last(c.grid) ?? 0);
    return c.clock.filter((x) => x > 0 && x < CROWD * end).length >= CROWDED;
  });
  function count() {
    const left = Math.max(0, found.length - shown), more = $(".more");
    const text = left ? `${shown} of ${plural(found.length, "chart")}` : plural(found.length, "chart");
    $(".count").textContent = found.length ? `${text} shown` : "nothing matches; take a filter back";
    const piled = found.slice(0, shown).filter(crowded).length;
    $(".crowded").textContent = piled ? `In ${piled === found.length ? "them" : piled} early checkpoints lie on each other: “Log clock” sets them apart.` : "";
    more.hidden = !left;
    more.textContent = `Show ${Math.min(PAGE, left)} more of ${left.toLocaleString("en")}`;
  }
  function afresh() {
    [shown, listed] = [PAGE, ROWS];
    show();
  }
  const COLUMNS = [
    ["run", (c) => c.run], ["task", (c) => c.task], ["metric", (c) => c.metric], ["shots", (c) => c.shots], ["variant", (c) => c.variant],
    ["seen up to", (c) => c.end, (v) => readable(v)], ["last seen", (c) => c.values[c.seen - 1], valueText],
    ["forecast at", (c) => last(c.grid), (v) => readable(v)], ["median", (c) => c.quantiles && last(c.quantiles[MEDIAN]), valueText],
    ["80 % interval", (c) => width(c), (v, percent, c) => [Q10, Q90].map((q) => valueText(last(c.quantiles[q]), percent)).join(" to ")],
    ["came true", (c) => (last(c.grid) === last(c.clock) ? last(c.values) : undefined), valueText],
  ];
  const width = (c) => (c.quantiles && c.quantiles[Q10] && c.quantiles[Q90] ? last(c.quantiles[Q90]) - last(c.quantiles[Q10]) : undefined);
  const missing = (value) => value === undefined || value === null || value === "";
  const compared = (a, b) => (missing(a) || missing(b) ? missing(a) - missing(b) : typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true }));
  /** The table of all ends: drawn when it is opened, in the order that is asked for. */
  function list() {
    const table = $(".ends");
    if (!table.closest("details").open) return;
    let rows = found.flatMap((chart) => ready(chart).series);
    if (order.column >= 0) {
      const pick = COLUMNS[order.column][1];
      rows = rows.map((c) => [pick(c), c]).sort(([a], [b]) => (missing(a) || missing(b) ? 1 : order.down ? -1 : 1) * compared(a, b)).map(([, c]) => c);
    }
    const cell = (c, [, pick, say], i) => {
      const value = pick(c), text = missing(value) ? "–" : say ? say(value, c.percent, c) : String(value);
      return i ? el("td", { class: i < 5 ? "text" : null }, i === 8 && c.declined ? "declined" : text) : el("th", { scope: "row" }, text);
    };
    $("tbody", table).replaceChildren(...rows.slice(0, listed).map((c) => el("tr", {}, ...COLUMNS.map((column, i) => cell(c, column, i)))));
    heads(table, order.column, order.down);
    const more = $(".more-rows");
    more.hidden = rows.length <= listed;
    $(".rows").textContent = more.hidden ? "" : `${listed} of ${plural(rows.length, "row")} shown. `;
    more.textContent = `Show ${Math.min(ROWS, rows.length - listed)} more of ${(rows.length - listed).toLocaleString("en")} rows`;
  }

  // ---- tables that can be sorted
  function heads(table, column, down) {
    all("thead th", table).forEach((head, i) => {
      if (i === column) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
  }
  function sortable(table, sort) {
    all("thead th", table).forEach((head, i) => {
      const button = el("button", { type: "button", class: "sort", onclick: () => sort(i, head.getAttribute("aria-sort") === "descending" || (head.getAttribute("aria-sort") === null && head.classList.contains("text"))) });
      button.append(...head.childNodes);
      head.append(button);
    });
  }
  const sortValue = (row, i) => {
    const { v } = row.cells[i].dataset;
    return v === undefined ? row.cells[i].textContent.trim() : v === "" ? "" : Number(v);
  };
  /** A table that is all there: sorted in place, and searched by words where it is long. */
  function enhance(table) {
    const body = $("tbody", table);
    sortable(table, (i, up) => {
      const rows = all("tr", body).map((row) => [sortValue(row, i), row]);
      rows.sort(([a], [b]) => (missing(a) || missing(b) ? 1 : up ? 1 : -1) * compared(a, b));
      body.append(...rows.map(([, row]) => row));
      heads(table, i, !up);
    });
    const search = table.closest("section, details").querySelector(`[data-for="${table.id}"]`);
    if (!search) return;
    search.closest("label").hidden = false;
    search.addEventListener("input", () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of all("tr", body)) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    });
  }

  // ---- large view
  const dialog = $(".large"), part = (name) => $(`.large [name=${name}]`);
  let place = 0;
  function enlarge(which) {
    place = which;
    for (const name of ["log", "smooth"]) part(name).checked = ticked(name);
    [part("from").value, part("to").value] = [0, 100];
    enlarged();
    if (!dialog.open) dialog.showModal();
  }
  function largeView() {
    const from = Number(part("from").value) / 100, to = Number(part("to").value) / 100;
    return { log: part("log").checked, smooth: part("smooth").checked, from: Math.min(from, to - 0.01), to: Math.max(to, from + 0.01) };
  }
  /** The large size, or what fits a narrow window with words that can still be read. */
  function fitting() {
    const width = Math.max(SMALL.width, Math.min(LARGE.width, innerWidth - MARGIN));
    return { width, height: Math.max(SMALL.height, Math.min(LARGE.height, Math.round(0.7 * width))) };
  }
  function enlarged() {
    const chart = ready(found[place]), holder = $(".picture", dialog), drawn = neuneu.draw(chart, fitting(), largeView(), names);
    $("h2", dialog).textContent = `${chart.title}, ${chart.setting}`;
    $(".run", dialog).textContent = chart.overlay ? neuneu.owner(chart) : chart.series[0].run;
    holder.replaceChildren(drawn.picture);
    $(".key-runs", dialog).replaceChildren(chart.overlay ? legend(chart) : $(".legend").cloneNode(true));
    readBy(holder, drawn, chart, $(".reading", dialog));
    $(".place", dialog).textContent = `${place + 1} of ${found.length.toLocaleString("en")}`;
    const details = $("details", dialog);
    $("table", details).replaceChildren();
    if (details.open) tabulate();
  }
  function tabulate() {
    const chart = found[place], [head, ...rows] = neuneu.numbers(chart, names, data.levels), table = $("details table", dialog);
    const kept = head.map((_, i) => i).filter((i) => i >= 5 || (i === 0 && chart.overlay)).filter((i) => head[i] !== "clock_unit");
    const say = (value, i) => (head[i] === "clock" ? readable(value) : typeof value === "number" ? valueText(value, chart.series[0].percent) : value);
    table.replaceChildren(
      el("thead", {}, el("tr", {}, ...kept.map((i) => el("th", { scope: "col" }, head[i] === "clock" ? clockLabel(chart.series[0].unit) : head[i])))),
      el("tbody", {}, ...rows.map((row) => el("tr", {}, ...kept.map((i) => el("td", {}, say(row[i], i)))))));
  }
  const step = (by) => {
    place = (place + by + found.length) % found.length;
    enlarged();
  };

  // ---- files
  function save(blob, name) {
    const link = el("a", { href: URL.createObjectURL(blob), download: name.replace(/[^\w.-]+/g, "_").slice(0, 120) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
  /** One field of a CSV file; text that a spreadsheet would take for a formula is marked as text. */
  const csvField = (value) => {
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const fileName = (chart) => [chart.title, chart.series[0].metric, neuneu.owner(chart)].join(" ");
  function saveNumbers(some) {
    const tables = some.map((chart) => neuneu.numbers(ready(chart), names, data.levels));
    const rows = [tables[0][0], ...tables.flatMap(([, ...rest]) => rest)];
    const text = rows.map((row) => row.map(csvField).join(",")).join("\n") + "\n";
    save(new Blob([text], { type: "text/csv" }), `${some.length === 1 ? fileName(some[0]) : "forecasts"}.csv`);
  }
  const LOOKS = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "opacity", "font-family", "font-size", "font-weight", "visibility"];
  /** The picture with its looks written into it, title above and legend below: it stands without this page. */
  function standing(chart, view) {
    const { svg } = neuneu, drawn = neuneu.draw(ready(chart), LARGE, view, names), { picture } = drawn, top = 56;
    const legendLines = chart.overlay
      ? [...chart.series.slice(0, LED).map((c, i) => [`r${i}`, `${i + 1}: ${c.run}`]), ...(restOf(chart) ? [["rest", restOf(chart)]] : [])]
      : names.map((name, i) => [`f${i}`, i ? `${name}: median` : `${name}: median, 50, 80 and 90 % bands`]);
    const height = LARGE.height + top + 18 * legendLines.length + 22;
    picture.setAttribute("viewBox", `0 ${-top} ${LARGE.width} ${height}`);
    picture.setAttribute("width", LARGE.width * PNG_SCALE);
    picture.setAttribute("height", height * PNG_SCALE);
    picture.prepend(svg("rect", { class: "ground", x: 0, y: -top, width: LARGE.width, height }));
    picture.append(svg("text", { class: "title", x: 16, y: 24 - top }, `${chart.title}, ${chart.setting}`), svg("text", { x: 16, y: 44 - top }, neuneu.owner(chart)));
    legendLines.forEach(([name, text], i) => {
      const y = LARGE.height + 14 + 18 * i;
      picture.append(svg("rect", { class: `keyed ${name}`, x: 64, y: y - 9, width: 14, height: 10 }), svg("text", { x: 86, y }, text));
    });
    const seen = chart.overlay ? lineKey(chart) : "dots: measured, on the ground that was seen; hollow: came true later";
    picture.append(svg("text", { x: 64, y: LARGE.height + 14 + 18 * legendLines.length }, seen));
    const stage = el("div", { class: "stage" }, picture);
    document.body.append(stage);
    for (const node of all("*", picture)) {
      const looks = getComputedStyle(node);
      node.setAttribute("style", LOOKS.map((name) => `${name}:${looks.getPropertyValue(name)}`).join(";"));
    }
    stage.remove();
    return picture;
  }
  function savePicture(chart, view) {
    const picture = standing(chart, view), image = new Image();
    image.onload = () => {
      const canvas = el("canvas", { width: image.width, height: image.height });
      canvas.getContext("2d").drawImage(image, 0, 0);
      canvas.toBlob((blob) => save(blob, `${fileName(chart)}.png`), "image/png");
    };
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(picture))}`;
  }

  // ---- beginning
  function options(name, values) {
    const select = field(name), known = [...new Set(values)];
    select.replaceChildren(el("option", { value: "" }, "all"), ...known.map((value) => el("option", { value }, value)));
    select.closest("label").hidden = known.length < 2;
  }
  function begin() {
    data = JSON.parse($("#data").textContent);
    [curves, names] = [neuneu.read(data), data.forecasters];
    options("run", curves.map((c) => c.run));
    options("task", curves.map((c) => c.task).sort());
    options("metric", curves.map((c) => c.metric));
    options("setting", curves.map((c) => c.setting).filter(Boolean));
    field("overlay").closest("label").hidden = data.runs.length < 2;
    all("table.sortable").forEach(enhance);
    show();
  }
  if (!$("#data") || !form) return;
  form.hidden = false;
  let waiting = 0;
  form.addEventListener("input", (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(afresh, event.target.name === "words" ? SETTLE : 0);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(afresh));
  $(".save", form).addEventListener("click", () => found.length && saveNumbers(found));
  $(".more").addEventListener("click", () => {
    const before = shown;
    shown += PAGE;
    $(".charts").append(...found.slice(before, shown).map((chart, i) => figure(chart, before + i)));
    count();
    $(".charts").children[before].focus();
  });
  $(".more-rows").addEventListener("click", () => {
    listed += ROWS;
    list();
  });
  sortable($(".ends"), (i, up) => {
    order = { column: i, down: !up };
    list();
  });
  $(".ends").closest("details").addEventListener("toggle", list);
  for (const name of ["log", "smooth", "from", "to"]) part(name).addEventListener("input", enlarged);
  part("before").addEventListener("click", () => step(-1));
  part("after").addEventListener("click", () => step(1));
  part("csv").addEventListener("click", () => saveNumbers([found[place]]));
  part("png").addEventListener("click", () => savePicture(found[place], largeView()));
  part("close").addEventListener("click", () => dialog.close());
  $("details", dialog).addEventListener("toggle", () => $("details", dialog).open && tabulate());
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("main details:not([open])");
    for (const details of closed) details.open = true;
    list();
    all(".charts figure").forEach((one, i) => {
      const { picture } = neuneu.draw(ready(found[i]), PRINTED, viewed(), names);
      picture.classList.add("printed");
      $("svg", one).after(picture);
    });
  });
  addEventListener("afterprint", () => {
    for (const details of closed) details.open = false;
    for (const picture of all(".printed")) picture.remove();
  });
  begin();
})();
