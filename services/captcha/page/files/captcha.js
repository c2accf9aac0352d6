// The page's behaviour. It shows the provider's widget and hands in what the person's attempt produced; it never
// presses anything itself. Functions stand in the order in which things happen.
const RENEW_MS = 15 * 60 * 1000; // the widget expires 20 minutes after it was set up
const $ = (id) => document.getElementById(id);

let language = localStorage.getItem("language") || (navigator.language.startsWith("zh") ? "zh" : "en");
let state = null; // as the service told it last
let told = 0; // when, by this machine's clock
let ticket = null; // for the next post
let sdk = null; // {url, ms}
let widget = "none"; // none | loading | ready | checking | failed
let problem = null; // [word, values] that is shown
let handed = 0;
let renewal = 0;
let instance = null; // of the widget
let tries = 0; // to load the widget
let events = null;
let away = false;
let announced = false;

function words(name, values = {}) {
  const text = WORDS[language][name] ?? WORDS.en[name] ?? name;
  return text.replace(/\{(\w+)\}/g, (_, key) => String(values[key] ?? ""));
}

function say(id, text) { // a live region speaks again only when it changes
  if ($(id).textContent !== text) $(id).textContent = text;
}

function setProblem(name, values) {
  problem = name ? [name, values] : null;
  if (name) $("good").hidden = true;
  render();
}

// --- what is shown -----------------------------------------------------------------------------------------------

function render() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const node of document.querySelectorAll("[data-words]")) {
    if (node.id !== "headline" && node.id !== "start") say2(node, words(node.dataset.words));
  }
  $("language").lang = language === "zh" ? "en" : "zh";
  say("language", words("other"));
  say("start", words(widget === "loading" ? "preparing" : widget === "checking" ? "checking" : "start"));
  $("start").disabled = widget !== "ready";
  $("retry").hidden = widget !== "failed";
  $("problem").hidden = !problem;
  say("problem", problem ? words(...problem) : "");
  if (!$("good").hidden) say("good", words("done"));
  renderState();
}

function say2(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function renderState() {
  const inside = state !== null;
  $("signin").hidden = inside || ticket !== null;
  $("numbers").hidden = !inside;
  $("work").hidden = !inside || !state.account || !state.scene;
  $("paste").hidden = !inside || !state.account;
  const waiting = inside ? state.waiting : 0;
  const since = inside ? (Date.now() - told) / 1000 : 0;
  const [head, advice] = headline(waiting, since);
  say("headline", head);
  say("advice", advice);
  $("status").classList.toggle("wanted", waiting > 0 && !away);
  document.title = waiting > 0 ? words("wantedTitle", { n: waiting }) : words("title");
  $("notify").hidden = !inside || !("Notification" in window) || Notification.permission !== "default";
  if (inside) renderNumbers(since);
}

function headline(waiting, since) {
  if (away) return [words("away"), words("awayAdvice")];
  if (!state) return [words("signedOut"), words("signedOutAdvice")];
  if (!state.account) return [words("noLogin"), words("noLoginAdvice", { provider: state.provider })];
  if (waiting === 0) return [words("idle"), words("idleAdvice")];
  const seconds = Math.floor((state.waited + since) / 5) * 5; // in steps: a screen reader need not hear each second
  const advice = words(seconds > 0 ? "wantedAdvice" : "wantedNow", { s: seconds });
  return [words(waiting === 1 ? "wanted" : "wantedMany", { n: waiting }), advice];
}

function renderNumbers(since) {
  const lives = state.lives.map((life) => life - since).filter((life) => life > 0);
  say("waiting", String(state.waiting));
  say("banked", lives.length ? words("bankedLeft", { n: lives.length, s: Math.floor(Math.min(...lives)) }) : "0");
  say("handed", String(handed));
  say("jwt", jwtAge());
}

function jwtAge() {
  if (!state.account) return words("jwtNone");
  if (!state.jwtIssuedAt) return words("jwtUnknown");
  const hours = Math.floor((state.now - state.jwtIssuedAt) / 3600);
  return hours < 48 ? words("jwtHours", { h: hours }) : words("jwtAge", { d: Math.floor(hours / 24) });
}

// --- talking to the service --------------------------------------------------------------------------------------

async function call(method, path, body) {
  const headers = body ? { "content-type": "application/json", "x-ticket": ticket ?? "" } : {};
  const options = { method, headers, body: body && JSON.stringify(body), cache: "no-store", redirect: "error" };
  const answer = await fetch(path, options);
  if (answer.status === 204) return null;
  const read = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(read.detail), { code: read.code, status: answer.status });
  return read;
}

