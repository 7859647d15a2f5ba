import { Names, dropped, plural, readable } from "/fields.js";

const $ = (selector) => document.querySelector(selector);
const facts = $(".facts form"), ask = $("form.ask"), compare = $("form.compare"), frames = $(".frames");
const runs = new Names($("[data-name=run]"), () => {}), tasks = new Names($("[data-name=task]"), () => {});
let page, formats = [], sent = null, table = null, followed = false, paused = false, view = null, asking = null, asked = null;

const say = (place, text, kind = "") => {
  const line = $(place);
  line.textContent = text;
  line.className = line.className.replace(/ (bad|busy)\b/g, "") + (kind && ` ${kind}`);
};

// An answer of the server; an error with its one line where it refuses.
async function call(address, options = {}) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server cannot be reached; is it still running?");
  }
  if (answer.ok) return answer;
  const message = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
  throw Object.assign(new Error(message.error), { status: answer.status });
}

// Results: what is dropped or chosen is sent, and read there.
async function send(files) {
  files = readable(files, formats);
  const size = files.reduce((sum, { file }) => sum + file.size, 0);
  forget();
  if (!files.length) return say(".read", "No file here has the name of a result file or a table.", "bad");
  if (size > page.max_bytes) return say(".read", `${plural(files.length, "file")} of ${Math.ceil(size / 2 ** 20)} MB, and the server takes ${page.max_bytes / 2 ** 20} MB at once: choose fewer, or start it with their folder: neuneu serve FOLDER`, "bad");
  sent = files;
  followed = false;
  $(".offered").hidden = !page.follows;
  const query = new URLSearchParams([...new FormData(facts)].filter(([, value]) => value));
  const form = new FormData();
  for (const { file, path } of files) form.append("file", file, path);
  say(".read", `Reading ${plural(files.length, "file")}…`, "busy");
  try {
    show(await (await call("/api/tables?" + query, { method: "POST", body: form })).json());
  } catch (error) {
    say(".read", error.message, "bad");
  }
}

// Nothing of an earlier table stays: what is shown belongs to the files that are named.
function forget() {
  table = null;
  document.body.classList.remove("read-already");
  asking?.abort();
  clear();
  for (const part of [".question", ".answer", ".comparison", ".lines"]) $(part).hidden = true;
  $(".live").hidden = true;
}

function clear() {
  view = asked = null;
  frames.replaceChildren();
  $(".exports").hidden = true;
  $(".ranking").hidden = true;
  say(".compared", "");
}

