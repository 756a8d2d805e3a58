// What all pages share: calls of the REST API, errors beside their fields, dialogs, messages.

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

const token = $('meta[name="csrf-token"]').content;

/** What the API answered instead of success: a status and its list of errors. */
export class APIError extends Error {
    constructor(status, errors) {
        super(errors[0]?.detail || errors[0]?.title || `The service answered with status ${status}.`);
        this.status = status;
        this.errors = errors;
    }
}

/** The last POST of which nobody knows whether it was done: sent again it keeps its key, and is not done twice. */
let unanswered = null;

function keyOf(call) {
    if (unanswered?.call !== call) {
        const bytes = [...crypto.getRandomValues(new Uint8Array(16))];
        unanswered = { call, key: bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("") };
    }
    return unanswered.key;
}

/** No answer, or a part of one: what was asked for may have been done all the same. */
const lost = (method) =>
    new APIError(0, [{
        detail: method === "GET"
            ? "The service cannot be reached."
            : "The connection was lost, so the change may or may not have been made. Reload the page to check.",
    }]);

/** One call of the REST API. `etag`: the change is refused (412) if the resource has changed since. */
export async function api(method, path, { body, etag } = {}) {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers = { Accept: "application/json" };
    if (method !== "GET") headers["X-CSRF-Token"] = token;
    if (text !== undefined) headers["Content-Type"] = "application/json";
    if (etag) headers["If-Match"] = etag;
    if (method === "POST") headers["Idempotency-Key"] = keyOf(`${path} ${text}`);
    let response;
    let json;
    try {
        response = await fetch(path, { method, headers, credentials: "same-origin", body: text });
        json = await response.json();
    } catch {
        if (!response || response.ok) throw lost(method);
    }
    // Behind a 5xx it may still be done.
    if (method === "POST" && response.status < 500) unanswered = null;
    if (response.status === 401) {
        location.assign("/login?next=" + encodeURIComponent(location.pathname + location.search));
    }
    if (!response.ok) throw new APIError(response.status, json?.errors ?? []);
    return { data: json?.data, meta: json?.meta, etag: response.headers.get("etag") };
}

export const segment = (id) => encodeURIComponent(id);

// Messages.

export function toast(text) {
    const note = document.createElement("p");
    note.className = "toast";
    note.textContent = text;
    $(".toasts").append(note);
    setTimeout(() => note.remove(), 6000);
}

/** Shows the page anew, then a message; the focus goes back to where it was. */
export function reload(text, focus) {
    sessionStorage.setItem("message", JSON.stringify({ text, focus }));
    location.reload();
}

function showKeptMessage() {
    const kept = sessionStorage.getItem("message");
    if (!kept) return;
    sessionStorage.removeItem("message");
    const { text, focus } = JSON.parse(kept);
    if (focus) $(focus)?.focus();
    // After the focus has moved: what is announced first would be cut short.
    requestAnimationFrame(() => toast(text));
}

// Forms.

const fieldOf = (form, name) => form.querySelector(`[name="${CSS.escape(name)}"], [data-name="${CSS.escape(name)}"]`);

function clearError(input) {
    input.removeAttribute("aria-invalid");
    const kept = input.dataset.described;
    if (kept) input.setAttribute("aria-describedby", kept);
    else input.removeAttribute("aria-describedby");
    $(".error", input.closest(".field") ?? input)?.remove();
}

export function clearErrors(form) {
    for (const input of $$("[aria-invalid]", form)) clearError(input);
    for (const error of $$(".field .error", form)) error.remove();
    const summary = $(".form-error", form);
    if (summary) summary.replaceChildren();
}

/** Each error beside its field; those of no field above the form. */
export function showErrors(form, error) {
    clearErrors(form);
    const rest = [];
    let first;
    for (const entry of error.errors ?? []) {
        const name = entry.source?.pointer?.split("/")[1];
        const input = name && fieldOf(form, name);
        const field = input?.closest(".field");
        const text = entry.detail || entry.title;
        if (!field || field === form) {
            rest.push(text);
            if (input) input.setAttribute("aria-invalid", "true");
            first ??= input;
            continue;
        }
        const note = document.createElement("p");
        note.className = "error";
        note.id = `${form.getAttribute("id") ?? form.closest("dialog")?.id ?? "form"}-${name}-error`;
        note.textContent = text;
        field.append(note);
        input.dataset.described = input.getAttribute("aria-describedby") ?? "";
        input.setAttribute("aria-invalid", "true");
        input.setAttribute("aria-describedby", `${note.id} ${input.dataset.described}`.trim());
        first ??= input;
    }
    if (rest.length === 0 && !first) rest.push(error.message);
    const summary = $(".form-error", form);
    if (summary) summary.textContent = rest.join(" ");
    first?.focus();
}

