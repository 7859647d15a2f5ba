// A viewer of /openapi.json: every request with its fields and answers, and a form to try it.
const make = (kind, text = "", more = {}) => Object.assign(document.createElement(kind), { textContent: text }, more);
const named = ($ref) => $ref.split("/").pop();

// A schema in a few words; a named one is a link.
function kind(schema) {
  if (!schema || !Object.keys(schema).length) return make("span", "anything");
  if (schema.$ref) return make("a", named(schema.$ref), { href: `#${named(schema.$ref)}` });
  const line = make("span"), several = schema.anyOf ?? schema.oneOf;
  if (several) {
    several.forEach((one, index) => line.append(...(index ? [" or ", kind(one)] : [kind(one)])));
    return line;
  }
  if (schema.enum) return make("span", schema.enum.map((one) => JSON.stringify(one)).join(", "));
  if (schema.type === "array") { line.append("list of ", kind(schema.items)); return line; }
  line.append(schema.type ?? "anything");
  const bounds = [["minimum", "≥"], ["exclusiveMinimum", ">"], ["maximum", "≤"], ["exclusiveMaximum", "<"]].filter(([name]) => name in schema).map(([name, sign]) => `${sign} ${schema[name]}`);
  if (bounds.length) line.append(` ${bounds.join(", ")}`);
  return line;
}

function table(titles, rows, label) {
  const whole = make("table"), head = make("thead"), body = make("tbody"), line = make("tr");
  line.append(...titles.map((title) => make("th", title, { scope: "col" })));
  head.append(line);
  body.append(...rows.map((cells) => {
    const row = make("tr");
    row.append(...cells.map((cell, index) => {
      const place = index ? make("td", "", { className: "text" }) : make("th", "", { scope: "row" });
      place.append(cell);
      return place;
    }));
    return row;
  }));
  whole.append(head, body);
  const scroll = make("div", "", { className: "scroll", tabIndex: 0 });
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", label);
  scroll.append(whole);
  return scroll;
}

function operation(path, method, about) {
  const part = make("section"), title = make("h3"), label = `${method.toUpperCase()} ${path}`;
  title.append(make("span", method.toUpperCase(), { className: "method" }), path);
  part.append(title, make("p", about.description ?? about.summary ?? ""));
  if (about.requestBody) part.append(make("p", `Body: ${about.requestBody.description} (${Object.keys(about.requestBody.content).join(", ")})`));
  if (about.parameters?.length) part.append(table(["field", "what", "default", "meaning"], about.parameters.map(({ name, schema, description }) => [make("code", name), kind(schema), make("span", schema.default === undefined ? "" : JSON.stringify(schema.default)), make("span", description ?? "")]), `Fields of ${label}`));
  part.append(table(["status", "answer", "when"], Object.entries(about.responses).map(([status, { description, content }]) => [make("span", status), content ? kind(Object.values(content)[0].schema) : make("span"), make("span", description)]), `Answers of ${label}`));
  part.append(trial(path, method, about));
  return part;
}

const SHOWN = 20000;
function trial(path, method, about) {
  const whole = make("details"), form = make("form", "", { className: "fields" }), answer = make("pre", "", { tabIndex: 0, hidden: true });
  whole.append(make("summary", "Try it"));
  answer.setAttribute("aria-label", "The answer");
  for (const { name, schema, in: place } of about.parameters ?? []) {
    const label = make("label", `${name} `), field = make("input", "", { name, autocomplete: "off" });
    field.dataset.place = place;
    if (schema.type === "array") field.placeholder = "several with commas";
    label.append(field);
    form.append(label);
  }
  if (about.requestBody) {
    const label = make("label", "files ");
    label.append(make("input", "", { type: "file", name: "file", multiple: true }));
    form.append(label);
  }
  form.append(make("button", "Send", { type: "submit" }));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const query = new URLSearchParams(), body = new FormData();
    let address = path;
    for (const field of form.elements) {
      if (field.type === "file") for (const file of field.files) body.append("file", file, file.name);
      else if (field.name && field.value && field.dataset.place === "path") address = address.replace(`{${field.name}}`, encodeURIComponent(field.value));
      else if (field.name && field.value) for (const value of field.placeholder ? field.value.split(",") : [field.value]) query.append(field.name, value.trim());
    }
    answer.hidden = false;
    answer.textContent = "…";
    try {
      const files = [...body].length > 0;
      const found = await fetch(`${address}?${query}`, { method: method.toUpperCase(), body: files ? body : undefined });
      const text = await found.text();
      answer.textContent = `${found.status}\n${text.slice(0, SHOWN)}${text.length > SHOWN ? `\n… ${text.length - SHOWN} more characters` : ""}`;
    } catch (error) {
      answer.textContent = error.message;
    }
  });
  whole.append(form, answer);
  return whole;
}

function schema(name, about) {
  const part = make("section"), title = make("h3", name, { id: name });
  part.append(title, make("p", about.description ?? ""));
  const rows = Object.entries(about.properties ?? {}).map(([field, one]) => [make("code", field), kind(one), make("span", one.description ?? "")]);
  if (rows.length) part.append(table(["field", "what", "meaning"], rows, `Fields of ${name}`));
  return part;
}

for (const place of document.querySelectorAll(".here")) place.textContent = location.origin + "/";
fetch("/openapi.json").then((answer) => answer.json()).then((found) => {
  const operations = Object.entries(found.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, about]) => operation(path, method, about)));
  document.querySelector(".operations").append(...operations);
  document.querySelector(".schemas").append(...Object.entries(found.components.schemas).map(([name, about]) => schema(name, about)));
}).catch((error) => { document.querySelector(".status").textContent = `The description cannot be read: ${error.message}`; });
