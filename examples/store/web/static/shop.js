// Everything on the pages works without this file. With it, a button that was pressed says so, and the page of an order
// keeps itself up to date without being loaded again.

// A form that pays is sent once. (Should it be sent twice all the same, it is one payment: see checkout.go.)
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.hasAttribute("data-once")) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  const button = form.querySelector("button");
  button.dataset.idle = button.textContent;
  button.textContent = button.dataset.busy;
  button.disabled = true;
});

// Going back may show the page as it was left: with a button that can no longer be pressed.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.querySelectorAll("form[data-sent]")) {
    const button = form.querySelector("button");
    button.textContent = button.dataset.idle;
    button.disabled = false;
    delete form.dataset.sent;
  }
});

// show puts what is new into the page. What stays the same is left alone, so that a screen reader hears news only, and
// nobody loses what they were about to press.
function show(html) {
  const next = new DOMParser().parseFromString(html, "text/html");
  for (const id of ["news", "details", "actions"]) {
    const now = document.getElementById(id);
    const then = next.getElementById(id);
    if (!now || !then) continue;
    if (now.className !== then.className) now.className = then.className;
    for (const name of ["status", "final"]) if (then.dataset[name]) now.dataset[name] = then.dataset[name];
    if (now.innerHTML !== then.innerHTML) now.innerHTML = then.innerHTML;
  }
}

// The page of an order listens, and asks where it cannot listen.
function follow(live) {
  const source = new EventSource(live.dataset.events);
  let polling;
  source.addEventListener("order", (event) => {
    clearInterval(polling);
    polling = undefined;
    show(event.data);
  });
  source.addEventListener("over", () => {
    clearInterval(polling);
    source.close();
  });
  source.addEventListener("error", () => {
    polling ??= setInterval(async () => {
      await ask(live.dataset.live);
      if (document.querySelector("#news[data-final]")) clearInterval(polling);
    }, 2000);
  });
}

async function ask(address) {
  try {
    const answer = await fetch(address);
    if (answer.ok) show(await answer.text());
  } catch {
    // The shop does not answer. It will.
  }
}

const live = document.querySelector("[data-events]");
if (live) follow(live);
