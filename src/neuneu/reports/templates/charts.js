"use strict";
// From the numbers in #data (neuneu/reports/chart_data.py says what they are) to charts and their words.
// Everything is made of elements and text nodes, so that no name can become markup.
const neuneu = (() => {
  const LEFT = 62, RIGHT = 12, TOP = 8, BOTTOM = 36; // room for axes, in units of the picture
  const BANDS = [[0, 6, "wide"], [1, 5, "middle"], [2, 4, "narrow"]]; // places of their edges among the levels
  const Q10 = 1, MEDIAN = 3, Q90 = 5;
  const LED = 8; // overlaid runs that have a colour and a number, the leading ones
  const BANDED = 3; // of these so many have their 80 % band
  const MARK = 11; // height of a number at a line's end
  const SMOOTH = 2; // neighbours on each side that a smoothed value is the mean of
  let ids = 0;

  const maker = (create) => (name, attributes = {}, ...children) => {
    const made = create(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  };
  const el = maker((name) => document.createElement(name));
  const SPACE = new DOMParser().parseFromString("<svg></svg>", "text/html").querySelector("svg").namespaceURI;
  const svg = maker((name) => document.createElementNS(SPACE, name));

  // ---- words, as neuneu/reports/style.py has them
  const plain = (number, digits) => String(Number(Number(number).toPrecision(digits)));
  const readable = (number) => {
    if (number >= 1e15) return number.toExponential(1).replace(".0e", "e").replace("e+", "×10^");
    for (const [size, letter] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]]) {
      if (number >= size * 0.9995) return plain(number / size, 3) + letter;
    }
    return plain(number, 3);
  };
  const valueText = (value, percent) => {
    if (value === undefined || value === null || Number.isNaN(value)) return "–";
    return percent ? `${(100 * value).toFixed(1)}\u00a0%` : plain(value, 3);
  };
  const CLOCKS = { tokens: "training tokens", flops: "training compute (FLOPs)", step: "training step" };
  const clockLabel = (unit) => CLOCKS[unit] || unit;
  const plural = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

  // ---- data
  /** The curves of a document, with their names; their numbers are filled in when they are drawn. */
  function read(document_) {
    return document_.curves.map((raw) => {
      const run = document_.runs[raw.r], metric = document_.metrics[raw.m];
      const setting = [raw.n === undefined ? "" : `${raw.n}-shot`, raw.v || ""].filter(Boolean).join(", ");
      const curve = {
        raw, document_, setting, run: run.name,
        task: document_.tasks[raw.t], metric: metric.name, percent: metric.percent,
        shots: raw.n ?? "", variant: raw.v || "", unit: raw.u, chance: raw.c,
      };
      curve.words = `${curve.run} ${curve.task} ${curve.metric} ${setting}`.toLowerCase();
      return curve;
    });
  }
  const sums = (steps, scale) => {
    let total = 0;
    return steps.map((step) => (total += step) / scale);
  };
  /** The curve with clock, values, horizons, quantiles (a row a level) and medians (a row a forecaster). */
  function filled(curve) {
    if (curve.clock) return curve;
    const { raw, document_ } = curve, scale = 10 ** (raw.k ?? 5);
    const row = (steps) => (steps && steps.length ? sums(steps, scale) : null);
    curve.clock = document_.clocks[raw.x];
    curve.values = sums(raw.y, scale);
    curve.seen = raw.s;
    curve.end = curve.clock[raw.s - 1];
    curve.grid = raw.h === undefined ? [] : document_.clocks[raw.h];
    curve.quantiles = raw.q ? raw.q.map(row) : null;
    curve.medians = [curve.quantiles && curve.quantiles[MEDIAN], ...(raw.o || []).map(row)];
    [curve.low, curve.high] = (raw.e || []).map(row);
    curve.declined = raw.d === undefined ? "" : document_.reasons[raw.d];
    return curve;
  }
  const last = (list) => list[list.length - 1];
  const mean = (numbers) => numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
  /** The value at a clock between known ones, NaN outside them. */
  function at(clock, values, x) {
    if (!values || !clock.length || x < clock[0] || x > last(clock)) return NaN;
    const i = clock.findIndex((one) => one >= x);
    if (clock[i] === x || i === 0) return values[i];
    return values[i - 1] + ((x - clock[i - 1]) / (clock[i] - clock[i - 1])) * (values[i] - values[i - 1]);
  }
  // ---- scales
  function ticks(low, high, about) {
    const rough = (high - low) / about, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((size) => size * power).find((size) => size >= rough * 0.83) || 10 * power;
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i <= Math.floor(high / step + 1e-9); i++) {
      found.push(Number((i * step).toPrecision(12)));
    }
    return found;
  }
  function logTicks(low, high, most) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
      for (const size of high / low > 100 ? [1] : [1, 2, 5]) found.push(size * 10 ** power);
    }
    const inside = found.filter((x) => x >= low * 0.999 && x <= high * 1.001);
    const every = Math.ceil(inside.length / most);
    return inside.filter((_, i) => i % every === 0);
  }
  /** A range for values: some air, chance if it is near, at least four points of an accuracy. */
  function valueRange(values, chance, percent) {
    let low = values.length ? Infinity : 0, high = values.length ? -Infinity : 1;
    for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
    const near = Math.max(high - low, 0.05);
    if (chance !== undefined && chance >= low - near && chance <= high + near) {
      [low, high] = [Math.min(low, chance), Math.max(high, chance)];
    }
    const least = percent ? 0.04 : 1e-3 * Math.max(Math.abs(low), Math.abs(high), 1e-6);
    const missing = Math.max(0, least - (high - low)) / 2, air = 0.06 * Math.max(high - low, least);
    [low, high] = [low - missing - air, high + missing + air];
    return percent ? [Math.max(low, 0), Math.min(high, 1)] : [low, high];
  }
  /** Where clock and value lie in a picture. view: log; from and to, shares of the clock that is in sight. */
  function frameOf(chart, size, view) {
    const list = chart.series, [{ chance, percent }] = list;
    const end = Math.max(...list.map((c) => Math.max(last(c.clock), last(c.grid) ?? 0)));
    const positive = (c) => c.clock.find((x) => x > 0) ?? end;
    const first = view.log ? Math.min(...list.map(positive)) : 0;
    const scale = view.log ? (x) => Math.log(Math.max(x, first)) : (x) => x;
    const span = scale(end) - scale(first) || 1;
    const from = scale(first) + span * (view.from ?? 0), to = scale(first) + span * ((view.to ?? 1) + 0.01);
    const usable = (x) => !view.log || x > 0;
    const inside = (x) => usable(x) && scale(x) >= from - 1e-9 && scale(x) <= to + 1e-9;
    const values = [];
    const note = (clock, row) => row && clock.forEach((x, i) => inside(x) && values.push(row[i]));
    for (const c of list) {
      for (const row of [c.values, c.low, c.high]) note(c.clock, row);
      const edges = chart.overlay ? [Q10, Q90] : [0, Q10, Q90, 6];
      for (const row of edges.map((i) => c.quantiles && c.quantiles[i])) note(c.grid, row);
      for (const row of chart.overlay ? c.medians.slice(0, 1) : c.medians) note(c.grid, row);
    }
    const [low, high] = valueRange(values, chance, percent);
    const right = size.width - RIGHT, bottom = size.height - BOTTOM, back = view.log ? Math.exp : (x) => x;
    return {
      ...size, low, high, right, bottom, inside, usable, log: view.log, from: back(from), to: back(to),
      zoomed: (view.from ?? 0) > 0 || (view.to ?? 1) < 1,
      x: (clock) => LEFT + ((right - LEFT) * (scale(clock) - from)) / (to - from),
      y: (value) => bottom - ((bottom - TOP) * (value - low)) / (high - low || 1),
    };
  }

  // ---- pictures
  const point = (f, x, y) => `${f.x(x).toFixed(1)} ${f.y(y).toFixed(1)}`;
  const pairs = (f, xs, ys) => xs.map((x, i) => [x, ys[i]]).filter(([x]) => f.usable(x));
  const line = (f, xs, ys) => pairs(f, xs, ys).map(([x, y], i) => (i ? "L" : "M") + point(f, x, y)).join("");
  const dots = (f, xs, ys) => pairs(f, xs, ys).map(([x, y]) => `M${point(f, x, y)}h0`).join("");
  const area = (f, xs, lows, highs) =>
    `${line(f, xs, highs)}${pairs(f, xs, lows).reverse().map(([x, y]) => "L" + point(f, x, y)).join("")}Z`;
  const smoothed = (values) => values.map((_, i) => mean(values.slice(Math.max(0, i - SMOOTH), i + SMOOTH + 1)));

  function axes(chart, f) {
    const [{ percent, unit }] = chart.series, wide = f.width > 500, parts = [];
    for (const value of ticks(f.low, f.high, wide ? 7 : 4)) {
      const y = f.y(value), text = percent ? `${plain(100 * value, 4)} %` : plain(value, 4);
      parts.push(svg("line", { class: "grid", x1: LEFT, x2: f.right, y1: y, y2: y }));
      parts.push(svg("text", { x: LEFT - 5, y: y + 3.5, "text-anchor": "end" }, text));
    }
    for (const clock of f.log ? logTicks(f.from, f.to, wide ? 10 : 6) : ticks(f.from, f.to, wide ? 9 : 5)) {
      parts.push(svg("text", { x: f.x(clock), y: f.bottom + 14, "text-anchor": "middle" }, readable(clock)));
    }
    const below = clockLabel(unit) + (f.log ? ", log scale" : "");
    parts.push(svg("text", { x: (LEFT + f.right) / 2, y: f.bottom + 30, "text-anchor": "middle" }, below));
    const room = Math.floor((f.bottom - TOP) / 5.6), title = chart.setting;
    const beside = { class: "ytitle", "text-anchor": "middle", transform: `translate(11 ${(TOP + f.bottom) / 2}) rotate(-90)` };
    parts.push(svg("text", beside, title.length > room ? chart.series[0].metric : title));
    parts.push(svg("line", { class: "axis", x1: LEFT, x2: f.right, y1: f.bottom, y2: f.bottom }));
    return parts;
  }
  function single(c, f, view) {
    const parts = [], small = c.clock.length > 60 ? " small" : "", { quantiles } = c;
    const add = (name, d) => d && parts.push(svg("path", { class: name, d }));
    if (c.chance !== undefined && c.chance >= f.low && c.chance <= f.high) {
      parts.push(svg("line", { class: "chance", x1: LEFT, x2: f.right, y1: f.y(c.chance), y2: f.y(c.chance) }));
    }
    if (c.low) add("seeds", area(f, c.clock, c.low, c.high));
    for (const [low, high, name] of BANDS) {
      if (quantiles && quantiles[low] && quantiles[high]) add(`band ${name} f0`, area(f, c.grid, quantiles[low], quantiles[high]));
    }
    for (let i = c.medians.length - 1; i >= 0; i--) if (c.medians[i]) add(`median f${i}`, line(f, c.grid, c.medians[i]));
    if (view.smooth) add("smooth", line(f, c.clock, smoothed(c.values)));
    const later = dots(f, c.clock.slice(c.seen), c.values.slice(c.seen));
    add(`true${small}`, later);
    add(`hole${small}`, later);
    add(`seen${small}`, dots(f, c.clock.slice(0, c.seen), c.values.slice(0, c.seen)));
    return parts;
  }
  function overlaid(chart, f, view) {
    const parts = [];
    const add = (name, d) => d && parts.push(svg("path", { class: name, d }));
    for (let i = chart.series.length - 1; i >= 0; i--) {
      const c = chart.series[i], led = i < LED, name = led ? `r${i}` : "rest";
      if (i < BANDED && c.quantiles && c.quantiles[Q10] && c.quantiles[Q90]) {
        add(`band faint ${name}`, area(f, c.grid, c.quantiles[Q10], c.quantiles[Q90]));
      }
      if (led && c.low) add(`band narrow ${name}`, area(f, c.clock, c.low, c.high));
      add(`line ${name}`, line(f, c.clock, view.smooth ? smoothed(c.values) : c.values));
      if (c.medians[0]) add(`ahead ${name}`, line(f, c.grid, c.medians[0]));
    }
    return [...parts, ...marks(chart.series.slice(0, LED), f)];
  }
  /** The number of each run where its line ends, none on another. */
  function marks(led, f) {
    const ends = led.map((c, i) => {
      const [clock, row] = c.medians[0] ? [c.grid, c.medians[0]] : [c.clock, c.values];
      return { i, x: last(clock), y: f.y(last(row)) };
    });
    const seen = ends.filter(({ x }) => f.inside(x)).sort((a, b) => a.y - b.y);
    let above = -Infinity;
    return seen.map(({ i, x, y }) => {
      above = Math.max(y + 3, above + MARK);
      return svg("text", { class: `mark r${i}`, x: f.x(x) + 3, y: above }, String(i + 1));
    });
  }
  /** A chart as a picture, with the line that marks where it is read, and its frame. */
  function draw(chart, size, view, names) {
    const f = frameOf(chart, size, view), [c] = chart.series, clip = `clip${ids++}`;
    const picture = svg("svg", { viewBox: `0 0 ${size.width} ${size.height}`, role: "img", "aria-label": describe(chart, names) });
    const end = Math.min(Math.max(f.x(c.end), LEFT), f.right);
    if (!chart.overlay) {
      picture.append(svg("rect", { class: "context", x: LEFT, y: TOP, width: end - LEFT, height: f.bottom - TOP }));
    }
    picture.append(...axes(chart, f));
    if (!chart.overlay && f.inside(c.end)) picture.append(svg("line", { class: "end", x1: end, x2: end, y1: TOP, y2: f.bottom }));
    const sight = f.zoomed ? { x: LEFT, width: f.right - LEFT } : { x: 0, width: size.width };
    picture.append(svg("clipPath", { id: clip }, svg("rect", { ...sight, y: 0, height: f.bottom + 3 })));
    picture.append(svg("g", { "clip-path": `url(#${clip})` }, ...(chart.overlay ? overlaid(chart, f, view) : single(c, f, view))));
    const cursor = svg("line", { class: "cursor", x1: 0, x2: 0, y1: TOP, y2: f.bottom, visibility: "hidden" });
    picture.append(cursor);
    return { picture, cursor, frame: f };
  }

  // ---- the same in words and numbers
  /** What a chart says at each clock value: [clock, sentence], in order. */
  function readings(chart) {
    if (!chart.readings) {
      const led = chart.series.slice(0, LED);
      const clocks = [...new Set(led.flatMap((c) => [...c.clock, ...c.grid]))].sort((a, b) => a - b);
      const say = chart.overlay ? overlaidAt : singleAt;
      chart.readings = clocks.map((x) => [x, say(led, x)]).filter(([, text]) => text);
    }
    return chart.readings;
  }
  function singleAt([c], x) {
    const i = c.clock.indexOf(x), g = c.grid.indexOf(x), q = c.quantiles, say = (v) => valueText(v, c.percent);
    if (g >= 0 && q) {
      const interval = q[Q10] && q[Q90] ? ` (80 %: ${say(q[Q10][g])} to ${say(q[Q90][g])})` : "";
      return `at ${readable(x)}: ${say(q[MEDIAN][g])}${interval}${i >= 0 ? `, came true ${say(c.values[i])}` : ""}`;
    }
    if (i < 0) return "";
    const seeds = c.low ? ` (seeds: ${say(c.low[i])} to ${say(c.high[i])})` : "";
    return `at ${readable(x)}: ${i < c.seen ? "seen" : "came true"} ${say(c.values[i])}${seeds}`;
  }
  function overlaidAt(led, x) {
    const known = led.map((c, i) => [i + 1, x <= last(c.clock) ? at(c.clock, c.values, x) : at(c.grid, c.medians[0], x)]);
    const told = known.filter(([, value]) => !Number.isNaN(value)).sort((a, b) => b[1] - a[1]);
    return told.length ? `at ${readable(x)}: ${told.map(([i, v]) => `${i}: ${valueText(v, led[0].percent)}`).join(", ")}` : "";
  }
  function lastReading(chart, names) {
    const [c] = chart.series, found = readings(chart);
    if (!chart.overlay && c.declined) return `${names[0]} declined: ${c.declined}`;
    return found.length ? last(found)[1] : "";
  }
  const owner = (chart) => (chart.overlay ? plural(chart.series.length, "run") : chart.series[0].run);
  function describe(chart, names) {
    const [c] = chart.series, start = `${chart.title}, ${chart.setting}, of ${owner(chart)}`;
    if (chart.overlay) return `${start}, over ${clockLabel(c.unit)}; ${lastReading(chart, names)}`;
    const seen = `${plural(c.seen, "checkpoint")} seen up to ${readable(c.end)} ${clockLabel(c.unit)}`;
    return `${start}: ${seen}; ${lastReading(chart, names)}`;
  }
  /** The numbers of a chart: a header and a row for each run and clock value, measured or forecast. */
  function numbers(chart, names, levels) {
    const head = ["run", "task", "metric", "n_shot", "variant", "clock", "clock_unit", "kind", "value"];
    head.push(...levels.map((level) => `q${String(Math.round(100 * level)).padStart(2, "0")}`), ...names.slice(1));
    const rows = [];
    for (const c of chart.series) {
      const name = [c.run, c.task, c.metric, c.shots, c.variant];
      for (const x of [...new Set([...c.clock, ...c.grid])].sort((a, b) => a - b)) {
        const i = c.clock.indexOf(x), g = c.grid.indexOf(x);
        const pick = (row) => (row && g >= 0 ? row[g] : "");
        const kind = i < 0 ? "forecast" : i < c.seen ? "seen" : "came true";
        const quantiles = levels.map((_, level) => pick(c.quantiles && c.quantiles[level]));
        rows.push([...name, x, c.unit, kind, i < 0 ? "" : c.values[i], ...quantiles, ...names.slice(1).map((_, k) => pick(c.medians[k + 1]))]);
      }
    }
    return [head, ...rows];
  }
  return { el, svg, readable, valueText, clockLabel, plural, read, filled, draw, readings, lastReading, owner, numbers, last, LED, BANDED, Q10, Q90, MEDIAN };
})();
