private import Glibc
package import Journal

/// Brings a backup up to date with a data directory, whether a service is at work there or not: what is read, and in which
/// order, is described in docs/decisions/0015-backup.md.
///
/// Until the new manifest is there the backup is what it was before: no file that a manifest names is written to again.
/// What an interrupted attempt has copied is not copied again.
package struct BackupWriter {
    /// Copies the file of lists into the target under a name, and returns the first segment that the copy needs; nil: any
    /// will do.
    package typealias CopyLists = (_ name: String) throws(JournalError) -> UInt64?

    /// What was done.
    package struct Report: Sendable, Equatable {
        package var manifest: BackupManifest
        /// Files and bytes that were copied; the others were there.
        package var copiedFiles = 0
        package var copiedBytes = 0
        /// Files of the data directory that are in no backup.
        package var leftOut: [String] = []
    }

    private let source: any Disk
    private let target: any Disk
    private let work: CopyWork
    private let copyLists: CopyLists
    private let copier: FileCopier

    private let attempts: Int

    private static let longestSmall = 64 << 10

    /// - Parameters:
    ///   - source: a data directory; nothing is written there.
    ///   - target: a directory of its own, locked by the caller.
    ///   - attempts: where a service makes checkpoints, files may be removed while they are copied: how often the copy
    ///     starts over then, the first time among them.
    package init(
        from source: any Disk, to target: any Disk, work: CopyWork, attempts: Int = 10,
        copyLists: @escaping CopyLists
    ) {
        self.source = source
        self.target = target
        self.work = work
        self.attempts = attempts
        self.copyLists = copyLists
        copier = FileCopier(source: source, target: target, work: work)
    }

    /// - Parameter now: Unix milliseconds.
    /// - Throws: why the backup could not be brought up to date; it is what it was before then.
    package func run(now: Int64) throws(JournalError) -> Report {
        var state = try State(target, try Self.journal(of: source), now)
        try target.removeTemporaries()
        try state.keep(in: target)
        do throws(JournalError) {
            try copyAllThatStays(&state)
        } catch {
            // What went wrong may keep this from being written too; it only costs that files are copied again.
            try? state.keep(in: target)
            throw error
        }
        try finish(&state)
        var report = Report(manifest: state.manifest)
        report.copiedFiles = state.copiedFiles
        report.copiedBytes = work.done
        report.leftOut = try source.list().filter(Self.isLeftOut).sorted()
        return report
    }

    /// The id of a data directory's journal.
    ///
    /// - Throws: `.missing`: it is no data directory.
    package static func journal(of source: any Disk) throws(JournalError) -> JournalID {
        if let id = try JournalReader.id(source) { return id }
        throw JournalError(
            .missing, file: "the data directory", reason: "it contains no journal",
            remedy: "give the directory used with `tollgate serve --data-dir`")
    }

    // MARK: Copying

    /// Begins again where files went that were still to be copied.
    ///
    /// - Throws: `.missing`: a file is not there, and has not just been removed; `.removed`: there was no end to it.
    private func copyAllThatStays(_ state: inout State) throws(JournalError) {
        for attempt in 1... {
            let names = try sourceFiles()
            do throws(JournalError) {
                return try copyAll(&state)
            } catch {
                // Not of the target's.
                guard error.isOfAbsence, DataFile(error.file) != nil else { throw error }
                // The service removes the oldest files first: if all that were there still are, it has removed none.
                guard try !names.isSubset(of: sourceFiles()) else { throw error.ofMissingFile }
                guard attempt < attempts else {
                    throw JournalError(
                        .removed, file: error.file,
                        reason:
                            "the service removed it before it was copied, \(attempts) times over",
                        remedy: "raise --rate, or the service's --journal-retention")
                }
                try work.check()
            }
        }
    }

    private func sourceFiles() throws(JournalError) -> Set<String> {
        Set(try source.list().filter { DataFile($0) != nil })
    }

    private func copyAll(_ state: inout State) throws(JournalError) {
        state.manifest.files = []
        let names = try source.list()
        // First, so that the journal goes at least as far.
        let needed = try names.contains(CompanionFiles.lists) ? copyListsFile(&state) : nil
        for name in DataFile.smallNames where names.contains(name) {
            try copySmall(name, &state)
        }
        let checkpoint = try copyNewestCheckpoint(&state)
        let snapshot = try JournalSnapshot(
            source, id: state.manifest.journal, checkpoint: checkpoint, needed: needed
        ) { (bytes) throws(JournalError) in try work.pace(bytes) }
        state.manifest.end = snapshot.end
        for part in snapshot.parts where state.known(part.name, part.bytes).isEmpty {
            work.expect(part.bytes)
        }
        for part in snapshot.parts {
            try copy(part, &state)
        }
    }

    private func copyListsFile(_ state: inout State) throws(JournalError) -> UInt64? {
        let stored = state.numbered(CompanionFiles.lists)
        let temporary = stored + JournalFiles.temporarySuffix
        for suffix in [""] + CompanionFiles.besideSQLite
        where try target.list().contains(temporary + suffix) {
            try target.remove(temporary + suffix)
        }
        let needed: UInt64?
        do throws(JournalError) {
            needed = try copyLists(temporary)
            let file = try target.open(temporary, isWritable: true)
            defer { target.close(file) }
            try target.sync(file)
        } catch {
            try? target.remove(temporary)
            throw error
        }
        let (checksum, bytes) = try copier.checksum(temporary)
        try target.rename(temporary, to: stored)
        try target.syncDirectory()
        try state.add(
            BackupManifest.File(
                name: CompanionFiles.lists, stored: stored, bytes: bytes, size: bytes,
                checksum: checksum), in: target)
        return needed
    }

    private func copySmall(_ name: String, _ state: inout State) throws(JournalError) {
        let bytes = try size(of: name)
        guard bytes <= Self.longestSmall else {
            throw JournalError(
                .damaged, file: name, reason: "it has \(bytes) bytes, and should have a few",
                remedy: "move it out of the data directory")
        }
        let stored = state.numbered(name)
        let copy = try copier.copy(name, bytes: bytes, size: bytes, as: stored)
        try state.add(
            BackupManifest.File(
                name: name, stored: stored, bytes: bytes, size: bytes, checksum: copy.checksum),
            in: target)
    }

    /// The newest checkpoint that is whole, as a start takes it.
    private func copyNewestCheckpoint(_ state: inout State) throws(JournalError) -> UInt64? {
        for number in try source.checkpointNumbers().reversed() {
            let name = JournalFiles.checkpoint(number)
            let bytes = try size(of: name)
            let part = JournalSnapshot.Part(name: name, bytes: bytes, size: bytes, isFinal: true)
            do throws(JournalError) {
                try copy(part, &state)
                return number
            } catch {
                guard error.code == .damaged else { throw error }
            }
        }
        return nil
    }

    private func copy(
        _ part: JournalSnapshot.Part, _ state: inout State
    ) throws(JournalError) {
        if part.isFinal, let known = try knownStill(part, state) {
            state.manifest.files.append(known)
            return
        }
        let isFree = part.isFinal && !state.isKept(part.name)
        let stored = isFree ? part.name : state.numbered(part.name)
        let copy = try copier.copy(
            part.name, bytes: part.bytes, size: part.bytes, as: stored
        ) { (_) throws(JournalError) in
            if part.isFinal { try check(part.name, state.manifest.journal) }
        }
        try state.add(
            BackupManifest.File(
                name: part.name, stored: stored, bytes: part.bytes, size: part.size,
                checksum: copy.checksum, stamp: part.isFinal ? copy.stamp : nil),
            in: target)
    }

    /// Reads what was copied once more, frame by frame: the system still has it in memory.
    private func check(_ name: String, _ id: JournalID) throws(JournalError) {
        switch DataFile(name) {
        case .segment(let number):
            try JournalSnapshot.check(sealed: number, source, id: id) {
                (_) throws(JournalError) in try work.check()
            }
        case .checkpoint(let number):
            if let error = CheckpointReader(source, id: id).check(number) { throw error }
        case .lists, .small, nil: break
        }
    }

    /// A file that does not change any more and was copied before: the same one, not another of its name.
    private func knownStill(
        _ part: JournalSnapshot.Part, _ state: State
    ) throws(JournalError) -> BackupManifest.File? {
        let candidates = state.known(part.name, part.bytes)
        if candidates.isEmpty { return nil }
        let file = try source.open(part.name, isWritable: false)
        defer { source.close(file) }
        guard let stamp = try source.stamp(of: file),
            let known = candidates.first(where: { $0.stamp == stamp }),
            try target.list().contains(known.stored)
        else { return nil }
        let copy = try target.open(known.stored, isWritable: false)
        defer { target.close(copy) }
        return try target.size(of: copy) == known.bytes ? known : nil
    }

    private func size(of name: String) throws(JournalError) -> Int {
        let file = try source.open(name, isWritable: false)
        defer { source.close(file) }
        return try source.size(of: file)
    }

    // MARK: The end

    /// Makes the new backup the one that counts, and removes what it does not need.
    private func finish(_ state: inout State) throws(JournalError) {
        try work.check()
        try target.syncDirectory()
        try target.replace(BackupManifest.fileName, with: state.manifest.encoded)
        let needed = Set(state.manifest.files.map(\.stored))
        for name in try target.list() where DataFile.isStored(name) && !needed.contains(name) {
            try target.remove(name)
        }
        if try target.list().contains(BackupManifest.partialName) {
            try target.remove(BackupManifest.partialName)
        }
        try target.syncDirectory()
    }

    private static func isLeftOut(_ name: String) -> Bool {
        DataFile(name) == nil && !name.hasSuffix(JournalFiles.temporarySuffix)
            && !Restorer.isNothing(name)
            && !CompanionFiles.besideSQLite.contains { name == CompanionFiles.lists + $0 }
    }
}

