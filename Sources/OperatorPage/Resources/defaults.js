// Tenant Defaults.
import { $, api, fillLimits, limitsOf, onClick, onSubmit, reload, showErrors } from "/assets/page.js";

const form = $("#tenant-defaults");
const presets = JSON.parse(form.dataset.presets);
let { etag } = await api("GET", "/v2/tenant_defaults");

onClick("[data-cautious]", () => fillLimits(form, presets["new-tenant"]));
onSubmit(form, async () => {
    try {
        await api("PATCH", "/v2/tenant_defaults", { body: limitsOf(form), etag });
        reload("The defaults are saved.");
    } catch (error) {
        if (error.status !== 412) throw error;
        const theirs = await api("GET", "/v2/tenant_defaults");
        etag = theirs.etag;
        fillLimits(form, theirs.data);
        showErrors(form, { errors: [{ detail: "Changed by someone else: this is what they set. Change it again, or leave it." }] });
    }
});
