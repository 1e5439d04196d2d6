// Passkeys.  Pages work without a script; this adds what only a script can do.

const trusted = window.trustedTypes?.createPolicy("valija", { createHTML: (text) => text });

async function post(address, body) {
  const asked = await fetch(address, {
    method: "POST",
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (asked.redirected) {
    // Whoever logged in long ago is asked to do so again.
    location.assign(asked.url);
    return new Promise(() => {});
  }
  if (!asked.ok) throw new Error(String(asked.status));
  return asked;
}

// Shows a page that this site answered in place of the present one: its scripts do not run, ours stays.
function show(text) {
  const fresh = parsed(text);
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

// A page of this site that was fetched, to take pieces from.
function parsed(text) {
  return new DOMParser().parseFromString(trusted ? trusted.createHTML(text) : text, "text/html");
}

// What a page asks by itself keeps no session alive.
const BY_ITSELF = { "Valija-By-Itself": "1" };
const notices = document.getElementById("notices");

// Shows that the session "ended", that the connection is "lost", or, with "", that all is well again.
function warn(what) {
  for (const id of ["ended", "lost"]) {
    const notice = document.getElementById(id);
    if (notice) notice.hidden = id !== what;
  }
}

function notify(text) {
  // A browser beside a word processor is not hidden; it only lacks the focus.
  if (document.hasFocus() || !("Notification" in window) || Notification.permission !== "granted") return;
  new Notification("Valija", { body: text, tag: "valija" });
}

// News: when something changed, the page is fetched again and its lists are put in place of those shown.
const lists = document.querySelector("[data-live]");
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
  // The journal tells who searched: a page does not search by itself.
  if (location.pathname === "/search") return;
  const asked = await fetch(location.href, { headers: BY_ITSELF });
  if (!asked.ok || asked.redirected) return;
  const fresh = parsed(await asked.text());
  document.title = fresh.title;
  for (const id of REGIONS) {
    const [old, young] = [document.getElementById(id), fresh.getElementById(id)];
    if (old && young && !isBusy(old)) replace(old, young);
  }
}

// How many messages are new stands before the title.
const NUMBER = /^\((\d+)\) /;
let known = Number(NUMBER.exec(document.title)?.[1] ?? 0);

function count(number) {
  known = number;
  document.title = (number ? `(${number}) ` : "") + document.title.replace(NUMBER, "");
}

async function hear(news) {
  warn(news.stopped ?? "");
  if (news.new === undefined) return;
  const hasCome = news.pressing !== undefined && (news.pressing || news.new > known);
  count(news.new);
  if (hasCome) {
    const number = `${notices.dataset.new} ${news.new}`;
    document.getElementById("news").textContent = news.pressing ? `${notices.dataset.pressing} ${number}` : number;
  }
  if (news.pressing) notify(notices.dataset.pressing);
  if (lists && news.pressing !== undefined) await refresh();
}

// One page of a browser listens and tells the others: a stream for each would use up its connections to the site.
const others = notices && new BroadcastChannel("valija");
let isFirst = false;

function share(news) {
  others.postMessage(news);
  hear(news);
}

async function isLoggedOut() {
  try {
    return (await fetch("/login", { headers: BY_ITSELF, redirect: "manual" })).ok;
  } catch {
    return false;
  }
}

// Over when the session is.
function follow(address) {
  return new Promise((resolve) => {
    let [from, late] = [address, undefined];
    const open = () => {
      const stream = new EventSource(from);
      const heard = (event) => {
        from = `/live?after=${encodeURIComponent(event.lastEventId)}`;
        share(JSON.parse(event.data));
      };
      stream.addEventListener("news", heard);
      stream.addEventListener("count", heard);
      stream.addEventListener("open", () => {
        clearTimeout(late);
        late = undefined;
        share({ stopped: "" });
      });
      stream.addEventListener("error", async () => {
        // A stream that ended in good order is open again by then.
        late ??= setTimeout(() => share({ stopped: "lost" }), 10_000);
        if (stream.readyState !== EventSource.CLOSED) return;
        if (!(await isLoggedOut())) return setTimeout(open, 5_000);
        clearTimeout(late);
        resolve();
      });
    };
    open();
  });
}

let isListening = false;
async function listen() {
  if (isListening) return;
  isListening = true;
  const act = async () => {
    isFirst = true;
    await follow(lists?.dataset.live ?? notices.dataset.stream);
    isFirst = false;
  };
  await (navigator.locks ? navigator.locks.request("valija-live", act) : act());
  isListening = false;
  warn("ended");
  notify(notices.dataset.ended);
}

if (notices?.dataset.stream) {
  others.addEventListener("message", ({ data }) => {
    if (!data.asks) hear(data);
    else if (isFirst) share({ new: known });
  });
  if (!lists) others.postMessage({ asks: true });
  listen();
  // Whoever has logged in again elsewhere comes back to a page that goes on.
  window.addEventListener("focus", listen);
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
  let isKept = true;
  let isPending = false;
  let isLeaving = false;
  const kept = document.getElementById("kept");

  // What to tell: "" where it was kept.
  const fault = async () => {
    const asked = await fetch(form.dataset.keep, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    const fresh = parsed(await asked.text());
    const readers = fresh.getElementById("readers");
    if (asked.status === 401) warn("ended");
    if (asked.ok && readers && !asked.redirected) {
      document.getElementById("readers").replaceWith(readers);
      warn("");
      return "";
    }
    const why = [...fresh.querySelectorAll(".problem p:not(.small)")].map((each) => each.textContent);
    return [kept.dataset.refused, ...(asked.ok ? [] : why)].join(" ");
  };
  const keep = async () => {
    const told = await fault().catch(() => kept.dataset.failed);
    isKept = told === "";
    kept.textContent = told || kept.dataset.kept;
    return isKept;
  };
  const now = () => {
    clearTimeout(timer);
    isPending = false;
    return (underWay = underWay.then(keep));
  };
  const later = (delay) => {
    clearTimeout(timer);
    isPending = true;
    timer = setTimeout(now, delay);
  };
  form.addEventListener("input", () => later(1500));
  form.addEventListener("change", () => later(100));
  window.addEventListener("focus", () => isKept || later(100));
  // Whoever leaves before the pause is over loses nothing either.
  const hurry = () => {
    if (!isPending || isLeaving) return;
    clearTimeout(timer);
    isPending = false;
    const isOver = !document.getElementById("ended").hidden;
    isKept = !isOver && navigator.sendBeacon(form.dataset.keep, new URLSearchParams(new FormData(form)));
  };
  document.addEventListener("visibilitychange", () => document.hidden && hurry());
  window.addEventListener("beforeunload", (event) => {
    hurry();
    if (!isKept && !isLeaving) event.preventDefault();
  });
  // What cannot be kept is not sent either: the answer would take the place of the text.
  form.addEventListener("submit", async (event) => {
    if (isLeaving || event.submitter?.classList.contains("quiet")) {
      isLeaving = true;
      clearTimeout(timer);
      return;
    }
    event.preventDefault();
    if (!(await now())) return;
    isLeaving = true;
    form.requestSubmit(event.submitter);
  });
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
      if (await now()) other.submit();
    });
  }
}

// The seconds in which sending can be undone; then on to what became of it.
const left = document.getElementById("left");
if (left) {
  const seconds = Number(left.textContent);
  const until = Date.now() + 1000 * seconds;
  setInterval(() => (left.textContent = Math.max(0, Math.round((until - Date.now()) / 1000))), 1000);
  setTimeout(() => location.reload(), 1000 * (seconds + 1));
}

// Escape puts away what explains a mark, until another is looked at (WCAG 1.4.13).
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") document.documentElement.classList.add("no-tips");
});
for (const back of ["focusin", "pointerover"]) {
  document.addEventListener(back, (event) => {
    if (event.target.closest?.(".with-tip")) document.documentElement.classList.remove("no-tips");
  });
}
