// swift-tools-version: 6.2
// The core targets alone, over the same sources: no package dependency, so it builds in seconds and runs under
// the sanitizers. `swift test --package-path Tools/Core --sanitize=thread`
import PackageDescription

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]
let stepPoints: [SwiftSetting] = [.define("STEP_POINTS", .when(configuration: .debug))]

let package = Package(
    name: "tollgate-core",
    targets: [
        .systemLibrary(name: "CNGHTTP2", pkgConfig: "libnghttp2"),
        .systemLibrary(name: "CProtobufC", pkgConfig: "libprotobuf-c"),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib"),
        .systemLibrary(name: "CLinux"),
        .target(name: "CTollgate", dependencies: ["CProtobufC"]),
        .target(name: "Telemetry", swiftSettings: strict),
        .target(name: "Limits", swiftSettings: strict),
        .target(name: "BillingCalendar", dependencies: ["Limits"], swiftSettings: strict),
        .target(
            name: "Journal", dependencies: ["Limits", "CLinux"],
            swiftSettings: strict + stepPoints),
        .target(
            name: "Reservations", dependencies: ["Limits", "Journal"],
            swiftSettings: strict + stepPoints),
        .target(
            name: "Engine",
            dependencies: [
                "Limits", "BillingCalendar", "Reservations", "Journal", "Telemetry", "CLinux",
            ],
            swiftSettings: strict + stepPoints),
        .target(name: "Admission", dependencies: ["CLinux"], swiftSettings: strict),
        .target(name: "HTTP2", dependencies: ["CNGHTTP2"], swiftSettings: strict),
        .target(name: "Gzip", dependencies: ["CZlib"], swiftSettings: strict),
        .target(
            name: "Wire", dependencies: ["CTollgate", "CProtobufC", "Limits"],
            swiftSettings: strict),
        .target(
            name: "TestKit", dependencies: ["Engine", "Limits", "Journal", "Reservations"],
            swiftSettings: strict),
        .target(
            name: "Simulator",
            dependencies: ["Engine", "Journal", "Reservations", "Limits", "TestKit"],
            swiftSettings: strict + stepPoints),
        .testTarget(
            name: "SimulatorTests",
            dependencies: ["Simulator", "Engine", "Journal", "Reservations", "Limits", "TestKit"],
            swiftSettings: strict + stepPoints),
        .testTarget(
            name: "TestKitTests", dependencies: ["TestKit", "BillingCalendar", "Limits"],
            swiftSettings: strict),
        .testTarget(name: "TelemetryTests", dependencies: ["Telemetry"], swiftSettings: strict),
        .testTarget(
            name: "LimitsTests", dependencies: ["Limits", "TestKit"], swiftSettings: strict),
        .testTarget(
            name: "BillingCalendarTests", dependencies: ["BillingCalendar", "Limits"],
            swiftSettings: strict),
        .testTarget(
            name: "JournalTests", dependencies: ["Journal", "Limits", "TestKit"],
            swiftSettings: strict + stepPoints),
        .testTarget(
            name: "ReservationsTests", dependencies: ["Reservations", "Journal", "Limits"],
            swiftSettings: strict + stepPoints),
        .testTarget(
            name: "EngineTests",
            dependencies: ["Engine", "Reservations", "Journal", "Limits", "TestKit"],
            swiftSettings: strict + stepPoints),
        .testTarget(name: "AdmissionTests", dependencies: ["Admission"], swiftSettings: strict),
        .testTarget(
            name: "HTTP2Tests", dependencies: ["HTTP2", "CNGHTTP2"], swiftSettings: strict),
        .testTarget(name: "GzipTests", dependencies: ["Gzip"], swiftSettings: strict),
        .testTarget(
            name: "WireTests", dependencies: ["Wire", "CProtobufC", "Limits"],
            swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
