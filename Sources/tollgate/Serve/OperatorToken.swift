internal import Access
internal import CommandIO
internal import Engine
internal import Journal
internal import Logging

/// The first operator's access token: made at the first start, written to the data directory for nobody else to read.
struct OperatorToken {
    /// Of a service that keeps nothing, where the directory is one's that does: its own operator's token stays.
    private static let fileNameInMemory = "operator-token-memory"

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
            token.scopes.isSuperset(of: Role.owner.scopes) && token.expiresAt ?? .max > now
        }
        guard !isOneGood else { return }
        let name =
            engine.journalFeed == nil && hasJournal()
            ? Self.fileNameInMemory : CompanionFiles.operatorToken
        let path = directory + "/" + name
        let secret = TokenAuthority.makeSecret()
        try NewDirectory.make(directory, mode: 0o700)
        try OutputFile(path, mode: 0o600).write(secret + "\n")
        try SystemDisk(path: directory).syncDirectory()
        // A start from a full journal has none at once.
        try engine.waitingForRoom(atMost: 60_000) { () throws(EngineError) in
            _ = try authority.create(
                name: "first operator", scopes: Role.owner.scopes, tenantIDs: [], secret: secret)
        }
        try engine.awaitDurable()
        logger.notice(
            "created the first operator's access token: store it safely, and delete the file",
            metadata: ["file": "\(path)"])
    }

    /// Whether a service that keeps a journal has run, or runs, on the directory.
    private func hasJournal() -> Bool {
        let names = try? SystemDisk(path: directory).list()
        return names?.contains(JournalFiles.lock) ?? false
    }
}
