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
