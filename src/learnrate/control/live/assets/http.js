// How the page reaches a run over HTTP: a stream of messages down, requests up.

const client = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Exchange the token behind the # of the link for a cookie, and take it off the address. */
export async function enter() {
  const token = location.hash.slice(1);
  if (!token) return null;
  history.replaceState(null, "", location.pathname);
  const response = await fetch("/api/session", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ token }) });
  return response.ok ? null : (await response.json()).error;
}

async function get(path, query) {
  const response = await fetch(`${path}?${new URLSearchParams({ ...query, client })}`);
  if (!response.ok) throw new Error((await response.json().catch(() => ({}))).error ?? `the server answered ${response.status}`);
  return response;
}

async function post(path, content) {
  const body = JSON.stringify(content);
  let response;
  try {
    response = await fetch(`${path}?client=${client}`, { method: "POST", headers: { "content-type": "application/json" }, body });
  } catch {
    throw new Error("The run cannot be reached");
  }
  return response.json().catch(() => ({ error: `the server answered ${response.status}` }));
}

export const http = {
  canShare: true,

  readLink: (token) => `${location.origin}/#${token}`,

  series: async (from, to, points) => (await get("/api/series", { from, to, points })).arrayBuffer(),

  plan: async (from, to, points) => (await get("/api/plan", { from, to, points })).arrayBuffer(),

  events: async (after) => (await get("/api/events", { after })).json(),

  preview: (change, from, to) => post("/api/preview", { change, from, to }),

  change: (change, why) => post("/api/change", { change, why }),

  /** Receive messages until the returned function is called. A lost connection is made again, at the latest after 5 s. */
  subscribe(receive, connected) {
    let [source, wait, timer, ended] = [null, 400, null, false];
    const open = () => {
      source = new EventSource(`/api/stream?client=${client}`);
      source.onmessage = (event) => {
        wait = 400;
        receive(JSON.parse(event.data));
      };
      source.onerror = async () => {
        source.close();
        if (ended) return;
        connected({ lost: true, reason: await refusal() });
        timer = setTimeout(open, wait);
        wait = Math.min(5000, wait * 1.6);
      };
    };
    open();
    return () => {
      ended = true;
      clearTimeout(timer);
      source.close();
    };
  },
};

/** Why the server refuses this browser; undefined if it cannot be reached, or lets it in. */
async function refusal() {
  try {
    const response = await fetch(`/api/events?after=0&client=${client}`);
    return response.status === 401 ? "This page needs its link: it is printed where the run was started" : undefined;
  } catch {
    return undefined;
  }
}