// A table that was read: what it holds, and what there is to choose from. A newer one of the same files keeps
// what was chosen.
function show(found, again = false) {
  const chosen = again ? { run: runs.chosen, task: tasks.chosen } : found.suggested;
  const values = [...ask.elements].map((field) => [field, field.value]);
  table = found;
  say(".read", `${found.name}: ${plural(found.n_runs, "run")} on ${plural(found.n_tasks, "task")}, ${plural(found.n_values, "value")}.`);
  $(".lines ul").replaceChildren(...found.read.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
  $(".lines").hidden = !found.read.length;
  runs.fill(found.runs.map(({ name }) => name), found.n_runs, chosen.run);
  tasks.fill(found.tasks, found.n_tasks, chosen.task);
  const setting = ask.elements.setting;
  setting.replaceChildren(new Option("one accuracy a curve", ""), ...found.settings.map((one) => {
    const words = [one.metric, one.n_shot === null ? "" : `${one.n_shot}-shot`, one.variant ?? ""].filter(Boolean).join(", ");
    return new Option(`${words} (${plural(one.curves, "curve")})`, JSON.stringify(one));
  }));
  if (again) {
    const before = values.find(([field]) => field === setting)[1];
    const same = before && [...setting.options].find(({ value }) => value && sameSetting(value, before));
    if (same) setting.value = same.value;
  }
  for (const name of ["one", "other"]) {
    const field = compare.elements[name], before = field.value;
    field.replaceChildren(...found.runs.map((run) => new Option(run.name, run.name)));
    if (again && before) field.value = before;
    else if (name === "other" && found.n_runs > 1) field.selectedIndex = 1;
  }
  $(".question").hidden = $(".answer").hidden = false;
  document.body.classList.add("read-already");
  $(".comparison").hidden = found.n_runs < 2;
  if (found.n_curves || again) forecast(again);
  else say(".told", "No metric here is known as an accuracy: choose a metric.", "");
}

function sameSetting(one, other) {
  const [a, b] = [JSON.parse(one), JSON.parse(other)];
  return a.metric === b.metric && a.n_shot === b.n_shot && a.variant === b.variant;
}

function question() {
  const query = new URLSearchParams();
  for (const name of ["forecaster", "context", "beyond", "references"]) if (ask.elements[name].value) query.set(name, ask.elements[name].value);
  if (ask.elements.setting.value) {
    const { metric, n_shot, variant } = JSON.parse(ask.elements.setting.value);
    query.set("metric", metric);
    if (n_shot !== null) query.set("n_shot", n_shot);
    if (variant !== null) query.set("variant", variant);
  }
  for (const name of tasks.chosen) query.append("task", name);
  query.set("table", table.id);
  return query;
}

const shown = (word, n, all) => (n && n < all ? `${n} of ${plural(all, word)}` : `all ${plural(all, word)}`);
const LONGEST = 30000;
async function forecast(quiet = false) {
  const query = question();
  for (const name of runs.chosen) query.append("run", name);
  const words = query.toString();
  if (words.length > LONGEST) return fail(new Error("So many names do not fit into one question: choose fewer, or all."));
  asking?.abort();
  const own = asking = new AbortController(), began = performance.now();
  if (!quiet) clear();
  const tell = () => say(".told", `Forecasting… ${Math.round((performance.now() - began) / 1000)} s`, "busy");
  if (!quiet) say(".told", "Forecasting…", "busy");
  const timer = quiet ? 0 : setInterval(tell, 1000);
  try {
    const answer = await call("/view?" + words, { signal: own.signal });
    await answer.body.cancel();
    asked = words;
    await draw("/view?" + words);
    if (own !== asking) return;
    const some = runs.chosen.length || tasks.chosen.length;
    say(".told", `Done.${some ? ` ${shown("run", runs.chosen.length, table.n_runs)}, ${shown("task", tasks.chosen.length, table.n_tasks)}: choose others above.` : ""}`);
    $(".save-report").href = "/api/report?" + words;
    $(".save-csv").href = "/api/forecast.csv?" + words;
    $(".exports").hidden = false;
  } catch (error) {
    if (error.name !== "AbortError") await fail(error);
  } finally {
    clearInterval(timer);
  }
}

// What is refused leaves nothing of an earlier answer. A table that the server has let go is sent again.
async function fail(error) {
  clear();
  if (error.status === 404 && sent && !followed) return send(sent);
  if (error.status === 404 && followed) return newest();
  say(".told", error.message, "bad");
}

// The report, in a frame of its own. A newer one takes the place of the one before with what was opened,
// chosen and scrolled there.
function draw(address) {
  const frame = Object.assign(document.createElement("iframe"), { title: "Report", src: address });
  frame.setAttribute("sandbox", "allow-scripts allow-downloads");
  for (const other of frames.querySelectorAll(".coming")) other.remove();
  const before = frames.querySelector("iframe");
  if (before) frame.className = "coming";
  return new Promise((done) => {
    frame.addEventListener("load", () => {
      if (view && before) frame.contentWindow.postMessage(view, "*");
      setTimeout(() => {
        const focused = document.activeElement === before;
        before?.remove();
        frame.className = "";
        if (focused) frame.focus();
        done();
      }, before ? 50 : 0);
    }, { once: true });
    frames.append(frame);
  });
}
addEventListener("message", (event) => {
  const frame = frames.querySelector("iframe:not(.coming)");
  if (frame && event.source === frame.contentWindow && event.data?.neuneu === "state") view = event.data;
});

// Comparison of two runs, or of all that are chosen.
async function rank(names) {
  const query = question();
  for (const name of names) query.append("run", name);
  say(".compared", "Comparing…", "busy");
  $(".ranking").hidden = true;
  try {
    const found = await (await call("/api/rank?" + query)).json();
    const pair = found.pairs.find(({ run, other }) => run === names[0] && other === names[1]);
    const left = Object.entries(found.left_out).map(([name, why]) => `${name}: ${why}`);
    const words = names.length === 2 && pair ? `${pair.run} beats ${pair.other} with probability ${pair.p_run_wins.toFixed(2)}` : `${found.runs[0].run} is the likeliest best, with probability ${found.runs[0].p_best.toFixed(2)}`;
    say(".compared", `${words}, at clock ${readableClock(found.at)}, by ${found.forecaster}: ${found.shared}.${left.length ? ` Left out: ${left.slice(0, 3).join("; ")}${left.length > 3 ? ` and ${left.length - 3} more` : ""}.` : ""}`);
    ranking(found.runs);
  } catch (error) {
    say(".compared", error.message, "bad");
  }
}

// 12000 → 12k, as the report writes it.
function readableClock(number) {
  const [size, letter] = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]].find(([one]) => number >= one && number < 1e15) ?? [1, ""];
  return Number((number / size).toPrecision(4)) + letter;
}

