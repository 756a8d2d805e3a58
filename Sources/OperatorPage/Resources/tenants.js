// Edit Limits, suspend and reinstate, new tenant.
import { $, $$, APIError, act, api, capsOf, clearErrors, fillLimits, limitsOf, money, nanos, numberIn, onClick, onSubmit, reload, segment, showErrors, wholesIn } from "/assets/page.js";

const dialog = $("#edit-limits");
const form = $("form", dialog);
const conflict = $("[data-conflict]", dialog);
/** The tenant as it was when the dialog was opened, its tag, and what it uses. */
let open = null;

const names = Object.fromEntries($$("[data-shape]", form).map((field) => [field.name, titleOf(field)]));

/** "Monthly Spend Limit ($)": the label, with the sign beside the field. */
function titleOf(field) {
    if (field.dataset.shape === "flag") return $("span", field.labels[0]).firstChild.textContent;
    const sign = field.dataset.cap === "numeric" ? null : $("[aria-hidden]", field.parentElement);
    return field.labels[0].textContent + (sign ? ` (${sign.textContent})` : "");
}

const shown = (value) =>
    value === null ? "no limit" : value === true ? "Yes" : value === false ? "No" : Array.isArray(value) ? value.join(", ") : String(value);

async function read(id) {
    const [tenant, usage] = await Promise.all([
        api("GET", `/v2/tenants/${segment(id)}`),
        api("GET", `/v2/tenants/${segment(id)}/usage`),
    ]);
    return { id, tenant: tenant.data, etag: tenant.etag, limits: usage.data.limits };
}

// Preview: what a cap would mean, before it is set.

const whole = (text) => (/^\d+$/.test(text) ? BigInt(text) : null);
const minute = (text) => { const number = whole(text); return number === null ? null : number * 60n; };
const units = {
    amount: { parse: nanos, value: (amount) => nanos(amount) ?? 0n, text: (amount) => "$" + money(amount) },
    minutes: { parse: minute, value: BigInt, text: (seconds) => minutes(seconds) + " min" },
    count: { parse: whole, value: BigInt, text: (amount) => amount.toLocaleString("en-US") },
};
/** The limits by name, as the form has them. */
const kinds = Object.fromEntries($$("[data-preview]", form).map((place) => {
    const { preview: name, field, unit, next, steers, suspends, onlyHeld } = place.dataset;
    return [name, { place, field, ...units[unit], next: `at the next ${next}`, steers: steers !== undefined, suspends: suspends !== undefined, isOnlyHeld: onlyHeld !== undefined, isMinutes: unit === "minutes" }];
}));

function minutes(seconds) {
    const tenths = (seconds * 10n) / 60n;
    const whole = (tenths / 10n).toLocaleString("en-US");
    return tenths % 10n === 0n ? whole : `${whole}.${tenths % 10n}`;
}

/** What happens when the limit is hit, given auto-suspend and on_limit. */
function consequence(kind, autoSuspends, onLimit) {
    if (onLimit === "alert") return "alerts only";
    if (autoSuspends && kind.suspends) return "suspends the tenant";
    return onLimit === "block" || !kind.steers ? "refuses and alerts" : "alerts only";
}

function preview() {
    if (!open) return;
    const percent = wholesIn(form.elements.alert_thresholds)[0];
    const hasPercent = Number.isInteger(percent) && percent >= 1 && percent <= 100;
    for (const [name, kind] of Object.entries(kinds)) {
        const limit = open.limits.find((entry) => entry.limit === name);
        const [text, tone] = effect(kind, limit, numberIn(form.elements[kind.field]), hasPercent ? percent : null);
        kind.place.textContent = text;
        kind.place.className = `preview ${tone}`;
    }
}

function effect(kind, limit, text, percent) {
    if (!limit) return ["", ""];
    // What is only ever held is in use while it is held.
    const used = kind.value(kind.isOnlyHeld ? limit.held : limit.committed);
    const held = kind.isOnlyHeld ? 0n : kind.value(limit.held);
    if (text === "") return [`No limit. ${kind.text(used)} ${kind.isOnlyHeld ? "in use" : "used so far"}.`, ""];
    const cap = kind.parse(text);
    if (cap === null) return ["", ""];
    const then = consequence(kind, form.elements.auto_suspend.checked, open.tenant.on_limit);
    if (used > cap) return [`Already over by ${kind.text(used - cap)}: triggers ${kind.next} and ${then}.`, "over"];
    if (used === cap && cap > 0n) return [`Already reached: triggers ${kind.next} and ${then}.`, "over"];
    if (used + held > cap) return [`Below the cap, but ${kind.text(held)} more is held.`, "near"];
    const left = kind.text(cap - used - held);
    if (percent && cap > 0n && used * 100n >= cap * BigInt(percent)) {
        return [`${left} left, above the alert threshold.`, "near"];
    }
    return [`${kind.text(used)} used, ${left} left; at the cap it ${then}.`, ""];
}

// Edit Limits.

