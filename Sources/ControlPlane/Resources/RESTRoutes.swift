import HTTPTypes
import JSON
import Limits

/// All routes, in the order of the OpenAPI document.
enum RESTRoutes {
    static func all(
        _ core: ControlPlaneContext, _ metrics: MetricsPage = MetricsPage { [] }
    ) -> [Route] {
        let routes =
            ProfileKind.allCases.flatMap { Profiles(core: core, kind: $0).routes }
            + Tenants(core: core).routes
            + TenantDefaults(core).routes + Usage(core: core).routes + Reports(core: core).routes
            + OpenReservations(core: core).routes + DataPlane(core: core).routes
            + Logs(core: core).routes + Webhooks(core: core).routes + Emails(core: core).routes
            + Tokens(core: core).routes + AccessStatistics(core: core).routes
            + Health(core: core).routes + ErrorCatalogue().routes + metrics.routes
        let own = Route(.get, "/openapi.json", nil, Operations.openAPI) { _ in
            Reply(.null)
        }
        // The document describes its own route too.
        let document = Reply(OpenAPIDocument.json(routes + [own]))
        var last = own
        last.handler = { _ in document }
        return routes + [last]
    }
}
