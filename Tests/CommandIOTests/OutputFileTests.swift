import Foundation
import Glibc
import Testing

@testable import CommandIO

/// What a name leads to is written, and what else it is stays as it was.
@Suite struct OutputFileTests {
    private let directory: String

    init() throws {
        directory =
            FileManager.default.temporaryDirectory
            .appending(path: "output-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true)
    }

    private func path(_ name: String) -> String { directory + "/" + name }

    private func text(_ name: String) throws -> String {
        try String(contentsOfFile: path(name), encoding: .utf8)
    }

    private func status(_ name: String) -> stat {
        var status = stat()
        _ = lstat(path(name), &status)
        return status
    }

    private var names: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: directory).sorted() }
    }

    @Test func aNewFileHasTheModeOfTheMask() throws {
        try OutputFile(path("new")).write("one\n")
        #expect(try text("new") == "one\n")
        let mask = umask(0)
        umask(mask)
        #expect(status("new").st_mode & 0o777 == 0o666 & ~mask)
        #expect(try names == ["new"])
    }

    @Test func aFileKeepsItsModeAndIsReplacedAsAWhole() throws {
        try "old".write(toFile: path("file"), atomically: false, encoding: .utf8)
        chmod(path("file"), 0o640)
        let old = status("file").st_ino
        try OutputFile(path("file")).write("new")
        #expect(try text("file") == "new")
        #expect(status("file").st_mode & 0o777 == 0o640)
        #expect(status("file").st_ino != old, "it was written in place")
        #expect(try names == ["file"])
    }

    @Test(.enabled(if: geteuid() == 0, "only root gives files away"))
    func aFileKeepsItsOwner() throws {
        try "old".write(toFile: path("file"), atomically: false, encoding: .utf8)
        chown(path("file"), 12_345, 23_456)
        try OutputFile(path("file")).write("new")
        #expect(status("file").st_uid == 12_345 && status("file").st_gid == 23_456)
    }

    @Test(arguments: ["target", "there/target", "../TOP/there/target"])
    func throughSymbolicLinks(target: String) throws {
        let target = target.replacing(
            "TOP", with: URL(filePath: directory).lastPathComponent)
        try FileManager.default.createDirectory(
            atPath: path("there"), withIntermediateDirectories: true)
        symlink(target, path("second"))
        symlink("second", path("first"))
        // What it leads to does not exist yet, then it does.
        for content in ["one", "two"] {
            try OutputFile(path("first")).write(content)
            #expect(status("first").st_mode & S_IFMT == S_IFLNK)
            #expect(status("second").st_mode & S_IFMT == S_IFLNK)
            #expect(try String(contentsOfFile: path(target), encoding: .utf8) == content)
        }
    }

    @Test func linksInACircleAreTold() {
        symlink("b", path("a"))
        symlink("a", path("b"))
        #expect(throws: FileFailure.self) { try OutputFile(path("a")).write("x") }
    }

    @Test func aPipeIsWrittenTo() throws {
        #expect(mkfifo(path("pipe"), 0o600) == 0)
        symlink("pipe", path("link"))
        // For reading and writing: nobody waits for the other end.
        let reader = open(path("pipe"), O_RDWR)
        defer { close(reader) }
        try OutputFile(path("link")).write("through")
        var buffer = [UInt8](repeating: 0, count: 16)
        #expect(read(reader, &buffer, 16) == 7)
        #expect(status("pipe").st_mode & S_IFMT == S_IFIFO)
    }

    @Test func aDeviceStaysOne() throws {
        symlink("/dev/null", path("null"))
        try OutputFile(path("null")).write("nothing")
        #expect(status("null").st_mode & S_IFMT == S_IFLNK)
        var device = stat()
        #expect(stat("/dev/null", &device) == 0 && device.st_mode & S_IFMT == S_IFCHR)
    }

    @Test func aFullDeviceIsTold() {
        let failure = #expect(throws: FileFailure.self) {
            try OutputFile("/dev/full").write("text")
        }
        #expect(failure?.description == "/dev/full cannot be written: the disk is full")
    }

    @Test func allNamesOfAFileStayItsNames() throws {
        try "old and long".write(toFile: path("one"), atomically: false, encoding: .utf8)
        link(path("one"), path("other"))
        try OutputFile(path("one")).write("new")
        #expect(try text("other") == "new")
    }

    @Test func aSecretIsNobodyElsesFromTheFirstByteOn() throws {
        try "old".write(toFile: path("secret"), atomically: false, encoding: .utf8)
        chmod(path("secret"), 0o644)
        try OutputFile(path("secret"), mode: 0o600).write("new")
        #expect(try text("secret") == "new" && status("secret").st_mode & 0o777 == 0o600)
    }

    @Test func wrongNamesAreTold() throws {
        let failure = #expect(throws: FileFailure.self) {
            try OutputFile(path("nowhere/file")).write("x")
        }
        #expect(failure?.reason == "cannot be written: no such file or directory")
        #expect(throws: FileFailure.self) { try OutputFile(directory).write("x") }
        #expect(try names.isEmpty)
    }
}

/// What a command reads from files, pipes and standard input.
@Suite struct InputFileTests {
    @Test func pipesAreReadToTheirEnd() throws {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        let (reader, writer) = (ends[0], ends[1])
        defer { close(reader) }
        let text = String(repeating: "x", count: 40_000)
        #expect(write(writer, text, 40_000) == 40_000)
        close(writer)
        let read = try InputFile.read("/dev/fd/\(reader)", atMost: 40_000)
        #expect(read.map { $0.count } == 40_000)
    }

    @Test func longOnesAreNotRead() throws {
        #expect(try InputFile.read("/dev/zero", atMost: 1_000_000) == nil)
    }

    @Test(arguments: [
        ("/nowhere/at/all", "no such file or directory"), ("/", "it is a directory"),
    ])
    func whatCannotBeReadIsTold(path: String, words: String) {
        let failure = #expect(throws: FileFailure.self) {
            try InputFile.read(path, atMost: 10)
        }
        #expect(failure?.description == "\(path) cannot be read: \(words)")
    }
}
