import CCurl
import Glibc
import Synchronization

/// Whether a mail is still wanted. Any thread.
final class MailCancellation: Sendable {
    private let flag = Atomic<Bool>(false)

    // ORDERING: relaxed both ways; the flag publishes nothing but itself.
    var isCancelled: Bool { flag.load(ordering: .relaxed) }

    func cancel() { flag.store(true, ordering: .relaxed) }
}

/// What libcurl's callbacks work with, on the one thread that performs the transaction.
private final class MailStream {
    let bytes: [UInt8]
    let cancellation: MailCancellation
    var offset = 0
    /// The last line with which the server refused, without its end, at most `maximumReply` bytes.
    var reply: [UInt8] = []

    static let maximumReply = 300

    init(_ bytes: [UInt8], _ cancellation: MailCancellation) {
        self.bytes = bytes
        self.cancellation = cancellation
    }

    static func from(_ context: UnsafeMutableRawPointer?) -> MailStream? {
        context.map { Unmanaged<MailStream>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Copies what comes next; 0: that was all.
    func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(buffer.count, bytes.count - offset)
        buffer.copyBytes(from: bytes[offset..<offset + count])
        offset += count
        return count
    }

    func note(_ line: UnsafeRawBufferPointer) {
        // The answer to QUIT, which is always well, comes after the one that says why.
        guard line.first == UInt8(ascii: "4") || line.first == UInt8(ascii: "5") else { return }
        reply = Array(line.prefix(Self.maximumReply).filter { $0 != 13 && $0 != 10 })
    }
}

/// One mail to one address, over a connection of its own: an easy handle of libcurl and what it points to.
///
/// Thread safety: one thread, which blocks while it performs.
struct SMTPTransaction: ~Copyable {
    private let handle: UnsafeMutableRawPointer
    private let recipients: UnsafeMutablePointer<curl_slist>
    /// libcurl writes its sentence here, until the handle is gone.
    private let errors: UnsafeMutablePointer<CChar>
    private let stream: MailStream

    // CURLE_OK, or a failure of its own or of what it is built on; once for the process, before any handle.
    private static let isReady = curl_global_init_default() == CURLE_OK

    /// Sends a mail. Blocks, for at most twice the time limit of the settings.
    ///
    /// - Parameter message: the whole of it, with lines that end with CR LF.
    /// - Returns: the server's reply code (2xx).
    static func send(
        _ message: [UInt8], to address: String, _ settings: SMTPSettings,
        _ cancellation: MailCancellation
    ) throws(MailError) -> Int {
        guard let transaction = SMTPTransaction(message, to: address, cancellation) else {
            throw MailError(.notTried, "libcurl could not be initialised.")
        }
        try transaction.configure(settings)
        return try transaction.perform()
    }

    private init?(_ message: [UInt8], to address: String, _ cancellation: MailCancellation) {
        // nil: out of memory, or libcurl could not be initialised.
        guard Self.isReady, let handle = curl_easy_init() else { return nil }
        guard let recipients = curl_slist_append(nil, address) else {
            curl_easy_cleanup(handle)
            return nil
        }
        self.handle = handle
        self.recipients = recipients
        errors = .allocate(capacity: Int(CURL_ERROR_SIZE))
        errors.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        stream = MailStream(message, cancellation)
    }

    deinit {
        // The handle first: it says QUIT, and it points to the other three.
        curl_easy_cleanup(handle)
        curl_slist_free_all(recipients)
        errors.deallocate()
    }

    // MARK: Options

    private func configure(_ settings: SMTPSettings) throws(MailError) {
        let scheme = settings.security == .tls ? "smtps" : "smtp"
        let host = settings.host.contains(":") ? "[\(settings.host)]" : settings.host
        try set(CURLOPT_URL, "\(scheme)://\(host):\(settings.port)")
        try set(CURLOPT_PROTOCOLS_STR, scheme)
        // What the environment says of proxies is not meant for mail.
        try set(CURLOPT_PROXY, "")
        try set(CURLOPT_NOSIGNAL, 1)
        // A look-up that hangs is left behind with its thread, not waited for.
        try set(CURLOPT_QUICK_EXIT, 1)
        try set(CURLOPT_CONNECTTIMEOUT_MS, Int(settings.timeoutMilliseconds))
        try set(CURLOPT_TIMEOUT_MS, Int(settings.timeoutMilliseconds))
        try set(
            CURLOPT_SERVER_RESPONSE_TIMEOUT, max(1, Int(settings.timeoutMilliseconds) / 1_000))
        try secure(settings)
        if let user = settings.user {
            try set(CURLOPT_USERNAME, user)
            try set(CURLOPT_PASSWORD, settings.password ?? "")
        }
        try set(CURLOPT_MAIL_FROM, settings.from)
        try check(curl_set_list(handle, CURLOPT_MAIL_RCPT, recipients))
        try check(curl_set_pointer(handle, CURLOPT_ERRORBUFFER, errors))
        try setCallbacks()
    }

