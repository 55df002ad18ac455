/**
 * The service worker of a site: it lets the page open offline, and never mixes two versions.
 *
 * The site's builder puts `etvizSite` before this: {version, files: what a first visit fetches}. A file's name holds the hash
 * of its content, so what is kept under a name is right for ever. index.html alone keeps its name. It comes from the
 * network where there is one, so a new version is there at the next visit; the kept one names files that are kept.
 *
 * A new version is fetched whole before it counts, and waits until no page of the old one is open.
 */

/** @type {any} */
const scope = globalThis; // a ServiceWorkerGlobalScope, which the page's own types do not know
const { version, files } = scope.etvizSite;
const HOME = scope.registration.scope;
const OURS = `etviz ${HOME} `;
const KEPT = OURS + version;
const PATIENCE_MS = 3000; // for index.html, before the kept one is shown

scope.addEventListener("install", (event) => event.waitUntil(keepVersion()));
scope.addEventListener("activate", (event) => event.waitUntil(forgetOthers()));
scope.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(HOME)) return;
  const path = request.url.slice(HOME.length).split(/[?#]/)[0];
  if (request.mode === "navigate" && (path === "" || path === "index.html")) event.respondWith(openPage());
  else if (path.startsWith("assets/")) event.respondWith(openFile(request));
});

/** Keep everything that the page needs. Throws, to be tried again later, where the host holds another version. */
async function keepVersion() {
  const page = await fetch(HOME, { cache: "no-cache" });
  if (!page.ok || !(await page.clone().text()).includes(version)) throw new Error("The site is being renewed.");
  const cache = await caches.open(KEPT);
  // The page has just fetched these, so they are in the browser's own cache.
  await cache.addAll(files.map((path) => new Request(HOME + path, { cache: "force-cache" })));
  await cache.put(HOME, page);
}

async function forgetOthers() {
  for (const name of await caches.keys()) if (name.startsWith(OURS) && name !== KEPT) await caches.delete(name);
  await scope.clients.claim(); // so that what the first visit fetches from now on is kept too
}

async function openPage() {
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, null));
  const fresh = fetch(HOME, { cache: "no-cache" });
  const first = await Promise.race([fresh, late]).catch(() => null);
  if (first?.ok) return first;
  return (await caches.match(HOME, { cacheName: KEPT })) ?? fresh;
}

/** A file under a name that holds its hash. @param {Request} request */
async function openFile(request) {
  const kept = await caches.match(request.url, { ignoreVary: true });
  if (kept) return kept;
  const file = await fetch(request);
  if (file.ok) {
    const copy = file.clone();
    caches
      .open(KEPT)
      .then((cache) => cache.put(request.url, copy))
      .catch(() => {}); // the disk may be full
  }
  return file;
}
