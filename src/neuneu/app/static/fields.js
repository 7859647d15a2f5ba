// Choosing names from a list of any length: a panel with a search field and a box for each name.
const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

export class Names {
  constructor(place, changed) {
    this.word = place.dataset.word;
    this.names = [];
    place.innerHTML = `<div class="over"></div><details><summary></summary><div class="panel"><input type="search"><div class="buttons"><button type="button" class="plain every">all</button><button type="button" class="plain none">none</button></div><ul></ul><p class="more"></p></div></details>`;
    const part = (selector) => place.querySelector(selector);
    this.details = part("details"), this.summary = part("summary"), this.list = part("ul"), this.more = part(".more");
    this.search = part("input");
    part(".over").textContent = `${this.word}s`;
    this.search.setAttribute("aria-label", `search ${this.word}s`);
    this.search.placeholder = "words of the name";
    this.search.addEventListener("input", () => this.filter());
    part(".every").addEventListener("click", () => this.tick(true));
    part(".none").addEventListener("click", () => this.tick(false));
    this.list.addEventListener("change", () => { this.say(); changed(); });
    place.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.details.open) return;
      this.details.open = false;
      this.summary.focus();
    });
    document.addEventListener("pointerdown", (event) => { if (!place.contains(event.target)) this.details.open = false; });
    place.addEventListener("focusout", (event) => { if (event.relatedTarget && !place.contains(event.relatedTarget)) this.details.open = false; });
  }

  // The names that there are, how many there would be in all, and those that are ticked; none ticked is all.
  fill(names, total, ticked = []) {
    const chosen = new Set(ticked);
    this.names = names;
    this.list.replaceChildren(...names.map((name) => {
      const item = document.createElement("li"), label = document.createElement("label");
      const box = Object.assign(document.createElement("input"), { type: "checkbox", value: name, checked: chosen.has(name) });
      label.append(box, name);
      item.append(label);
      return item;
    }));
    this.more.textContent = total > names.length ? `The first ${plural(names.length, this.word)} of ${total.toLocaleString("en")} are listed.` : "";
    this.search.value = "";
    this.filter();
    this.say();
  }

  get boxes() { return [...this.list.querySelectorAll("input")]; }
  get ticked() { return this.boxes.filter((box) => box.checked).map((box) => box.value); }

  // What is asked for: nothing where all are ticked or none is, since that means all.
  get chosen() {
    const ticked = this.ticked;
    return ticked.length === this.names.length && !this.more.textContent ? [] : ticked;
  }

  filter() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const item of this.list.children) {
      const text = item.textContent.toLowerCase();
      item.hidden = !words.every((word) => text.includes(word));
    }
  }

  tick(on) {
    for (const item of this.list.children) if (!item.hidden) item.querySelector("input").checked = on;
    this.list.dispatchEvent(new Event("change"));
  }

  say() {
    const ticked = this.ticked, all = this.chosen.length === 0;
    const text = this.names.length === 1 ? this.names[0] : all ? `all ${this.names.length.toLocaleString("en")}` : ticked.length === 1 ? ticked[0] : `${ticked.length} of ${this.names.length.toLocaleString("en")}`;
    this.summary.textContent = text;
    this.summary.setAttribute("aria-label", `${this.word}s: ${text}`);
  }
}

// The files of a drop, folders walked; each with its path.
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, path: file.name }));
  const found = [];
  const walk = async (entry, folder) => {
    const path = folder + entry.name;
    if (entry.isFile) {
      found.push({ file: await new Promise((done, failed) => entry.file(done, failed)), path });
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (!some.length) return;
      for (const each of some) await walk(each, path + "/");
    }
  };
  for (const entry of entries) await walk(entry, "");
  return found;
}

// Those files of a folder that some format reads, by their names; what was chosen one by one is sent as it is.
export function readable(files, formats) {
  if (!files.some(({ path }) => path.includes("/"))) return files;
  const patterns = formats.flatMap(({ names }) => names).map((name) => new RegExp("^" + name.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".") + "$", "i"));
  return files.filter(({ path }) => {
    const parts = path.split("/"), name = parts[parts.length - 1];
    return !parts.some((part) => part.startsWith(".")) && !/^samples_.*\.jsonl$/.test(name) && patterns.some((pattern) => pattern.test(name));
  });
}

export { plural };
