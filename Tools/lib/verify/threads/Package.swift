// swift-tools-version: 6.2
// The targets in which threads meet, for the thread sanitizer: HTTP2 and Wire belong to one thread each, and the compiler
// (6.3.1) cannot build HTTP2 with that sanitizer ("Invalid bitcast").
import PackageDescription

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]
let stepPoints: [SwiftSetting] = [.define("STEP_POINTS", .when(configuration: .debug))]

let package = Package(
    name: "tollgate-threads",
    targets: [
        .systemLibrary(name: "CLinux"),
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
        .target(
            name: "TestKit", dependencies: ["Limits", "Journal"], swiftSettings: strict),
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
    ],
    swiftLanguageModes: [.v6]
)
