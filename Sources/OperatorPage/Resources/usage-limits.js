// The rows that stand in the table, as they change. None moves: another order shows when the page is loaded anew.
import { $, $$, follow, makeBar, setBar, setStatus, setSuspended, setText } from "/assets/page.js";

const table = $("[data-events]");
const rows = table ? $$("tr[data-tenant]", table) : [];

function span(className, text = "") {
    const element = document.createElement("span");
    element.className = className;
    element.textContent = text;
    return element;
}

function showLimit(box, limit) {
    const isLimited = limit.cap !== undefined;
    if (isLimited !== ($(".cap", box) !== null)) {
        box.replaceChildren(
            ...(isLimited ? [span("cap"), makeBar()] : [span("visually-hidden", "No limit")]), span("use"));
    }
    if (isLimited) {
        setText(box, ".cap", limit.cap);
        setBar(box, limit);
    }
    setText(box, ".use", limit.text);
}

function show(row, tenant) {
    setText(row, ".name", tenant.name);
    setText(row, "[data-threshold]", tenant.threshold);
    setText(row, "[data-auto-suspend]", tenant.autoSuspend);
    setSuspended(row, tenant.suspended);
    for (const limit of tenant.limits) {
        // A limit that nobody here had a cap of has no column.
        const box = $(`[data-limit="${limit.limit}"] .limit-cell`, row);
        if (box) showLimit(box, limit);
    }
}

if (rows.length > 0) {
    follow(table.dataset.events, ({ tenants }) => {
        const known = new Map(tenants.map((tenant) => [tenant.id, tenant]));
        for (const row of rows) {
            const tenant = known.get(row.dataset.tenant);
            if (tenant) show(row, tenant);
            else setStatus(row, "Deleted", "");
        }
    });
}
