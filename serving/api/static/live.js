// The shop's page: live from /live, or a past day from /v1. No state but what is shown.
"use strict";

const $ = (id) => document.getElementById(id);
const DAY_MS = 86_400_000;
const AGAIN_MS = 5_000;
const COUNTRIES = 10;
const LAST = "last 60 minutes";
const FUNNEL = ["home", "product", "cart", "checkout"];
const money = new Intl.NumberFormat("en-GB", { style: "currency", currency: "EUR" });
const whole = new Intl.NumberFormat("en-GB");
const dark = matchMedia("(prefers-color-scheme: dark)");
let state = {};
let source = null;
let request = 0;

// Amounts are decimal strings; they are summed by the API, here they are only shown.
const euro = (amount) => money.format(Number(amount));
const today = () => new Date().toISOString().slice(0, 10);
const addDays = (day, count) => new Date(Date.parse(day) + count * DAY_MS).toISOString().slice(0, 10);
const clock = (moment) => moment.slice(11, 16);

function say(text, away = false) {
  if ($("state").textContent !== text) $("state").textContent = text;
  $("state").classList.toggle("away", away);
}

function rows(body, found, cells, empty) {
  const made = found.map((one) => {
    const row = document.createElement("tr");
    row.append(...cells(one).map((text) => Object.assign(document.createElement("td"), { textContent: text })));
    return row;
  });
  if (!made.length) {
    const cell = Object.assign(document.createElement("td"), { textContent: empty, colSpan: 4 });
    made.push(document.createElement("tr"));
    made[0].append(cell);
  }
  body.replaceChildren(...made);
}

function plot(id, traces, layout = {}) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), fixedrange: true, automargin: true };
  const { xaxis = {}, yaxis = {}, ...rest } = layout;
  const whole_layout = {
    margin: { l: 50, r: 10, t: 10, b: 35 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("--ink"), family: "system-ui, sans-serif" },
    legend: { orientation: "h", y: 1.12 },
    xaxis: { ...axis, ...xaxis },
    yaxis: { ...axis, rangemode: "tozero", ...yaxis },
    ...rest,
  };
  const colours = ["--accent", "--bad"].map(colour);
  traces.forEach((trace, number) => {
    if (trace.type === "bar") trace.marker = { color: colours[number] };
    else trace.line = { color: colours[number], width: 2 };
  });
  Plotly.react(id, traces, whole_layout, { displayModeBar: false, responsive: true, staticPlot: false });
}

function showMinutes(minutes) {
  $("over-time-title").textContent = "Revenue, last 60 minutes";
  const times = minutes.map(([minute]) => minute);
  const amounts = minutes.map(([, revenue]) => Number(revenue));
  plot("over-time", [{ x: times, y: amounts, type: "scatter", mode: "lines", name: "EUR a minute" }]);
  const [last, amount, purchases] = minutes[minutes.length - 2];
  $("over-time-text").textContent = `${clock(last)}: ${euro(amount)} from ${whole.format(purchases)} purchases.`;
  $("rate").textContent = `${whole.format(purchases)} in the minute before this one`;
}

function showHours(day, hours) {
  $("over-time-title").textContent = `Revenue by hour, ${day}`;
  plot("over-time", [{ x: hours.map((hour) => clock(hour.start)), y: hours.map((hour) => Number(hour.revenue)), type: "bar", name: "EUR an hour" }], { xaxis: { type: "category" } });
  const best = hours.reduce((a, b) => (Number(b.revenue) > Number(a.revenue) ? b : a), hours[0]);
  $("over-time-text").textContent = best ? `Best hour: ${clock(best.start)} with ${euro(best.revenue)}.` : "No revenue.";
  $("rate").textContent = "";
}

function bars(id, names, counts, texts) {
  plot(id, [{ x: counts, y: names, type: "bar", orientation: "h", text: texts, textposition: "auto" }], { yaxis: { autorange: "reversed", type: "category" } });
}

/** Steps with a name, a count and its text, in what they are counted, and what is said where there are none. */
function showFunnel(of, steps, unit, none) {
  $("funnel-title").textContent = `Conversion funnel, ${of}`;
  bars("funnel", steps.map((step) => step.name), steps.map((step) => step.count), steps.map((step) => step.text));
  $("funnel-text").textContent = steps.length ? `${steps.map((step) => `${step.name} ${whole.format(step.count)}`).join(" → ")} ${unit}` : none;
}

function showCategories(of, found, none) {
  $("categories-title").textContent = `Categories, viewed against bought, ${of}`;
  const share = (name) => {
    const all = found.reduce((sum, row) => sum + row[name], 0) || 1;
    return found.map((row) => (100 * row[name]) / all);
  };
  const names = found.map((row) => row.category);
  plot("categories", [
    { x: names, y: share("views"), type: "bar", name: "% of views" },
    { x: names, y: share("units"), type: "bar", name: "% of units bought" },
  ]);
  const best = found.filter((row) => Number(row.affinity)).sort((a, b) => Number(b.affinity) - Number(a.affinity))[0];
  $("categories-text").textContent = best ? `${best.category} is bought most for its views: ${best.affinity} times the shop's average.` : none;
}

