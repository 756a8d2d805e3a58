internal import Limits
internal import Notation

/// The paths of the REST API, in one place.
enum Paths {
    static let tenants = "/v2/tenants"
    static func profiles(_ kind: ProfileKind) -> String { "/v2/\(kind.collection)" }
    static let defaults = "/v2/tenant_defaults"
    static let usage = "/v2/usage"
    static let overview = "/v2/reports/overview"
    static let invoices = "/v2/reports/invoices"
    static let usageSeries = "/v2/reports/usage"
    static let forecast = "/v2/reports/forecast"
    static let audit = "/v2/audit_events"
    static let events = "/v2/events"
    static let webhooks = "/v2/webhook_endpoints"
    static let deliveries = "/v2/webhook_deliveries"
    static let emails = "/v2/email_recipients"
    static let emailTest = "/v2/email_recipients/actions/test"
    static let tokens = "/v2/tokens"

    /// One resource, or something below it.
    static func one(_ collection: String, _ id: String, _ rest: String = "") -> String {
        "\(collection)/\(PercentEncoding.segment(id))\(rest)"
    }
}
