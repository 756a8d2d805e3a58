internal import CLinux
internal import CommandIO
internal import Glibc
internal import JSON

/// What an upgrade tells the new program's check about the running service: what the new program will find when it
/// runs, whatever the settings say by then.
struct RunningService: Sendable, Equatable {
    /// The environment variable that passes it to the check, as JSON.
    static let variable = "TOLLGATE_UPGRADE_OF"

    var dataDirectory: String
    /// The addresses of its sockets, which are passed to the new program.
    var listening: [PassedDescriptors.Port: NetworkAddress]
    /// How much of each capacity is in use, by the setting's name.
    var inUse: [String: Int]

    init(
        dataDirectory: String, listening: [PassedDescriptors.Port: NetworkAddress],
        inUse: [String: Int]
    ) {
        self.dataDirectory = dataDirectory
        self.listening = listening
        self.inUse = inUse
    }

    var text: String {
        JSON.object([
            ("data_directory", .string(dataDirectory)),
            (
                "listening",
                .object(listening.map { ($0.key.rawValue, .string("\($0.value)")) })
            ),
            ("in_use", .object(inUse.map { ($0.key, .integer(Int64($0.value))) })),
        ]).text
    }

    /// nil: no service runs the check, or its release is one that this one does not understand.
    init?(_ environment: [String: String]) {
        guard let text = environment[Self.variable],
            let json = try? JSONParser.parse(text),
            let directory = json["data_directory"]?.string
        else { return nil }
        dataDirectory = directory
        listening = [:]
        for port in PassedDescriptors.Port.allCases {
            let address = json["listening"]?[port.rawValue]?.string
            listening[port] = address.flatMap { NetworkAddress($0) }
        }
        inUse = [:]
        for row in SettingsCatalogue.rows {
            if let count = json["in_use"]?[row.name]?.integer { inUse[row.name] = Int(count) }
        }
    }

    /// Why the service cannot change to these settings: one sentence for each reason.
    func objections(to settings: ServeSettings) -> [String] {
        guard settings.durability != .memory else {
            return ["durability is memory, but the running service keeps its data on disk"]
        }
        var found: [String] = []
        let directory = settings.dataDirectory
        if directory != dataDirectory, FileInode(directory) != FileInode(dataDirectory) {
            found.append(
                "data-dir is \(directory), but the service uses \(dataDirectory); restart it to change that"
            )
        }
        for row in SettingsCatalogue.rows {
            guard let used = inUse[row.name],
                let capacity = settings.text(row).flatMap({ Int($0) }), capacity < used
            else { continue }
            found.append("\(row.name) is \(capacity), but \(used) are in use")
        }
        return found
    }
}

extension ServeSettings {
    /// Why the settings cannot be read a second time; nil: they can. A pipe has been read to its end, and standard
    /// input belongs to the service alone.
    var readOnce: String? {
        let files = SettingsCatalogue.rows.filter { $0.valueName == "file" }
        let named = [("config", sources.file)] + files.map { ($0.name, text($0)) }
        for case (let name, let path?) in named where FileKind.isStream(path) {
            return "\(name) is \(path), which can be read only once: restart the service"
        }
        return nil
    }
}

/// What kind of file a path leads to.
enum FileKind {
    /// A pipe, a terminal, a socket, or something that only one process has open.
    static func isStream(_ path: String) -> Bool {
        var found = stat()
        guard stat(path, &found) == 0 else { return false }
        let isRegular = found.st_mode & S_IFMT == S_IFREG
        return !isRegular || ["/dev/", "/proc/"].contains { path.hasPrefix($0) }
    }
}
