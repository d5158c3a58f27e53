// The page works without this file: it would reload itself while a run plays. With it, the pieces that change arrive as
// server-sent events, or are asked for where there is no stream.
"use strict";

const show = (pieces) => {
  for (const [id, html] of Object.entries(pieces)) {
    const element = document.getElementById(id);
    if (element) element.innerHTML = html; // written by our own server's templates, which escape
  }
};

const finish = () => {
  document.querySelector(".killer")?.remove();
};

const poll = async (query) => {
  for (;;) {
    const answer = await fetch("/lab/state?" + query).catch(() => null);
    if (answer && !answer.ok) return;
    if (answer) {
      const state = await answer.json();
      show(state.pieces);
      if (state.over) return finish();
    }
    await new Promise((resume) => setTimeout(resume, 500));
  }
};

const query = document.body.dataset.query;
if (query) document.getElementById("stage").scrollIntoView({ block: "nearest" });
if (query && window.EventSource) {
  const stream = new EventSource("/lab/events?" + query);
  stream.addEventListener("pieces", (event) => show(JSON.parse(event.data)));
  stream.addEventListener("end", () => {
    stream.close();
    finish();
  });
  stream.addEventListener("error", () => {
    if (stream.readyState === EventSource.CLOSED) poll(query); // no stream to be had
  });
} else if (query) {
  poll(query);
}

for (const slider of document.querySelectorAll("input[type=range]")) {
  const output = slider.closest("label").querySelector("output");
  slider.addEventListener("input", () => {
    output.textContent = Number(slider.value) === 0 ? slider.dataset.zero : (slider.dataset.before ?? "") + slider.value + slider.dataset.unit;
  });
}