extension BackupWriter {
    /// Whether a directory may become a backup, or is one: it is empty, or has a manifest. Nothing is changed.
    ///
    /// - Throws: `.invalid` if it may not.
    package static func checkTarget(_ target: any Disk, _ path: String) throws(JournalError) {
        let names = try target.list()
        guard !names.contains(BackupManifest.fileName),
            !names.contains(BackupManifest.partialName)
        else { return }
        guard let other = names.first(where: { !Restorer.isNothing($0) }) else { return }
        throw JournalError(
            .invalid, file: path,
            reason: "it is not empty, and is no backup (\(other))",
            remedy: "give an empty directory, or one that `tollgate backup` made")
    }

    /// A backup that is being made.
    private struct State {
        var manifest: BackupManifest
        var copiedFiles = 0
        /// What is whole in the target, by the names there.
        private var whole: [String: BackupManifest.File] = [:]
        /// How much of that is not on record yet.
        private var unrecorded = 0
        /// The names there of what the last complete backup is made of.
        private let kept: Set<String>

        init(_ target: any Disk, _ id: JournalID, _ now: Int64) throws(JournalError) {
            let last = try BackupManifest.read(target, BackupManifest.fileName)
            let partial = try BackupManifest.readPartial(target)
            for known in [last, partial].compactMap({ $0 }) {
                guard known.journal == id else {
                    throw JournalError(
                        .foreign, file: "the backup",
                        reason: """
                            it is of another service: its journal is \(known.journal.text), and the \
                            data directory's is \(id.text)
                            """,
                        remedy: "give each service a backup directory of its own")
                }
                for file in known.files { whole[file.stored] = file }
            }
            kept = Set((last?.files ?? []).map(\.stored))
            manifest = BackupManifest(
                number: (last?.number ?? 0) + 1, journal: id, takenAt: now,
                end: JournalPlace(segment: 1, offset: 0), files: [])
        }