/** Runs `action` once at a time when the form is sent; an error of the API stays in the form. */
export function onSubmit(form, action) {
    form.addEventListener("submit", async (event) => {
        event.preventDefault();
        const button = event.submitter ?? $("button[type=submit]", form);
        if (form.dataset.busy) return;
        form.dataset.busy = "yes";
        button?.setAttribute("aria-busy", "true");
        clearErrors(form);
        try {
            await action(form, button);
        } catch (error) {
            if (!(error instanceof APIError)) throw error;
            showErrors(form, error);
        } finally {
            delete form.dataset.busy;
            button?.removeAttribute("aria-busy");
        }
    });
}

/** Runs `action` when a button is clicked; an error of the API becomes a message. */
export async function act(button, action) {
    if (button.getAttribute("aria-busy")) return;
    button.setAttribute("aria-busy", "true");
    try {
        await action();
    } catch (error) {
        if (!(error instanceof APIError)) throw error;
        toast(error.message);
    } finally {
        button.removeAttribute("aria-busy");
    }
}

/** Calls `handle` for clicks on what `selector` finds, now and later. */
export function onClick(selector, handle) {
    document.addEventListener("click", (event) => {
        const found = event.target.closest?.(selector);
        if (found) handle(found, event);
    });
}

/** Asks; true: yes. */
export function confirmed(title, text, yes) {
    const dialog = $("#confirm");
    $("h2", dialog).textContent = title;
    $("[data-text]", dialog).textContent = text;
    $("[data-yes]", dialog).textContent = yes;
    dialog.returnValue = "";
    dialog.showModal();
    return new Promise((resolve) => {
        dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    });
}

// Money and limits.

const decimal = /^(0|[1-9]\d*)(?:\.(\d{1,9}))?$/;

/** Nano-USD of a decimal text; null: it is none. */
export function nanos(text) {
    const match = decimal.exec(text);
    return match ? BigInt(match[1]) * 1_000_000_000n + BigInt((match[2] ?? "").padEnd(9, "0")) : null;
}

export function money(amount) {
    const sign = amount < 0n ? "-" : "";
    const whole = amount < 0n ? -amount : amount;
    let rest = String(whole % 1_000_000_000n).padStart(9, "0");
    while (rest.length > 2 && rest.endsWith("0")) rest = rest.slice(0, -1);
    return `${sign}${(whole / 1_000_000_000n).toLocaleString("en-US")}.${rest}`;
}

/** The number in a field, without the commas between its thousands. Any other comma stays: 12,40 is not 1240, and refused. */
export function numberIn(field) {
    const text = field.value.trim();
    return /^\d{1,3}(,\d{3})+(\.\d+)?$/.test(text) ? text.replaceAll(",", "") : text;
}

/** The fields of the caps, one for each row of the catalogue. */
export const capsOf = (form) => [...form.elements].filter((field) => field.dataset.cap);

/** The fields of "Edit Limits". */
const limitFields = (form) => [...form.elements].filter((field) => field.dataset.shape);

const whole = (text) => (/^\d{1,15}$/.test(text) ? Number(text) : text);

/** What a field says, as the API takes it: blank is null; what is no number goes as it is, to be refused beside its field. */
const valueOf = {
    amount: (field) => numberIn(field) || null,
    whole: (field) => (numberIn(field) === "" ? null : whole(numberIn(field))),
    wholes: (field) => wholesIn(field),
    flag: (field) => field.checked,
    text: (field) => field.value.trim(),
};

/** "50, 80" as a list. */
export const wholesIn = (field) => field.value.split(",").map((text) => text.trim()).filter((text) => text !== "").map(whole);

/** The limits as the API takes them. */
export const limitsOf = (form) =>
    Object.fromEntries(limitFields(form).map((field) => [field.name, valueOf[field.dataset.shape](field)]));

