// Deliveries, webhook endpoints, e-mail recipients.
import { $, $$, act, api, clearErrors, confirmed, onClick, onSubmit, reload, segment, toast } from "/assets/page.js";

onClick("[data-resend]", (button) =>
    act(button, async () => {
        await api("POST", `/v2/webhook_deliveries/${segment(button.dataset.resend)}/actions/resend`, { body: {} });
        reload("The delivery is being resent.", `[data-resend="${CSS.escape(button.dataset.resend)}"]`);
    }));

const resources = {
    endpoint: { path: "/v2/webhook_endpoints", texts: ["url", "failover_url", "description"], name: (it) => it.url },
    recipient: { path: "/v2/email_recipients", texts: ["address", "name"], name: (it) => it.address },
};

for (const [kind, resource] of Object.entries(resources)) {
    const dialog = $("#" + kind);
    const form = $("form", dialog);
    const title = $("h2", dialog).textContent;
    const rowOf = (button) => JSON.parse(button.closest("[data-json]").dataset.json);
    let open = null;

    function show(present, etag) {
        open = present && { id: present.id, etag };
        clearErrors(form);
        for (const name of resource.texts) form.elements[name].value = present?.[name] ?? "";
        form.elements.enabled.checked = present?.enabled ?? true;
        for (const box of $$("[name=event_types]", form)) box.checked = present?.event_types.includes(box.value) ?? false;
        $("h2", dialog).textContent = present ? `Edit ${title.charAt(0).toLowerCase()}${title.slice(1)}` : `New ${title.charAt(0).toLowerCase()}${title.slice(1)}`;
        dialog.showModal();
        form.elements[resource.texts[0]].focus();
    }

    onClick(`[data-new="${kind}"]`, () => show(null));
    onClick(`[data-change="${kind}"]`, (button) =>
        act(button, async () => {
            const { data, etag } = await api("GET", `${resource.path}/${segment(rowOf(button).id)}`);
            show(data, etag);
        }));
    onSubmit(form, async () => {
        const body = {
            enabled: form.elements.enabled.checked,
            event_types: $$("[name=event_types]:checked", form).map((box) => box.value),
        };
        for (const name of resource.texts) {
            const text = form.elements[name].value.trim();
            // An empty address of a new one is a missing one.
            if (text !== "" || (open && name !== resource.texts[0])) body[name] = text;
        }
        if (open) await api("PATCH", `${resource.path}/${segment(open.id)}`, { body, etag: open.etag });
        else await api("POST", resource.path, { body });
        reload("Saved.");
    });
    onClick(`[data-delete="${kind}"]`, async (button) => {
        const it = rowOf(button);
        if (!(await confirmed(`Delete ${resource.name(it)}?`, "Nothing will be sent there any more.", "Delete"))) return;
        await act(button, async () => {
            await api("DELETE", `${resource.path}/${segment(it.id)}`);
            reload("Deleted.");
        });
    });
    onClick(`[data-test="${kind}"]`, (button) =>
        act(button, async () => {
            const { data } = await api("POST", `${resource.path}/${segment(rowOf(button).id)}/actions/test`, { body: {} });
            await outcome(data.id);
        }));
}

/** Waits for what became of a test, 10 s at most. */
async function outcome(id) {
    toast("Sending the test.");
    for (let attempt = 0; attempt < 20; attempt += 1) {
        const { data } = await api("GET", `/v2/webhook_deliveries/${segment(id)}`);
        const last = data.attempts[0];
        if (data.status === "delivered") return toast("The test was delivered.");
        if (last?.error) return toast(`The test failed: ${last.error}`);
        await new Promise((resolve) => setTimeout(resolve, 500));
    }
    toast("The test has not been delivered yet; see the list of deliveries.");
}