function showCountries(of, counts) {
  $("countries-title").textContent = `Visitors by country, ${of}`;
  const found = Object.entries(counts).sort(([a, many], [b, more]) => more - many || a.localeCompare(b)).slice(0, COUNTRIES);
  bars("countries", found.map(([country]) => country), found.map(([, count]) => count), found.map(([, count]) => whole.format(count)));
  $("countries-text").textContent = found.length ? `${found.slice(0, 3).map(([country, count]) => `${country} ${whole.format(count)}`).join(", ")}; a visitor counts in each minute.` : "No visitor yet.";
}

/** Purchases and their revenue by country; what has no country is "unknown". */
function showBought(of, countries) {
  $("bought-title").textContent = `Purchases by country, ${of}`;
  const every = Object.entries(countries).map(([country, { purchases, revenue }]) => ({ country, purchases, revenue }));
  const found = every.sort((a, b) => b.purchases - a.purchases || a.country.localeCompare(b.country)).slice(0, COUNTRIES);
  bars("bought", found.map((one) => one.country), found.map((one) => one.purchases), found.map((one) => `${whole.format(one.purchases)} (${euro(one.revenue)})`));
  const all = every.reduce((sum, one) => sum + one.purchases, 0);
  const most = found.slice(0, 3).map((one) => `${one.country} ${whole.format(one.purchases)} for ${euro(one.revenue)}`).join(", ");
  $("bought-text").textContent = all ? `${most}; of ${whole.format(all)} in all.` : "No purchase yet.";
}

function showVisitors(of, periods, unit) {
  $("visitors-title").textContent = `Visitors, ${of}`;
  const line = unit === "minute";
  plot("visitors-over-time", [{ x: periods.map(([start]) => (line ? start : clock(start))), y: periods.map(([, count]) => count), type: line ? "scatter" : "bar", mode: "lines" }], line ? {} : { xaxis: { type: "category" } });
  const most = periods.reduce((a, b) => (b[1] > a[1] ? b : a), ["", 0]);
  $("visitors-text").textContent = most[1] ? `Most: ${whole.format(most[1])} in the ${unit} from ${clock(most[0])}.` : "No visitor yet.";
}

function showTraffic(traffic) {
  const minute = traffic.minutes[traffic.minutes.length - 2];
  $("visitors").textContent = whole.format(minute[1]);
  $("visitors-note").textContent = `in the minute from ${clock(minute[0])}`;
  showVisitors(LAST, traffic.minutes, "minute");
  showCountries(LAST, traffic.countries);
  const counts = [...FUNNEL.map((page) => [page, traffic.pages[page] ?? 0]), ["purchase", traffic.purchases]];
  const steps = counts.map(([name, count]) => ({ name, count, text: whole.format(count) }));
  showFunnel(LAST, steps.some((step) => step.count) ? steps : [], "page views and purchases", "No click yet.");
  showCategories(LAST, traffic.categories, "Nothing was bought yet.");
}

const percent = (share) => (share === null ? "–" : `${(100 * Number(share)).toFixed(1)} %`);

function showFresh(fresh) {
  const parts = [`Newest event counted ${time(fresh.newest_counted)}, landed ${time(fresh.newest_landed)}; SQL has all until ${time(fresh.landed_until)}.`];
  parts.push(fresh.last_closed_day ? `Batch equals speed to the cent up to ${fresh.last_closed_day}, the last reconciled day.` : "No day is reconciled yet.");
  if (fresh.open_days.length) parts.push(`Open: ${fresh.open_days.join(", ")}.`);
  $("fresh").textContent = parts.join(" ");
}

const time = (moment) => (moment ? `${moment.slice(0, 10)} ${moment.slice(11, 19)}` : "–");

function showLive(changed) {
  if (changed.revenue) {
    $("revenue").textContent = euro(state.revenue.revenue);
    $("purchases").textContent = whole.format(state.revenue.purchases);
    $("late").textContent = euro(state.revenue.late);
    showMinutes(state.revenue.minutes);
  }
  if (changed.before || changed.revenue) {
    const before = state.before;
    $("before").textContent = before ? `${euro(before.until_now)} by this time on ${before.day}, ${euro(before.revenue)} in all` : "";
  }
  if (changed.fresh) showFresh(state.fresh);
  if (changed.traffic) showTraffic(state.traffic);
  if (changed.sales) showBought("today", state.sales.countries);
  if (changed.clock) {
    const away = Object.entries(state.clock.away);
    const told = away.map(([section, since]) => `${section} since ${clock(since)}`).join(", ");
    say(away.length ? `Not answered: ${told}. What is shown is of before.` : "Live", away.length > 0);
  }
  showStock(changed);
}

