// What the service decides now.
import { $, follow } from "/assets/page.js";

const chart = $("[data-chart]");
const [all, denied] = chart.querySelectorAll("polyline");

function line(values, top) {
    return values
        .map((value, index) => {
            const x = (index * 1100) / Math.max(1, values.length - 1);
            return `${x.toFixed(1)},${(150 - (130 * value) / top).toFixed(1)}`;
        })
        .join(" ");
}

function cell(text, name) {
    const cell = document.createElement("td");
    if (name) cell.className = name;
    if (text instanceof Node) cell.append(text);
    else cell.textContent = text;
    return cell;
}

function rows(place, list, make, columns) {
    const made = list.map((entry) => {
        const row = document.createElement("tr");
        row.append(...make(entry));
        return row;
    });
    if (made.length === 0) {
        const row = document.createElement("tr");
        const none = cell("None.", "muted");
        none.colSpan = columns;
        row.append(none);
        made.push(row);
    }
    place.replaceChildren(...made);
}

const svg = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
};

function usage(entry) {
    const box = document.createElement("div");
    box.className = "limit-cell";
    const bar = svg("svg", { class: `bar ${entry.state}`, "aria-hidden": "true" });
    bar.append(
        svg("rect", { class: "held", width: entry.filled + "%" }),
        svg("rect", { class: "used", width: entry.share + "%" }));
    const text = document.createElement("span");
    text.className = "use";
    text.textContent = entry.text;
    box.append(bar, text);
    return box;
}

function link(entry) {
    const element = document.createElement("a");
    element.href = entry.path;
    element.textContent = entry.name;
    return element;
}

follow("/live/events", (now) => {
    $("[data-rate]").textContent = now.rate;
    $("[data-denied]").textContent = now.deniedRate;
    $("[data-p50]").textContent = now.p50;
    $("[data-p99]").textContent = now.p99;
    const top = Math.max(1, ...now.allowed.map((value, index) => value + now.denied[index]));
    $("[data-top]", chart).textContent = `${top.toLocaleString("en-US")} per second`;
    all.setAttribute("points", line(now.allowed.map((value, index) => value + now.denied[index]), top));
    denied.setAttribute("points", line(now.denied, top));
    rows($("[data-codes]"), now.codes, (entry) => [cell(entry.code, "id"), cell(entry.title), cell(entry.count, "number")], 3);
    rows($("[data-nearest]"), now.nearest, (entry) => [cell(link(entry)), cell(entry.limit), cell(usage(entry))], 3);
});