const COLUMNS = [["run", "run"], ["q50", "median"], ["q10", "10 %"], ["q90", "90 %"], ["p_best", "P(best)"], ["p_beats_favourite", "P(beats the favourite)"], ["finished", "finished"]];
function ranking(rows) {
  const make = (kind, text, more = {}) => Object.assign(document.createElement(kind), { textContent: text }, more);
  const head = make("tr", "");
  head.append(...COLUMNS.map(([, title]) => make("th", title, { scope: "col" })));
  const body = rows.map((row) => {
    const line = make("tr", "");
    line.append(...COLUMNS.map(([name], index) => {
      const value = row[name];
      const text = typeof value === "number" ? value.toFixed(4) : value === null ? "–" : value === true ? "yes" : value === false ? "no" : value;
      return index ? make("td", text) : make("th", text, { scope: "row" });
    }));
    return line;
  });
  const thead = document.createElement("thead"), tbody = document.createElement("tbody"), whole = document.createElement("table");
  thead.append(head);
  tbody.append(...body);
  whole.append(thead, tbody);
  $(".ranking").replaceChildren(whole);
  $(".ranking").hidden = false;
}

// What the server follows: told of each change, the page asks again.
async function newest(changed = "") {
  try {
    const found = await (await call("/api/tables/served")).json();
    if (!followed || found.id === table?.id) return;
    show(found, table !== null);
    live(changed);
  } catch (error) {
    live(error.message, true);
  }
}
function live(words, lost = false) {
  $(".live").hidden = !followed;
  $(".live").classList.toggle("lost", lost);
  $(".live .words").textContent = lost ? words : `following ${page.served?.name ?? "the server’s files"}${words && `: ${words}`}`;
}
function follow() {
  const events = new EventSource("/api/events");
  events.addEventListener("message", (event) => {
    const { id, trouble, changed, n_changed } = JSON.parse(event.data);
    if (!followed || paused) return;
    if (trouble) { $(".answer").hidden = false; return live(trouble, true); }
    if (!id || id === table?.id) return table && live("");
    newest(changed?.length ? `${changed.slice(0, 3).join(", ")}${n_changed > 3 ? ` and ${n_changed - 3} more` : ""} grew` : "changed");
  });
  events.addEventListener("error", () => followed && live("the server cannot be reached; the page tries again", true));
}
async function offer() {
  forget();
  $(".offered").hidden = true;
  sent = null;
  followed = true;
  page = await (await call("/api/page")).json();
  if (page.served) { show(page.served); live(""); }
  else say(".read", page.trouble ?? "Nothing has been read yet.", page.trouble ? "bad" : "");
}

// What is pressed, dropped and chosen.
const drop = $(".drop");
for (const name of ["dragenter", "dragover"]) document.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
for (const name of ["dragleave", "drop"]) document.addEventListener(name, () => drop.classList.remove("over"));
document.addEventListener("drop", async (event) => { event.preventDefault(); send(await dropped(event.dataTransfer)); });
for (const input of drop.querySelectorAll("input")) input.addEventListener("change", () => {
  const files = [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
  input.value = "";
  if (files.length) send(files);
});
facts.addEventListener("submit", (event) => { event.preventDefault(); if (sent) send(sent); else say(".read", "Choose files first; the server’s own are read as it was started.", "bad"); });
ask.addEventListener("submit", (event) => { event.preventDefault(); forecast(); });
compare.addEventListener("submit", (event) => {
  event.preventDefault();
  const pair = [compare.elements.one.value, compare.elements.other.value];
  if (pair[0] === pair[1]) say(".compared", "Choose two different runs.", "bad");
  else rank(pair);
});
$(".rank-all").addEventListener("click", () => rank(runs.chosen));
$(".pause").addEventListener("click", (event) => {
  paused = !paused;
  event.target.setAttribute("aria-pressed", paused);
  event.target.textContent = paused ? "Go on updating" : "Pause updates";
  if (!paused) newest();
});
$(".offered").addEventListener("click", offer);

// The start: everything that the page needs to know, at once.
async function start() {
  const names = call("/api/forecasters").then((answer) => answer.json());
  call("/api/formats").then((answer) => answer.json()).then((found) => {
    formats = found;
    facts.elements.format.append(...found.map(({ name, about }) => Object.assign(new Option(name, name), { title: about })));
  }).catch(() => {});
  page = await (await call("/api/page")).json();
  $(".most").textContent = `; up to ${page.max_bytes / 2 ** 20} MB`;
  ask.elements.forecaster.append(...(await names).map(({ name, description, default: first }) => Object.assign(new Option(name, name, first, first), { title: description })));
  if (!page.follows) return;
  await offer();
  follow();
}
start().catch((error) => say(".read", error.message, "bad"));
