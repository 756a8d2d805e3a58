/// Whether a connection is read from: its channel asks for each read, and is put off while the gate is shut.
struct ReadGate {
    private var isShut = false
    private var isAsked = false

    /// A read is asked for. True: it is to be done now.
    mutating func ask() -> Bool {
        guard isShut else { return true }
        isAsked = true
        return false
    }

    /// Shuts or opens the gate. True: a read that was put off is to be done now.
    mutating func set(isShut: Bool) -> Bool {
        self.isShut = isShut
        guard !isShut, isAsked else { return false }
        isAsked = false
        return true
    }
}
