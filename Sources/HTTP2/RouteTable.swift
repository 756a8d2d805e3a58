import Glibc

/// A method that a server session knows by its `:path`.
package struct MethodRoute: Sendable {
    /// The whole path, "/package.Service/Method".
    package var path: String
    /// Bytes of one request body that are buffered for the reader; more is cut off. Length prefixes
    /// count.
    package var maximumBodyBytes: Int
    /// Whether the reader consumes the body while it arrives. Otherwise it is kept whole until the
    /// request ends, and no event is raised for its parts.
    package var streamsRequests: Bool

    package init(path: String, maximumBodyBytes: Int, streamsRequests: Bool) {
        self.path = path
        self.maximumBodyBytes = maximumBodyBytes
        self.streamsRequests = streamsRequests
    }
}

/// A request field that the answer carries back as it came: a caller's own mark.
package struct EchoedField: Sendable {
    /// In lower case.
    package var name: String
    /// It comes back with the trailers, not with the head.
    package var isTrailer: Bool

    package init(_ name: String, isTrailer: Bool = false) {
        self.name = name
        self.isTrailer = isTrailer
    }
}

/// Fields of a request that its reader may ask for, and that are kept for nobody else.
package struct KeptField: Sendable, Hashable {
    /// In lower case.
    package var name: String

    package init(_ name: String) { self.name = name }
}

/// The routes of a server, looked up by path bytes. Immutable; shared by all its sessions.
///
/// The lookup works on plain memory, because a reference count on an object that every event loop
/// shares would be the one cache line they all fight for.
package final class RouteTable: @unchecked Sendable {
    // SAFETY: the memory is written in `init` and never again until `deinit`.

    struct Entry {
        let path: UnsafeRawPointer
        let pathLength: Int
        let maximumBodyBytes: Int
        let streamsRequests: Bool
    }

    struct Echo {
        let name: UnsafeRawPointer
        let nameLength: Int
        let use: Use
    }

    /// What is done with a field of a request.
    enum Use { case head, trailers, kept }

    /// The fields that are taken beside those that every call has, without their owner, which must outlive them.
    struct Echoes {
        let entries: UnsafePointer<Echo>
        let count: Int
    }

    /// The table without its owner, which must outlive it.
    struct View {
        let entries: UnsafePointer<Entry>
        let count: Int

        /// The index of the route with this path; -1: none. Known paths are few, so a scan by
        /// length and bytes beats hashing.
        func find(_ path: UnsafeRawBufferPointer) -> Int {
            guard let wanted = path.baseAddress else { return -1 }
            for index in 0..<count where entries[index].pathLength == path.count {
                if memcmp(entries[index].path, wanted, path.count) == 0 { return index }
            }
            return -1
        }
    }

    private let entries: UnsafeMutablePointer<Entry>
    private let text: UnsafeMutableRawPointer
    private let count: Int
    private let echoes: UnsafeMutablePointer<Echo>
    private let echoCount: Int

    /// - Parameters:
    ///   - routes: at most 32 767; a route's index in this list is its id.
    ///   - echoing: fields that answers carry back.
    ///   - keeping: fields that can be asked for.
    package init(
        _ routes: [MethodRoute], echoing: [EchoedField] = [], keeping: [KeptField] = []
    ) {
        precondition(routes.count <= Int(Int16.max), "a route id is an Int16")
        entries = .allocate(capacity: max(1, routes.count))
        let fields =
            echoing.map { ($0.name, $0.isTrailer ? Use.trailers : .head) }
            + keeping.map { ($0.name, Use.kept) }
        let names = routes.map(\.path) + fields.map(\.0)
        text = .allocate(byteCount: max(1, names.reduce(0) { $0 + $1.utf8.count }), alignment: 1)
        count = routes.count
        echoes = .allocate(capacity: max(1, fields.count))
        echoCount = fields.count
        var next = text
        for (index, route) in routes.enumerated() {
            let length = route.path.utf8.count
            UnsafeMutableRawBufferPointer(start: next, count: length)
                .copyBytes(from: route.path.utf8)
            (entries + index).initialize(
                to: Entry(
                    path: UnsafeRawPointer(next), pathLength: length,
                    maximumBodyBytes: route.maximumBodyBytes,
                    streamsRequests: route.streamsRequests))
            next += length
        }
        for (index, (name, use)) in fields.enumerated() {
            let length = name.utf8.count
            UnsafeMutableRawBufferPointer(start: next, count: length).copyBytes(from: name.utf8)
            (echoes + index).initialize(
                to: Echo(name: UnsafeRawPointer(next), nameLength: length, use: use))
            next += length
        }
    }

    deinit {
        entries.deallocate()
        echoes.deallocate()
        text.deallocate()
    }

    var view: View { View(entries: UnsafePointer(entries), count: count) }
    var echoesView: Echoes { Echoes(entries: UnsafePointer(echoes), count: echoCount) }
}