/** What was wrong with the values before is not wrong with these. */
export function fillLimits(form, limits) {
    for (const field of limitFields(form)) {
        const value = limits[field.name] ?? "";
        if (field.dataset.shape === "flag") field.checked = value;
        else field.value = Array.isArray(value) ? value.join(", ") : value;
        if (field.hasAttribute("aria-invalid")) clearError(field);
    }
    if (!$("[aria-invalid]", form)) clearErrors(form);
    form.dispatchEvent(new Event("input"));
}

// What changes by itself. Elements stay what they are, so that neither the focus nor a selection is lost.

/** Follows a stream of the service's events and says in `[data-live]` whether it runs. */
export function follow(path, handle) {
    const sign = $("[data-live]");
    let source;
    let again;
    let wait = 1000;
    const say = (text, on) => {
        sign.textContent = text;
        sign.classList.toggle("on", on);
    };
    function open() {
        source = new EventSource(path);
        source.addEventListener("open", () => {
            wait = 1000;
            say("Live", true);
        });
        source.addEventListener("error", () => {
            say("Reconnecting", false);
            // Closed: it was refused, for now perhaps, and the browser does not ask again.
            if (source.readyState !== EventSource.CLOSED) return;
            again = setTimeout(open, wait);
            wait = Math.min(2 * wait, 30000);
        });
        source.addEventListener("message", (event) => handle(JSON.parse(event.data)));
    }
    open();
    addEventListener("pagehide", () => {
        clearTimeout(again);
        source.close();
    });
    // Shown again as it was left.
    addEventListener("pageshow", (event) => event.persisted && open());
}

export function setText(root, selector, text) {
    const place = $(selector, root);
    if (place && place.textContent !== text) place.textContent = text;
}

/** A bar without anything in it. */
export function makeBar() {
    const make = (name, className) => {
        const element = document.createElementNS("http://www.w3.org/2000/svg", name);
        element.setAttribute("class", className);
        return element;
    };
    const bar = make("svg", "bar");
    bar.setAttribute("aria-hidden", "true");
    bar.append(make("rect", "held"), make("rect", "used"));
    return bar;
}

export function setBar(root, now) {
    const bar = $(".bar", root);
    bar.setAttribute("class", `bar ${now.state}`);
    $(".used", bar).setAttribute("width", now.share + "%");
    $(".held", bar).setAttribute("width", now.filled + "%");
}

/** A tenant's chip. */
export function setStatus(root, text, tone) {
    setText(root, "[data-status]", text);
    $("[data-status]", root).className = `chip ${tone}`;
}

/** A tenant's chip and the button that fits; who stands on the other one then stands on this. */
export function setSuspended(root, suspended) {
    setStatus(root, suspended ? "Suspended" : "Active", suspended ? "over" : "good");
    const buttons = [$("[data-suspend]", root), $("[data-reinstate]", root)];
    const [out, into] = suspended ? buttons : buttons.reverse();
    into.hidden = false;
    if (document.activeElement === out) into.focus();
    out.hidden = true;
}

/**
 * Makes the children of `place` stand for the entries of a list, in its order. A child is made for a new key and kept as
 * long as the key is in the list; the one with the focus is neither moved nor taken away.
 */
export function keep(place, list, key, make, update) {
    const known = new Map([...place.children].map((child) => [child.dataset.key, child]));
    const wanted = list.map((entry) => {
        const child = known.get(key(entry)) ?? make();
        child.dataset.key = key(entry);
        update(child, entry);
        return child;
    });
    const held = [...place.children].find((child) => child.contains(document.activeElement));
    if (held && !wanted.includes(held)) wanted.push(held);
    for (const child of [...place.children]) if (!wanted.includes(child)) child.remove();
    const fixed = wanted.indexOf(held);
    for (let index = fixed - 1; index >= 0; index -= 1) {
        if (wanted[index].nextElementSibling !== wanted[index + 1]) wanted[index + 1].before(wanted[index]);
    }
    for (let index = fixed + 1; index < wanted.length; index += 1) {
        const before = wanted[index - 1];
        const isThere = wanted[index].parentNode === place && wanted[index].previousElementSibling === (before ?? null);
        if (!isThere && before) before.after(wanted[index]);
        else if (!isThere) place.prepend(wanted[index]);
    }
}

onClick("[data-close]", (button) => button.closest("dialog").close());
onClick("[data-open]", (button) => $("#" + button.dataset.open).showModal());
$("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
// When the scripts of the page have run too.
addEventListener("DOMContentLoaded", showKeptMessage);
