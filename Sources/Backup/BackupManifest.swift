import JSON
package import Journal
import Notation

/// What a backup holds: `manifest.json`, which is written when all else is there, and `manifest.partial.json`, which says
/// what is whole of a backup that is not complete yet.
package struct BackupManifest: Sendable, Equatable {
    package static let fileName = "manifest.json"
    package static let partialName = "manifest.partial.json"
    /// More bytes than any manifest has.
    static let longest = 64 << 20
    static let format: Int64 = 1

    /// A file of the backup.
    package struct File: Sendable, Equatable {
        /// In the data directory.
        package var name: String
        /// In the backup.
        package var stored: String
        /// Bytes of it that are stored.
        package var bytes: Int
        /// Bytes that it has in the data directory: zeros stand behind those that are stored.
        package var size: Int
        /// SHA-256 of what is stored, hexadecimal.
        package var checksum: String
        /// Of the file that it was copied from, which does not change any more; nil: it is copied anew each time.
        package var stamp: FileIdentity?
    }

    /// How often the backup has been brought up to date.
    package var number: Int64
    /// The journal's id.
    package var journal: JournalID
    /// When it began, Unix milliseconds: all that was acknowledged by then is in it.
    package var takenAt: Int64
    /// Where its journal ends.
    package var end: JournalPlace
    package var files: [File]
}

// MARK: JSON

extension BackupManifest {
    var encoded: [UInt8] {
        let files = files.map { file -> JSON in
            var members: [JSON.Member] = [
                ("name", .string(file.name)), ("stored_as", .string(file.stored)),
                ("bytes", .integer(Int64(file.bytes))), ("size", .integer(Int64(file.size))),
                ("sha256", .string(file.checksum)),
            ]
            if let stamp = file.stamp {
                members.append(
                    (
                        "source",
                        [
                            "inode": .number("\(stamp.inode)"),
                            "modified_ns": .integer(stamp.modified),
                        ]
                    ))
            }
            return .object(members)
        }
        let manifest: JSON = [
            "format": .integer(Self.format), "number": .integer(number),
            "journal": .string(journal.text), "taken_at": .string(Instant.text(takenAt)),
            "end": [
                "segment": .number("\(end.segment)"), "offset": .integer(Int64(end.offset)),
            ],
            "files": .array(files),
        ]
        return Array((manifest.indentedText + "\n").utf8)
    }

    /// - Throws: it is no manifest, with what is wrong.
    init(_ bytes: [UInt8], name: String) throws(JournalError) {
        func damaged(_ reason: String) -> JournalError {
            JournalError(
                .damaged, file: name, reason: reason, remedy: "use another backup")
        }
        let json: JSON
        do throws(JSONSyntaxError) {
            json = try JSONParser.parse(bytes)
        } catch {
            throw damaged("it is not valid JSON: \(error.reason) at byte \(error.offset)")
        }
        guard let format = json["format"]?.integer else { throw damaged("it has no format") }
        guard format == Self.format else {
            throw JournalError(
                .newerFormat, file: name, reason: "its format \(format) is not known",
                remedy: JournalError.runLaterRelease)
        }
        guard let number = json["number"]?.integer, (1..<1 << 53).contains(number),
            let journal = json["journal"]?.string.flatMap(JournalID.init(text:)),
            let takenAt = json["taken_at"]?.string.flatMap(Instant.parse),
            let segment = json["end"]?["segment"]?.integer, segment > 0,
            let offset = json["end"]?["offset"]?.integer, offset >= 0,
            let list = json["files"]?.array
        else { throw damaged("a member is missing or invalid") }
        self.number = number
        self.journal = journal
        self.takenAt = takenAt
        end = JournalPlace(segment: UInt64(segment), offset: Int(offset))
        files = []
        for entry in list {
            guard let file = File(entry) else {
                throw damaged("entry \(files.count + 1) of its files is invalid")
            }
            files.append(file)
        }
        guard Set(files.map(\.name)).count == files.count else {
            throw damaged("a file is listed twice")
        }
    }
}

extension BackupManifest.File {
    init?(_ json: JSON) {
        guard let name = json["name"]?.string, DataFile(name) != nil,
            let stored = json["stored_as"]?.string,
            stored == name || DataFile.isNumbered(stored, name),
            let bytes = json["bytes"]?.integer, bytes >= 0,
            let size = json["size"]?.integer, size >= bytes, size <= 1 << 40,
            let checksum = json["sha256"]?.string, checksum.utf8.count == 64
        else { return nil }
        self.init(
            name: name, stored: stored, bytes: Int(bytes), size: Int(size), checksum: checksum)
        if let source = json["source"] {
            guard case .number(let text)? = source["inode"], let inode = UInt64(text),
                let modified = source["modified_ns"]?.integer
            else { return nil }
            stamp = FileIdentity(inode: inode, modified: modified)
        }
    }
}

extension JournalID {
    /// 32 lower-case hexadecimal digits.
    package var text: String {
        [high, low].map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    init?(text: String) {
        guard text.utf8.count == 32, let high = UInt64(text.prefix(16), radix: 16),
            let low = UInt64(text.suffix(16), radix: 16)
        else { return nil }
        self.init(low: low, high: high)
    }
}

/// What a file of a data directory is, by its name. What is none of these is in no backup.
enum DataFile: Equatable {
    case segment(UInt64)
    case checkpoint(UInt64)
    case lists
    /// A file of a few bytes: a secret, or the note of a restore that no service has started after.
    case small

    static let smallNames = CompanionFiles.all.filter { $0 != CompanionFiles.lists }

    init?(_ name: String) {
        if let number = JournalFiles.segmentNumber(name) {
            self = .segment(number)
        } else if let number = JournalFiles.checkpointNumber(name) {
            self = .checkpoint(number)
        } else if name == CompanionFiles.lists {
            self = .lists
        } else if Self.smallNames.contains(name) {
            self = .small
        } else {
            return nil
        }
    }

    /// Whether a file of a backup may be called so: as in the data directory, or with a number behind it.
    static func isStored(_ stored: String) -> Bool {
        if DataFile(stored) != nil { return true }
        guard let dot = stored.lastIndex(of: ".") else { return false }
        let name = String(stored[..<dot])
        return DataFile(name) != nil && isNumbered(stored, name)
    }

    /// Nothing that leads out of the directory.
    static func isNumbered(_ stored: String, _ name: String) -> Bool {
        guard stored.hasPrefix(name + ".") else { return false }
        let digits = stored.dropFirst(name.count + 1)
        return !digits.isEmpty && digits.allSatisfy { $0.isASCII && $0.isNumber }
    }
}
