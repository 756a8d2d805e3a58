// WCAG 2.2 as far as a script can see it: language, title, headings in order, one main, names of fields, buttons and
// links, ids that are there once, references that lead somewhere, tables with headers, texts that can be read (1.4.3:
// 4.5, large ones 3), controls whose edge can be seen (1.4.11: 3), targets of 24 pixels (2.5.8), no sideways scrolling.

const faults = [];
const say = (what, element) => faults.push(what + (element ? ": " + element.outerHTML.slice(0, 120) : ""));
const shown = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
const inert = (element) => document.querySelector("dialog:modal") && !element.closest("dialog:modal");

if (!document.documentElement.lang) say("no language");
if (!document.title.trim()) say("no title");
if (document.querySelectorAll("main").length !== 1) say("not exactly one main");
const excess = document.documentElement.scrollWidth - innerWidth;
if (excess > 0) say(`it scrolls sideways by ${excess}`);

let level = 0;
for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
    if (!shown(heading) || heading.closest("dialog")) continue;
    const now = Number(heading.tagName[1]);
    if (now > level + 1) say(`heading ${now} after ${level}`, heading);
    if (!heading.textContent.trim()) say("an empty heading", heading);
    level = now;
}
if ([...document.querySelectorAll("h1")].filter(shown).length !== 1) say("not exactly one h1");

const ids = new Map();
for (const element of document.querySelectorAll("[id]")) ids.set(element.id, (ids.get(element.id) ?? 0) + 1);
for (const [id, count] of ids) if (count > 1) say(`the id ${id} is there ${count} times`);
for (const name of ["for", "aria-labelledby", "aria-describedby", "aria-controls"]) {
    for (const element of document.querySelectorAll(`[${name}]`)) {
        for (const id of element.getAttribute(name).split(/\s+/)) {
            if (id && !document.getElementById(id)) say(`${name} leads nowhere (${id})`, element);
        }
    }
}

const nameOf = (element) => {
    const by = element.getAttribute("aria-labelledby");
    if (by) return by.split(/\s+/).map((id) => document.getElementById(id)?.textContent ?? "").join(" ").trim();
    const label = element.getAttribute("aria-label");
    if (label !== null) return label.trim();
    if (element.labels?.length) return [...element.labels].map((one) => one.textContent).join(" ").trim();
    if (element.matches("input, select, textarea")) return "";
    const images = [...element.querySelectorAll("img[alt]")].map((image) => image.alt).join(" ");
    return (element.textContent + " " + images).trim();
};
const named = "input:not([type=hidden]), select, textarea, button, a[href], summary, dialog, [role=img], "
    + "[role=region], nav, section[aria-labelledby], section[aria-label]";
for (const element of document.querySelectorAll(named)) {
    if (!element.closest("dialog:not([open])") && !nameOf(element)) say("without a name", element);
}
for (const image of document.querySelectorAll("img:not([alt])")) say("an image without alt", image);
for (const svg of document.querySelectorAll("svg:not([aria-hidden=true]):not([role=img])")) {
    say("a drawing without a role", svg);
}
for (const table of document.querySelectorAll("table")) {
    if (!table.querySelector("th[scope]")) say("a table without headers", table);
}
for (const box of document.querySelectorAll(".scroll, .chart")) {
    const scrolls = shown(box) && box.scrollWidth > box.clientWidth + 1;
    if (scrolls && box.tabIndex < 0 && !box.querySelector("a, button, input")) {
        say("what scrolls cannot be reached by keys", box);
    }
}

// Contrast. Colours are drawn one over another until one is opaque.
const parse = (text) => {
    const parts = text.match(/[\d.]+/g).map(Number);
    return { r: parts[0], g: parts[1], b: parts[2], a: parts[3] ?? 1 };
};
const over = (top, under) => ({
    r: top.r * top.a + under.r * (1 - top.a), g: top.g * top.a + under.g * (1 - top.a),
    b: top.b * top.a + under.b * (1 - top.a), a: 1,
});
const backdrop = (element) => {
    const layers = [];
    for (let it = element; it; it = it.parentElement) {
        const colour = parse(getComputedStyle(it).backgroundColor);
        if (colour.a > 0) layers.push(colour);
        if (colour.a === 1) break;
    }
    const plain = matchMedia("(prefers-color-scheme: dark)").matches ? 18 : 255;
    const base = { r: plain, g: plain, b: plain, a: 1 };
    return layers.reverse().reduce((under, top) => over(top, under), base);
};
const light = (colour) => {
    const [r, g, b] = [colour.r, colour.g, colour.b].map((value) => {
        const part = value / 255;
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (one, other) => {
    const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const measured = new Set();
while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (measured.has(element) || !walker.currentNode.textContent.trim() || !shown(element) || inert(element)) continue;
    if (element.closest(".visually-hidden, .skip, script, option, title, desc, [aria-busy=true]")) continue;
    measured.add(element);
    const style = getComputedStyle(element);
    const ground = backdrop(element);
    const colour = over(parse(element instanceof SVGElement ? style.fill : style.color), ground);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = contrast(colour, ground);
    if (ratio < (isLarge ? 3 : 4.5)) say(`contrast ${ratio.toFixed(2)}`, element);
}
const edged = "input:not([type=hidden]):not([type=checkbox]):not([type=radio]), select, textarea";
for (const field of document.querySelectorAll(edged)) {
    if (!shown(field) || inert(field)) continue;
    const ratio = contrast(parse(getComputedStyle(field).borderTopColor), backdrop(field.parentElement));
    if (ratio < 3) say(`the edge has contrast ${ratio.toFixed(2)}`, field);
}
for (const target of document.querySelectorAll("button, input:not([type=hidden]), select, .button, nav a")) {
    if (!shown(target) || inert(target)) continue;
    const box = (target.closest("label") ?? target).getBoundingClientRect();
    if (box.width < 24 || box.height < 22) {
        say(`a target of ${Math.round(box.width)} × ${Math.round(box.height)}`, target);
    }
}
return faults;
