package import Engine
package import Journal

/// Makes a data directory of a backup.
///
/// **Half of it.** Files are made in such an order that a service refuses to start on a directory that was not finished:
/// secrets and lists come first, which say that there was a journal, then the segments from the last one to the first, then
/// the checkpoint. What fails is removed again.
package struct Restorer {
    /// What was done.
    package struct Report: Sendable {
        package var manifest: BackupManifest
        package var verified: RecoveryReport
    }

    private let backup: any Disk
    private let target: any Disk
    private let work: CopyWork

    /// - Parameters:
    ///   - backup: nothing is written there.
    ///   - target: a directory that is empty, locked by the caller.
    package init(from backup: any Disk, to target: any Disk, work: CopyWork) {
        self.backup = backup
        self.target = target
        self.work = work
    }

    /// The manifest, once all that it names is there with the right length.
    ///
    /// - Throws: `.missing` or `.damaged`: it is no backup, is not complete, or something of it is missing.
    package static func manifest(of backup: any Disk) throws(JournalError) -> BackupManifest {
        let names = try backup.list()
        guard let manifest = try BackupManifest.read(backup, BackupManifest.fileName) else {
            if names.contains(BackupManifest.partialName) {
                throw JournalError(
                    .missing, file: BackupManifest.fileName,
                    reason: "the backup was interrupted before it was complete",
                    remedy: "run `tollgate backup` again, or use another backup")
            }
            throw JournalError(
                .missing, file: BackupManifest.fileName, reason: "the directory is no backup",
                remedy: "give the directory used with `tollgate backup --to`")
        }
        for file in manifest.files {
            guard names.contains(file.stored) else {
                throw JournalError(
                    .missing, file: file.stored, reason: "the backup lists it, and it is not there",
                    remedy: "use another backup")
            }
            let opened = try backup.open(file.stored, isWritable: false)
            defer { backup.close(opened) }
            let bytes = try backup.size(of: opened)
            guard bytes == file.bytes else {
                throw JournalError(
                    .damaged, file: file.stored,
                    reason: "it has \(bytes) bytes, and the backup lists \(file.bytes)",
                    remedy: "use another backup")
            }
        }
        return manifest
    }

    /// Whether a directory that has this file, and none that is not so, is empty all the same.
    package static func isNothing(_ name: String) -> Bool {
        name == JournalFiles.lock || name == "lost+found"
    }

    /// - Throws: `.invalid`: the directory is not empty.
    package static func checkTarget(_ target: any Disk, _ path: String) throws(JournalError) {
        guard let other = try target.list().first(where: { !isNothing($0) }) else { return }
        throw JournalError(
            .invalid, file: path, reason: "it is not empty (\(other))",
            remedy: "move what is there aside, or give another directory")
    }

    /// Restores, and verifies by playing everything back.
    ///
    /// - Throws: `JournalError` or `EngineError`; the directory is empty again then.
    package func run() throws -> Report {
        let manifest = try Self.manifest(of: backup)
        do {
            try target.replace(CompanionFiles.restoreNote, with: RestoreNote(manifest).encoded)
            for file in Self.order(manifest.files) { work.expect(file.bytes) }
            for file in Self.order(manifest.files) { try copy(file) }
            guard try JournalReader.id(target) == manifest.journal else {
                throw JournalError(
                    .foreign, file: BackupManifest.fileName,
                    reason: "the journal is not the one that the backup lists",
                    remedy: "use another backup")
            }
            return Report(manifest: manifest, verified: try Engine.verify(disk: target))
        } catch {
            for name in (try? target.list()) ?? [] where !Self.isNothing(name) {
                try? target.remove(name)
            }
            throw error
        }
    }

    private func copy(_ file: BackupManifest.File) throws(JournalError) {
        let copier = FileCopier(source: backup, target: target, work: work)
        _ = try copier.copy(
            file.stored, bytes: file.bytes, size: file.size, as: file.name
        ) { (checksum) throws(JournalError) in
            guard checksum == file.checksum else {
                throw JournalError(
                    .damaged, file: file.stored, reason: "its checksum is not the listed one",
                    remedy: "use another backup")
            }
        }
    }

    private static func order(_ files: [BackupManifest.File]) -> [BackupManifest.File] {
        func rank(_ file: BackupManifest.File) -> (Int, UInt64) {
            switch DataFile(file.name) {
            case .small, nil: (0, 0)
            case .lists: (1, 0)
            // The last one first.
            case .segment(let number): (2, .max - number)
            case .checkpoint(let number): (3, number)
            }
        }
        return files.sorted { rank($0) < rank($1) }
    }
}