async function refresh() {
  learn(await call("GET", "/captcha/state"));
}

function learn(answer) {
  ticket = answer.ticket;
  sdk = { url: answer.sdkUrl, ms: answer.sdkLoadMs };
  take(answer.state);
}

function take(next) {
  const before = state;
  if (before && next.now < before.now) return; // an answer that was overtaken by an event
  state = next;
  told = Date.now();
  away = false;
  const moved = before && JSON.stringify(before.scene) !== JSON.stringify(next.scene);
  if (moved && window.AliyunCaptchaConfig) return location.reload(); // the widget reads its region once
  if (before && before.account !== next.account) refresh().catch(failed); // tickets are for one account
  if (next.refused > 0 && (!before || next.refused > before.refused)) problem = ["refused"];
  if (next.account && !next.scene) problem = ["noScene"];
  else if (problem?.[0] === "noScene") problem = null;
  announce(next.waiting);
  render();
  if (next.account && next.scene && widget === "none") loadWidget();
}

async function post(path, body) { // a ticket that is used or old is replaced once
  try {
    learn(await call("POST", path, body));
  } catch (error) {
    if (error.code !== "ticket") throw error;
    await refresh();
    learn(await call("POST", path, body));
  }
}

function listen() {
  events?.close();
  events = new EventSource("/captcha/events");
  events.addEventListener("state", (event) => take(JSON.parse(event.data)));
  events.addEventListener("error", () => {
    away = true;
    render();
    if (events.readyState === EventSource.CLOSED) setTimeout(() => enter(), 3000); // the browser has given up
  });
}

function announce(waiting) {
  if (waiting > 0 && !announced && document.hidden && window.Notification?.permission === "granted") {
    new Notification(words("note"), { body: words("noteBody"), tag: "captcha" });
  }
  announced = waiting > 0;
}

function failed(error) {
  if (error.status === 401) {
    state = ticket = null;
    events?.close();
    return setProblem(null);
  }
  if (error instanceof TypeError) { // no answer at all
    away = true;
    return render();
  }
  if (error.code === "account") refresh().catch(failed);
  const known = `problem_${error.code}` in WORDS.en;
  setProblem(known ? `problem_${error.code}` : "problem_other", { code: error.code ?? error.message });
}

// --- signing in --------------------------------------------------------------------------------------------------

async function signIn(text) {
  const link = text.trim().split("#").pop();
  await call("POST", "/captcha/session", { link });
  setProblem(null);
  await enter();
}

async function enter() {
  try {
    await refresh();
    listen();
  } catch (error) {
    failed(error);
    if (away) setTimeout(() => enter(), 3000);
  }
}

// --- the provider's widget ---------------------------------------------------------------------------------------

function loadWidget() {
  widget = "loading";
  render();
  window.AliyunCaptchaConfig = { region: state.scene.region, prefix: state.scene.prefix };
  const script = document.createElement("script");
  const timer = setTimeout(() => loadFailed(script), sdk.ms);
  // A browser lets a second load wait for a first one that hangs, so each try has an address of its own.
  script.src = tries ? `${sdk.url}${sdk.url.includes("?") ? "&" : "?"}retry=${tries}` : sdk.url;
  tries += 1;
  script.onerror = () => { clearTimeout(timer); loadFailed(script); };
  script.onload = () => {
    clearTimeout(timer);
    if (typeof window.initAliyunCaptcha === "function") mount(); else loadFailed(script);
  };
  document.head.append(script);
}