// What cannot be read cannot be edited: the page stays, and says so.
onClick("[data-edit]", (button) =>
    act(button, async () => {
        open = await read(button.dataset.edit);
        clearErrors(form);
        conflict.hidden = true;
        $("[data-tenant-name]", dialog).textContent = open.tenant.name || open.id;
        fillLimits(form, open.tenant);
        dialog.showModal();
        capsOf(form)[0].focus();
    }));

form.addEventListener("input", preview);

async function save() {
    const { meta } = await api("PATCH", `/v2/tenants/${segment(open.id)}`, { body: limitsOf(form), etag: open.etag });
    const over = Object.entries(meta?.over_by ?? {});
    const note = over.map(([name, amount]) => `${kinds[name] ? names[kinds[name].field] : name}: already over by ${kinds[name]?.isMinutes ? kinds[name].text(BigInt(amount)) : amount}.`);
    reload(["Limits saved.", ...note].join(" "), `[data-edit="${CSS.escape(open.id)}"]`);
}

/** Somebody else was faster: shows what the tenant is now beside what was to be saved. */
async function showConflict() {
    const mine = limitsOf(form);
    const known = open.tenant;
    open = await read(open.id);
    const rows = Object.keys(names)
        .filter((name) => shown(open.tenant[name]) !== shown(mine[name]) || shown(open.tenant[name]) !== shown(known[name]))
        .map((name) => {
            const row = document.createElement("tr");
            for (const [index, text] of [names[name], shown(open.tenant[name]), shown(mine[name])].entries()) {
                const cell = document.createElement(index === 0 ? "th" : "td");
                if (index === 0) cell.scope = "row";
                cell.textContent = text;
                row.append(cell);
            }
            return row;
        });
    $("tbody", conflict).replaceChildren(...rows);
    conflict.hidden = false;
    preview();
    $("[data-theirs]", conflict).focus();
}

async function saveOrShowConflict() {
    try {
        await save();
    } catch (error) {
        if (!(error instanceof APIError) || (error.status !== 412 && error.status !== 409)) throw error;
        await showConflict();
    }
}

onSubmit(form, saveOrShowConflict);
onClick("[data-theirs]", () => {
    fillLimits(form, open.tenant);
    conflict.hidden = true;
    capsOf(form)[0].focus();
});
onClick("[data-mine]", () => {
    conflict.hidden = true;
    form.requestSubmit();
});
onClick("[data-reset]", async () => {
    try {
        const { data } = await api("GET", "/v2/tenant_defaults");
        clearErrors(form);
        fillLimits(form, data);
        capsOf(form)[0].focus();
    } catch (error) {
        if (!(error instanceof APIError)) throw error;
        showErrors(form, error);
    }
});

// Suspend and reinstate.

const statusDialog = $("#set-status");
const statusForm = $("form", statusDialog);
let status = null;

function ask(id, action) {
    const name = $(`[data-tenant="${CSS.escape(id)}"] .name`)?.textContent ?? id;
    const suspends = action === "suspend";
    status = { id, action };
    $("h2", statusDialog).textContent = suspends ? `Suspend ${name}?` : `Reinstate ${name}?`;
    $("[data-text]", statusDialog).textContent = suspends
        ? "Every request is refused from now on. Open reservations can still be committed or released."
        : "The tenant can use the service again immediately. If it is still over a cap, its next charge suspends it again.";
    const button = $("button[type=submit]", statusForm);
    button.textContent = suspends ? "Suspend" : "Reinstate";
    button.classList.toggle("danger", suspends);
    statusForm.elements.reason.value = "";
    clearErrors(statusForm);
    statusDialog.showModal();
    statusForm.elements.reason.focus();
}

onClick("[data-suspend]", (button) => ask(button.dataset.suspend, "suspend"));
onClick("[data-reinstate]", (button) => ask(button.dataset.reinstate, "reinstate"));
onSubmit(statusForm, async () => {
    const reason = statusForm.elements.reason.value.trim();
    if (reason === "") {
        throw new APIError(422, [{ detail: "Enter a reason.", source: { pointer: "/reason" } }]);
    }
    await api("POST", `/v2/tenants/${segment(status.id)}/actions/${status.action}`, { body: { reason } });
    reload(status.action === "suspend" ? "Tenant suspended." : "Tenant reinstated.");
});

// New tenant.

const newDialog = $("#new-tenant");
if (newDialog) {
    const newForm = $("form", newDialog);
    const presets = { ...JSON.parse(newForm.dataset.presets), defaults: JSON.parse(newForm.dataset.defaults) };
    $("[data-preset]", newForm).addEventListener("change", (event) => fillLimits(newForm, presets[event.target.value]));
    onSubmit(newForm, async () => {
        const body = { ...limitsOf(newForm), name: newForm.elements.name.value.trim() };
        const id = newForm.elements.id.value.trim();
        if (id !== "") body.id = id;
        const day = newForm.elements.billing_cycle_day.value.trim();
        body.billing_cycle_day = /^\d+$/.test(day) ? Number(day) : day;
        body.time_zone = newForm.elements.time_zone.value.trim();
        const { data } = await api("POST", "/v2/tenants", { body });
        reload(`${data.name || data.id} was created.`);
    });
    for (const place of $$("[data-preview]", newForm)) place.remove();
}
