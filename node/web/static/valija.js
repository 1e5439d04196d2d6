// Passkeys.  Pages work without a script; this adds what only a script can do.

const trusted = window.trustedTypes?.createPolicy("valija", { createHTML: (text) => text });

async function post(address, body) {
  const asked = await fetch(address, {
    method: "POST",
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!asked.ok) throw new Error(String(asked.status));
  return asked;
}

// Shows a page that this site answered in place of the present one: its scripts do not run, ours stays.
function show(text) {
  const fresh = new DOMParser().parseFromString(trusted ? trusted.createHTML(text) : text, "text/html");
  document.title = fresh.title;
  document.body.replaceWith(fresh.body);
  document.getElementById("main")?.focus();
}

function offer(id, act) {
  const button = document.getElementById(id);
  if (!button || !window.PublicKeyCredential?.parseRequestOptionsFromJSON) return;
  button.hidden = false;
  const around = document.getElementById("passkey-offer");
  if (around) around.hidden = false;
  button.addEventListener("click", async (event) => {
    event.preventDefault();
    const problem = document.getElementById("passkey-problem");
    problem.hidden = true;
    button.setAttribute("aria-busy", "true");
    try {
      await act(button);
    } catch {
      problem.hidden = false;
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
}

async function make(address) {
  const options = await (await post(`${address}/passkey/ask`)).json();
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  const made = await navigator.credentials.create({ publicKey });
  const label = encodeURIComponent(document.getElementById("label").value);
  return post(`${address}/passkey?label=${label}`, made.toJSON());
}

offer("passkey-login", async (button) => {
  const options = await (await post("/login/passkey/ask")).json();
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  const answer = await navigator.credentials.get({ publicKey });
  await post("/login/passkey", answer.toJSON());
  location.assign(button.dataset.next);
});
offer("passkey-enrol", async (button) => show(await (await make(button.dataset.at)).text()));
offer("passkey-add", async () => {
  await make("/account");
  location.reload();
});

// News: when something changed, the page is fetched again and its lists are put in place of those shown.
const live = document.querySelector("[data-live]");
const REGIONS = ["folders", "lines", "message"];

// Who types here is not disturbed.
function isBusy(region) {
  const fields = [...region.querySelectorAll("textarea, input:not([type=hidden])")];
  const isTyped = (field) => field.value !== field.defaultValue;
  return region.querySelector("select:focus, textarea:focus, input:focus") !== null || fields.some(isTyped);
}

// Whatever else had the focus has it again afterwards.
function replace(old, young) {
  const stops = "a, button, [tabindex]";
  const place = [...old.querySelectorAll(stops)].indexOf(document.activeElement);
  old.replaceWith(young);
  if (place >= 0) young.querySelectorAll(stops)[place]?.focus({ preventScroll: true });
}

async function refresh() {
  const asked = await fetch(location.href, { headers: { "Valija-By-Itself": "1" } });
  if (!asked.ok || asked.redirected) return;
  const text = await asked.text();
  const fresh = new DOMParser().parseFromString(trusted ? trusted.createHTML(text) : text, "text/html");
  document.title = fresh.title;
  for (const id of REGIONS) {
    const [old, young] = [document.getElementById(id), fresh.getElementById(id)];
    if (old && young && !isBusy(old)) replace(old, young);
  }
}

function notify(news) {
  if (!news.pressing || !document.hidden || Notification.permission !== "granted") return;
  new Notification("Valija", { body: live.dataset.pressing, tag: "valija" });
}

if (live) {
  const stream = new EventSource(live.dataset.live);
  stream.addEventListener("news", async (event) => {
    notify(JSON.parse(event.data));
    await refresh();
  });
  const ask = document.getElementById("notifications");
  if (ask && "Notification" in window && Notification.permission === "default") {
    ask.hidden = false;
    ask.addEventListener("click", async () => {
      await Notification.requestPermission();
      ask.hidden = true;
    });
  }
}

// Drafts keep themselves, and the list of readers follows what is chosen.
const form = document.getElementById("compose");
if (form) {
  let timer;
  let underWay = Promise.resolve();
  const kept = document.getElementById("kept");
  const keep = async () => {
    try {
      const asked = await fetch(form.dataset.keep, { method: "POST", body: new URLSearchParams(new FormData(form)) });
      const text = await asked.text();
      const fresh = new DOMParser().parseFromString(trusted ? trusted.createHTML(text) : text, "text/html");
      document.getElementById("readers").replaceWith(fresh.getElementById("readers"));
      kept.textContent = kept.dataset.kept;
    } catch {
      kept.textContent = kept.dataset.failed;
    }
  };
  const later = (delay) => {
    clearTimeout(timer);
    timer = setTimeout(() => (underWay = underWay.then(keep)), delay);
  };
  form.addEventListener("input", () => later(1500));
  form.addEventListener("change", () => later(100));
  form.addEventListener("submit", () => clearTimeout(timer));
  const type = document.getElementById("type");
  type.addEventListener("change", () => {
    for (const mark of form.querySelectorAll("[data-needed]")) {
      mark.hidden = !mark.dataset.needed.split(" ").includes(type.value);
    }
  });
  // Changing the language reloads the page: what was typed is kept first.
  for (const other of document.querySelectorAll("form[data-keeps-draft]")) {
    other.addEventListener("submit", async (event) => {
      event.preventDefault();
      clearTimeout(timer);
      await underWay.then(keep);
      other.submit();
    });
  }
}