function showStock(changed) {
  if (changed.stock) {
    $("critical").textContent = whole.format(state.stock.critical);
    $("critical-note").textContent = "products and warehouses at their threshold or below";
    rows($("stock"), state.stock.worst, (one) => [one.product_id, one.warehouse, one.level, one.threshold], "Nothing is critical.");
  }
  if (changed.alerts) {
    rows($("alerts"), state.alerts.alerts, (one) => [one.event_time.slice(0, 19).replace("T", " "), one.product_id, one.warehouse, one.stock_level], "No alert yet.");
  }
}

async function ask(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" } });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail ?? answer.statusText);
  return answer.json();
}

async function marts(day, mine) {
  const [funnel, categories, sales] = await Promise.all(["funnel", "affinity/categories", "sales"].map((mart) => ask(`v1/${mart}?first=${day}`)));
  if (mine !== request) return;
  const none = `${day} is not closed yet: these come with its daily run.`;
  showFunnel(day, (funnel?.steps ?? []).map(({ name, sessions, of_first }) => ({ name, count: sessions, text: `${whole.format(sessions)} (${percent(of_first)})` })), "sessions", none);
  showCategories(day, categories?.categories ?? [], none);
  showBought(day, sales.countries);
}

async function traffic(day, mine) {
  const { periods } = await ask(`v1/traffic?from=${day}T00:00:00Z&to=${addDays(day, 1)}T00:00:00Z&by=hour`);
  if (mine !== request) return;
  $("visitors").textContent = whole.format(periods.reduce((sum, period) => sum + period.visitors, 0));
  $("visitors-note").textContent = "of each minute, added up";
  showVisitors(`${day} by hour`, periods.map((period) => [period.start, period.visitors]), "hour");
  const counts = {};
  for (const { countries } of periods) for (const [country, count] of Object.entries(countries)) counts[country] = (counts[country] ?? 0) + count;
  showCountries(day, counts);
}

async function showDay(day) {
  const mine = ++request;
  $("which").textContent = `on ${day}`;
  $("live").setAttribute("aria-pressed", "false");
  say(`Reading ${day} …`);
  try {
    const range = (from) => `v1/revenue?from=${from}T00:00:00Z&to=${addDays(from, 1)}T00:00:00Z&by=hour`;
    const [revenue, before] = await Promise.all([ask(range(day)), ask(range(addDays(day, -7)))]);
    if (mine !== request) return;
    $("revenue").textContent = euro(revenue.revenue);
    $("purchases").textContent = whole.format(revenue.purchases);
    $("late").textContent = euro(revenue.late);
    $("before").textContent = `${euro(before.revenue)} on ${addDays(day, -7)}`;
    showHours(day, revenue.periods);
    await Promise.all([marts(day, mine), traffic(day, mine)]);
    if (mine === request) say(revenue.closed_days.length ? `${day} is closed: batch equals speed to the cent.` : `${day} is open: its figures are the speed layer's.`);
  } catch (error) {
    if (mine !== request) return;
    say(`${day} cannot be shown now: ${error.message}`, true);
    setTimeout(() => mine === request && showDay(day), AGAIN_MS);
  }
}

function showNow() {
  request++;
  $("which").textContent = "live";
  $("day").value = "";
  $("live").setAttribute("aria-pressed", "true");
  showLive(state);
}

const live = () => $("live").getAttribute("aria-pressed") === "true";

function listen() {
  source = new EventSource("live");
  const take = (event, whole_state) => {
    const changed = JSON.parse(event.data);
    state = whole_state ? changed : { ...state, ...changed };
    if (live()) showLive(changed);
    else showStock(changed);
  };
  source.addEventListener("snapshot", (event) => take(event, true));
  source.addEventListener("change", (event) => take(event, false));
  source.addEventListener("error", () => {
    if (live()) say("The connection is lost; trying again. What is shown is of before.", true);
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  });
}

/** What the address asks for: `#2026-11-23` is that day, else live. */
function follow() {
  const day = location.hash.slice(1);
  if (/^\d{4}-\d\d-\d\d$/.test(day)) {
    $("day").value = day;
    showDay(day);
  } else if (!live()) showNow();
}

$("day").max = today();
$("day").addEventListener("change", () => (location.hash = $("day").value));
$("live").addEventListener("click", () => (location.hash = ""));
addEventListener("hashchange", follow);
document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
dark.addEventListener("change", () => (live() ? showNow() : showDay($("day").value)));
addEventListener("pagehide", () => source?.close());
addEventListener("pageshow", (event) => event.persisted && listen());
listen();
follow();
