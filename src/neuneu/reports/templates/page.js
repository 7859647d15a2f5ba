"use strict";
(() => {
  const form = document.querySelector("form"), drop = document.querySelector(".drop");
  const status = document.querySelector(".status"), frame = document.querySelector("iframe");
  const save = document.querySelector(".save"), button = form.querySelector("button[type=submit]");
  let page = null;
  document.querySelector(".here").textContent = location.origin + "/";
  fetch("/api/forecasters").then((answer) => answer.json()).then((found) => {
    for (const { name, description } of found) {
      if (name === form.elements.forecaster.value) continue;
      const option = new Option(name, name);
      option.title = description;
      form.elements.forecaster.add(option);
    }
  }).catch(() => {});
  const say = (text, bad = false) => { status.textContent = text; status.classList.toggle("bad", bad); };
  for (const name of ["dragenter", "dragover"]) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    if (!event.dataTransfer.files.length) return;
    form.elements.file.files = event.dataTransfer.files;
    form.requestSubmit();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const file = form.elements.file.files[0];
    const query = new URLSearchParams({ forecaster: form.elements.forecaster.value, context: form.elements.context.value });
    if (file) query.set("name", file.name);
    if (form.elements.metric.value.trim()) query.set("metric", form.elements.metric.value.trim());
    say("Forecasting…");
    button.disabled = true;
    try {
      const answer = await fetch("/api/report?" + query, { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } });
      if (!answer.ok) {
        const message = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
        say(message.error, true);
        return;
      }
      page = await answer.text();
      frame.srcdoc = page;
      frame.hidden = save.hidden = false;
      say("Done.");
      frame.scrollIntoView({ block: "nearest" });
    } catch (error) {
      say(`The server cannot be reached: ${error.message}`, true);
    } finally {
      button.disabled = false;
    }
  });
  save.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([page], { type: "text/html" }));
    link.download = "report.html";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
})();
