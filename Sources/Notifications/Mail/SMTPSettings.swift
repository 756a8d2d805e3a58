/// How mails leave: the operator's mail server.
package struct SMTPSettings: Sendable, Equatable {
    package enum Security: String, Sendable, CaseIterable {
        /// In the clear: for a server on the same machine or in tests.
        case none
        /// In the clear until STARTTLS, which the server must offer.
        case starttls
        /// TLS from the first byte.
        case tls
    }

    /// A name or an address of IPv4 or IPv6, without brackets.
    package var host: String
    /// 1 ... 65535.
    package var port: Int
    package var security: Security
    /// nil: no log-in.
    package var user: String?
    package var password: String?
    /// The plain mail address that mails come from.
    package var from: String
    /// A file of PEM certificates that the server's is checked against, and against no other; nil: the system's.
    package var caFile: String?
    /// For the connection, and for the whole of one mail, each.
    package var timeoutMilliseconds: Int64
    /// Whom mails speak for.
    package var brandName: String

    package init(
        host: String, port: Int = 587, security: Security = .starttls, user: String? = nil,
        password: String? = nil, from: String, caFile: String? = nil,
        timeoutMilliseconds: Int64 = 10_000, brandName: String = "Tollgate"
    ) {
        self.host = host
        self.port = port
        self.security = security
        self.user = user
        self.password = password
        self.from = from
        self.caFile = caFile
        self.timeoutMilliseconds = timeoutMilliseconds
        self.brandName = brandName
    }
}
