import Access
import ControlPlane
import Engine
import Hummingbird
import Limits
import Projection

/// Who looks at a page.
struct Visitor: Sendable {
    var caller: Caller
    /// nil: no log-in is asked.
    var session: Session?
}

/// Why there is no page.
enum PageFailure: Error {
    case notFound
    /// Lists and logs are kept with the journal, and there is none.
    case noJournal
}

/// What all pages work with.
struct PageContext: Sendable {
    let engine: Engine
    let model: (any ReadModel)?
    let settings: PageSettings
    let templates: Templates

    private static let navigation = [
        ("/settings/usage-limits", "Usage Limits"),
        ("/settings/tenant-defaults", "Tenant Defaults"),
        ("/alerts", "Alerts"), ("/audit", "Audit log"), ("/live", "Live"),
        (TokensPage.path, "Tokens"),
    ]

    func readModel() throws(PageFailure) -> any ReadModel {
        guard let model else { throw .noJournal }
        return model
    }

    func tenant(_ id: String, _ model: any ReadModel) async throws -> TenantRow? {
        var query = TenantQuery()
        query.id = .equals(id)
        return try await model.tenants(query, Page(number: 1, size: 1)).rows.first
    }

    private var brand: Fields { ["brand": settings.brandName, "logo": settings.logo] }

    /// A page of the operator's.
    ///
    /// - Parameter current: the path in the navigation that it belongs to.
    func page(
        _ template: String, _ visitor: Visitor, current: String, _ fields: Fields
    ) -> PageReply {
        let frame: Fields = [
            "csrf": visitor.session?.csrf ?? "",
            "who": visitor.caller.name.isEmpty ? nil : visitor.caller.name,
            "canLogOut": visitor.session != nil, "title": nil,
            "viewOnly": !visitor.caller.may(.change),
            "nav": Self.navigation
                .filter { $0.0 != TokensPage.path || visitor.caller.may(.administer) }
                .map { path, title -> Fields in
                    ["path": path, "title": title, "current": path == current]
                },
        ]
        return .html(templates.render(template, brand.merging(frame).merging(fields)))
    }

    /// A page that stands alone.
    func alone(
        _ template: String, _ fields: Fields, status: Int = 200
    ) -> PageReply {
        .html(
            templates.render(template, brand.merging(fields)),
            status: .init(code: status))
    }

    func message(_ status: Int, _ title: String, _ text: String) -> PageReply {
        alone("message", ["title": title, "text": text], status: status)
    }
}
