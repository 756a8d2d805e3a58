import Foundation
import TestKit
import Testing

@testable import Journal

@Suite struct SystemDiskTests {
    private func withDirectory(_ body: (String) throws -> Void) throws {
        let directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("tollgate-disk-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        try body(directory.path)
    }

    @Test func theDirectoryIsLocked() throws {
        try withDirectory { path in
            let first = try SystemDisk(path: path)
            let second = try SystemDisk(path: path)
            try first.lock()
            let error = #expect(throws: JournalError.self) { try second.lock() }
            #expect(error?.code == .locked)
            first.unlock()
            try second.lock()
        }
    }

    /// What is locked is the directory: a lock file that somebody removes takes nothing with it.
    @Test func theDirectoryIsLockedWithoutItsLockFile() throws {
        try withDirectory { path in
            let first = try SystemDisk(path: path)
            try first.lock()
            try FileManager.default.removeItem(atPath: path + "/" + JournalFiles.lock)
            let second = try SystemDisk(path: path)
            let error = #expect(throws: JournalError.self) { try second.lock() }
            #expect(error?.code == .locked)
            first.unlock()
            try second.lock()
        }
    }

    /// What is written to a file that nobody can find any more is lost, whatever the system says.
    @Test(arguments: ["segment", "replaced", "lock", "directory"])
    func whatIsTakenAwayIsNoticed(kind: String) throws {
        try withDirectory { path in
            let files = FileManager.default
            let disk = try SystemDisk(path: path)
            try disk.lock()
            let file = try disk.create("file")
            defer { disk.close(file) }
            try disk.look(after: file)
            let expected: String
            switch kind {
            case "segment":
                try files.removeItem(atPath: path + "/file")
                expected = path + "/file"
            case "replaced":
                disk.close(try disk.create("other"))
                try disk.rename("other", to: "file")
                expected = path + "/file"
            case "lock":
                try files.removeItem(atPath: path + "/" + JournalFiles.lock)
                expected = path + "/" + JournalFiles.lock
            default:
                try files.moveItem(atPath: path, toPath: path + "-moved")
                expected = path
            }
            let error = #expect(throws: JournalError.self) { try disk.look(after: file) }
            #expect(error?.code == .missing && error?.file == expected)
            if kind == "directory" { try files.moveItem(atPath: path + "-moved", toPath: path) }
        }
    }

    /// More pieces than one system call takes, among them empty ones, at the front and at the end.
    @Test(arguments: [0, 1, 2, 1_024, 1_025, 5_000])
    func allPiecesAreWritten(count: Int) throws {
        try withDirectory { path in
            let disk = try SystemDisk(path: path)
            let file = try disk.create("file")
            defer { disk.close(file) }
            var random = SeededGenerator(seed: UInt64(count))
            let bytes = (0..<1_000).map { _ in UInt8.random(in: 0...255, using: &random) }
            var expected: [UInt8] = []
            try bytes.withUnsafeBytes { bytes in
                let pieces = (0..<count).map { index in
                    guard index % 3 > 0 else {
                        return UnsafeRawBufferPointer(rebasing: bytes[0..<0])
                    }
                    let start = Int.random(in: 0..<bytes.count, using: &random)
                    let end = Int.random(in: start...bytes.count, using: &random)
                    return UnsafeRawBufferPointer(rebasing: bytes[start..<end])
                }
                for piece in pieces { expected += piece }
                try disk.write(file, at: 100, pieces)
            }
            let found = try Data(contentsOf: URL(fileURLWithPath: path + "/file"))
            #expect(found.dropFirst(100).elementsEqual(expected))
            #expect(found.prefix(100).allSatisfy { $0 == 0 })
        }
    }
}