function loadFailed(script) {
  script.onload = script.onerror = null;
  script.remove();
  widget = "failed";
  trouble("load", problem?.[0].startsWith("failedBlocked") ? problem : ["failedLoad", { host: new URL(sdk.url).host }]);
}

function dismantle() { // a page may hold one widget only, and it leaves parts outside of its place
  try { instance?.destroyCaptcha?.(); } catch { /* it is going anyway */ }
  instance = null;
  $("widget").replaceChildren();
  for (const part of document.querySelectorAll("[id^=aliyunCaptcha-]")) part.remove();
}

function mount() { // sets the widget up anew; a fresh button, because the old one has the old widget's listeners
  dismantle();
  const button = $("start").cloneNode(true);
  $("start").replaceWith(button);
  button.addEventListener("click", () => { setProblem(null); $("good").hidden = true; });
  clearTimeout(renewal);
  renewal = setTimeout(() => { if (widget === "ready") mount(); }, RENEW_MS);
  widget = "ready";
  window.initAliyunCaptcha({
    SceneId: state.scene.sceneId,
    mode: "popup",
    element: "#widget",
    button: "#start",
    language: language === "zh" ? "cn" : "en",
    slideStyle: { width: Math.min(360, document.documentElement.clientWidth - 56), height: 40 },
    getInstance: (made) => { instance = made; },
    success: (param) => handIn(param, "widget"),
    fail: (result) => attemptFailed(result?.verifyCode ?? result?.code ?? ""),
    onError: (error) => attemptFailed("", error?.code ?? error?.msg ?? "?"),
    onClose: () => {},
  });
  render();
}

function attemptFailed(code, error) { // after a plain refusal the widget goes on by itself; the rest ends it
  const known = ["F001", "F008", "F014", "F019"].includes(code);
  const shown = error ? ["failedError", { code: error }] : known ? [`failed${code}`] : ["failedFail", { code }];
  trouble(error ? "error" : known ? code : "fail", shown);
  if (!error && !["F008", "F014", "F019"].includes(code)) return;
  mount();
  $("start").focus();
}

function trouble(kind, shown) {
  setProblem(...shown);
  if (state?.account) post("/captcha/troubles", { account: state.account, kind }).catch(failed);
}

async function handIn(param, how) {
  if (how === "widget") { widget = "checking"; render(); }
  try {
    await post("/captcha/tokens", { account: state.account, param, how });
    handed += 1;
    problem = null;
    $("good").hidden = false;
  } catch (error) {
    failed(error);
  }
  if (how === "widget") { mount(); $("start").focus(); }
  render();
}

// --- from the start ----------------------------------------------------------------------------------------------

document.addEventListener("securitypolicyviolation", (event) => {
  if (event.disposition !== "enforce") return;
  if (event.blockedURI === "eval") return trouble("blocked", ["failedEval"]);
  const host = URL.canParse(event.blockedURI) ? new URL(event.blockedURI).host : event.blockedURI;
  trouble("blocked", ["failedBlocked", { host }]);
});
$("language").addEventListener("click", () => {
  language = language === "zh" ? "en" : "zh";
  localStorage.setItem("language", language);
  render();
});
$("retry").addEventListener("click", () => {
  setProblem(null);
  widget = "none";
  if (state) take(state);
});
$("notify").addEventListener("click", () => Notification.requestPermission().then(render));
$("signin-form").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn($("link").value).catch(failed).finally(() => { $("link").value = ""; });
});
$("paste-form").addEventListener("submit", (event) => {
  event.preventDefault();
  handIn($("token").value.trim(), "paste").then(() => { $("token").value = ""; });
});
setInterval(renderState, 1000);

const code = location.hash.slice(1);
if (code) history.replaceState(null, "", location.pathname); // a link's code stays in no history
(code ? signIn(code) : enter()).catch((error) => { failed(error); if (error.code?.startsWith("link")) enterQuietly(); });

async function enterQuietly() { // a used link does no harm to somebody who is signed in already
  try {
    await refresh();
    listen();
    setProblem(null);
  } catch { /* the problem with the link is what matters */ }
}
