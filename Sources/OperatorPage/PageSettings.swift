/// Bounds and looks of the operator's page; each bound a number with a sane default.
package struct PageSettings: Sendable {
    /// Whom the pages speak for.
    package var brandName = "Tollgate"
    /// What stands beside the logo; empty: the brand's name.
    package var logoText = ""
    /// Where a suspended tenant turns to: a mail address, a phone number, a URL; empty: nothing is named.
    package var contact = ""
    /// The service is reached over TLS, if only up to a proxy before it: the session's cookie never leaves without.
    package var isCookieSecure = false

    /// How long a log-in lasts, milliseconds.
    package var sessionLife: Int64 = 12 * 3_600_000
    /// Sessions at one time; a further log-in ends the oldest.
    package var maximumSessions = 1_000
    /// Log-ins that may fail from one address in a minute.
    package var maximumFailedLogIns = 10
    /// Addresses whose failures are remembered; the oldest are forgotten first.
    package var maximumAddresses = 1_024
    /// Bytes of a form.
    package var maximumFormBytes = 8_192
    /// Requests for pages that are worked on at one time, without streams.
    package var maximumRequests = 64
    /// How long a page may take to be made.
    package var requestTimeLimit = Duration.seconds(30)
    /// Streams of events at one time.
    package var maximumStreams = 64
    /// A stream that has nothing to tell says so that often, milliseconds.
    package var heartbeat: Int64 = 15_000
    /// Lines of a CSV file of the audit log.
    package var maximumCSVLines = 10_000
    /// Rows of a list.
    package var pageSize = 20
    /// Days in the chart of a tenant.
    package var chartDays = 30

    package init() {}

    var logo: String { logoText.isEmpty ? brandName : logoText }
}
