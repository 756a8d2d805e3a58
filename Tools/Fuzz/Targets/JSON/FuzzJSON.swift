internal import Kit

// Bodies of REST requests, parts of web tokens, settings: all that the parser is given.

@_cdecl("LLVMFuzzerInitialize")
public func initialize(_ count: UnsafeRawPointer, _ arguments: UnsafeRawPointer) -> Int32 {
    Seeds.writeIfAsked { FuzzedTexts.seeds }
    return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
public func run(_ start: UnsafeRawPointer?, _ count: Int) -> Int32 {
    let fault = FuzzedTexts.fault(of: Array(UnsafeRawBufferPointer(start: start, count: count)))
    if let fault { preconditionFailure(fault) }
    return 0
}
