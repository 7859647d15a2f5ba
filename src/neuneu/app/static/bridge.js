// In the page's frame: tells the page what is scrolled, chosen and opened here, and takes it over from it.
(() => {
  if (parent === window) return;
  const fields = () => [...document.querySelectorAll("input,select,textarea")];
  const details = () => [...document.querySelectorAll("details")];
  const ticked = (field) => field.type === "checkbox" || field.type === "radio";
  let timer;
  const tell = () => {
    clearTimeout(timer);
    timer = setTimeout(() => parent.postMessage({
      neuneu: "state", x: scrollX, y: scrollY,
      fields: fields().map((field) => (ticked(field) ? field.checked : field.value)),
      open: details().map((one) => one.open),
    }, "*"), 100);
  };
  for (const name of ["scroll", "change", "input", "toggle", "click"]) addEventListener(name, tell, { capture: true, passive: true });
  addEventListener("message", ({ source, data }) => {
    if (source !== parent || data?.neuneu !== "state") return;
    const now = fields();
    if (now.length === data.fields.length) now.forEach((field, index) => {
      const value = data.fields[index], name = ticked(field) ? "checked" : "value";
      if (field.type === "file" || field[name] === value) return;
      field[name] = value;
      for (const kind of ["input", "change"]) field.dispatchEvent(new Event(kind, { bubbles: true }));
    });
    const parts = details();
    if (parts.length === data.open.length) parts.forEach((one, index) => { one.open = data.open[index]; });
    scrollTo({ left: data.x, top: data.y, behavior: "instant" });
  });
})();
