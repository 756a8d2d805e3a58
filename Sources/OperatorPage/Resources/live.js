// What the service decides now.
import { $, $$, follow, keep, makeBar, setBar, setText } from "/assets/page.js";

const chart = $("[data-chart]");
const [area, all, denied] = $$("polygon, polyline", chart);
const codes = $("[data-codes]");
// Not there without a journal.
const nearest = $("[data-nearest]");

function line(values, top) {
    return values
        .map((value, index) => {
            const x = (index * 1100) / Math.max(1, values.length - 1);
            return `${x.toFixed(1)},${(160 - (140 * value) / top).toFixed(1)}`;
        })
        .join(" ");
}

/** The next of 1, 2, 5, 10, 20, 50 …: the scale stands still while numbers move a little. */
function scale(most) {
    const power = 10 ** Math.floor(Math.log10(most));
    return power * [1, 2, 5, 10].find((step) => step * power >= most);
}

function draw(allowed, refused) {
    const sums = allowed.map((value, index) => value + refused[index]);
    const top = scale(Math.max(1, ...sums));
    setText(chart, "[data-top]", `${top.toLocaleString("en-US")} per second`);
    all.setAttribute("points", line(sums, top));
    area.setAttribute("points", `0,160 ${line(sums, top)} 1100,160`);
    denied.setAttribute("points", line(refused, top));
}

function make(name, className, ...children) {
    const element = document.createElement(name);
    element.className = className;
    element.append(...children);
    return element;
}

const makeCode = () => make("tr", "", make("td", "id nowrap"), make("td", "reason"), make("td", "number"));

const makeTenant = () =>
    make("tr", "",
        make("td", "", make("div", "name-cell", make("a", ""), make("span", "use"))),
        make("td", "", make("div", "limit-cell", makeBar(), make("span", "use"))));

/** Rows for the entries of a list; under them stands what is said when there are none. */
function rows(body, list, key, makeRow, update) {
    keep(body, list, key, makeRow, update);
    body.nextElementSibling.hidden = body.children.length > 0;
}

// Where the chart does not fit, the last seconds come first.
const frame = chart.closest(".chart");
frame.scrollLeft = frame.scrollWidth;

follow("/live/events", (now) => {
    for (const [name, text] of [["rate", now.rate], ["denied", now.deniedRate], ["p50", now.p50], ["p99", now.p99], ["slowest", now.slowest]]) {
        setText(document, `[data-${name}]`, text);
    }
    const clock = $("[data-clock]");
    setText(document, "[data-clock]", now.clock);
    clock.hidden = now.clock === "";
    draw(now.allowed, now.denied);
    rows(codes, now.codes, (entry) => entry.code, makeCode, (line, entry) => {
        setText(line, ".id", entry.code);
        setText(line, ".reason", entry.title);
        setText(line, ".number", entry.count);
    });
    if (!nearest) return;
    rows(nearest, now.nearest, (entry) => entry.path, makeTenant, (line, entry) => {
        $("a", line).href = entry.path;
        setText(line, "a", entry.name);
        setText(line, ".name-cell .use", entry.limit);
        setText(line, ".limit-cell .use", entry.text);
        setBar(line, entry);
    });
});
