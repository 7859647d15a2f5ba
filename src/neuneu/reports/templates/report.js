"use strict";
// Filters and readings. Without scripts the report says the same: all charts, each read at its end.
(() => {
  const form = document.querySelector(".filters");
  const figures = [...document.querySelectorAll("figure")];
  const filter = () => {
    const run = form.elements.run.value, task = form.elements.task.value;
    let shown = 0;
    for (const figure of figures) {
      figure.hidden = (run && figure.dataset.run !== run) || (task && figure.dataset.task !== task);
      shown += !figure.hidden;
    }
    form.querySelector("output").textContent = `${shown} of ${figures.length} charts`;
  };
  if (form && figures.length > 1) {
    form.hidden = false;
    form.addEventListener("change", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
  }
  for (const figure of figures) {
    const readings = JSON.parse(figure.dataset.readings);
    const svg = figure.querySelector("svg"), cursor = figure.querySelector(".cursor"), line = figure.querySelector(".reading");
    if (!readings.length || !svg) continue;
    let place = readings.length - 1;
    const show = (next) => {
      place = Math.max(0, Math.min(readings.length - 1, next));
      const [x, text] = readings[place];
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
      cursor.setAttribute("visibility", "visible");
      line.textContent = text;
    };
    const rest = () => { show(readings.length - 1); cursor.setAttribute("visibility", "hidden"); };
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
      let nearest = 0;
      readings.forEach(([at], index) => { if (Math.abs(at - x) < Math.abs(readings[nearest][0] - x)) nearest = index; });
      show(nearest);
    });
    svg.addEventListener("pointerleave", rest);
    figure.addEventListener("blur", rest);
    figure.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9 }[event.key];
      if (move === undefined) return;
      event.preventDefault();
      show(place + move);
    });
  }
})();