        /// A name for what changes from one backup to the next.
        func numbered(_ name: String) -> String { "\(name).\(manifest.number)" }

        /// Whether the last complete backup has a file of this name in the target: it is not written to.
        func isKept(_ stored: String) -> Bool { kept.contains(stored) }

        /// Copies of a file that does not change any more.
        func known(_ name: String, _ bytes: Int) -> [BackupManifest.File] {
            whole.values.filter { $0.name == name && $0.bytes == bytes && $0.stamp != nil }
        }

        /// Takes a file in that is on the disk.
        mutating func add(
            _ file: BackupManifest.File, in target: any Disk
        ) throws(JournalError) {
            manifest.files.append(file)
            copiedFiles += 1
            guard file.stamp != nil else { return }
            whole[file.stored] = file
            unrecorded += 1
            // The record has all files each time: written for each of them, it would grow with their square.
            if unrecorded * Self.recordedTogether >= whole.count { try keep(in: target) }
        }

        /// As much as this part of what is whole may be copied once more after a kill.
        private static let recordedTogether = 8

        /// Puts on record what is whole, for an attempt that comes after this one was interrupted.
        mutating func keep(in target: any Disk) throws(JournalError) {
            unrecorded = 0
            var partial = manifest
            partial.files = whole.values.filter { $0.stamp != nil }.sorted { $0.name < $1.name }
            try target.replace(BackupManifest.partialName, with: partial.encoded)
        }
    }
}

extension BackupManifest {
    /// - Returns: nil: there is none.
    static func read(_ disk: any Disk, _ name: String) throws(JournalError) -> BackupManifest? {
        guard try disk.list().contains(name) else { return nil }
        guard let bytes = try disk.contents(name, atMost: longest) else {
            throw JournalError(
                .damaged, file: name, reason: "it is longer than \(longest) bytes",
                remedy: "use another backup")
        }
        return try BackupManifest(bytes, name: name)
    }

    /// One that cannot be read only costs that files are copied again.
    static func readPartial(_ disk: any Disk) throws(JournalError) -> BackupManifest? {
        do throws(JournalError) {
            return try read(disk, partialName)
        } catch {
            guard error.code == .damaged else { throw error }
            return nil
        }
    }
}

extension JournalError {
    /// A file is not there, or not any more.
    fileprivate var isOfAbsence: Bool { code == .missing || code == .removed || errno == ENOENT }

    /// Of a file that was never there, or is gone for good.
    fileprivate var ofMissingFile: JournalError {
        guard code == .system else { return self }
        return JournalError(
            .missing, file: file, reason: "the file is missing",
            remedy: JournalError.restoreDirectory)
    }
}
