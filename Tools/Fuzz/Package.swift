// swift-tools-version: 6.2
// libFuzzer targets over the core's sources; `Tools/verify --only fuzz` builds and runs them. By hand:
//   swift build -c release --package-path Tools/Fuzz -Xswiftc -sanitize=fuzzer,address -Xcc -fsanitize=fuzzer-no-link,address
import PackageDescription

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

/// A fuzz target: libFuzzer brings `main`.
func fuzzTarget(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(
        name: "Fuzz\(name)", dependencies: ["Kit"] + dependencies, path: "Targets/\(name)",
        swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])])
}

let package = Package(
    name: "tollgate-fuzz",
    targets: [
        .systemLibrary(name: "CNGHTTP2", pkgConfig: "libnghttp2"),
        .systemLibrary(name: "CProtobufC", pkgConfig: "libprotobuf-c"),
        .systemLibrary(name: "CLinux"),
        .target(name: "CTollgate", dependencies: ["CProtobufC"]),
        .target(name: "Limits", swiftSettings: strict),
        .target(name: "Journal", dependencies: ["Limits", "CLinux"], swiftSettings: strict),
        .target(name: "HTTP2", dependencies: ["CNGHTTP2"], swiftSettings: strict),
        .target(
            name: "Wire", dependencies: ["CTollgate", "CProtobufC", "Limits"],
            swiftSettings: strict),
        .target(
            name: "TestKit", dependencies: ["Limits", "Journal"],
            exclude: ["SimulatedEngine.swift"],
            swiftSettings: strict),
        .target(name: "Kit", path: "Targets/Kit", swiftSettings: strict),
        fuzzTarget("Record", ["Journal", "Limits"]),
        fuzzTarget("Journal", ["Journal", "TestKit"]),
        fuzzTarget("Session", ["HTTP2"]),
        fuzzTarget("Wire", ["Wire", "Limits"]),
        fuzzTarget("Money", ["Limits"]),
        // The parser is part of a module with many dependencies, and needs one of them.
        .executableTarget(
            name: "FuzzJSON", dependencies: ["Kit", "Limits"], path: ".",
            sources: [
                "Targets/JSON", "Sources/ControlPlane/JSON/JSON.swift",
                "Sources/ControlPlane/JSON/JSONParser.swift",
            ],
            swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])]),
    ],
    swiftLanguageModes: [.v6]
)
