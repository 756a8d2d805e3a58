package import ArgumentParser
internal import Glibc

extension AsyncParsableCommand {
    /// A process that is this command, from its first to its last instruction: the whole of `main`.
    ///
    /// Unlike the library's `main` it is not asynchronous itself. Nothing has opened a descriptor yet when it begins, what it
    /// prints is checked, and the first thread stays until the end: an asynchronous `main` ends it while the others go on,
    /// which valgrind (`Tools/count-instructions`) does not survive.
    ///
    /// - Parameter name: what stands in front of sentences on standard error.
    package static func process(named name: String) -> Never {
        StandardStreams.prepare(program: name)
        do {
            var command = try parseAsRoot()
            guard let task = command as? any AsyncParsableCommand else {
                try command.run()
                end()
            }
            Task.detached {
                var task = task
                do {
                    try await task.run()
                } catch {
                    end(with: error)
                }
                end()
            }
        } catch {
            end(with: error)
        }
        // Until the task ends the process; a signal that is caught wakes it.
        while true { pause() }
    }

    private static func end(_ status: Int32 = 0) -> Never {
        let status = StandardOutput.exitStatus(status)
        // First: that it failed is told on standard error.
        StandardOutput.finishAnnouncements()
        StandardError.finish()
        Glibc.exit(status)
    }

    private static func end(with error: any Error) -> Never {
        let code = exitCode(for: error)
        let text = fullMessage(for: error, columns: nil)
        if code.isSuccess, !text.isEmpty {
            // Help and versions are what was asked for.
            StandardOutput.print(text)
        } else if !text.isEmpty {
            StandardError.write(text + "\n")
        }
        end(code.rawValue)
    }
}
