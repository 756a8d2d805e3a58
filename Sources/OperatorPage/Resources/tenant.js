// One tenant: usage as it changes, profiles, reservations.
import { $, $$, act, api, capsOf, confirmed, follow, numberIn, onClick, onSubmit, reload, segment, setBar, setSuspended, setText } from "/assets/page.js";

follow($("[data-events]").dataset.events, (now) => {
    for (const limit of now.limits) {
        const card = $(`.card[data-limit="${limit.limit}"]`);
        if (!card) continue;
        setText(card, "[data-used]", limit.used);
        setText(card, "[data-of]", limit.of);
        setText(card, "[data-share]", limit.shareText);
        setText(card, "[data-held]", limit.heldText);
        setBar(card, limit);
    }
    for (const profile of now.profiles) {
        const row = $(`[data-profile="${CSS.escape(profile.id)}"]`);
        if (!row) continue;
        setText(row, "[data-used]", profile.used);
        setText(row, "[data-share]", profile.shareText);
        setText(row, "[data-held]", profile.heldText);
        setBar(row, profile);
    }
    setSuspended($(".heading[data-tenant]"), now.suspended);
});

// Profiles.

async function change(row, body) {
    const path = `/v2/${row.dataset.collection}/${segment(row.dataset.profile)}`;
    const { etag } = await api("PATCH", path, { body, etag: row.dataset.tag });
    row.dataset.tag = etag;
}

for (const row of $$("[data-profile]")) {
    const form = $("form", row);
    const [cap] = capsOf(form);
    const toggle = $("[data-toggle]", row);
    onSubmit(form, async () => {
        await change(row, {
            [cap.name]: numberIn(cap) || null,
            [toggle.name]: toggle.checked,
        });
        reload("Daily limit saved.", `#${cap.id}`);
    });
    toggle.addEventListener("change", () => {
        setText(row, "[data-state]", toggle.checked ? "On" : "Off");
        form.requestSubmit();
    });
    // What was refused is not so: the switch goes back.
    new MutationObserver(() => {
        if (!$("[aria-invalid]", form) && !$(".form-error", form).textContent) return;
        toggle.checked = toggle.defaultChecked;
        setText(row, "[data-state]", toggle.checked ? "On" : "Off");
    }).observe(form, { childList: true, characterData: true, subtree: true });
}

// Open reservations.

onClick("[data-release]", async (button) => {
    const id = button.dataset.release;
    const yes = await confirmed("Release this reservation?", `The amounts held by reservation ${id} are freed at once, and it can no longer be committed.`, "Release");
    if (!yes) return;
    await act(button, async () => {
        await api("POST", `/v2/reservations/${segment(id)}/actions/release`, { body: {} });
        reload("Reservation released.");
    });
});

function age(milliseconds) {
    const seconds = Math.max(0, Math.floor(milliseconds / 1000));
    if (seconds < 60) return `${seconds} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
    return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

const ages = $$("[data-age]").map((place) => ({ place, shown: performance.now(), milliseconds: Number(place.dataset.age) }));
if (ages.length > 0) {
    setInterval(() => {
        for (const { place, shown, milliseconds } of ages) {
            place.textContent = age(milliseconds + performance.now() - shown);
        }
    }, 1000);
}

// Where a chart does not fit, the last days come first.
for (const chart of $$(".chart")) chart.scrollLeft = chart.scrollWidth;
