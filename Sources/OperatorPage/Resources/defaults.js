// Tenant Defaults.
import { $, api, fillLimits, limitsOf, onClick, onSubmit, reload, showErrors } from "/assets/page.js";

const form = $("#tenant-defaults");
const presets = JSON.parse(form.dataset.presets);
const read = () => api("GET", "/v2/tenant_defaults");
// As they were when the page was opened; what cannot be had now is said when it is needed.
const opened = read();
opened.catch(() => {});
let theirs = null;

onClick("[data-cautious]", () => fillLimits(form, presets["new-tenant"]));
onSubmit(form, async () => {
    const { etag } = theirs ?? (await opened.catch(read));
    try {
        await api("PATCH", "/v2/tenant_defaults", { body: limitsOf(form), etag });
        reload("Defaults saved.");
    } catch (error) {
        if (error.status !== 412) throw error;
        theirs = await read();
        fillLimits(form, theirs.data);
        showErrors(form, { errors: [{ detail: "Changed by someone else: these are their values. Edit them again, or leave them." }] });
    }
});
