internal import Access
internal import Engine
internal import Foundation
internal import Journal
internal import Logging

/// The first operator's access token: made at the first start, written to the data directory for nobody else to read.
struct OperatorToken {
    static let fileName = "operator-token"

    let authority: TokenAuthority
    let engine: Engine
    let directory: String
    let logger: Logger

    /// Makes the token unless an operator has one that is still good.
    ///
    /// The file is written first: a token that nobody can read would lock everybody out.
    func makeIfMissing() throws {
        guard !authority.isOpen else { return }
        let now = engine.clock.now
        let isOneGood = try authority.tokens.contains { token in
            token.scope == .operator && token.expiresAt ?? .max > now
        }
        guard !isOneGood else { return }
        let path = directory + "/" + Self.fileName
        let secret = TokenAuthority.makeSecret()
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700])
        try Self.write(secret + "\n", to: path)
        try SystemDisk(path: directory).syncDirectory()
        _ = try authority.create(
            name: "first operator", scope: .operator, tenantIDs: [], secret: secret)
        try engine.awaitDurable()
        logger.notice(
            "made the first operator's access token: keep it, and delete the file",
            metadata: ["file": "\(path)"])
    }

    /// Writes a file that only its owner can read, from its first byte on.
    private static func write(_ text: String, to path: String) throws {
        try? FileManager.default.removeItem(atPath: path)
        guard
            FileManager.default.createFile(
                atPath: path, contents: nil, attributes: [.posixPermissions: 0o600])
        else {
            throw SettingsError(description: "\(path) cannot be written")
        }
        let file = try FileHandle(forWritingTo: URL(filePath: path))
        defer { try? file.close() }
        try file.write(contentsOf: Data(text.utf8))
        try file.synchronize()
    }
}
