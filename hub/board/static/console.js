// Keeps figures young.  Pages work without a script; then they are loaded anew once a minute.

const SECONDS = 15;
const trusted = window.trustedTypes?.createPolicy("valija", { createHTML: (text) => text });

function isBusy(live) {
  // What somebody selects or stands in is not taken from under their hands.
  return document.hidden || live.contains(document.activeElement) || !window.getSelection().isCollapsed;
}

async function fetched() {
  const asked = await fetch(location.href, { headers: { "Valija-By-Itself": "1" }, redirect: "manual" });
  // A redirection means that the session is over: the browser goes to where one logs in.
  if (asked.type === "opaqueredirect") location.reload();
  if (!asked.ok) throw new Error(String(asked.status));
  const text = await asked.text();
  return new DOMParser().parseFromString(trusted ? trusted.createHTML(text) : text, "text/html");
}

async function refresh(live) {
  if (isBusy(live)) return;
  const stale = document.getElementById("stale");
  try {
    const fresh = await fetched();
    if (isBusy(live)) return;
    const open = [...live.querySelectorAll("details[open]")].map((each) => each.id);
    live.replaceChildren(...fresh.getElementById("live").childNodes);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    document.querySelector(".foot time").textContent = fresh.querySelector(".foot time").textContent;
    stale.hidden = true;
  } catch {
    stale.hidden = false;
  }
}

const live = document.getElementById("live");
if (live) setInterval(() => refresh(live), SECONDS * 1000);