    private func secure(_ settings: SMTPSettings) throws(MailError) {
        guard settings.security != .none else {
            return try set(CURLOPT_USE_SSL, Int(CURLUSESSL_NONE.rawValue))
        }
        // All or nothing: a server without STARTTLS gets neither the password nor the mail.
        try set(CURLOPT_USE_SSL, Int(CURLUSESSL_ALL.rawValue))
        try set(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        try set(CURLOPT_SSL_VERIFYPEER, 1)
        try set(CURLOPT_SSL_VERIFYHOST, 2)
        if let file = settings.caFile {
            try set(CURLOPT_CAINFO, file)
            try check(curl_set_string(handle, CURLOPT_CAPATH, nil))
        }
    }

    private func setCallbacks() throws(MailError) {
        // Not retained: `stream` outlives the handle, see `deinit`.
        let context = Unmanaged.passUnretained(stream).toOpaque()
        try set(CURLOPT_UPLOAD, 1)
        try check(
            curl_set_read(
                handle,
                { buffer, size, count, context in
                    guard let stream = MailStream.from(context), let buffer else { return 0 }
                    return stream.read(
                        into: UnsafeMutableRawBufferPointer(start: buffer, count: size * count))
                }, context))
        try check(
            curl_set_header(
                handle,
                { line, size, count, context in
                    if let stream = MailStream.from(context), let line {
                        stream.note(UnsafeRawBufferPointer(start: line, count: size * count))
                    }
                    return size * count
                }, context))
        try check(
            curl_set_progress(
                handle,
                { context, _, _, _, _ in
                    MailStream.from(context)?.cancellation.isCancelled == true ? 1 : 0
                }, context))
    }

    private func set(_ option: CURLoption, _ value: Int) throws(MailError) {
        try check(curl_set_long(handle, option, value))
    }

    /// libcurl copies the text.
    private func set(_ option: CURLoption, _ value: String) throws(MailError) {
        // A C string would end at it.
        guard !value.utf8.contains(0) else {
            throw MailError(.unusable, "A mail server setting contains a NUL byte.")
        }
        try check(curl_set_string(handle, option, value))
    }

    /// CURLE_OK, CURLE_UNKNOWN_OPTION (a libcurl built without it), CURLE_OUT_OF_MEMORY,
    /// CURLE_BAD_FUNCTION_ARGUMENT (too long, or out of range), CURLE_UNSUPPORTED_PROTOCOL.
    private func check(_ code: CURLcode) throws(MailError) {
        guard code == CURLE_OK else {
            throw MailError(
                .unusable, "The mail server settings are invalid: \(Self.text(of: code)).")
        }
    }

    // MARK: The way

    private func perform() throws(MailError) -> Int {
        // CURLE_OK: the server took the mail. Everything else is told apart below.
        let code = curl_easy_perform(handle)
        var reply = 0
        // CURLE_OK; there is no other code for an answer that libcurl keeps itself.
        if curl_get_long(handle, CURLINFO_RESPONSE_CODE, &reply) != CURLE_OK { reply = 0 }
        guard code == CURLE_OK else { throw failure(code, reply: reply) }
        return reply
    }

    private func failure(_ code: CURLcode, reply: Int) -> MailError {
        let said = Self.printable(stream.reply)
        // An earlier reply that was well is not what failed.
        let status = (400...599).contains(reply) ? reply : nil
        switch code {
        case CURLE_ABORTED_BY_CALLBACK: return MailError(.notTried, "The service is stopping.")
        case CURLE_LOGIN_DENIED:
            return MailError(
                .login, status: status, "The mail server rejected the log-in: \(said).")
        case CURLE_USE_SSL_FAILED:
            return MailError(.insecure, status: status, "The mail server does not offer STARTTLS.")
        case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CONNECT_ERROR, CURLE_SSL_CACERT_BADFILE:
            return MailError(
                .insecure, "The TLS connection to the mail server failed: \(sentence(code)).")
        default: break
        }
        if let status {
            return MailError(
                .refused, status: status, "The mail server rejected the mail: \(said).")
        }
        return MailError(.unreachable, "The mail could not be sent: \(sentence(code)).")
    }

    private func sentence(_ code: CURLcode) -> String {
        let length = strnlen(errors, Int(CURL_ERROR_SIZE))
        let text = UnsafeRawBufferPointer(start: errors, count: length)
        return length == 0 ? Self.text(of: code) : Self.printable(Array(text))
    }

    private static func text(of code: CURLcode) -> String {
        curl_easy_strerror(code).map { String(cString: $0) } ?? "error \(code.rawValue)"
    }

    /// What a peer said, for logs and lists.
    private static func printable(_ bytes: [UInt8]) -> String {
        var text = MailText.line(String(decoding: bytes, as: UTF8.self))
        while text.last == " " || text.last == "." { text.removeLast() }
        return text.isEmpty ? "no reason given" : text
    }
}
