/// Why a mail was not taken.
package struct MailError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Code: Sendable, Equatable {
        /// An address, a name or a setting that no mail can be made with. The same again fails again.
        case unusable
        /// The server could not be reached, or did not answer in time.
        case unreachable
        /// The server cannot be trusted, or does not offer TLS.
        case insecure
        /// The server does not take the user and password.
        case login
        /// The server said no; `status` says how.
        case refused
        /// Too many mails wait, or the task was cancelled: nothing was tried to its end.
        case notTried
    }

    package var code: Code
    /// The reply code of SMTP (4xx or 5xx); nil: it was no reply that failed.
    package var status: Int?
    /// A sentence for the operator, without control characters.
    package var description: String

    package init(_ code: Code, status: Int? = nil, _ description: String) {
        self.code = code
        self.status = status
        self.description = description
    }

    /// Another attempt may succeed. A refusal with 5xx is for good (RFC 5321, 4.2.1); what an operator or a server may
    /// mend meanwhile is not: certificates, passwords, connections.
    package var isWorthRetrying: Bool {
        switch code {
        case .unusable: false
        case .refused: !(500...599).contains(status ?? 0)
        case .unreachable, .insecure, .login, .notTried: true
        }
    }
}
